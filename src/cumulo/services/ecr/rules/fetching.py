"""Brings an image from another registry into a repository: each blob through a file, never through memory."""

import asyncio
import secrets
from pathlib import Path

from cumulo.base.errors import AwsError
from cumulo.engines.images import Descriptor, PullError, Reference, Source
from cumulo.services.ecr.core import Catalog, Layers
from cumulo.services.ecr.manifests import Blob, parse
from cumulo.services.ecr.model import LAYER_BYTES_MAX, Repository
from cumulo.services.ecr.rules.arrivals import Arrivals

BLOBS_AT_ONCE = 4
PIECE_BYTES = 1024 * 1024  # written at once, outside the event loop
_DEPTH_MAX = 4


class Fetcher:
    """Fetches images.  `incoming` is a folder of its own: what a kill leaves in it goes at the next start."""

    def __init__(self, incoming: Path, catalog: Catalog, layers: Layers, arrivals: Arrivals) -> None:
        self._incoming = incoming
        self._catalog = catalog
        self._layers = layers
        self._arrivals = arrivals
        self._blobs = asyncio.Semaphore(BLOBS_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}  # of blobs that are fetched now

    def open(self) -> None:
        """Make the folder, and empty it of what a kill has left."""
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    async def bring(
        self,
        source: Source,
        reference: Reference,
        repository: Repository,
        found: Descriptor,
        manifest: bytes,
        *,
        tag: str = "",
        depth: int = 0,
    ) -> None:
        """Keep a manifest with all that it needs.  PullError from the source, AwsError from here."""
        if depth > _DEPTH_MAX:
            raise PullError("refused", "the index has too many levels of indexes")
        parsed = parse(manifest, found.media_type)
        for child in parsed.children:
            if not self._has(repository, child.digest):
                asked = Reference(reference.host, reference.repository, digest=child.digest)
                inner, data = await source.manifest(asked)
                await self.bring(source, asked, repository, inner, data, depth=depth + 1)
        blobs = {blob.digest: blob for blob in (parsed.config, *parsed.layers) if blob is not None}
        try:
            async with asyncio.TaskGroup() as group:
                for blob in blobs.values():
                    group.create_task(self._blob(source, reference, repository, blob))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several
        try:
            with self._arrivals:
                await self._catalog.put_image(
                    repository, manifest, media_type=found.media_type, tag=tag, digest=found.digest
                )
        except AwsError as error:
            if error.code != "ImageAlreadyExistsException":
                raise

    def _has(self, repository: Repository, digest: str) -> bool:
        try:
            self._catalog.image(repository, digest=digest)
        except AwsError:
            return False
        return True

    async def _blob(self, source: Source, reference: Reference, repository: Repository, blob: Blob) -> None:
        """Keep one blob, unless it is here; two images that share it fetch it once."""
        key = f"{repository.key} {blob.digest}"
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if self._layers.get(repository, blob.digest) is None:
                    async with self._blobs:
                        await self._fetch(source, reference, repository, blob)
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    async def _fetch(self, source: Source, reference: Reference, repository: Repository, blob: Blob) -> None:
        if blob.size > LAYER_BYTES_MAX:
            raise PullError("refused", f"the layer {blob.digest} is larger than {LAYER_BYTES_MAX} bytes")
        file = self._incoming / secrets.token_hex(8)
        try:
            await self._save(source, reference, blob, file)
            await self._layers.take_file(repository, blob.digest, file, blob.media_type)
        except OSError as error:
            raise PullError("no-space", f"the layer {blob.digest} could not be kept: {error}") from error
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)

    async def _save(self, source: Source, reference: Reference, blob: Blob, file: Path) -> None:
        wanted = Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size)
        total, waiting = 0, bytearray()
        with await asyncio.to_thread(file.open, "xb") as out:
            async for piece in source.blob(reference, wanted):
                total += len(piece)
                if total > blob.size:
                    raise PullError("corrupt", f"the layer {blob.digest} is longer than it should be")
                waiting += piece
                if len(waiting) >= PIECE_BYTES:
                    await asyncio.to_thread(out.write, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(out.write, bytes(waiting))
        if total != blob.size:
            raise PullError("corrupt", f"the layer {blob.digest} broke off after {total} bytes")
