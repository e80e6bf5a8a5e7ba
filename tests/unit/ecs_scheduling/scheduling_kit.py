"""Services on a temporary store: tasks that only pretend, target groups of a dict, a clock that stands still."""

import asyncio
import random
from collections import Counter

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.discovery import Namespace
from cumulo.base.ports.targets import Target, TargetGroup
from cumulo.services.ecs import arns
from cumulo.services.ecs.discovery.model import DiscoveryRecords
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.model import (
    Cluster,
    ContainerInstance,
    Health,
    StopCode,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskStatus,
)
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling.beginnings import Beginnings
from cumulo.services.ecs.scheduling.facts import Pace, active_instances, is_wanted
from cumulo.services.ecs.scheduling.run import Scheduler
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.targets import TargetAttachment
from cumulo.services.ecs.seams import Failure, Launched
from cumulo.services.ecs.service_deployments import ServiceDeployments
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.services.ecs.services import Services
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
CALLER = Caller(account=ACCOUNT, region=REGION)
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
NAMESPACE = f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:namespace/ns-1"
SETTLE = 5.0
GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"
BALANCER = {"targetGroupArn": GROUP, "containerName": "app", "containerPort": 80}
COMING = {TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING}


def a_definition(family="web", revision=1, *, health=False, status="ACTIVE", tags=None, **document):
    container = {
        "name": "app",
        "image": "nginx",
        "essential": True,
        "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp", "name": "http"}],
    }
    if health:
        container["healthCheck"] = {"command": ["CMD", "true"]}
    document = {
        "containerDefinitions": [container],
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
        document=document,
        status=status,
        tags=tags or {},
    )


def an_instance(number, *, zone="a", status="ACTIVE", **fields):
    id_ = f"{number:032x}"
    return ContainerInstance(
        account=ACCOUNT,
        region=REGION,
        id=id_,
        arn=arns.arn(REGION, ACCOUNT, "container-instance", "main", id_),
        cluster_arn=arns.arn(REGION, ACCOUNT, "cluster", "main"),
        ec2_id=f"i-{number:017x}",
        availability_zone=f"{REGION}{zone}",
        status=status,
        **fields,
    )


class Balancers:
    """Target groups: health is what a test says."""

    def __init__(self):
        self.groups = {
            GROUP: TargetGroup(
                arn=GROUP, target_type="ip", protocol="HTTP", port=80, load_balancers=("arn:lb",)
            )
        }
        self.states = {GROUP: {}}

    def group(self, arn):
        return self.groups.get(arn)

    async def register(self, arn, targets):
        for target in targets:
            self.states[arn][target] = "initial"

    async def deregister(self, arn, targets):
        for target in targets:
            if target in self.states[arn]:
                self.states[arn][target] = "draining"

    def health(self, arn):
        return dict(self.states[arn])

    def say(self, address, state, arn=GROUP):
        if state:
            self.states[arn][Target(address, 80)] = state
        else:
            self.states[arn].pop(Target(address, 80), None)


class Network:
    """EC2, with one network."""

    async def network_of(self, caller, subnets):
        for subnet in subnets:
            if subnet not in {"subnet-a", "subnet-b"}:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return "vpc-1"


class CloudMap:
    """One namespace."""

    async def namespace(self, account, region, text, *, make=False):
        if text not in {NAMESPACE, "shop.local"}:
            raise AwsError("NamespaceNotFound", "It is not there.")
        return Namespace(id="ns-1", arn=NAMESPACE, name="shop.local", kind="HTTP")


