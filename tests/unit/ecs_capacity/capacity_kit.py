"""ECS's capacity on a temporary store, with a Runner and Launches that remember."""

import botocore.session
from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.instances import AgentSettings, Group, GroupMember, Host
from cumulo.services.ecs import arns
from cumulo.services.ecs.capacity.house import Capacity
from cumulo.services.ecs.model import Cluster, Task, TaskContainer, TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
CALLER = Caller(account=ACCOUNT, region=REGION)
CAPABILITIES = ("com.amazonaws.ecs.capability.docker-remote-api.1.44", "ecs.capability.task-eni")
SHAPES = botocore.session.Session().get_service_model("ecs")


class FakeRunner:
    """A Runner that stops tasks at once, and remembers why."""

    def __init__(self, records):
        self.records = records
        self.stopped = []

    def take_up(self, task):
        """Nothing."""

    async def stop(self, task_arn, code, reason):
        task = self.records.tasks.get(task_arn)
        if task is None:
            return None
        self.stopped.append((task_arn, str(code), reason))
        return self.records.tasks.put(
            replace(task, last_status=TaskStatus.STOPPED, stop_code=str(code), stopped_reason=reason)
        )


class FakeLaunches:
    """Launches that count."""

    def __init__(self):
        self.placed = 0

    async def place_waiting(self):
        self.placed += 1


class FakeHosts:
    """Hosts by id."""

    def __init__(self):
        self.all = {}
        self.could_be = {}
        self.woken = 0
        self.room = 1000

    def host(self, instance_id):
        return self.all.get(instance_id)

    def hosts(self):
        return list(self.all.values())

    def wake(self):
        self.woken += 1

    def room_for(self, kind):
        return self.room

    async def embody(self, account, region, instance_id, cluster):
        return self.could_be.get(instance_id)


class FakeGroups:
    """Groups whose instances join at once, when `settle` is called."""

    def __init__(self, world):
        self.world = world
        self.all = {}
        self.calls = []
        self.down = False

    def add(self, name, least=0, most=10, desired=0, **more):
        arn = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/{name}"
        self.all[name] = Group(
            name=name, arn=arn, least=least, most=most, desired=desired, kind="t3.small", **more
        )
        self._scale(name, desired)
        return arn

    def _scale(self, name, count):
        group = self.all[name]
        members = list(group.members)
        while len(members) < count:
            host = self.world.host(group=name)
            members.append(GroupMember(host.id, "InService", group.new_protected, group.kind))
        self.all[name] = replace(group, desired=count, members=tuple(members))

    async def settle(self):
        for group in self.all.values():
            for member in group.members:
                await self.world.joining.joined(self.world.hosts.all[member.id])

    async def group(self, account, region, name):
        if self.down:
            raise AwsError("ServiceUnavailable", "down", status=503)
        return self.all.get(name)

    async def set_desired(self, account, region, name, count):
        self.calls.append(("desired", name, count))
        self._scale(name, count)

    async def terminate(self, account, region, instance_id):
        self.calls.append(("terminate", instance_id))
        for name, group in self.all.items():
            members = tuple(one for one in group.members if one.id != instance_id)
            if len(members) != len(group.members):
                self.all[name] = replace(group, desired=group.desired - 1, members=members)
        await self.world.joining.left(self.world.hosts.all.pop(instance_id))

    async def tag(self, account, region, name, key, value):
        group = self.all[name]
        self.all[name] = replace(group, tags={**group.tags, key: value})

    async def protect(self, account, region, name, instance_ids, *, protected):
        self.calls.append(("protect", tuple(instance_ids), protected))
        group = self.all[name]
        members = tuple(
            replace(one, protected=protected) if one.id in instance_ids else one for one in group.members
        )
        self.all[name] = replace(group, members=members)


class FakeMetrics:
    """Metrics that remember."""

    def __init__(self):
        self.data = []

    async def put(self, account, region, namespace, data):
        self.data += [(namespace, one.name, dict(one.dimensions), one.value) for one in data]


