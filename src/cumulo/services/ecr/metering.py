"""Meters what is stored: GB-months of the unique blobs of a registry, in proportion to time.

    catalog ──▶ holdings: bytes by repository and class ──▶ x time since the last record ──▶ Usage
                (each blob of a registry once, shared out to the repositories that have it)

Recorded every few minutes, soon after every change, and at the end.  The moment of the last record is in the
store, so that a bill after a kill is right to that interval; what lay there while the server was off is charged.
A month's GB-month is a GB for as long as that month is.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ports import Usage, UsageSink
from cumulo.meter.period import month_of
from cumulo.services.ecr.catalog import Change, StoredCatalog
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.model import Repository
from cumulo.state.store import Store, StoreError

GIB = 1 << 30
EVERY_SECONDS = 300.0
SETTLE_SECONDS = (
    2.0  # between a change and its record, so that many pushes make few; longer where much is held
)
BILLED_SECONDS_MAX = 366 * 86_400.0  # for a clock that jumped
STANDARD, ARCHIVE, RESTORE = "storage", "storage_archive", "archive_restore"  # lines of the price book
_LOOK_AT_ONCE = 50  # images between which others have their turn


class Blob(NamedTuple):
    """Something stored, by digest, because a repository has it."""

    account: str
    region: str
    repository: str
    digest: str
    size_bytes: int
    archived: bool


class Place(NamedTuple):
    """Where bytes lie, and in which class."""

    account: str
    region: str
    repository: str  # its ARN
    kind: str


Holdings = Mapping[Place, int]


def holdings(blobs: Iterable[Blob], arns: Mapping[tuple[str, str, str], str]) -> dict[Place, int]:
    """Bytes by place: each blob counts once in a registry, and is shared out to the repositories that have it.

    It is in the archive when everything that has it is.
    """
    owners: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    sizes: dict[tuple[str, str, str], int] = {}
    active: set[tuple[str, str, str]] = set()
    for blob in blobs:
        key = (blob.account, blob.region, blob.digest)
        owners[key].add(blob.repository)
        sizes[key] = blob.size_bytes
        if not blob.archived:
            active.add(key)
    found: dict[Place, int] = defaultdict(int)
    for key, names in owners.items():
        account, region, _ = key
        share, rest = divmod(sizes[key], len(names))
        for at, name in enumerate(sorted(names)):
            kind = STANDARD if key in active else ARCHIVE
            found[Place(account, region, arns[account, region, name], kind)] += share + (at < rest)
    return dict(found)


def spans(start: float, end: float) -> Iterator[tuple[float, float, float]]:
    """An interval cut at the ends of months: start, end, and the length of the month it lies in, in seconds."""
    while start < end:
        month = month_of(start)
        until = min(end, month.end())
        yield start, until, month.end() - month.start()
        start = until


def usages(held: Holdings, start: float, end: float) -> list[Usage]:
    """What holding these bytes between two moments comes to."""
    return [
        Usage(
            place.account,
            place.region,
            "ecr",
            place.kind,
            place.repository,
            size / GIB * (until - since) / length,
            int(since * 1000),
            int(until * 1000),
        )
        for since, until, length in spans(start, end)
        for place, size in held.items()
        if size
    ]


class _Mark(msgspec.Struct, frozen=True):
    at: float


class StorageMeter:
    """Records what is stored.  `heard` is a listener of the catalog."""

    def __init__(
        self, store: Store, clock: Clock, usage: UsageSink, catalog: StoredCatalog, layers: Layers
    ) -> None:
        self._store = store
        self._clock = clock
        self._usage = usage
        self._catalog = catalog
        self._layers = layers
        self._marks = store.table("ecr_metered", _Mark)
        self._held: Holdings = {}
        self._looked = 0  # images, the last time
        self._changed = asyncio.Event()

    def heard(self, change: Change) -> None:
        """Look again soon, for something was added or removed; what comes back from the archive is charged at once."""
        if change.kind != "pulled":
            self._changed.set()
        image = change.image
        if change.kind == "activated" and image is not None:
            now_ms = int(self._clock.now() * 1000)
            where = (image.account, image.region, "ecr", RESTORE, change.repository.arn)
            self._usage.record(Usage(*where, image.size_bytes / GIB, now_ms, now_ms))

    async def start(self) -> None:
        """See what is there; it has been there since the last record."""
        self._held = await self.look()
        await self.record()

    async def run(self) -> None:
        """Record, for ever; a last time at the end."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_SECONDS):
                        await self._changed.wait()
                        await asyncio.sleep(min(60.0, SETTLE_SECONDS + self._looked / 1000))
                self._changed.clear()
                with contextlib.suppress(StoreError):  # recorded again from the same moment
                    await self.turn()
        finally:
            self._note(self._clock.now())

    async def turn(self) -> None:
        """Record what was held up to now, and look what is held from now on."""
        await self.record()
        self._held = await self.look()

    async def record(self) -> None:
        """Record what was held since the last time."""
        self._note(self._clock.now())
        await self._store.commit()

    async def look(self) -> Holdings:
        """What is held now."""
        arns: dict[tuple[str, str, str], str] = {}
        blobs: list[Blob] = []
        self._looked = 0
        for repository in self._catalog.all_repositories():
            where = (repository.account, repository.region, repository.name)
            arns[where] = repository.arn
            if self._catalog.find(*where) is None:
                continue  # removed while others had their turn
            needed = await self._needed(repository, blobs)
            for at, (digest, archived) in enumerate(needed.items(), start=1):
                layer = self._layers.get(repository, digest)
                if layer is not None:
                    blobs.append(Blob(*where, digest, layer.size_bytes, archived))
                if at % _LOOK_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return await asyncio.to_thread(holdings, blobs, arns)

    async def _needed(self, repository: Repository, blobs: list[Blob]) -> dict[str, bool]:
        """The configurations and layers of a repository's images, each once: whether only archived ones need it.

        The manifests are added to `blobs` at once.
        """
        needed: dict[str, bool] = {}
        for image in list(self._catalog.shelf(repository).images.values()):
            archived = image.status == "ARCHIVED"
            where = (image.account, image.region, image.repository)
            blobs.append(Blob(*where, image.digest, image.manifest_bytes, archived))
            for digest in (image.config, *image.layers):
                if digest:
                    needed[digest] = archived and needed.get(digest, True)
            self._looked += 1
            if self._looked % _LOOK_AT_ONCE == 0:
                await asyncio.sleep(0)
        return needed

    def clear(self) -> None:
        """Forget everything."""
        self._marks.clear()
        self._held = {}

    def _note(self, now: float) -> None:
        """Add usage since the mark, and move the mark."""
        mark = self._marks.get("")
        if mark is not None and mark.at < now and self._held:
            start = max(mark.at, now - BILLED_SECONDS_MAX)
            records = usages(self._held, start, now)
            if records:
                self._usage.record(*records)
        if mark is None or mark.at != now:
            self._marks.put("", _Mark(now))