class PretendedLaunches:
    """Makes tasks; `room` of them at most live at once; `zones` in turn; `refusal` for what cannot be mended."""

    def __init__(self, it):
        self.it = it
        self.room = None
        self.zones = ["a", "b", "c"]
        self.refusal = None
        self.failure = Failure("RESOURCE:CPU")
        self.requests = []
        self.before = None  # called before anything is launched
        self.after = None  # called when it is committed

    async def launch(self, request):
        self.requests.append(request)
        if self.before is not None:
            await self.before()
        if self.refusal is not None:
            raise self.refusal
        tasks, failures = [], []
        for number in range(request.count):
            live = sum(one.is_live for one in self.it.records.tasks.all())
            if self.room is not None and live >= self.room:
                failures.append(self.failure)
                continue
            instance = request.instances[number] if request.instances else ""
            tasks.append(self.it.records.tasks.put(self._task(request, instance)))
        await self.it.store.commit()
        if self.after is not None:
            await self.after()
        return Launched(tasks, failures)

    def _task(self, request, instance):
        it = self.it
        it.number += 1
        id_ = f"{it.number:032x}"
        held = Counter(one.availability_zone for one in it.live())
        zone = min(self.zones, key=lambda one: (held[f"{REGION}{one}"], one))
        provider = request.strategy[0]["capacityProvider"] if request.strategy else ""
        return Task(
            account=request.account,
            region=request.region,
            id=id_,
            arn=arns.arn(REGION, ACCOUNT, "task", "main", id_),
            cluster_arn=request.cluster_arn,
            definition_arn=request.definition.arn,
            group=request.group,
            service=request.service,
            deployment=request.deployment,
            started_by=request.started_by,
            launch_type=request.launch_type or "FARGATE",
            capacity_provider=provider,
            instance_arn=instance,
            availability_zone=f"{REGION}{zone}",
            last_status=TaskStatus.PENDING,
            containers=(TaskContainer(name="app", arn=f"{id_}/app", image="nginx"),),
            private_ip=f"10.0.{it.number // 250}.{it.number % 250 + 1}",
            tags=request.tags,
            created_at=it.clock.now(),
        )

    async def place_waiting(self):
        pass


class PretendedRunner:
    """Tasks end when `it.end` says so."""

    def __init__(self, it):
        self.it = it
        self.stopped = []

    def take_up(self, task):
        pass

    async def stop(self, task_arn, code, reason):
        task = self.it.records.tasks.get(task_arn)
        if task is None or not is_wanted(task):
            return task
        self.stopped.append((task.id, code, reason))
        status = TaskStatus.STOPPING if task.last_status in COMING else TaskStatus.DEACTIVATING
        task = self.it.change(
            task, desired_status="STOPPED", last_status=status, stop_code=str(code), stopped_reason=reason
        )
        await self.it.store.commit()
        return task


