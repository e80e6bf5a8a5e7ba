"""Compute environments and queues over an EC2 and an ECS in memory, with the real scheduler and a clock that stands still."""

import asyncio
import random
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.instances import Host, InstanceKind, InstanceOrder, SeenInstance, Template, usable_mib
from cumulo.base.ports.networks import Subnet
from cumulo.base.task_runner import Room
from cumulo.services.batch.capacity.house import Around, CapacityHouse
from cumulo.services.batch.scheduling.facts import Launch, Need, Terminate
from cumulo.services.batch.scheduling.scheduler import BatchScheduler
from cumulo.services.ec2.kinds import Kinds
from cumulo.services.ec2.user_data import settings_of
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.service import Service
from tests.door_kit import a_door, client_of

ACCOUNT, OTHER, REGION = "111111111111", "222222222222", "us-east-1"
SUBNETS, GROUPS = ["subnet-a", "subnet-b"], ["sg-1"]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/batch"
EC2 = {
    "type": "EC2",
    "allocationStrategy": "BEST_FIT_PROGRESSIVE",
    "minvCpus": 0,
    "maxvCpus": 16,
    "instanceTypes": ["m5.large"],
    "subnets": SUBNETS,
    "securityGroupIds": GROUPS,
    "instanceRole": "ecsInstanceRole",
}
SPOT = EC2 | {"type": "SPOT", "allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}
FARGATE = {"type": "FARGATE", "maxvCpus": 4, "subnets": SUBNETS, "securityGroupIds": GROUPS}
TEMPLATES = {
    "lt-mime": Template(
        user_data="TUlNRS1WZXJzaW9uOiAxLjAKQ29udGVudC1UeXBlOiBtdWx0aXBhcnQvbWl4ZWQ7IGJvdW5kYXJ5PSI9PU1ZPT0iCgotLT09TVk9PQpDb250"
        "ZW50LVR5cGU6IHRleHQveC1zaGVsbHNjcmlwdDsgY2hhcnNldD0idXMtYXNjaWkiCgojIS9iaW4vYmFzaAplY2hvIEVDU19SRVNFUlZFRF9NRU1PUlk9MzIg"
        "Pj4gL2V0Yy9lY3MvZWNzLmNvbmZpZwoKLS09PU1ZPT0tLQo="
    ),
    "lt-script": Template(user_data="IyEvYmluL2Jhc2gKZWNobyBoaQo="),
}


class FakeEc2:
    """A Fleet, and the bodies of its instances."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.all: dict[str, SeenInstance] = {}
        self.orders: list[InstanceOrder] = []
        self.data: dict[str, str] = {}
        self.down = False
        self.refuses: AwsError | None = None
        self.most = 100  # instances that one order gets
        self.looks = 0

    async def launch(self, order: InstanceOrder) -> list[str]:
        self._up()
        if self.refuses is not None:
            raise self.refuses
        self.orders.append(order)
        ids = []
        for _ in range(min(order.count, self.most)):
            id_ = f"i-{len(self.all):017x}"
            self.all[id_] = SeenInstance(
                account=order.account,
                region=order.region,
                id=id_,
                state="running",
                kind=order.kind,
                image=order.image,
                subnet=order.subnet,
                spot=order.spot,
                launched_at=self.clock.now(),
                tags=dict(order.tags),
            )
            self.data[id_] = order.user_data
            ids.append(id_)
        return ids

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        self._up()
        if instance_id not in self.all:
            raise AwsError("InvalidInstanceID.NotFound", "no such instance")
        self.put(instance_id, "terminated")

    async def instances(self, account: str, region: str) -> list[SeenInstance]:
        self._up()
        self.looks += 1
        return [one for one in self.all.values() if (one.account, one.region) == (account, region)]

    async def sizes(self, account: str, region: str, name: str) -> list[InstanceKind]:
        self._up()
        known = [InstanceKind("x9.odd", 8, 8192), InstanceKind("x9.even", 4, 8192)]
        return [kind for kind in known if name in (kind.name, "x9")]

    async def template(self, account: str, region: str, *, id_: str, name: str, version: str) -> Template:
        if id_ not in TEMPLATES:
            raise AwsError(
                "InvalidLaunchTemplateId.NotFound", "At least one of the launch templates does not exist."
            )
        return TEMPLATES[id_]

    def put(self, id_: str, state: str) -> None:
        self.all[id_] = replace(self.all[id_], state=state)

    def alive(self) -> list[str]:
        return [one.id for one in self.all.values() if one.state == "running"]

    def host(self, id_: str) -> Host | None:
        seen = self.all.get(id_)
        if seen is None or seen.state == "terminated":
            return None
        return Host(
            account=seen.account,
            region=seen.region,
            id=id_,
            kind=seen.kind,
            vcpus=2,
            memory_mib=8192,
            running=seen.state == "running",
        )

    async def subnets(self, caller: Any, ids: Any) -> list[Subnet]:
        self._up()
        for one in ids:
            if one not in SUBNETS:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{one}' does not exist")
        return [Subnet(one, "vpc-1", f"{REGION}a") for one in ids]

    async def check_security_groups(self, caller: Any, groups: Any) -> None:
        for one in groups:
            if one not in GROUPS:
                raise AwsError("InvalidGroup.NotFound", f"The security group '{one}' does not exist")

    def _up(self) -> None:
        if self.down:
            raise AwsError("ServiceUnavailable", "down", status=503)


class FakeEcs:
    """A TaskRunner as far as clusters and rooms go; instances join when a test says so."""

    def __init__(self, ec2: FakeEc2) -> None:
        self.ec2 = ec2
        self.clusters: dict[str, dict[str, Any]] = {}
        self.joined: dict[str, Room] = {}
        self.tasks: dict[str, int] = {}  # by cluster
        self.made = 0

    async def make_cluster(
        self, caller: Any, name: str, tags: Any, *, providers: Any = (), insights: str = ""
    ) -> str:
        arn = f"arn:aws:ecs:{caller.region}:{caller.account}:cluster/{name}"
        self.clusters[arn] = {"tags": dict(tags), "providers": tuple(providers), "insights": insights}
        return arn

    async def delete_cluster(self, caller: Any, cluster: str) -> None:
        if self.tasks.get(cluster):
            raise AwsError(
                "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
            )
        if any(room.ready for room in self.room(cluster)):
            raise AwsError(
                "ClusterContainsContainerInstancesException", "The Cluster cannot be deleted while it has."
            )
        self.clusters.pop(cluster, None)

    def room(self, cluster: str) -> list[Room]:
        found = []
        for id_, room in self.joined.items():
            said = settings_of(self.ec2.data[id_])
            assert said is not None
            if said.cluster == cluster.rpartition("/")[2]:
                ready = self.ec2.all[id_].state == "running"
                found.append(replace(room, ready=ready and room.ready))
        return found

    def join(self, id_: str) -> Room:
        self.made += 1
        seen = self.ec2.all[id_]
        kind = next(one for one in Kinds().all() if one.name == seen.kind)
        memory = usable_mib(kind.memory_mib)
        self.joined[id_] = Room(
            instance=f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/c/{self.made:032x}",
            ec2_id=id_,
            kind=seen.kind,
            zone=f"{REGION}a",
            address="127.0.0.9",
            ready=True,
            cpu_units=kind.vcpus * 1024,
            memory_mib=memory,
            whole_cpu_units=kind.vcpus * 1024,
            whole_memory_mib=memory,
            tasks=0,
        )
        return self.joined[id_]


class FakeJobs:
    """The Jobs of queues."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.asked: list[str] = []

    async def end_queue(self, queue: str) -> bool:
        self.asked.append(queue)
        return not self.left.get(queue)


class Site:
    """Everything, over a folder that outlives it (`again`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = VirtualClock(1_800_000_000.0)
        self.ec2 = FakeEc2(self.clock)
        self.ecs = FakeEcs(self.ec2)
        self.jobs = FakeJobs()
        self.ids = Ids(random.Random(7))
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder / "cumulo.db", synchronous="OFF")
        self.scheduler = BatchScheduler()
        self.told = 0

        def told() -> None:
            self.told += 1

        async def image(account: str, region: str, name: str) -> str:
            return (
                "ami-" + name.removeprefix("/aws/service/ecs/optimized-ami/amazon-linux-2023/").split("/")[0]
            )

        prices = {
            ("m5.large", False): 0.1,
            ("m5.large", True): 0.04,
            ("m5.xlarge", False): 0.2,
            ("m5.xlarge", True): 0.19,
        }
        self.house = CapacityHouse(
            Around(
                runner=self.ecs,  # type: ignore[arg-type]
                fleet=self.ec2,
                networks=self.ec2,
                catalogue=Kinds().all,
                price=lambda _region, kind, spot: prices.get((kind, spot), 0.0),
                host=self.ec2.host,
                image=image,
            ),
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            scheduler=self.scheduler,
            jobs=self.jobs,
            tagged={},
            told=told,
            front=self.scheduler.front,
        )
        self.keeper = self.house.keeper
        self.door: Door = a_door(
            {"batch": Service("batch", self.house.operations())},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        self.client = client_of("batch", self.door, ACCOUNT, REGION)
        self.keeper.start()

    def again(self) -> None:
        """As after a kill: nothing but what was committed is left."""
        asyncio.run(self.store.close())
        self.open()

    def close(self) -> None:
        asyncio.run(self.store.close())

    # -- what the loops do ---------------------------------------------------------------------------------

    def settle(self, turns: int = 10) -> None:
        """Settle until nothing is due now."""
        for _ in range(turns):
            due_at = self.keeper.due_at()
            if due_at is None or due_at > self.clock.monotonic():
                return
            asyncio.run(self.keeper.settle())
        raise AssertionError("it settles for ever")

    def decide(self) -> list[Launch | Terminate]:
        """What the scheduler decides now, carried out."""
        done = [
            one
            for one in self.scheduler.decide(self.clock.monotonic())
            if isinstance(one, Launch | Terminate)
        ]
        for action in done:
            asyncio.run(self.keeper.carry(action))
        self.settle()
        return done

    def join(self) -> None:
        """The agents of all instances that run register them."""
        for id_ in self.ec2.alive():
            if id_ not in self.ecs.joined:
                self.ecs.join(id_)
        self.hear()

    def join_known(self) -> None:
        """The same, for instances of types that are known by heart."""
        known = {kind.name for kind in Kinds().all()}
        for id_ in self.ec2.alive():
            if id_ not in self.ecs.joined and self.ec2.all[id_].kind in known:
                self.ecs.join(id_)
        self.hear()

    def hear(self) -> None:
        for cluster in list(self.ecs.clusters):
            self.keeper.heard_room(cluster)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def submit(self, job: str, queue: str, vcpus: int = 1) -> None:
        self.scheduler.submit(job, queue, Need(vcpus * 1000, 512), now=self.clock.monotonic())

    # -- what clients do -----------------------------------------------------------------------------------

    def make(self, name: str = "env", resources: Any = None, **more: Any) -> str:
        """A compute environment that is settled."""
        asked = {
            "computeEnvironmentName": name,
            "type": "MANAGED",
            "computeResources": EC2 | (resources or {}),
        } | more
        arn = self.client.create_compute_environment(**asked)["computeEnvironmentArn"]
        self.settle()
        return str(arn)

    def queue(self, name: str = "queue", environments: Any = ("env",), **more: Any) -> str:
        """A job queue that is settled."""
        order = [
            {"order": number, "computeEnvironment": one} for number, one in enumerate(environments, start=1)
        ]
        asked = {"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": order} | more
        arn = self.client.create_job_queue(**asked)["jobQueueArn"]
        self.settle()
        return str(arn)

    def shown(self, name: str = "env") -> dict[str, Any]:
        """A compute environment as it is shown."""
        (found,) = self.client.describe_compute_environments(computeEnvironments=[name])[
            "computeEnvironments"
        ]
        return dict(found)
