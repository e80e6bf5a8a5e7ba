"""An image of a Source, or of an OCI archive, as the archive that `docker load` takes.

    Source ── manifest, configuration, layers ──▶ a folder of checked blobs ──▶ tar, streamed to the daemon

The daemon needs to reach no registry for it.  Blobs that are files of this machine are read where they are.
"""

import asyncio
import contextlib
import hashlib
import json
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from cumulo.engines import manifests
from cumulo.engines.images import Descriptor, Platform, PullError, Reference, Source

BLOB_BYTES_MAX = 64 * 1024**3
_SMALL_BYTES_MAX = 8 * 1024 * 1024  # of manifests and configurations
_PIECE_BYTES = 1024 * 1024
_TAR_BLOCK = 512


class Fetched:
    """An image whose blobs are all on this machine."""

    def __init__(self, id: str, digest: str, config: Path, layers: list[Path]) -> None:  # noqa: A002
        self.id = id
        self.digest = digest
        self.config = config
        self.layers = layers


async def fetch(source: Source, reference: Reference, wanted: Platform, folder: Path) -> Fetched:
    """Everything of one image, checked by digest and size.  PullError."""
    pointer, raw = await source.manifest(reference)
    said = manifests.document(raw, "manifest")
    if pointer.media_type in manifests.INDEX_TYPES or "manifests" in said:
        chosen = manifests.choose(said, wanted)
        by_digest = Reference(host=reference.host, repository=reference.repository, digest=chosen.digest)
        pointer, raw = await source.manifest(by_digest)
        said = manifests.document(raw, "manifest")
    config = manifests.descriptor(said.get("config"))
    if config.size > _SMALL_BYTES_MAX:
        raise PullError("refused", f"the configuration of {reference} has {config.size} bytes")
    config_path = await _blob(source, reference, config, folder)
    configured = manifests.configured(await asyncio.to_thread(config_path.read_bytes))
    if not manifests.fits(configured.platform, wanted):
        have = f"{configured.platform.os}/{configured.platform.architecture}"
        raise PullError("platform", f"{reference} is for {have}, not for {wanted.os}/{wanted.architecture}")
    layers = []
    for item in said.get("layers") or ():
        layer = manifests.descriptor(item)
        path = await _blob(source, reference, layer, folder)
        if layer.media_type.endswith("zstd"):  # not every daemon knows it
            path = await asyncio.to_thread(_unpack_zstd, path, folder)
        layers.append(path)
    if len(layers) != len(configured.layers):
        raise PullError(
            "corrupt", f"{reference} has {len(layers)} layers and speaks of {len(configured.layers)}"
        )
    return Fetched(config.digest, pointer.digest, config_path, layers)


async def _blob(source: Source, reference: Reference, blob: Descriptor, folder: Path) -> Path:
    here = source.path(reference, blob)
    if here is not None:
        return here
    if blob.size > BLOB_BYTES_MAX:
        raise PullError("refused", f"the blob {blob.digest} has {blob.size} bytes")
    path = folder / blob.digest.removeprefix("sha256:")
    if path.exists():
        return path
    sha, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as held:
        file = held.enter_context(await asyncio.to_thread(path.open, "wb"))
        held.callback(_drop_unless_whole, path, lambda: size == blob.size)
        async for piece in source.blob(reference, blob):
            size += len(piece)
            if size > blob.size:
                raise PullError(
                    "corrupt", f"the blob {blob.digest} is longer than the {blob.size} bytes it has"
                )
            await asyncio.to_thread(_take, file, sha, piece)
    if size != blob.size or f"sha256:{sha.hexdigest()}" != blob.digest:
        path.unlink(missing_ok=True)
        raise PullError("corrupt", f"what came for the blob {blob.digest} is something else")
    return path


def _take(file: BinaryIO, sha: "hashlib._Hash", piece: bytes) -> None:
    file.write(piece)
    sha.update(piece)


def _drop_unless_whole(path: Path, whole: "object") -> None:
    if callable(whole) and not whole():
        path.unlink(missing_ok=True)


def _unpack_zstd(path: Path, folder: Path) -> Path:
    import zstandard

    target = folder / f"{path.name}.tar"
    try:
        with path.open("rb") as source, target.open("wb") as sink:
            zstandard.ZstdDecompressor().copy_stream(source, sink)
    except zstandard.ZstdError as error:
        raise PullError("corrupt", f"the layer {path.name} is broken: {error}") from None
    return target


