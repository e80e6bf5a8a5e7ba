"""The meter of APIs.

requests, messages   counted in memory, written down together a quarter of a second later
cache clusters       by the time that they are there, from a mark in the store on: also while the server is off
connections          by the time that they are open, every minute, and what is left when they end
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from cumulo.base.clock import Clock, millis
from cumulo.base.ports import Usage, UsageLedger, UsageSink
from cumulo.gateway.observing.prices import CONNECTION_MINUTES, cache_kind
from cumulo.gateway.stages import Place
from cumulo.state.store import Store, StoreError

SERVICE: Final = "apigateway"
GATHER_SECONDS: Final = 0.25
EVERY_SECONDS: Final = 60.0
BILLED_MS_MAX: Final = 366 * 86_400_000  # for a clock that jumped
_HOUR_MS: Final = 3_600_000
_MARK: Final = "caches"


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """A cache cluster: of which API, how many GB (AWS's words: `0.5`), and since when (milliseconds)."""

    account: str
    region: str
    api_id: str
    size: str
    since_ms: int = 0


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A connection of a WebSocket API that is open."""

    account: str
    region: str
    api_id: str
    connected_ms: int


class _Mark(msgspec.Struct, frozen=True):
    at_ms: int


class Use:
    """How many of a kind an API has had since they were last written down."""

    __slots__ = ("_key", "_list", "many")

    def __init__(self, key: tuple[str, str, str, str, str], list_: Callable[["Use"], None]) -> None:
        self._key = key
        self._list = list_
        self.many = 0

    def add(self, many: int) -> None:
        """So many more."""
        if not self.many:
            self._list(self)
        self.many += many

    def take(self, now_ms: int) -> Usage:
        """The record of what there was; none is left."""
        many, self.many = self.many, 0
        return Usage(*self._key, float(many), now_ms, now_ms)


class ApiMeter:
    """Meters everything of API Gateway.  `caches` and `connections` say what there is now."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        sink: UsageSink,
        ledger: UsageLedger,
        caches: Callable[[], Iterable[Cache]],
        connections: Callable[[], Iterable[Open]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._sink = sink
        self._ledger = ledger
        self._caches = caches
        self._connections = connections
        self._marks = store.table("apigateway_metered", _Mark)
        self._counted: list[Use] = []
        self._waked = asyncio.Event()
        self._connected_until_ms = millis(clock)

    def of(self, place: Place, kind: str) -> Use:
        """What counts a kind of usage of an API."""
        return Use((place.account, place.region, SERVICE, kind, place.api_id), self._list)

    def _list(self, use: Use) -> None:
        self._counted.append(use)
        self._waked.set()

    async def run(self) -> None:
        """Write down what was counted, soon after it was, for ever."""
        while True:
            await self._waked.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Write down what was counted up to now."""
        self._waked.clear()
        counted, self._counted = self._counted, []
        now_ms = millis(self._clock)
        if counted:
            self._sink.record(*(use.take(now_ms) for use in counted))

    async def run_hours(self) -> None:
        """Charge for what is there, every minute, for ever; a last time at the end."""
        try:
            while True:
                await self.charge()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            with contextlib.suppress(StoreError):
                await self.charge()

    async def charge(self) -> None:
        """Charge caches and connections for the time up to now."""
        self._charge_connections()
        if self._charge_caches():
            with contextlib.suppress(
                StoreError
            ):  # the store keeps it and writes it first when there is space
                await self._store.commit()

    def ended(self, place: Place, connected_ms: int) -> None:
        """A connection is over: charge what of its time was not."""
        now_ms = millis(self._clock)
        spent = now_ms - max(connected_ms, self._connected_until_ms)
        if spent > 0:
            key = (place.account, place.region, SERVICE, CONNECTION_MINUTES, place.api_id)
            self._sink.record(Usage(*key, spent / 60_000, now_ms - spent, now_ms))

    def _charge_connections(self) -> None:
        since_ms, now_ms = self._connected_until_ms, millis(self._clock)
        self._connected_until_ms = now_ms
        spent: dict[tuple[str, str, str], int] = {}
        for one in self._connections():
            key = (one.account, one.region, one.api_id)
            spent[key] = spent.get(key, 0) + max(0, now_ms - max(since_ms, one.connected_ms))
        records = [
            Usage(account, region, SERVICE, CONNECTION_MINUTES, api, many / 60_000, since_ms, now_ms)
            for (account, region, api), many in spent.items()
            if many
        ]
        if records:
            self._sink.record(*records)

    def _charge_caches(self) -> bool:
        """Whether there was anything to charge."""
        now_ms = millis(self._clock)
        mark = self._marks.get(_MARK)
        records: list[Usage] = []
        for cache in self._caches():
            since_ms = max(cache.since_ms, mark.at_ms if mark is not None else 0, now_ms - BILLED_MS_MAX)
            if since_ms < now_ms:
                key = (cache.account, cache.region, SERVICE, cache_kind(cache.size), cache.api_id)
                records.append(Usage(*key, (now_ms - since_ms) / _HOUR_MS, since_ms, now_ms))
        if records:
            self._ledger.keep(*records)
            self._marks.put(_MARK, _Mark(now_ms))
        return bool(records)

    def clear(self) -> None:
        """Forget what was counted, and up to when caches are paid."""
        for use in self._counted:
            use.many = 0
        self._counted = []
        self._marks.delete(_MARK)
