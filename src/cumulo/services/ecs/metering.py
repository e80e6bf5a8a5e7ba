"""Meters Fargate: what a task was given, for as long as it had it, from the pull of its images to its end.

    pull starts ──▶ mark ──every few minutes──▶ usage up to now, mark moved ──▶ stopped: the rest, mark removed

Usage and mark go into the store in the same transaction, that of the change of the task where there is one: so after
a kill nothing counts twice, and nothing that was acknowledged is lost.  Seconds are whole, a begun one counts, and a
task costs a minute at least, whenever it ends.
"""

import asyncio
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.base.ports import Usage, UsageLedger
from cumulo.services.ecs.definitions.fargate import STORAGE_GIB
from cumulo.services.ecs.model import CPU_UNITS, MIB_PER_GIB, Document, Task
from cumulo.services.ecs.records import Records
from cumulo.state.store import StoreBroken, StoreError

EVERY_SECONDS = 300.0
LEAST_SECONDS = 60
BILLED_SECONDS_MAX = 366 * 86_400  # of one record, for a clock that jumped
_AT_ONCE = 500  # tasks in one transaction
_HOUR = 3600.0
_ARCHITECTURES: Mapping[str, str] = MappingProxyType({"arm64": "arm64", "ARM64": "arm64"})  # x86 is the rest
_log = Log("ecs")


class Mark(msgspec.Struct, frozen=True):
    """Up to which moment a task has been metered; all times are seconds since the epoch."""

    task: str  # its ARN
    start: float
    until: float


def paid_until(start: float, until: float, now: float, *, ends: bool) -> float:
    """Up to when a task is paid for that pulls since `start`, and was paid up to `until`.  Pure.

    While it runs, whole seconds that have passed; at its end the begun one too, and what is missing to a minute.
    """
    lived = round(max(0.0, now - start), 3)
    billed = max(LEAST_SECONDS, math.ceil(lived)) if ends else math.floor(lived)
    return max(until, start + billed)


def usages(task: Task, architecture: str, start: float, seconds: int) -> Iterator[Usage]:
    """What a task used in so many seconds from `start` on.  Pure.  Those of a service count for the service."""
    spot = "spot_" if task.capacity_provider == "FARGATE_SPOT" else ""
    hours = seconds / _HOUR
    gib = task.memory_mib / MIB_PER_GIB
    storage = max(0, task.ephemeral_gib - STORAGE_GIB)
    public = task.network.get("awsvpcConfiguration", {}).get("assignPublicIp") == "ENABLED"
    amounts = (
        ("ecs", f"fargate_{spot}linux_{architecture}_vcpu", task.cpu_units / CPU_UNITS * hours),
        ("ecs", f"fargate_{spot}linux_{architecture}_gb", gib * hours),
        ("ecs", "fargate_ephemeral_storage", storage * hours),
        ("ec2", "public_ipv4", hours if public else 0.0),
    )
    for service, kind, quantity in amounts:
        if quantity:
            yield Usage(
                account=task.account,
                region=task.region,
                service=service,
                kind=kind,
                resource=_resource(task),
                quantity=quantity,
                start_ms=round(start * 1000),
                end_ms=round((start + seconds) * 1000),
            )


def _resource(task: Task) -> str:
    if not task.service:
        return task.arn
    head, _, _ = task.arn.rpartition("/")
    return head.replace(":task/", ":service/", 1) + f"/{task.service}"


class FargateMeter:
    """Listens to tasks.  `start` before requests are served, `run` beside the server."""

    def __init__(self, records: Records, clock: Clock, ledger: UsageLedger) -> None:
        self._records = records
        self._clock = clock
        self._ledger = ledger
        self._marks = records.store.table("ecs_metered", Mark)
        records.tasks.listeners.append(self.heard)

    def heard(self, before: Task | None, after: Task | None) -> None:
        """A task changes; what it owes goes with the change."""
        task = after or before
        if task is None or not task.is_fargate or not task.pull_started_at:
            return
        mark = self._marks.get(task.arn)
        if mark is None:
            if after is None or not after.is_live:
                return  # it has ended, and was paid for
            mark = Mark(task.arn, task.pull_started_at, task.pull_started_at)
            self._marks.put(task.arn, mark)
        if after is None or not after.is_live:
            self._charge(task, mark, task.stopped_at or self._clock.now(), ends=True)
            self._marks.delete(task.arn)

    async def start(self) -> None:
        """Charge what ran while nobody metered."""
        await self.turn()

    async def run(self) -> None:
        """Charge the tasks that run, every few minutes, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.turn()
            except StoreBroken:
                raise
            except (
                StoreError
            ) as error:  # the marks stay in memory as in the batch that waits: nothing is lost
                _log.error("usage could not be kept", error=str(error))

    async def turn(self) -> None:
        """Charge every task that has been pulled, up to now."""
        now = self._clock.now()
        marks = self._marks.scan()
        for first in range(0, len(marks), _AT_ONCE):
            for mark in marks[first : first + _AT_ONCE]:
                self._advance(mark, now)
            await self._records.store.commit()

    def clear(self) -> None:
        """Forget every mark."""
        self._marks.clear()

    def _advance(self, mark: Mark, now: float) -> None:
        if self._marks.get(mark.task) is not mark:
            return  # it has ended while others were charged
        task = self._records.tasks.get(mark.task)
        if task is None:
            self._marks.delete(mark.task)
            return
        until = self._charge(task, mark, now, ends=False)
        if until != mark.until:
            self._marks.put(mark.task, msgspec.structs.replace(mark, until=until))

    def _charge(self, task: Task, mark: Mark, now: float, *, ends: bool) -> float:
        """Charge up to a moment; the moment up to which it is paid."""
        until = paid_until(mark.start, mark.until, now, ends=ends)
        seconds = min(BILLED_SECONDS_MAX, round(until - mark.until))
        if seconds:
            self._ledger.keep(*usages(task, self._architecture(task), until - seconds, seconds))
        return until

    def _architecture(self, task: Task) -> str:
        named: dict[str, Any] = {one.get("name", ""): one.get("value") for one in task.attributes}
        wanted = named.get("ecs.cpu-architecture")
        if wanted is None:
            definition = self._records.definition(task.definition_arn)
            platform: Document = definition.document.get("runtimePlatform", {}) if definition else {}
            wanted = platform.get("cpuArchitecture", "")
        return _ARCHITECTURES.get(str(wanted), "x86")
