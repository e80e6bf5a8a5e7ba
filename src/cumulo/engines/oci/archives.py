"""Archives of images as a source: what `docker save` writes (of old and of new), and OCI layouts, as folder or tar.

Nothing is unpacked, and nothing is believed: the ordinary pull reads from here and checks every digest.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from cumulo.engines.images import Descriptor, Platform, PullError, Reference
from cumulo.engines.oci import manifests, members, references
from cumulo.engines.oci.inflate import GZIP, ZSTD, Inflated
from cumulo.engines.oci.refusals import Bounds, Refusal

_HOST, _REPOSITORY = "archive", "image"
_IMAGES_MAX = 1000
_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_KIND = "vnd.docker.reference.type"


class _Saved(msgspec.Struct):
    """An entry of manifest.json."""

    Config: str
    Layers: list[str] | None = None
    RepoTags: list[str] | None = None


class Packed(msgspec.Struct, frozen=True):
    """One image of the archive: what leads to it here, and the names that it had."""

    reference: Reference
    references: tuple[str, ...]
    platform: Platform | None = None


class Archive:
    """A Source.  `images` are those that are named at the top."""

    def __init__(
        self,
        found: members.Members,
        images: Sequence[Packed],
        *,
        written: dict[str, bytes],
        spans: dict[str, members.Span],
    ) -> None:
        self._members = found
        self.images = images
        self._written = written  # manifests that we made for archives that have none
        self._spans = spans  # blobs that do not lie under their digest

    def fitting(self, wanted: Platform) -> list[Packed]:
        """The images that may be for a platform.  PullError `platform` when there is none."""
        fitting = [one for one in self.images if one.platform is None or manifests.fits(one.platform, wanted)]
        if not fitting:
            there = ", ".join(sorted({manifests.shown(one.platform) for one in self.images if one.platform}))
            raise PullError(
                "platform", f"no image for {manifests.shown(wanted)}; there are: {there or 'none'}"
            )
        return fitting

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """See Source.manifest."""
        raw = self._written.get(reference.digest)
        if raw is None:
            span = await self._span(reference.digest)
            raw = await members.read(span, manifests.MANIFEST_BYTES_MAX, "a manifest")
        if manifests.digest_of(raw) != reference.digest:
            raise PullError("corrupt", f"the archive has a manifest that is not {reference.digest}")
        return Descriptor(media_type="", digest=reference.digest, size=len(raw)), raw

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        """See Source.blob."""
        del reference
        span = await self._span(blob.digest)
        if span.size != blob.size:
            raise PullError("corrupt", f"the archive has {span.size} bytes of a blob of {blob.size}")
        async for piece in members.stream(span):
            yield piece

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        """None: nobody has checked what is here."""
        del reference, blob
        return None

    async def _span(self, digest: str) -> members.Span:
        span = self._spans.get(digest)
        if span is None:
            span = await asyncio.to_thread(
                self._members.find, f"blobs/sha256/{digest.removeprefix('sha256:')}"
            )
        if span is None:
            raise PullError("corrupt", f"the archive lacks {digest}")
        return span


@asynccontextmanager
async def opened(archive: Path, *, aside: Path, bytes_max: int) -> AsyncIterator[Archive]:
    """Open an archive or a layout folder.  PullError.

    aside      where a compressed archive is uncompressed meanwhile, for its members are wanted in any order
    bytes_max  of it, uncompressed
    """
    temporary = aside / f"archive-{secrets.token_hex(8)}"
    try:
        found = await asyncio.to_thread(_members, archive, temporary, bytes_max)
        yield await _read(found, archive.name)
    finally:
        await asyncio.to_thread(temporary.unlink, missing_ok=True)


def _members(archive: Path, temporary: Path, bytes_max: int) -> members.Members:
    if archive.is_dir():
        return members.FolderMembers(archive)
    try:
        with archive.open("rb") as file:
            packed = file.read(4).startswith((GZIP, ZSTD))
            if packed:
                os.lseek(file.fileno(), 0, os.SEEK_SET)  # the file object would only move in its buffer
                _uncompress(file.fileno(), temporary, Bounds(bytes_max=bytes_max))
    except FileNotFoundError:
        raise PullError("not-found", f"there is no file {archive}") from None
    except OSError as error:
        raise PullError("corrupt", f"{archive} cannot be read: {error.strerror}") from None
    except Refusal as error:
        raise PullError(error.kind, str(error)) from None
    return members.TarMembers(temporary if packed else archive)


def _uncompress(fd: int, target: Path, bounds: Bounds) -> None:
    stream = Inflated(fd, bounds)
    with target.open("xb") as file:
        while piece := stream.next():
            file.write(piece)
            room = os.fstatvfs(file.fileno())
            if room.f_bavail * room.f_frsize < bounds.free_min:
                raise Refusal("no-space", "there is not enough space to uncompress the archive")


async def _read(found: members.Members, name: str) -> Archive:
    index = await _json(found, "index.json")
    saved = await _json(found, "manifest.json")
    if index is not None:
        return await _layout(found, index, saved)
    if saved is not None:
        return await _docker(found, saved)
    raise PullError("corrupt", f"{name} is neither an OCI layout nor what docker save writes")


async def _json(found: members.Members, name: str) -> bytes | None:
    span = await asyncio.to_thread(found.find, name)
    return None if span is None else await members.read(span, manifests.MANIFEST_BYTES_MAX, name)


def _saved(raw: bytes) -> list[_Saved]:
    try:
        entries = msgspec.json.decode(raw, type=list[_Saved])
    except (msgspec.DecodeError, RecursionError) as error:
        raise PullError("corrupt", f"manifest.json cannot be read: {error}") from None
    if len(entries) > _IMAGES_MAX:
        raise PullError("refused", f"the archive has more than {_IMAGES_MAX} images")
    return entries


async def _layout(found: members.Members, index: bytes, saved: bytes | None) -> Archive:
    listed = manifests.parse_manifest(index)
    if not isinstance(listed, manifests.Index):
        raise PullError("corrupt", "index.json is not an index")
    if len(listed.entries) > _IMAGES_MAX:
        raise PullError("refused", f"the archive has more than {_IMAGES_MAX} images")
    tags = [entry.RepoTags or [] for entry in _saved(saved)] if saved else []
    images: dict[str, Packed] = {}
    for entry in listed.entries:
        if entry.annotations.get(_KIND):  # attestations: statements about images
            continue
        digest = entry.descriptor.digest
        names = _named(entry.annotations)
        if (
            not names and len(listed.entries) == len(tags) == 1
        ):  # docker's list of tags knows what the index does not
            names = _parsed(tags[0])
        before = images.get(digest)
        names = tuple(dict.fromkeys([*(before.references if before else ()), *names]))
        images[digest] = Packed(Reference(_HOST, _REPOSITORY, "", digest), names, entry.descriptor.platform)
    return Archive(found, list(images.values()), written={}, spans={})


def _named(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The names of an entry.  A tag alone (`latest`) names nothing."""
    full = annotations.get(_FULL_NAME)
    if full:
        return _parsed([full])
    name = annotations.get(_NAME, "")
    return _parsed([name]) if ":" in name or "/" in name else ()


