"""The meter: takes usage records and keeps them by hour.

    record -> journal (safe after its flush) and memory -> fold, with the journal's mark -> SQLite

A fold adds to the rows of `usage` in the transaction that also marks the journal's segment as folded, so a
record counts exactly once, whenever the process is killed.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Protocol

import msgspec

from cumulo.base.caller import DEFAULT_REGION
from cumulo.base.clock import Clock
from cumulo.base.ports import Usage
from cumulo.meter.period import Month
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.records import HOUR_MS, QUANTITY_MAX, Use, by_hour, counted
from cumulo.meter.units import unit
from cumulo.state.journal import Journal
from cumulo.state.store import Store

JOURNAL_KIND = 2
TAKEN_MAX = 1000
DAYS_KEPT = 400  # the current year and the same month of the last one
_ADD = """
INSERT INTO usage (account, region, service, kind, resource, hour, scale, quantity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity
"""
_READ = """
SELECT account, region, service, kind, resource, MIN(hour), scale, SUM(quantity) FROM usage
WHERE hour >= ? AND hour < ? GROUP BY account, region, service, kind, resource, scale, hour / ?
"""
# Old by the newest record and not by the clock: a machine that starts in a wrong year loses nothing.
_FORGET = "DELETE FROM usage WHERE hour < (SELECT MAX(hour) FROM usage) - ?"
_Key = tuple[str, str, str, str, str, int, int]


class Grain(IntEnum):
    """How finely usage is read, in hours."""

    HOUR = 1
    DAY = 24
    MONTH = 24 * 366 * 1000


class Tags(Protocol):
    """Knows the tags of resources; asked for a bill by tag."""

    def tags_of(self, account: str, region: str, service: str, resource: str) -> Mapping[str, str]:
        """The tags of a resource, by the name under which its usage was recorded."""
        ...


class Meter:
    """Takes usage records; a `UsageSink` and a `UsageLedger`.  Make it before the journal replays."""

    def __init__(
        self, store: Store, journal: Journal, clock: Clock, books: PriceBooks, tags: Tags | None = None
    ) -> None:
        self.books = books
        self.clock = clock
        self.tags = tags
        self._store = store
        self._journal = journal
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[Usage, ...]).decode
        self._scales: dict[tuple[str, str], int] = {}
        self._taken: list[Usage] = []  # and not counted yet
        self._added: dict[_Key, int] = {}  # since the last fold
        store.execute(_FORGET, (DAYS_KEPT * 24,))
        journal.register(JOURNAL_KIND, replay=self._replay, fold=self._fold)

    def record(self, *records: Usage) -> None:
        """Add records.  Returns at once; safe from a kill of the process after `Journal.flush()`."""
        _check(records)
        self._journal.append(JOURNAL_KIND, self._encode(records))
        self._taken += records
        if len(self._taken) > TAKEN_MAX:
            self._count()

    def keep(self, *records: Usage) -> None:
        """Add records in the store's transaction of this moment: they are kept with its next commit, or not at all."""
        _check(records)
        added: dict[_Key, int] = {}
        self._add(records, added)
        self._write(added)

    async def uses(self, month: Month, grain: Grain = Grain.MONTH) -> list[Use]:
        """What was used in a month up to now."""
        await self._journal.fold()
        first, end = month.hours()
        return [Use(*row) for row in await self._store.query(_READ, (first, end, int(grain)))]

    async def reset(self) -> None:
        """Forget all usage."""
        await self._journal.fold()
        self._store.execute("DELETE FROM usage")
        await self._store.commit()

    def _count(self) -> None:
        """Add up what was taken: many at a time, when nobody waits for an answer."""
        taken, self._taken = self._taken, []
        self._add(taken, self._added)

    def _add(self, taken: Iterable[Usage], added: dict[_Key, int]) -> None:
        for usage in taken:
            account, region, service, kind, resource, _, start_ms, end_ms = msgspec.structs.astuple(usage)
            scale = self._scales.get((service, kind)) or self._scale(usage)
            atoms = counted(usage, scale)
            hour = start_ms // HOUR_MS
            if end_ms <= (hour + 1) * HOUR_MS:
                key = (account, region, service, kind, resource, hour, scale)
                added[key] = added.get(key, 0) + atoms
                continue
            for at, share in by_hour(start_ms, end_ms, atoms):
                key = (account, region, service, kind, resource, at, scale)
                added[key] = added.get(key, 0) + share

    def _scale(self, usage: Usage) -> int:
        line = self.books.of(DEFAULT_REGION).line(usage.service, usage.kind)
        scale = unit(line.unit if line else "").atoms
        self._scales[usage.service, usage.kind] = scale
        return scale

    def _replay(self, payload: bytes) -> None:
        self._taken += self._decode(payload)
        self._count()

    def _fold(self) -> None:
        self._count()
        self._write(self._added)
        self._added = {}

    def _write(self, added: Mapping[_Key, int]) -> None:
        for key, atoms in added.items():
            self._store.execute(_ADD, (*key, atoms))


def _check(records: Iterable[Usage]) -> None:
    """ValueError for a bad record, before any is taken: it must leave nothing behind, here or in the journal."""
    for usage in records:
        if not 0 <= usage.quantity <= QUANTITY_MAX:
            raise ValueError(f"{usage.service} {usage.kind}: {usage.quantity} is no quantity")