async def docker_archive(image: Fetched, tag: str) -> AsyncIterator[bytes]:
    """The tar, piece by piece; `tag` empty gives the image no name."""
    config = f"{image.id.removeprefix('sha256:')}.json"
    layers = [f"{n}.tar" for n in range(len(image.layers))]
    table = json.dumps([{"Config": config, "RepoTags": [tag] if tag else None, "Layers": layers}]).encode()
    for name, path in ((config, image.config), *zip(layers, image.layers, strict=True)):
        size = (await asyncio.to_thread(path.stat)).st_size
        yield _header(name, size)
        with contextlib.ExitStack() as held:
            file = held.enter_context(await asyncio.to_thread(path.open, "rb"))
            while data := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield data
        yield b"\0" * (-size % _TAR_BLOCK)
    yield _header("manifest.json", len(table)) + table + b"\0" * (-len(table) % _TAR_BLOCK)
    yield b"\0" * (2 * _TAR_BLOCK)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


class Layout:
    """A Source: the blobs of an OCI layout in a folder.  What it holds is checked as if it came from afar."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def references(self) -> list[tuple[Reference, str]]:
        """The images of index.json: where to find each, and its full name (empty when it has none)."""
        index = manifests.document(self._read(self._folder / "index.json"), "index of the archive")
        found = []
        for item in index.get("manifests") or ():
            pointer = manifests.descriptor(item)
            notes = item.get("annotations") or {}
            name = (
                notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or ""
            )
            where = Reference(host="layout.local", repository="image", digest=pointer.digest)
            found.append((where, str(name) if "/" in name or ":" in name else ""))
        return found

    def _read(self, path: Path) -> bytes:
        try:
            if path.is_symlink() or path.stat().st_size > _SMALL_BYTES_MAX:
                raise PullError("refused", f"{path.name} of the archive is no small file")
            return path.read_bytes()
        except OSError as error:
            raise PullError("corrupt", f"the archive lacks {path.name}: {error.strerror}") from None

    def _at(self, digest: str) -> Path:
        return self._folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """From the blobs, checked."""
        raw = await asyncio.to_thread(self._read, self._at(reference.digest))
        if f"sha256:{manifests.sha256(raw)}" != reference.digest:
            raise PullError("corrupt", f"the manifest {reference.digest} is something else")
        kind = str(manifests.document(raw, "manifest").get("mediaType", ""))
        return Descriptor(media_type=kind, digest=reference.digest, size=len(raw)), raw

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:  # noqa: ARG002
        """Its bytes."""
        path = self._at(blob.digest)
        if path.is_symlink() or not path.is_file():
            raise PullError("corrupt", f"the archive lacks the blob {blob.digest}")
        with contextlib.ExitStack() as held:
            file = held.enter_context(await asyncio.to_thread(path.open, "rb"))
            while data := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield data

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:  # noqa: ARG002
        """None: nothing of an archive is trusted before it has been checked."""
        return None


def kind_of(archive: Path) -> str:
    """`docker`, `oci`, or `layout` for a folder.  Blocks; PullError for what is none of them."""
    if archive.is_dir():
        return "layout"
    try:
        with tarfile.open(archive) as tar:
            names = set(_names(tar))
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise PullError("corrupt", f"{archive.name} is no archive of images: {error}") from None
    if "manifest.json" in names:
        return "docker"
    if "index.json" in names:
        return "oci"
    raise PullError("corrupt", f"{archive.name} has neither a manifest.json nor an index.json")


def _names(tar: tarfile.TarFile) -> Iterator[str]:
    for member in tar:
        yield member.name.removeprefix("./")


def unpack_layout(archive: Path, folder: Path) -> None:
    """The blobs and the index of an OCI archive, and nothing else of it.  Blocks; PullError."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                place, _, last = name.rpartition("/")
                wanted = name == "index.json" or (place == "blobs/sha256" and last.isalnum())
                content = tar.extractfile(member) if wanted and member.isreg() else None
                if content is None:
                    continue
                with (folder / name).open("wb") as sink:
                    while data := content.read(_PIECE_BYTES):
                        sink.write(data)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise PullError("corrupt", f"{archive.name} is no archive of images: {error}") from None