def _parsed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(references.parse(name)) for name in names)


async def _docker(found: members.Members, saved: bytes) -> Archive:
    """An archive without manifests: we write them, with the digests that its parts have."""
    images: list[Packed] = []
    written: dict[str, bytes] = {}
    spans: dict[str, members.Span] = {}
    for entry in _saved(saved):
        raw = await _manifest_of(found, entry, spans)
        digest = manifests.digest_of(raw)
        written[digest] = raw
        reference = Reference(_HOST, _REPOSITORY, "", digest)
        images.append(Packed(reference, _parsed(entry.RepoTags or [])))
    return Archive(found, images, written=written, spans=spans)


async def _manifest_of(found: members.Members, entry: _Saved, spans: dict[str, members.Span]) -> bytes:
    config_span = await _member(found, entry.Config)
    config = await members.read(config_span, manifests.CONFIG_BYTES_MAX, "the configuration")
    config_digest = manifests.digest_of(config)
    spans[config_digest] = config_span
    diff_ids = manifests.parse_config(config).diff_ids
    layers = entry.Layers or []
    if len(layers) != len(diff_ids):
        raise PullError(
            "corrupt", "the archive has not as many layers as the configuration of the image says"
        )
    described = []
    for name, diff_id in zip(layers, diff_ids, strict=True):
        span = await _member(found, name)
        digest = await _layer_digest(span, diff_id)
        spans[digest] = span
        described.append({"mediaType": manifests.OCI_LAYER, "digest": digest, "size": span.size})
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": {"mediaType": manifests.OCI_CONFIG, "digest": config_digest, "size": config_span.size},
            "layers": described,
        }
    )


async def _layer_digest(span: members.Span, diff_id: str) -> str:
    """Of a plain layer its diff id (which unpacking checks); a compressed one has to be read."""
    first = await members.read(members.Span(span.path, span.offset, min(span.size, 4)), 4, "a layer")
    if not first.startswith((GZIP, ZSTD)):
        return diff_id
    hashed = hashlib.sha256()
    async for piece in members.stream(span):
        await asyncio.to_thread(hashed.update, piece)
    return f"sha256:{hashed.hexdigest()}"


async def _member(found: members.Members, name: str) -> members.Span:
    span = await asyncio.to_thread(found.find, name)
    if span is None:
        raise PullError("corrupt", f"the archive lacks {name[:200]}")
    return span
