"""Layers of repositories, and uploads: records in the store, bytes in the content store.

    begin ──▶ append, append, ... ──▶ finish ──▶ ecr_layers
      └─ ecr_uploads: what may be taken up again, for 24 hours

The tidying of what nobody needs any more is `layer_upkeep.py`.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecr import layer_errors as errors
from cumulo.services.ecr.core import Upload
from cumulo.services.ecr.model import LAYER_BYTES_MAX, Layer, Repository
from cumulo.state.arrival import Abandoned, Arrival, Misplaced
from cumulo.state.content import Content, WrongDigest, is_digest
from cumulo.state.store import SEPARATOR, Store, join_key

UPLOADS_PER_REPOSITORY_MAX = 1000
UPLOAD_IDLE_SECONDS = 3600.0  # after that an upload may make room for another
BUSY_SECONDS_MAX = 5.0
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class UploadRow(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as the store has it; how far it has come is its file's length."""

    id: str
    account: str
    region: str
    repository: str
    started_at: float

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(self.account, self.region, self.repository, self.id)


class StoredLayers:
    """The Layers of core.py.

    `seen` remembers when somebody was told that a layer is here, so that it is not tidied away before the manifest
    that needs it has come.
    """

    def __init__(self, *, content: Content, store: Store, clock: Clock, ids: Ids) -> None:
        self.content = content
        self.store = store
        self.clock = clock
        self._ids = ids
        self.layers = store.table("ecr_layers", Layer)
        self.uploads = store.table("ecr_uploads", UploadRow)
        self.seen: dict[str, float] = {}
        self.arrivals: dict[str, Arrival] = {}  # by upload; those that this process has touched
        self._touched: dict[str, float] = {}
        self._ids_now = {row.id for row in self.uploads.scan()}
        self._places: dict[str, set[str]] = {}  # of a digest: the records that show it
        for key, layer in self.layers.items():
            self._places.setdefault(layer.digest, set()).add(key)

    # -- layers --------------------------------------------------------------------------------------------

    def get(self, repository: Repository, digest: str) -> Layer | None:
        """The layer, when this repository may show it."""
        key = join_key(repository.key, digest)
        layer = self.layers.get(key)
        if layer is not None:
            self.seen[key] = self.clock.now()
        return layer

    def path(self, digest: str) -> Path:
        """The file of a blob that is here."""
        return self.content.path(digest)

    def sources(self, account: str, region: str, digest: str) -> list[Layer]:
        """Where in a registry a blob is shown."""
        registry = join_key(account, region, "")
        found = [
            self.layers.get(key) for key in sorted(self._places.get(digest, ())) if key.startswith(registry)
        ]
        return [layer for layer in found if layer is not None]

    def shown(self, digest: str) -> bool:
        """Whether any repository shows a blob."""
        return digest in self._places

    def digests(self) -> list[str]:
        """Of every blob that a repository shows."""
        return list(self._places)

    def places(self, digest: str) -> list[str]:
        """The keys of the records that show a blob."""
        return list(self._places.get(digest, ()))

    async def put(self, repository: Repository, data: bytes, media_type: str = "") -> Layer:
        """Keep something small (a configuration) as a layer."""
        await self.store.ready()
        try:
            digest = await self.content.put(data)
        except OSError as error:
            raise disk_error(error) from error
        return await self._show(repository, digest, len(data), media_type)

    async def mount(self, source: Repository, target: Repository, digest: str) -> Layer | None:
        """Show in one repository what another has; None when it has not."""
        layer = self.get(source, digest)
        if layer is None:
            return None
        return await self._show(target, digest, layer.size_bytes, layer.media_type)

    async def take_file(self, repository: Repository, digest: str, file: Path, media_type: str = "") -> Layer:
        """Keep a file (moved, its digest checked) as a layer: for pull-through and imports."""
        await self.store.ready()
        try:
            size = await self.content.take(file, digest)
        except WrongDigest as wrong:
            raise errors.wrong_digest(digest, wrong.found) from None
        except OSError as error:
            raise disk_error(error) from error
        return await self._show(repository, digest, size, media_type)

    async def remove(self, repository: Repository, digest: str) -> bool:
        """Show a blob no longer; False when the repository did not.  The caller has checked that no image needs it."""
        if self.layers.get(join_key(repository.key, digest)) is None:
            return False
        await self.store.ready()
        self.drop_layer(join_key(repository.key, digest))
        await self.store.commit()
        return True

    def forget(self, repository: Repository) -> None:
        """Drop all layers and uploads of a repository that goes; the caller commits."""
        prefix = repository.key + SEPARATOR
        for key, _ in self.layers.items(prefix):
            self.drop_layer(key)
        for upload in self.uploads.scan(prefix):
            self.drop_upload(upload)

    def drop_layer(self, key: str) -> None:
        """Remove a record; the caller commits."""
        layer = self.layers.get(key)
        if layer is not None:
            self.layers.delete(key)
            self.seen.pop(key, None)
            keys = self._places[layer.digest]
            keys.discard(key)
            if not keys:
                del self._places[layer.digest]

    async def _show(self, repository: Repository, digest: str, size: int, media_type: str) -> Layer:
        layer = self._add(repository, digest, size, media_type)
        await self.store.commit()
        return layer

    def _add(self, repository: Repository, digest: str, size: int, media_type: str) -> Layer:
        key = join_key(repository.key, digest)
        self.seen[key] = self.clock.now()
        known = self.layers.get(key)
        if known is not None:
            return known
        layer = Layer(
            account=repository.account,
            region=repository.region,
            repository=repository.name,
            digest=digest,
            size_bytes=size,
            media_type=media_type,
            added_at=self.clock.now(),
        )
        self.layers.put(key, layer)
        self._places.setdefault(digest, set()).add(key)
        return layer

    # -- uploads -------------------------------------------------------------------------------------------

    async def begin(self, repository: Repository) -> Upload:
        """Begin an upload.  AwsError LimitExceededException when too many go on in the repository."""
        await self.store.ready()
        others = self.uploads.scan(repository.key + SEPARATOR)
        if len(others) >= UPLOADS_PER_REPOSITORY_MAX:
            self._make_room(others)
        row = UploadRow(
            id=self._ids.uuid(),
            account=repository.account,
            region=repository.region,
            repository=repository.name,
            started_at=self.clock.now(),
        )
        self.uploads.put(row.key, row)
        self._ids_now.add(row.id)
        await self.store.commit()
        return _upload(row, 0)

    def upload(self, repository: Repository, upload_id: str) -> Upload:
        """An upload that goes on.  AwsError UploadNotFoundException."""
        row = self.uploads.get(join_key(repository.key, upload_id))
        if row is None:
            raise errors.no_upload(repository, upload_id)
        return _upload(row, self._arrival(row.id).received)

    async def append(self, upload: Upload, first: int | None, pieces: AsyncIterator[bytes]) -> Upload:
        """Add bytes.  `first` must be what was received so far when it is given: AwsError InvalidLayerPartException
        with the fields registryId, repositoryName, uploadId and lastValidByteReceived.  One writer at a time.
        """
        row = self._row(upload)
        arrival = await self._free(upload)
        try:
            await arrival.append(pieces, first, LAYER_BYTES_MAX)
        except Misplaced as misplaced:
            raise errors.out_of_order(upload, first or 0, misplaced.received) from None
        except Abandoned:
            raise errors.no_upload(upload, upload.id) from None
        except OverflowError:
            raise errors.too_large(upload) from None
        except OSError as error:
            raise disk_error(error) from error
        finally:
            self._touched[row.id] = self.clock.now()
            self._forget_if_gone(row)
        return _upload(self._row(upload), arrival.received)

    async def finish(self, upload: Upload, digests: Sequence[str], media_type: str = "") -> Layer:
        """End an upload: check it against the digest (of several given, one must fit), keep it, and show it in its
        repository, durably.  AwsError InvalidLayerException (another digest), EmptyUploadException, LayerAlreadyExistsException.
        """
        row = self._row(upload)
        arrival = await self._free(upload)
        size = arrival.received
        if not size:
            raise errors.empty(upload)
        await self.store.ready()
        try:
            digest = await arrival.finish([one for one in digests if is_digest(one)])
        except Abandoned:
            raise errors.no_upload(upload, upload.id) from None
        except OSError as error:
            raise disk_error(error) from error
        if not digest:
            raise errors.wrong_digest(", ".join(digests), "")
        self._row(upload)  # its repository may have gone meanwhile
        repository = _repository(row)
        known = self.layers.get(join_key(repository.key, digest)) is not None
        layer = self._add(repository, digest, size, media_type)
        self.drop_upload(row)
        await self.store.commit()
        if known:
            raise errors.layer_exists(upload, digest)
        return layer

    async def _free(self, upload: Upload) -> Arrival:
        """The upload's file, once nobody else writes to it: a client that broke off may be quicker back than noticed."""
        arrival = self._arrival(upload.id)
        if arrival.lock.locked():
            try:
                async with asyncio.timeout(BUSY_SECONDS_MAX), arrival.lock:
                    pass
            except TimeoutError:
                raise errors.busy(upload) from None
        return arrival

    async def cancel(self, upload: Upload) -> None:
        """Forget an upload."""
        row = self.uploads.get(_key(upload))
        if row is not None:
            self.drop_upload(row)
            await self.store.commit()
            await self.content.discard(row.id)

    def drop_upload(self, row: UploadRow) -> None:
        """Remove a record; the caller commits, and discards the file or leaves it to the upkeep."""
        self.uploads.delete(row.key)
        self._ids_now.discard(row.id)
        arrival = self.arrivals.pop(row.id, None)
        self._touched.pop(row.id, None)
        if arrival is not None:
            arrival.abandon()

    def writing(self, row: UploadRow) -> bool:
        """Whether bytes of it arrive at this moment."""
        arrival = self.arrivals.get(row.id)
        return arrival is not None and arrival.lock.locked()

    def arriving(self, name: str) -> bool:
        """Whether a file of this name belongs to an upload."""
        return name in self._ids_now

    def idle_since(self, row: UploadRow) -> float:
        """When an upload last moved, as far as this process knows."""
        return max(row.started_at, self._touched.get(row.id, 0.0))

    def _make_room(self, rows: Sequence[UploadRow]) -> None:
        oldest = min(rows, key=self.idle_since)
        if self.writing(oldest) or self.idle_since(oldest) > self.clock.now() - UPLOAD_IDLE_SECONDS:
            raise errors.too_many_uploads(_upload(oldest, 0), UPLOADS_PER_REPOSITORY_MAX)
        self.drop_upload(oldest)

    def _row(self, upload: Upload) -> UploadRow:
        row = self.uploads.get(_key(upload))
        if row is None:
            raise errors.no_upload(upload, upload.id)
        return row

    def _arrival(self, upload_id: str) -> Arrival:
        arrival = self.arrivals.get(upload_id)
        if arrival is None:
            arrival = self.arrivals[upload_id] = self.content.arrival(upload_id)
        return arrival

    def _forget_if_gone(self, row: UploadRow) -> None:
        if self.uploads.get(row.key) is None:
            self._touched.pop(row.id, None)
            self.arrivals.pop(row.id, None)


def disk_error(error: OSError) -> AwsError:
    """What a client is told when the disk refuses."""
    if error.errno in _NO_SPACE:
        return AwsError("ServerException", "There is no space left to keep this.", status=507)
    return AwsError("ServerException", "The disk refuses to keep this.", status=500)


def _upload(row: UploadRow, received: int) -> Upload:
    return Upload(
        id=row.id,
        account=row.account,
        region=row.region,
        repository=row.repository,
        received=received,
        started_at=row.started_at,
    )


def _key(upload: Upload) -> str:
    return join_key(upload.account, upload.region, upload.repository, upload.id)


def _repository(row: UploadRow) -> Repository:
    return Repository(account=row.account, region=row.region, name=row.repository, created_at=0.0)
