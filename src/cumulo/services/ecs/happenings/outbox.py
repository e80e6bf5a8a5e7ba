"""Events wait here until they are delivered: durable, bounded, and in the order in which things happened.

    a change of a task, ... ──▶ outbox (in the change's own transaction) ──▶ run ──▶ EventBus

They leave in batches: whether anybody listens at all is asked once for each.  So an event is delivered at least once.  One that EventBridge refuses is dropped with a word in the log, and so are
the oldest when more wait than the outbox holds.
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

SOURCE = "aws.ecs"
WAITING_MAX = 10_000
ATTEMPTS_MAX = 10
DELIVER_SECONDS_MAX = 60.0
RETRY_SECONDS_MAX = 60.0
COLLECT_SECONDS = 0.1  # what happens within it leaves together
_AT_ONCE = 100  # between two commits
_FIRST_RETRY_SECONDS = 0.1
_log = Log("ecs")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has not been delivered yet."""

    account: str
    region: str
    detail_type: str
    detail: Mapping[str, Any]
    resources: tuple[str, ...] = ()
    at: float


class Outbox:
    """The events that wait."""

    def __init__(self, store: Store, clock: Clock, bus: EventBus) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._table = store.table("ecs_outbox", Outgoing)
        waiting = [key for key, _ in self._table.items()]
        self._waiting = dict.fromkeys(waiting)
        self._next = int(waiting[-1]) + 1 if waiting else 0
        self._wake = asyncio.Event()

    def send(
        self,
        where: tuple[str, str],
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
    ) -> None:
        """Add an event of an (account, region); durable with the commit that follows."""
        if len(self._waiting) >= WAITING_MAX:
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
                _log.warning("an event was dropped, for it could not be delivered")
                self._forget(next(iter(self._waiting)))
                failures = 0
            await asyncio.sleep(min(RETRY_SECONDS_MAX, _FIRST_RETRY_SECONDS * 2**failures))

    async def deliver(self) -> bool:
        """Deliver what waits now, oldest first; False at the first that must be tried again."""
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
        listens: dict[tuple[str, str], bool] = {}
        for key in keys:
            event = self._table.get(key)
            if event is not None and not await self._hand_over(event, listens):
                return False
            self._forget(key)
        return True

    async def _hand_over(self, event: Outgoing, listens: dict[tuple[str, str], bool]) -> bool:
        """Whether the event is done with: delivered, refused for good, or of interest to nobody.

        listens  what was found out about its place already
        """
        where = event.account, event.region
        try:
            async with asyncio.timeout(DELIVER_SECONDS_MAX):
                if where not in listens:
                    listens[where] = await self._bus.listens(*where)
                if listens[where]:
                    await self._bus.put(
                        *where, SOURCE, event.detail_type, event.detail, event.resources, at=event.at
                    )
        except AwsError as error:
            if error.status >= 500:
                return False
            _log.warning("EventBridge refuses an event", error=str(error))
        except TimeoutError:
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again and then dropped
            _log.error("an event could not be delivered", error=repr(error))
            return False
        return True

    def _forget(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._table.delete(key)
