"""Events wait here until they are delivered: durable, bounded, in the order in which things happened to each thing.

    a change ──▶ outbox (in the change's own transaction) ──▶ run ──▶ lanes, a few at a time ──▶ EventBus

They leave in batches: whether anybody listens at all is asked once for each.  So an event is delivered at least once.
One that EventBridge refuses is dropped with a word in the log, and so are the oldest when more wait than the outbox
holds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports import EventBus
from cumulo.state.store import Store, StoreBroken, StoreError

WAITING_MAX = 10_000
ATTEMPTS_MAX = 10
DELIVER_SECONDS_MAX = 60.0
RETRY_SECONDS_MAX = 60.0
LANES_AT_ONCE = 16
COLLECT_SECONDS = 0.1  # what happens within it leaves together
_AT_ONCE = 200  # between two commits
_FIRST_RETRY_SECONDS = 0.1
_log = Log("events")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has not been delivered yet; those of one `lane` leave one after another."""

    account: str
    region: str
    detail_type: str
    detail: Mapping[str, Any]
    resources: tuple[str, ...] = ()
    at: float
    lane: str = ""


class Outbox:
    """The events of one source (`aws.ecs`) that wait, in a table of its own."""

    def __init__(self, store: Store, clock: Clock, bus: EventBus, *, source: str, table: str) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._source = source
        self._table = store.table(table, Outgoing)
        waiting = [key for key, _ in self._table.items()]
        self._waiting = dict.fromkeys(waiting)
        self._next = int(waiting[-1]) + 1 if waiting else 0
        self._wake = asyncio.Event()
        self._room = asyncio.Semaphore(LANES_AT_ONCE)

    def send(
        self,
        where: tuple[str, str],
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        *,
        lane: str,
    ) -> None:
        """Add an event of an (account, region); durable with the commit that follows.

        lane   what it is about: events about the same are delivered in order
        """
        while len(self._waiting) >= WAITING_MAX:
            _log.warning("an event was dropped, for too many wait", detail_type=detail_type)
            self._forget(next(iter(self._waiting)))
        key = f"{self._next:020d}"
        self._next += 1
        event = Outgoing(
            account=where[0],
            region=where[1],
            detail_type=detail_type,
            detail=detail,
            resources=tuple(resources),
            at=self._clock.now(),
            lane=lane,
        )
        self._table.put(key, event)
        self._waiting[key] = None
        self._wake.set()

    async def run(self) -> None:
        """Deliver events, for ever."""
        failures = 0
        while True:
            if not self._waiting:
                await self._wake.wait()
            if len(self._waiting) < _AT_ONCE:
                await asyncio.sleep(COLLECT_SECONDS)
            self._wake.clear()
            if await self.deliver():
                failures = 0
                continue
            failures += 1
            if failures >= ATTEMPTS_MAX and self._waiting:
                _log.warning("an event was dropped, for it could not be delivered", source=self._source)
                self._forget(next(iter(self._waiting)))
                failures = 0
            await asyncio.sleep(min(RETRY_SECONDS_MAX, _FIRST_RETRY_SECONDS * 2**failures))

    async def deliver(self) -> bool:
        """Deliver what waits now, oldest first; False when something must be tried again."""
        waiting = iter(list(self._waiting))
        while keys := list(islice(waiting, _AT_ONCE)):
            try:
                await self._store.commit()  # what was just added is kept before it leaves
                delivered = await self._hand_over_all(keys)
                await self._store.commit()
            except StoreBroken:
                raise
            except StoreError:
                return False
            if not delivered:
                return False
        return True

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    async def _hand_over_all(self, keys: Sequence[str]) -> bool:
        lanes: dict[tuple[str, str, str], list[str]] = {}
        for key in keys:
            event = self._table.get(key)
            if event is not None:
                lanes.setdefault((event.account, event.region, event.lane), []).append(key)
            else:
                self._forget(key)
        listens = {place: await self._listens(place) for place in dict.fromkeys(lane[:2] for lane in lanes)}
        async with asyncio.TaskGroup() as group:
            done = [group.create_task(self._lane(keys, listens[lane[:2]])) for lane, keys in lanes.items()]
        return all(one.result() for one in done)

    async def _listens(self, place: tuple[str, str]) -> bool | None:
        """Whether anybody listens at a place; None when that cannot be known now."""
        listens = True
        try:
            async with asyncio.timeout(DELIVER_SECONDS_MAX):
                listens = await self._bus.listens(*place)
        except Exception as error:  # noqa: BLE001 - see `_is_over`
            return listens if self._is_over(error) else None
        return listens

    async def _lane(self, keys: Sequence[str], listens: bool | None) -> bool:
        """Deliver one after another, up to the first that must be tried again."""
        if listens is None:
            return False
        async with self._room:
            for key in keys:
                event = self._table.get(key)
                if event is not None and listens and not await self._hand_over(event):
                    return False
                self._forget(key)
        return True

    async def _hand_over(self, event: Outgoing) -> bool:
        """Whether the event is done with: delivered, or refused for good."""
        try:
            async with asyncio.timeout(DELIVER_SECONDS_MAX):
                await self._bus.put(
                    event.account,
                    event.region,
                    self._source,
                    event.detail_type,
                    event.detail,
                    event.resources,
                    at=event.at,
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again and then dropped
            return self._is_over(error)
        return True

    def _is_over(self, error: Exception) -> bool:
        """Whether it makes no sense to try again."""
        if isinstance(error, AwsError) and error.status < 500:
            _log.warning("EventBridge refuses an event", source=self._source, error=str(error))
            return True
        if not isinstance(error, AwsError | TimeoutError):
            _log.error("an event could not be delivered", source=self._source, error=repr(error))
        return False

    def _forget(self, key: str) -> None:
        if key in self._waiting:
            del self._waiting[key]
            self._table.delete(key)
