"""How an image comes here: manifest, configuration, layers.  Each is checked against the digest that led to it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from cumulo.engines.images import Descriptor, Image, Platform, PullError, Reference, Source
from cumulo.engines.oci import manifests
from cumulo.engines.oci.layers import Layers

_LAYERS_AT_ONCE = 3  # as Docker
_NESTED_MAX = 3  # indexes in indexes


class Found(msgspec.Struct, frozen=True):
    """The manifest of one image, and where its parts are fetched from."""

    reference: Reference
    descriptor: Descriptor
    raw: bytes
    manifest: manifests.Manifest


async def find(source: Source, reference: Reference, wanted: Platform) -> Found:
    """The manifest for a platform, through indexes.  PullError."""
    for _ in range(_NESTED_MAX + 1):
        descriptor, raw = await source.manifest(reference)
        if manifests.digest_of(raw) != descriptor.digest or reference.digest not in ("", descriptor.digest):
            raise PullError(
                "corrupt", f"the manifest of {reference} does not have the digest that it should have"
            )
        found = manifests.parse_manifest(raw)
        if isinstance(found, manifests.Manifest):
            return Found(reference, descriptor, raw, found)
        chosen = manifests.choose([entry.descriptor for entry in found.entries], wanted)
        reference = msgspec.structs.replace(reference, tag="", digest=chosen.digest)
    raise PullError("refused", f"{reference} leads through more than {_NESTED_MAX} indexes")


async def configuration(
    source: Source, found: Found, wanted: Platform
) -> tuple[manifests.Configuration, bytes]:
    """The configuration, which must be for the platform and have a digest for each layer.  PullError."""
    blob = found.manifest.config
    if blob.size > manifests.CONFIG_BYTES_MAX:
        raise PullError("refused", f"the configuration has more than {manifests.CONFIG_BYTES_MAX} bytes")
    raw = await _small(source, found.reference, blob)
    if manifests.digest_of(raw) != blob.digest:
        raise PullError(
            "corrupt", f"the configuration of {found.reference} does not have the digest that it should"
        )
    config = manifests.parse_config(raw)
    if not manifests.fits(config.platform, wanted):
        there, asked = manifests.shown(config.platform), manifests.shown(wanted)
        raise PullError("platform", f"{found.reference} is for {there}, and not for {asked}")
    if len(config.diff_ids) != len(found.manifest.layers):
        raise PullError("corrupt", f"{found.reference} has not as many layers as its configuration says")
    return config, raw


def image_of(found: Found, config: manifests.Configuration, size_bytes: int = 0) -> Image:
    """What these say together, without a name; `size_bytes` unpacked."""
    return Image(
        id=found.manifest.config.digest,
        digest=found.descriptor.digest,
        platform=config.platform,
        config=config.config,
        layers=config.diff_ids,
        size_bytes=size_bytes,
        created_at=config.created_at,
    )


async def _small(source: Source, reference: Reference, blob: Descriptor) -> bytes:
    path = source.path(reference, blob)
    if path is not None:
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise PullError("corrupt", f"a blob cannot be read: {error.strerror}") from None
    data = bytearray()
    async for piece in source.blob(reference, blob):
        data += piece
        if len(data) > blob.size:
            raise PullError("corrupt", f"a blob of {reference} is longer than it should be")
    return bytes(data)


async def fetch_layers(
    source: Source, found: Found, diff_ids: tuple[str, ...], layers: Layers, bytes_max: int
) -> None:
    """Have every layer here, a few at once; PullError of the first that fails, when the others have ended.

    The layers must be pinned.
    """
    slots = asyncio.Semaphore(_LAYERS_AT_ONCE)

    async def one(diff_id: str, blob: Descriptor) -> None:
        async with slots:
            await layers.ensure(diff_id, blob, lambda: _open(source, found.reference, blob))
            total = sum(layers.size(each) for each in set(diff_ids) if layers.has(each))
            if total > bytes_max:
                raise PullError("refused", f"{found.reference} has more than {bytes_max} bytes of files")

    wanted = dict(zip(diff_ids, found.manifest.layers, strict=True))
    try:
        async with asyncio.TaskGroup() as group:
            for diff_id, blob in wanted.items():
                group.create_task(one(diff_id, blob))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def _open(source: Source, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes] | Path:
    return source.path(reference, blob) or source.blob(reference, blob)
