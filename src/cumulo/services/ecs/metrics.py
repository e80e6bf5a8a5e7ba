"""ECS's metrics in CloudWatch (AWS/ECS): once a minute, what tasks use of what they reserved.

By service (ClusterName, ServiceName): CPUUtilization, MemoryUtilization over its tasks.  By cluster: the same over the
tasks on its container instances, and CPUReservation, MemoryReservation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.limits import MIB
from cumulo.base.log import Log
from cumulo.base.ports.metrics import Datum, Metrics
from cumulo.engines.engine import EngineError, Usage
from cumulo.services.ecs.arns import cluster_name
from cumulo.services.ecs.model import CPU_UNITS, ContainerInstance, Task, TaskStatus
from cumulo.services.ecs.records import Records

NAMESPACE = "AWS/ECS"
PERIOD_SECONDS = 60.0
AT_ONCE_MAX = 16


class Sample(msgspec.Struct, frozen=True):
    """What one task has used: processor seconds since it began, MiB now."""

    at: float
    cpu_seconds: float
    memory_mib: float


def shares(task: Task, before: Sample, now: Sample) -> tuple[float | None, float | None]:
    """Percent of the reserved processor and memory that a task used between two samples; None without a reservation."""
    took = now.at - before.at
    cpu = memory = None
    if task.cpu_units and took > 0 and now.cpu_seconds >= before.cpu_seconds:
        cpu = (now.cpu_seconds - before.cpu_seconds) / took * CPU_UNITS / task.cpu_units * 100
    if task.memory_mib:
        memory = now.memory_mib / task.memory_mib * 100
    return cpu, memory


def summed(
    name: str, dimensions: Mapping[str, str], values: Iterable[float | None], at: float
) -> list[Datum]:
    """One set of values; none when there are no values."""
    known = [value for value in values if value is not None]
    if not known:
        return []
    return [
        Datum(
            name=name,
            dimensions=dimensions,
            value=sum(known),
            unit="Percent",
            at=at,
            count=len(known),
            minimum=min(known),
            maximum=max(known),
        )
    ]


def reserved(
    cluster: str, instances: Iterable[ContainerInstance], tasks: Iterable[Task], at: float
) -> list[Datum]:
    """How much of a cluster's instances its tasks have reserved; nothing for a cluster without instances."""
    active = [one for one in instances if one.status == "ACTIVE"]
    cpu, memory = sum(one.cpu_units for one in active), sum(one.memory_mib for one in active)
    arns = {one.arn for one in active}
    placed = [one for one in tasks if one.instance_arn in arns]
    data: list[Datum] = []
    whose = {"ClusterName": cluster}
    if cpu:
        share = sum(one.cpu_units for one in placed) / cpu * 100
        data += summed("CPUReservation", whose, [share], at)
    if memory:
        share = sum(one.memory_mib for one in placed) / memory * 100
        data += summed("MemoryReservation", whose, [share], at)
    return data


class TaskMetrics:
    """Takes samples and hands them to CloudWatch; nobody waits for it."""

    def __init__(
        self,
        records: Records,
        usage: Callable[[str], Awaitable[Mapping[str, Usage]]],
        metrics: Metrics,
        clock: Clock,
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        """`usage` gives a task's containers' figures, by the task's ARN."""
        self._period = period_seconds
        self._records = records
        self._usage = usage
        self._metrics = metrics
        self._clock = clock
        self._samples: dict[str, Sample] = {}
        self._log = Log("ecs")

    async def run(self) -> None:
        """For ever, at the end of every period."""
        while True:
            await asyncio.sleep(self._period - self._clock.now() % self._period)
            await self.publish()

    async def publish(self) -> None:
        """Take one sample of everything that runs."""
        tasks = [
            one for one in self._records.tasks.by("live", "yes") if one.last_status is TaskStatus.RUNNING
        ]
        if not tasks and not self._samples:
            return
        room = asyncio.Semaphore(AT_ONCE_MAX)
        taken = await asyncio.gather(*(self._sample(task, room) for task in tasks))
        now = {task.arn: sample for task, sample in zip(tasks, taken, strict=True) if sample is not None}
        used = {
            task.arn: shares(task, self._samples[task.arn], now[task.arn])
            for task in tasks
            if task.arn in now and task.arn in self._samples
        }
        self._samples = now
        by_place: dict[tuple[str, str], list[Datum]] = {}
        for (account, region), some in _by_place(tasks).items():
            by_place[account, region] = self._data(some, used)
        for (account, region), data in by_place.items():
            if data:
                try:
                    await self._metrics.put(account, region, NAMESPACE, data)
                except (AwsError, OSError) as error:
                    self._log.warning("metrics are lost", error=str(error))

    async def _sample(self, task: Task, room: asyncio.Semaphore) -> Sample | None:
        async with room:
            try:
                figures = await self._usage(task.arn)
            except EngineError:
                return None
            return Sample(
                self._clock.now(),
                sum(one.cpu_seconds for one in figures.values()),
                sum(one.memory_bytes for one in figures.values()) / MIB,
            )

    def _data(self, tasks: list[Task], used: Mapping[str, tuple[float | None, float | None]]) -> list[Datum]:
        at = (
            round(self._clock.now() / self._period) * self._period - self._period
        )  # the one that is just over
        data: list[Datum] = []
        for (cluster_arn, service), some in _grouped(tasks, lambda one: (one.cluster_arn, one.service)):
            if service:
                whose = {"ClusterName": cluster_name(cluster_arn), "ServiceName": service}
                data += _utilization(whose, some, used, at)
        for (cluster_arn, _), some in _grouped(tasks, lambda one: (one.cluster_arn, "")):
            name = cluster_name(cluster_arn)
            placed = [one for one in some if one.instance_arn]
            data += _utilization({"ClusterName": name}, placed, used, at)
            data += reserved(name, self._records.instances.by("cluster", cluster_arn), some, at)
        return data


def _utilization(
    whose: Mapping[str, str],
    tasks: Iterable[Task],
    used: Mapping[str, tuple[float | None, float | None]],
    at: float,
) -> list[Datum]:
    known = [used[task.arn] for task in tasks if task.arn in used]
    cpu = summed("CPUUtilization", whose, (one[0] for one in known), at)
    return cpu + summed("MemoryUtilization", whose, (one[1] for one in known), at)


def _by_place(tasks: Iterable[Task]) -> dict[tuple[str, str], list[Task]]:
    return dict(_grouped(tasks, lambda one: (one.account, one.region)))


def _grouped(
    tasks: Iterable[Task], key: Callable[[Task], tuple[str, str]]
) -> Iterable[tuple[tuple[str, str], list[Task]]]:
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    return groups.items()
