"""Other services' tasks: ordered once, told of at every step, also after a restart."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.ecs_running.running_kit import ACCOUNT, IMAGE, REGION, House

from cumulo.base.caller import Caller
from cumulo.base.carriage import Carriage
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.networks import Subnet
from cumulo.base.task_runner import NotPlaced, RanTask, TaskOrder
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.services.ecs.clusters import Clusters
from cumulo.services.ecs.definitions.attributes import INSTANCE_ATTRIBUTES
from cumulo.services.ecs.definitions.registry import Definitions
from cumulo.services.ecs.launching import Launching
from cumulo.services.ecs.model import ContainerInstance, TaskStatus
from cumulo.services.ecs.places import ledger_of
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.services.ecs.task_runner import TasksForOthers

CALLER = Caller(account=ACCOUNT, region=REGION)
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
LOGGED = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/aws/batch/job", "awslogs-region": REGION, "awslogs-stream-prefix": "job"},
}
Program = Callable[..., Awaitable[int]]


class OneSubnet:
    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        return [Subnet(one, "vpc-1", "us-east-1a") for one in ids]

    async def has_network(self, caller: Caller, network: str) -> bool:
        return True


class OrderingHouse(House):
    """A house that others order from; the machine has 1 vCPU and 2 GiB."""

    def open(self) -> None:
        super().open()
        carriage = Carriage(1, 2048)
        ledger = ledger_of(self.records)
        launching = Launching(
            self.records,
            ledger,
            runner=self.runner,
            carriage=carriage,
            zones=SubnetZones(OneSubnet(), self.clock),
            clock=self.clock,
            ids=Ids(),
            chance=random.Random(1),
            no_size=lambda *_: "",
        )
        carriage.add(launching.promised)
        self.others = TasksForOthers(
            self.records,
            ledger,
            launches=launching,
            runner=self.runner,
            clusters=Clusters(self.records, self.clock, lambda _: "disabled"),
            definitions=Definitions(self.records, self.clock, lambda _: ""),
        )
        self.told: list[RanTask] = []
        self.told_of_room: list[str] = []
        self.notes = self.store.table("test_notes", RanTask)

    def listen(self, owner: str = "batch") -> None:
        def heard(task: RanTask) -> None:
            self.told.append(task)
            self.notes.put(task.arn, task)

        self.others.listen(owner, heard, self.told_of_room.append)

    async def start(self) -> None:
        """A cluster and two definitions, and the owner listens."""
        self.listen()
        self.cluster = await self.others.make_cluster(CALLER, "AWSBatch-env", {"made-by": "batch"})
        container = {"name": "default", "image": IMAGE, "command": ["work"], "logConfiguration": LOGGED}
        self.fargate = await self.others.define(
            CALLER,
            {
                "family": "job",
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "1024",
                "memory": "2048",
                "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/runs",
                "containerDefinitions": [container],
            },
        )
        self.on_ec2 = await self.others.define(
            CALLER,
            {"family": "ec2", "networkMode": "host", "containerDefinitions": [container | {"memory": 512}]},
        )

    def order(self, token: str = "job-1:1", **changes: Any) -> TaskOrder:
        values: dict[str, Any] = {
            "account": ACCOUNT,
            "region": REGION,
            "owner": "batch",
            "token": token,
            "cluster": self.cluster,
            "definition": self.fargate,
            "launch_type": "FARGATE",
            "network": NETWORK,
        }
        return TaskOrder(**(values | changes))

    def ec2_order(self, token: str = "job-2:1", **changes: Any) -> TaskOrder:
        return self.order(token, definition=self.on_ec2, launch_type="EC2", network={}, **changes)

    def add_instance(self, number: int = 1, memory: int = 1024, **changes: Any) -> ContainerInstance:
        name = f"{number:032x}"
        arn = f"{self.cluster.replace(':cluster/', ':container-instance/')}/{name}"
        values: dict[str, Any] = {
            "account": ACCOUNT,
            "region": REGION,
            "id": name,
            "arn": arn,
            "cluster_arn": self.cluster,
            "ec2_id": f"i-{number:017x}",
            "instance_type": "m5.large",
            "address": f"10.9.0.{number}",
            "availability_zone": "us-east-1a",
            "cpu_units": 2048,
            "memory_mib": memory,
            "registered_at": float(number),
            "attributes": tuple({"name": name} for name in INSTANCE_ATTRIBUTES),
        }
        return self.records.instances.put(ContainerInstance(**(values | changes)))

    async def ran(self, order: TaskOrder) -> RanTask:
        found = await self.others.run(order)
        assert isinstance(found, RanTask), found
        return found

    async def ended(self, task: RanTask) -> RanTask:
        record = self.records.tasks.get(task.arn)
        assert record is not None
        await self.stopped(record)
        found = self.others.task(task.arn)
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def a_house(folder: Path, programs: Mapping[str, Program]) -> AsyncIterator[OrderingHouse]:
    engine = FakeEngine(SystemClock(), programs, host=FakeHost())
    engine.add_image(IMAGE)
    house = OrderingHouse(folder, engine)
    await house.start()
    try:
        yield house
    finally:
        await house.close()
        for pod in await engine.pods():
            await engine.remove(pod.name)


async def seven(*_: Any, **__: Any) -> int:
    return 7


async def for_ever(*_: Any, **__: Any) -> int:
    await asyncio.Event().wait()
    return 0


def test_the_owner_is_told_of_every_state_with_exit_code_and_log_stream(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path, {"work": seven}) as house:
            others: list[RanTask] = []
            house.others.listen("events", others.append)
            task = await house.ran(house.order(started_by="batch", tags={"a": "b"}))
            assert task.token == "job-1:1"
            done = await house.ended(task)
            assert (done.status, done.stop_code) == ("STOPPED", "EssentialContainerExited")
            [one] = done.containers
            assert (one.name, one.status, one.exit_code) == ("default", "STOPPED", 7)
            assert (one.log_group, one.log_stream) == (
                "/aws/batch/job",
                f"job/default/{task.arn.rpartition('/')[2]}",
            )
            assert done.interface.startswith("eni-")
            assert done.address
            states = list(dict.fromkeys(it.status for it in house.told))
            assert states[0] == "PENDING"
            assert "ACTIVATING" in states
            assert states[-4:] == ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]
            assert house.told[-1] == done
            assert others == []
            record = house.records.tasks.get(task.arn)
            assert record is not None
            assert (record.started_by, record.tags, record.owner) == ("batch", {"a": "b"}, "batch")

    asyncio.run(story())


def test_the_same_order_is_the_same_task_and_its_token_is_nobody_elses(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path, {"work": for_ever}) as house:
            first, again = await asyncio.gather(house.ran(house.order()), house.ran(house.order()))
            assert first.arn == again.arn
            assert len(house.records.tasks) == 1
            with pytest.raises(AwsError) as refused:
                await house.others.run(house.order(started_by="another"))
            assert refused.value.code == "ConflictException"
            await house.others.undefine(CALLER, house.fargate)
            await house.others.undefine(CALLER, house.fargate)
            assert (await house.ran(house.order())).arn == first.arn, (
                "what it runs is not there for new tasks"
            )
            with pytest.raises(AwsError, match="TaskDefinition is inactive"):
                await house.others.run(house.order("job-9:1"))
            await house.others.stop(first.arn, "it was cancelled")
            await house.others.stop(first.arn, "said twice")
            done = await house.ended(first)
            assert (done.stop_code, done.stopped_reason) == ("UserInitiated", "it was cancelled")

    asyncio.run(story())


def test_who_listens_after_a_restart_misses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    runs: list[str] = []

    async def counted(*_: Any, **__: Any) -> int:
        runs.append("ran")
        return 3

    async def story() -> None:
        async with a_house(tmp_path, {"work": counted}) as house:
            cluster, fargate = house.cluster, house.fargate
            # It is committed, and the process ends before anything of it is begun.
            house.runner.take_up = lambda task: None  # type: ignore[method-assign]
            task = await house.ran(house.order())
            await house.close()
            house.open()
            house.cluster, house.fargate = cluster, fargate
            house.listen()
            assert [(it.arn, it.status) for it in house.told] == [(task.arn, "PROVISIONING")]
            assert (await house.ran(house.order())).arn == task.arn
            house.runner.start()
            done = await house.ended(task)
            assert (done.containers[0].exit_code, runs) == (3, ["ran"])
            # It ended, and the process ends too: who comes next is told of it, and finds what was noted of it.
            await house.close()
            house.open()
            house.cluster, house.fargate = cluster, fargate
            kept = house.notes.get(task.arn)
            house.listen()
            assert house.told == [done]
            assert kept == done, "what a listener writes is kept with what it was told of"
            assert await house.ran(house.order()) == done
            house.runner.start()
            assert runs == ["ran"]

    asyncio.run(story())


def test_what_has_no_room_is_not_made_and_its_owner_hears_of_room(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path, {"work": for_ever}) as house:
            first = await house.ran(house.order())
            refused = await house.others.run(house.order("job-1:2"))
            assert isinstance(refused, NotPlaced)
            assert refused.reason.startswith("Capacity is unavailable at this time.")
            assert len(house.records.tasks) == 1
            assert house.told_of_room == []
            await house.others.stop(first.arn, "")
            await house.ended(first)
            assert house.told_of_room == [house.cluster]
            second = await house.ran(house.order("job-1:2"))
            await house.others.stop(second.arn, "")
            await house.ended(second)

    asyncio.run(story())


def test_container_instances_are_shown_with_their_room_and_chosen_or_given(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path, {"work": for_ever}) as house:
            nobody = await house.others.run(house.ec2_order())
            assert nobody == NotPlaced("No Container Instances were found in your cluster.")
            small, large = house.add_instance(1, 1024), house.add_instance(2, 4096)
            assert house.told_of_room == [house.cluster] * 2
            assert [(it.instance, it.memory_mib, it.ready) for it in house.others.room(house.cluster)] == [
                (small.arn, 1024, True),
                (large.arn, 4096, True),
            ]
            given = await house.ran(house.ec2_order("a", instance=large.arn))
            chosen = [await house.ran(house.ec2_order(token)) for token in ("b", "c", "d")]
            assert (given.instance, given.address) == (large.arn, "10.9.0.2")
            assert [it.instance for it in chosen] == [small.arn, small.arn, large.arn], "the fullest first"
            assert [(it.memory_mib, it.tasks) for it in house.others.room(house.cluster)] == [
                (0, 2),
                (3072, 2),
            ]
            whole = [(it.whole_cpu_units, it.whole_memory_mib) for it in house.others.room(house.cluster)]
            assert whole == [(2048, 1024), (2048, 4096)], "whatever runs there"
            full = await house.others.run(house.ec2_order("e", instance=small.arn))
            assert isinstance(full, NotPlaced)
            assert full.reason == "RESOURCE:MEMORY"
            gone = await house.others.run(house.ec2_order("f", instance=small.arn.replace("1", "9")))
            assert isinstance(gone, NotPlaced)
            assert gone.reason == "MISSING"
            house.records.instances.put(replace(large, status="DRAINING"))
            assert [it.ready for it in house.others.room(house.cluster)] == [True, False]
            for task in (given, *chosen):
                await house.others.stop(task.arn, "")
            for task in (given, *chosen):
                assert (await house.ended(task)).status == TaskStatus.STOPPED

    asyncio.run(story())


def test_clusters_and_definitions_are_made_and_deleted_as_by_a_client(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path, {"work": seven}) as house:
            again = await house.others.make_cluster(CALLER, "AWSBatch-env", {"made-by": "batch"})
            assert again == house.cluster
            made = house.records.clusters.get(house.cluster)
            assert made is not None
            assert made.tags == {"made-by": "batch"}
            spot = await house.others.make_cluster(
                CALLER, "AWSBatch-spot", {}, providers=("FARGATE", "FARGATE_SPOT"), insights="enhanced"
            )
            other = house.records.clusters.get(spot)
            assert other is not None
            assert other.capacity_providers == ("FARGATE", "FARGATE_SPOT")
            assert other.settings == ({"name": "containerInsights", "value": "enhanced"},)
            instance = house.add_instance()
            with pytest.raises(AwsError) as refused:
                await house.others.delete_cluster(CALLER, house.cluster)
            assert refused.value.code == "ClusterContainsContainerInstancesException"
            house.records.instances.delete(instance)
            await house.others.delete_cluster(CALLER, house.cluster)
            await house.others.delete_cluster(CALLER, house.cluster)
            with pytest.raises(AwsError, match="TaskDefinition not found"):
                await house.others.run(house.order(definition=house.fargate + "0"))
            assert house.others.task("arn:aws:ecs:us-east-1:000000000000:task/x/y") is None

    asyncio.run(story())