class World:
    """A cluster `main`, the definitions web:1 and web:2, and everything of services."""

    def __init__(self, path, *, pace=None):
        self.path = path
        self.pace = pace or Pace(settle_seconds=SETTLE)
        self.clock = VirtualClock()
        self.balancers = Balancers()
        self.networks = Network()
        self.number = 0
        self.told = []
        self.opened = 0
        self.open()
        self.records.clusters.put(
            Cluster(
                account=ACCOUNT,
                region=REGION,
                name="main",
                arn=arns.arn(REGION, ACCOUNT, "cluster", "main"),
                capacity_providers=("FARGATE", "FARGATE_SPOT", "asg"),
            )
        )
        for revision in (1, 2, 3):
            self.records.definitions.put(a_definition(revision=revision))

    def open(self):
        self.opened += 1
        ids = Ids(random.Random(self.opened))
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.book = Book(self.store, ids)
        self.kept = DiscoveryRecords(self.store)
        self.launches = PretendedLaunches(self)
        self.runner = PretendedRunner(self)
        self.scheduler = Scheduler(
            self.records,
            self.book,
            launches=self.launches,
            runner=self.runner,
            targets=self.balancers,
            eligible=active_instances(self.records),
            clock=self.clock,
            announce=lambda arn, one: self.told.append(one),
            pace=self.pace,
        )
        views = ServiceViews(self.records, self.book, self.connected)
        beginnings = Beginnings(self.records, self.book, self.clock, ids, self.scheduler.telling)
        self.services = Services(
            self.records,
            self.book,
            views,
            beginnings,
            targets=self.balancers,
            networks=self.networks,
            namespaces=Namespaces(self.kept, CloudMap()),
            clock=self.clock,
            principal_of=lambda key: f"arn:aws:iam::{ACCOUNT}:user/anna" if key == "ANNA" else "",
        )
        self.deployments = ServiceDeployments(self.records, self.book, views, self.scheduler, self.clock)
        self.attachment = TargetAttachment(
            self.records,
            self.book,
            targets=self.balancers,
            telling=self.scheduler.telling,
            clock=self.clock,
            look_seconds=0.0,
        )

    def connected(self, service, configuration):
        """What Service Connect says of a service: the names of its ports."""
        return [{"discoveryName": one["portName"]} for one in configuration.get("services", ())]

    async def reopen(self):
        """As after a kill: what was committed is there."""
        await self.store.close()
        self.open()
        self.scheduler.wake_all()

    # -- clients -----------------------------------------------------------------------------------------

    async def create(self, name="shop", **values):
        values = {
            "taskDefinition": "web:1",
            "launchType": "FARGATE",
            "networkConfiguration": NETWORK,
        } | values
        if values.get("schedulingStrategy") != "DAEMON":
            values = {"desiredCount": 2} | values
        values = {key: value for key, value in values.items() if value is not None}
        answer = await self.services.create(CALLER, {"cluster": "main", "serviceName": name} | values)
        return answer["service"]

    async def update(self, name="shop", **values):
        answer = await self.services.update(CALLER, {"cluster": "main", "service": name} | values)
        return answer["service"]

    async def delete(self, name="shop", **values):
        answer = await self.services.delete(CALLER, {"cluster": "main", "service": name} | values)
        return answer["service"]

    async def describe(self, name="shop", **values):
        answer = await self.services.describe(CALLER, {"cluster": "main", "services": [name]} | values)
        return answer["services"][0]

    async def steady(self, name="shop", **values):
        """A service that has what it wants."""
        await self.create(name, **values)
        await self.flow()
        view = await self.describe(name)
        assert view["runningCount"] == view["desiredCount"]
        assert view["deployments"][0]["rolloutState"] == "COMPLETED"
        return view

    # -- tasks -------------------------------------------------------------------------------------------

    def live(self, name="shop"):
        key = service_key(arns.arn(REGION, ACCOUNT, "cluster", "main"), name)
        return self.records.tasks.by("live_service", key)

    def wanted(self, name="shop", **having):
        return [
            one
            for one in self.live(name)
            if is_wanted(one) and all(getattr(one, key) == value for key, value in having.items())
        ]

    def change(self, task, **fields):
        return self.records.tasks.put(replace(self.records.tasks.get(task.arn), **fields))

    def running(self, name="shop"):
        return self.wanted(name, last_status=TaskStatus.RUNNING)

    def coming(self, name="shop"):
        return [one for one in self.wanted(name) if one.last_status in COMING]

    def begin(self, task):
        """A task comes to run."""
        return self.change(task, last_status=TaskStatus.RUNNING, started_at=self.clock.now())

    def break_off(self, task):
        """A task fails before it runs."""
        return self.change(
            task,
            last_status=TaskStatus.STOPPED,
            desired_status="STOPPED",
            stop_code=str(StopCode.TASK_FAILED_TO_START),
            stopped_at=self.clock.now(),
        )

    def crash(self, task):
        """An essential container ends."""
        return self.change(
            task,
            last_status=TaskStatus.STOPPED,
            desired_status="STOPPED",
            stop_code=str(StopCode.ESSENTIAL_CONTAINER_EXITED),
            stopped_at=self.clock.now(),
        )

    def be(self, task, health):
        return self.change(task, health=Health(health))

    def end(self, name="shop"):
        """Everything that was told to stop has stopped."""
        for task in self.live(name):
            if not is_wanted(task):
                self.balancers.say(task.private_ip, "")
                self.change(task, last_status=TaskStatus.STOPPED, stopped_at=self.clock.now())

    async def work(self, seconds=0.0):
        """Time passes; the scheduler does what is due."""
        self.clock.advance(seconds)
        return await self.scheduler.work_off()

    async def flow(self, name="shop", *, rounds=12, seconds=SETTLE + 0.5):
        """Everything goes well: tasks come to run, are registered and healthy, and those told to stop end."""
        for _ in range(rounds):
            await self.work()
            for task in self.coming(name):
                self.begin(task)
                await self.attachment.attach(task)
                self.be(task, "HEALTHY")
            for task in self.running(name):
                if Target(task.private_ip, 80) in self.balancers.states[GROUP]:
                    self.balancers.say(task.private_ip, "healthy")
            self.end(name)
            await self.work(seconds)

    async def story(self, name="shop"):
        """What the events say, the oldest first, without the service's name."""
        view = await self.describe(name)
        return [one["message"].removeprefix(f"(service {name}) ") for one in reversed(view["events"])]


def run(path, body, **options):
    """Run an async function of a world."""

    async def whole():
        it = World(path, **options)
        try:
            await body(it)
        finally:
            await it.store.close()

    asyncio.run(whole())


async def refused(awaitable):
    """The AwsError of something that is refused."""
    try:
        await awaitable
    except AwsError as error:
        return error
    raise AssertionError("it was not refused")
