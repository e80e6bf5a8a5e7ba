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
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cumulo.engines.images import Descriptor, Platform, PullError, Reference, Source
from cumulo.engines.oci import pulling

BLOB_BYTES_MAX = 64 * 1024**3
_PIECE_BYTES = 1024 * 1024
_TAR_BLOCK = 512


class Fetched:
    """An image whose blobs are all on this machine."""

    def __init__(self, id: str, digest: str, config: bytes, layers: list[Path]) -> None:  # noqa: A002
        self.id = id
        self.digest = digest
        self.config = config
        self.layers = layers


async def fetch(source: Source, reference: Reference, wanted: Platform, folder: Path) -> Fetched:
    """Everything of one image, checked by digest and size.  PullError."""
    found = await pulling.find(source, reference, wanted)
    _, config = await pulling.configuration(source, found, wanted)
    layers = []
    for layer in found.manifest.layers:
        path = await _blob(source, found.reference, layer, folder)
        if layer.media_type.endswith("zstd"):  # not every daemon knows it
            path = await asyncio.to_thread(_unpack_zstd, path, folder)
        layers.append(path)
    return Fetched(found.manifest.config.digest, found.descriptor.digest, config, layers)


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


async def docker_archive(image: Fetched, tags: Sequence[str]) -> AsyncIterator[bytes]:
    """The tar, piece by piece; without tags the image gets no name."""
    config = f"{image.id.removeprefix('sha256:')}.json"
    layers = [f"{n}.tar" for n in range(len(image.layers))]
    table = json.dumps([{"Config": config, "RepoTags": list(tags) or None, "Layers": layers}]).encode()
    yield _member(config, image.config)
    for name, path in zip(layers, image.layers, strict=True):
        size = (await asyncio.to_thread(path.stat)).st_size
        yield _header(name, size)
        with contextlib.ExitStack() as held:
            file = held.enter_context(await asyncio.to_thread(path.open, "rb"))
            while data := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield data
        yield b"\0" * (-size % _TAR_BLOCK)
    yield _member("manifest.json", table)
    yield b"\0" * (2 * _TAR_BLOCK)


def _member(name: str, content: bytes) -> bytes:
    return _header(name, len(content)) + content + b"\0" * (-len(content) % _TAR_BLOCK)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


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
