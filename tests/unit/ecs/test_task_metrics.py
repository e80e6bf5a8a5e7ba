"""What CloudWatch is told of tasks."""

import asyncio

from cumulo.base.clock import VirtualClock
from cumulo.engines.engine import EngineError, Usage
from cumulo.services.ecs.metrics import TaskMetrics
from cumulo.services.ecs.model import ContainerInstance, Task, TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.state.store import Store

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/web"


def a_task(number, **fields):
    said = {"service": "app", "cpu_units": 512, "memory_mib": 256} | fields
    return Task(
        account="000000000000", region="us-east-1", id=str(number), arn=f"task/{number}", cluster_arn=CLUSTER,
        definition_arn="d", last_status=TaskStatus.RUNNING, **said,
    )  # fmt: skip


class Told:
    def __init__(self):
        self.data = {}

    async def put(self, account, region, namespace, data):
        assert namespace == "AWS/ECS"
        for one in data:
            self.data[one.name, tuple(one.dimensions.values())] = one


def published(folder, tasks, usages, instances=()):
    async def main():
        store = Store(folder / "cumulo.db", synchronous="OFF")
        try:
            records, clock, told = Records(store), VirtualClock(), Told()
            for one in tasks:
                records.tasks.put(one)
            for one in instances:
                records.instances.put(one)

            async def usage(arn):
                figures = usages(arn, clock.now() - 1_700_000_000)
                if figures is None:
                    raise EngineError("gone")
                return {"main": figures}

            loop = TaskMetrics(records, usage, told, clock)
            await loop.publish()
            clock.advance(60)
            await loop.publish()
            return told.data
        finally:
            await store.close()

    return asyncio.run(main())


def test_a_service_is_told_as_the_share_of_what_its_tasks_reserved(tmp_path):
    def usages(arn, at):
        busy = {"task/1": 0.5, "task/2": 0.25}[arn]
        return Usage(cpu_seconds=busy * at, memory_bytes=64 * 1024 * 1024)

    data = published(tmp_path, [a_task(1), a_task(2)], usages)
    cpu = data["CPUUtilization", ("web", "app")]
    assert (cpu.count, cpu.minimum, cpu.maximum, cpu.value) == (2, 50.0, 100.0, 150.0)
    assert data["MemoryUtilization", ("web", "app")].value == 50.0
    assert ("CPUUtilization", ("web",)) not in data  # nothing runs on instances


def test_a_cluster_with_instances_is_told_what_is_reserved_and_used(tmp_path):
    instance = ContainerInstance(
        account="000000000000",
        region="us-east-1",
        id="i",
        arn="i",
        cluster_arn=CLUSTER,
        cpu_units=2048,
        memory_mib=1024,
    )
    tasks = [a_task(1, instance_arn="i", launch_type="EC2")]
    data = published(
        tmp_path, tasks, lambda _arn, at: Usage(cpu_seconds=0.5 * at, memory_bytes=0), [instance]
    )
    assert data["CPUReservation", ("web",)].value == 25.0
    assert data["MemoryReservation", ("web",)].value == 25.0
    assert data["CPUUtilization", ("web",)].value == 100.0


def test_what_cannot_be_asked_is_left_out_and_so_is_what_was_started_again(tmp_path):
    def usages(arn, at):
        return None if arn == "task/1" else Usage(cpu_seconds=100 - at, memory_bytes=1024 * 1024)

    data = published(tmp_path, [a_task(1), a_task(2)], usages)
    assert ("CPUUtilization", ("web", "app")) not in data
    assert data["MemoryUtilization", ("web", "app")].count == 1


def test_a_task_that_reserves_nothing_has_no_share(tmp_path):
    data = published(
        tmp_path,
        [a_task(1, cpu_units=0, memory_mib=0)],
        lambda _arn, at: Usage(cpu_seconds=at, memory_bytes=1),
    )
    assert data == {}
