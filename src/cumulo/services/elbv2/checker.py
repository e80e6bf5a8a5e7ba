"""Checks targets, for ever: takes what is due, probes it, and writes down what has changed."""

import asyncio
import contextlib
from typing import Any, Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.services.elbv2.check_schedule import Schedule
from cumulo.services.elbv2.function_calls import FunctionCalls
from cumulo.services.elbv2.health import INTERNAL, Outcome, judged
from cumulo.services.elbv2.model import Group, Health, Registration
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.probing import Probe
from cumulo.services.elbv2.records import Records, target_key
from cumulo.state.store import StoreError

CHECKS_MAX: Final = 64  # at the same time
REFRESH_SECONDS: Final = 5.0  # instances come and go without telling

_log = Log("elbv2")


class Checker:
    """The health checker of all target groups that are in use."""

    def __init__(
        self, records: Records, pools: Pools, probe: Probe, functions: FunctionCalls, clock: Clock
    ) -> None:
        self._records = records
        self._pools = pools
        self._probe = probe
        self._functions = functions
        self._clock = clock
        self._schedule = Schedule()
        self._wake = asyncio.Event()
        self._stale = True  # the records have changed since they were looked through
        self._looked_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        for shelf in (records.targets, records.groups, records.listeners, records.rules, records.balancers):
            shelf.listeners.append(self._heard)

    async def run(self) -> None:
        """Check for ever."""
        try:
            while True:
                self._begin()
                wait = min(self._schedule.next_at() - self._clock.monotonic(), REFRESH_SECONDS)
                full = len(self._tasks) >= CHECKS_MAX
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_SECONDS if full else max(0.0, wait)):
                        await self._wake.wait()
        finally:
            await cancel_all(self._tasks)

    def _begin(self) -> None:
        """Start what is due."""
        self._wake.clear()
        now = self._clock.monotonic()
        if now - self._looked_at >= REFRESH_SECONDS:
            self._pools.refresh()
            self._stale = True
        if self._stale:
            self._stale, self._looked_at = False, now
            self._schedule.want(self._wanted(), now)
        for key in self._schedule.take_due(now, CHECKS_MAX - len(self._tasks)):
            task = asyncio.get_running_loop().create_task(self._check(key, now))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _wanted(self) -> list[str]:
        found: list[str] = []
        for target in self._records.targets.all():
            group = self._records.groups.get(target.group)
            if group is None or target.is_draining or not group.check.enabled:
                continue
            if self._records.balancers_of(group.arn) and (
                group.target_type == "lambda" or self._pools.address_of(group, target)
            ):
                found.append(target_key(target.group, target.id, target.port))
        return found

    async def _check(self, key: str, began: float) -> None:
        target, group = self._find(key)
        if target is None or group is None:
            return
        try:
            outcome = await self._ask(target, group)
        except Exception:  # noqa: BLE001 - one target's trouble is not the others'
            _log.exception("a health check broke", target=target.id, group=group.arn)
            outcome = INTERNAL
        target, group = self._find(key)
        if target is None or group is None or target.is_draining:
            return
        interval = float(group.check.interval)
        before = target.standing
        ignored = (
            before.health is Health.INITIAL
            and not outcome.passed
            and not self._schedule.counts(key, began=began, interval=interval)
        )
        after = before if ignored else judged(before, outcome, group.check)
        self._schedule.done(key, began=began, interval=interval, initial=after.health is Health.INITIAL)
        if after != before:
            self._records.targets.put(msgspec.structs.replace(target, standing=after))
            if after.health is not before.health:
                _log.info(
                    "target", id=target.id, port=target.port, health=str(after.health), why=after.reason
                )
            with contextlib.suppress(
                StoreError
            ):  # it is in memory, and will be found again by the next check
                await self._records.store.commit()

    async def _ask(self, target: Registration, group: Group) -> Outcome:
        if group.target_type == "lambda":
            pool = self._pools.of(group.arn)
            assert pool is not None, "a group that is there has a pool"
            return await self._functions.check(pool)
        port = target.port if group.check.port == "traffic-port" else int(group.check.port)
        return await self._probe(self._pools.address_of(group, target), port, group.check)

    def _find(self, key: str) -> tuple[Registration | None, Group | None]:
        target = self._records.targets.get(key)
        return target, self._records.groups.get(target.group) if target is not None else None

    def _heard(self, _before: Any, _after: Any) -> None:
        self._stale = True
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a health check was lost", error=repr(error))
