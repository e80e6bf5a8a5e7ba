"""Lets targets go that were deregistered: when nothing is under way to them, or when their time is over."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from cumulo.base.clock import Clock
from cumulo.base.tasks import cancel_all
from cumulo.net.pool import Backend
from cumulo.services.elbv2.model import Registration
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.records import Records, target_key
from cumulo.state.store import StoreError


class Draining:
    """Watches targets that drain, also those of an earlier process.

    cut   drops all connections to a backend whose time is over, where the group's attributes say so
    """

    def __init__(self, records: Records, pools: Pools, clock: Clock, cut: Callable[[Backend], None]) -> None:
        self._records = records
        self._pools = pools
        self._clock = clock
        self._cut = cut
        self._changed = asyncio.Event()
        self._changed.set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for shelf in (records.targets, records.listeners, records.rules):
            shelf.listeners.append(self._heard)

    async def run(self) -> None:
        """Watch for ever."""
        try:
            while True:
                self._changed.clear()
                for target in self._records.targets.by("draining", "yes"):
                    key = target_key(target.group, target.id, target.port)
                    if key not in self._tasks:
                        self._tasks[key] = asyncio.get_running_loop().create_task(self._drain(key, target))
                await self._changed.wait()
        finally:
            await cancel_all(self._tasks.values())

    async def _drain(self, key: str, target: Registration) -> None:
        try:
            found, backend = self._pools.of(target.group), self._pools.backend(target)
            if found is not None and backend is not None and self._records.balancers_of(target.group):
                try:
                    async with asyncio.timeout(max(0.0, target.drains_until - self._clock.now())):
                        await found.pool.drained(backend)
                except TimeoutError:
                    if found.attributes.get("deregistration_delay.connection_termination.enabled") == "true":
                        self._cut(backend)
            now = self._records.targets.get(key)
            if now is not None and now.drains_until == target.drains_until:  # else it was registered again
                self._records.targets.delete(now)
                with contextlib.suppress(StoreError):  # after a restart it drains once more
                    await self._records.store.commit()
        finally:
            self._tasks.pop(key, None)
            self._changed.set()

    def _heard(self, _before: Any, _after: Any) -> None:
        self._changed.set()