class World:
    """Everything."""

    def __init__(self, path):
        self.store = Store(path / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.clock = VirtualClock()
        self.hosts = FakeHosts()
        self.runner = FakeRunner(self.records)
        self.launches = FakeLaunches()
        self.groups = FakeGroups(self)
        self.metrics = FakeMetrics()
        self.capacity = Capacity(
            self.records,
            hosts=lambda: self.hosts,
            runner=self.runner,
            launches=self.launches,
            groups=self.groups,
            metrics=self.metrics,
            clock=self.clock,
            ids=Ids(),
            matches=self._matches,
            capabilities=CAPABILITIES,
        )
        self.joining = self.capacity.joining
        self.made = 0

    @staticmethod
    def _matches(expression):
        if not expression.startswith("zone=="):
            raise invalid("Invalid expression.")
        return lambda one: one.availability_zone == expression.removeprefix("zone==")

    async def call(self, operation, **values):
        """An operation; the answer must fit AWS's shape."""
        answer = await self.capacity.operations()[operation].run(CALLER, values) or {}
        _fits(answer, SHAPES.operation_model(operation).output_shape)
        return answer

    def cluster(self, name="web", **more):
        arn = arns.arn(REGION, ACCOUNT, "cluster", name)
        return self.records.clusters.put(Cluster(account=ACCOUNT, region=REGION, name=name, arn=arn, **more))

    def host(self, cluster="web", kind="t3.small", vcpus=2, memory=2048, **more):
        self.made += 1
        agent = more.pop("agent", AgentSettings(cluster=cluster))
        host = Host(
            account=ACCOUNT,
            region=REGION,
            id=f"i-{self.made:017x}",
            kind=kind,
            vcpus=vcpus,
            memory_mib=memory,
            slice=f"i-{self.made:017x}",
            address=f"10.9.0.{self.made}",
            image="ami-1",
            zone=more.pop("zone", f"{REGION}a"),
            subnet="subnet-1",
            network="vpc-1",
            agent=agent,
            **more,
        )
        self.hosts.all[host.id] = host
        return host

    async def join(self, **more):
        """An instance that has joined: its host, and the container instance."""
        host = self.host(**more)
        await self.joining.joined(host)
        return host, self.records.instances.by("ec2", host.id)[-1]

    def task(self, instance=None, cpu=256, memory=512, status=TaskStatus.RUNNING, ports=(), **more):
        self.made += 1
        id_ = f"{self.made:032x}"
        cluster = more.pop("cluster", "web")
        bindings = tuple(
            {"hostPort": port, "protocol": "tcp", "containerPort": 80} for port in more.pop("given", ())
        )
        return self.records.tasks.put(
            Task(
                account=ACCOUNT,
                region=REGION,
                id=id_,
                arn=arns.arn(REGION, ACCOUNT, "task", cluster, id_),
                cluster_arn=arns.arn(REGION, ACCOUNT, "cluster", cluster),
                definition_arn="d",
                instance_arn=instance.arn if instance else "",
                cpu_units=cpu,
                memory_mib=memory,
                last_status=status,
                host_ports=tuple(ports),
                containers=(TaskContainer(name="c", arn="c", image="i", bindings=bindings),),
                **more,
            )
        )


def _fits(value, shape):
    """Assert that an answer has nothing that the model does not know."""
    if value is None or shape is None:
        return
    if shape.type_name == "structure":
        for name, member in value.items():
            assert name in shape.members, f"{shape.name} has no {name}"
            _fits(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            _fits(member, shape.member)
    elif shape.type_name == "string":
        assert isinstance(value, str)
        assert not shape.enum or value in shape.enum
    elif shape.type_name == "boolean":
        assert isinstance(value, bool)
    elif shape.type_name in ("integer", "long"):
        assert isinstance(value, int)
