"""Launching on a temporary store: a machine of a given size, a runner that only notes, a clock that stands still."""

import asyncio
import contextlib
import random

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.carriage import Carriage
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.networks import Subnet
from cumulo.services.ecs import arns
from cumulo.services.ecs.launching import Launching
from cumulo.services.ecs.model import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Service,
    TaskDefinition,
    TaskStatus,
)
from cumulo.services.ecs.places import ledger_of
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import client, no_cluster
from cumulo.services.ecs.seams import LaunchRequest
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.services.ecs.task_protection import TaskProtection
from cumulo.services.ecs.tasks import Tasks
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
CALLER = Caller(account=ACCOUNT, region=REGION)
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}}
ZONES = {"subnet-a": "eu-west-1a", "subnet-b": "eu-west-1b", "subnet-c": "eu-west-1c"}


def cluster_arn(name="main"):
    return arns.arn(REGION, ACCOUNT, "cluster", name)


def a_cluster(name="main", **fields):
    return Cluster(account=ACCOUNT, region=REGION, name=name, arn=cluster_arn(name), **fields)


def a_definition(family="web", revision=1, *, containers=None, status="ACTIVE", tags=None, **document):
    document = {
        "containerDefinitions": containers
        or [{"name": "app", "image": "nginx", "essential": True, "cpu": 0, "portMappings": []}],
        "networkMode": "awsvpc",
        "compatibilities": ["EC2", "FARGATE"],
        "cpu": "256",
        "memory": "512",
    } | document
    return TaskDefinition(
        account=ACCOUNT,
        region=REGION,
        family=family,
        revision=revision,
        arn=arns.definition_arn(REGION, ACCOUNT, family, revision),
        document={key: value for key, value in document.items() if value is not None},
        status=status,
        tags=tags or {},
    )


def an_ec2_definition(family="job", *, cpu=256, memory=256, ports=(), **document):
    container = {
        "name": "app",
        "image": "busybox",
        "essential": True,
        "cpu": cpu,
        "memory": memory,
        "portMappings": [
            {"containerPort": port, "hostPort": port, "protocol": protocol} for port, protocol in ports
        ],
    }
    shape = {"networkMode": "bridge", "compatibilities": ["EC2"], "cpu": None, "memory": None}
    return a_definition(family, containers=[container], **(shape | document))


def an_instance(number, *, cluster="main", zone="a", cpu=1024, memory=1024, attributes=(), **fields):
    id_ = f"{number:032x}"
    return ContainerInstance(
        account=ACCOUNT,
        region=REGION,
        id=id_,
        arn=arns.arn(REGION, ACCOUNT, "container-instance", cluster, id_),
        cluster_arn=cluster_arn(cluster),
        ec2_id=f"i-{number:017x}",
        availability_zone=f"{REGION}{zone}",
        cpu_units=cpu,
        memory_mib=memory,
        attributes=tuple({"name": name, "value": value} for name, value in attributes),
        **fields,
    )


def a_provider(name="asg", *, managed=True):
    return CapacityProvider(
        account=ACCOUNT,
        region=REGION,
        name=name,
        arn=arns.arn(REGION, ACCOUNT, "capacity-provider", name),
        auto_scaling_group={"managedScaling": {"status": "ENABLED" if managed else "DISABLED"}},
    )


def a_service(name="shop", **fields):
    return Service(
        account=ACCOUNT,
        region=REGION,
        name=name,
        arn=arns.arn(REGION, ACCOUNT, "service", "main", name),
        cluster_arn=cluster_arn(),
        **fields,
    )


def no_size(cpu, memory):
    """Fargate has but one size here that is not there."""
    return (
        "" if memory != 100 else f"No Fargate configuration exists for given values: {cpu} CPU, 100 memory."
    )


class KnownSubnets:
    """EC2, with three subnets."""

    def __init__(self):
        self.asked = 0

    async def subnets(self, caller, subnets):
        self.asked += 1
        for subnet in subnets:
            if subnet not in ZONES:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return [Subnet(subnet, "vpc-1", ZONES[subnet]) for subnet in subnets]


class NotingRunner:
    """Notes what it is given; a stop is wanted and committed, and nothing more happens."""

    def __init__(self, records):
        self.records = records
        self.taken_up = []
        self.stopped = []

    def take_up(self, task):
        self.taken_up.append(task.arn)

    async def stop(self, task_arn, code, reason):
        task = self.records.tasks.get(task_arn)
        if task is None:
            return None
        self.stopped.append((task_arn, code, reason))
        task = self.records.tasks.put(
            replace(task, desired_status="STOPPED", stop_code=task.stop_code or code, stopped_reason=reason)
        )
        await self.records.store.commit()
        return task


class Cloud:
    """A cluster `main` on a machine of 4 vCPUs and 8 GiB."""

    def __init__(self, path, *, seed=1):
        self.path = path
        self.seed = seed
        self.clock = VirtualClock()
        self.machine = Carriage(4, 8192)
        self.subnets = KnownSubnets()
        self.open()
        self.records.clusters.put(a_cluster(capacity_providers=("FARGATE", "FARGATE_SPOT", "asg")))

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.runner = NotingRunner(self.records)
        self.ledger = ledger_of(self.records)
        self.machine = Carriage(self.machine.vcpus, self.machine.memory_mib)
        self.launching = Launching(
            self.records,
            self.ledger,
            runner=self.runner,
            carriage=self.machine,
            zones=SubnetZones(self.subnets, self.clock),
            clock=self.clock,
            ids=Ids(random.Random(self.seed)),
            chance=random.Random(self.seed),
            no_size=no_size,
        )
        self.machine.add(self.launching.promised)
        self.tasks = Tasks(
            self.records,
            self.launching,
            self.runner,
            find_cluster=self.find_cluster,
            find_definition=self.find_definition,
        )
        self.protection = TaskProtection(self.records, self.clock, find_cluster=self.find_cluster)

    async def reopen(self):
        await self.store.close()
        self.open()

    def find_cluster(self, caller, name):
        found = self.records.clusters.get(cluster_arn(arns.cluster_name(name or "main")))
        if found is None:
            raise no_cluster()
        return found

    def find_definition(self, caller, text):
        family, _, revision = arns.last_part(text).partition(":")
        found = self.records.definition(arns.definition_arn(REGION, ACCOUNT, family, int(revision or 1)))
        if found is None:
            raise client("TaskDefinition not found.")
        return found

    def define(self, definition):
        self.records.definitions.put(definition)
        return definition

    def instances(self, *instances):
        for one in instances:
            self.records.instances.put(one)

    async def launch(self, definition, **fields):
        asked = {"account": ACCOUNT, "region": REGION, "cluster_arn": cluster_arn()} | fields
        return await self.launching.launch(LaunchRequest(definition=definition, **asked))

    def end(self, task):
        """The task has stopped."""
        now = self.clock.now()
        return self.records.tasks.put(
            replace(
                self.records.tasks.get(task.arn),
                last_status=TaskStatus.STOPPED,
                desired_status="STOPPED",
                stopped_at=now,
            )
        )


@contextlib.asynccontextmanager
async def cloud(path, **fields):
    made = Cloud(path, **fields)
    try:
        yield made
    finally:
        await made.store.close()


def run(path, body, **fields):
    """Run an async body with a cloud."""

    async def whole():
        async with cloud(path, **fields) as made:
            return await body(made)

    return asyncio.run(whole())
