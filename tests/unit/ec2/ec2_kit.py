"""EC2's bodies with an EC2, an Auto Scaling and an engine in memory, and a clock that stands still."""

import base64
from dataclasses import dataclass, field

from msgspec.structs import replace

from cumulo.base.carriage import Carriage
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.instances import Group, GroupMember, SeenImage, SeenInstance, Template
from cumulo.companions.guards import Call
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.services.ec2.house import Ec2House
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
ECS_IMAGE, PLAIN_IMAGE, ARM_IMAGE = "ami-ecs", "ami-plain", "ami-arm"
IMAGES = {
    ECS_IMAGE: SeenImage(ECS_IMAGE, "al2023-ami-ecs-hvm-2023.0.20260707-kernel-6.1-x86_64"),
    PLAIN_IMAGE: SeenImage(PLAIN_IMAGE, "ubuntu-24.04"),
    ARM_IMAGE: SeenImage(ARM_IMAGE, "al2023-ami-ecs-hvm-2023.0.20260707-kernel-6.1-arm64", "arm64"),
}


def user_data(cluster="web", more=""):
    text = f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n{more}"
    return base64.b64encode(text.encode()).decode()


@dataclass
class FakeEc2:
    """Machines and Groups: what EC2 keeps."""

    clock: VirtualClock
    all: dict[str, SeenInstance] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    down: bool = False
    looks: int = 0
    made: int = 0

    def run(
        self, kind="t3.micro", *, image=ECS_IMAGE, data=None, spot=False, group="", place=(ACCOUNT, REGION)
    ):
        self.made += 1
        id_ = f"i-{self.made:017x}"
        self.data[id_] = user_data() if data is None else data
        self.all[id_] = SeenInstance(
            account=place[0],
            region=place[1],
            id=id_,
            state="running",
            kind=kind,
            image=image,
            zone=f"{place[1]}a",
            subnet="subnet-1",
            network="vpc-1",
            spot=spot,
            group=group,
            launched_at=self.clock.now(),
        )
        return id_

    def put(self, id_, state):
        self.all[id_] = replace(self.all[id_], state=state)

    async def instances(self, account, region):
        self.looks += 1
        if self.down:
            raise AwsError("ServiceUnavailable", "down", status=503)
        return [one for one in self.all.values() if (one.account, one.region) == (account, region)]

    async def user_data(self, account, region, instance_id):
        return self.data[instance_id]

    async def image(self, account, region, image_id):
        return IMAGES.get(image_id)

    async def kind(self, account, region, name):
        return (2, 4096, "x86_64") if name == "x9.odd" else None

    async def template(self, account, region, *, id_, name, version):
        return Template(ECS_IMAGE, "t3.micro", user_data(), id_ == "lt-spot")

    async def stop(self, account, region, instance_id):
        self.put(instance_id, "stopped")

    async def terminate(self, account, region, instance_id):
        self.put(instance_id, "terminated")


@dataclass
class FakeGroups:
    """Groups over the same instances."""

    ec2: FakeEc2
    all: dict[str, Group] = field(default_factory=dict)
    calls: list = field(default_factory=list)

    def add(self, name, least=0, most=10, desired=0, kind="t3.micro", **more):
        arn = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/{name}"
        self.all[name] = Group(name=name, arn=arn, least=least, most=most, desired=0, kind=kind, **more)
        self._scale(name, desired)

    def _scale(self, name, count):
        group = self.all[name]
        members = list(group.members)
        while len(members) < count:
            id_ = self.ec2.run(group.kind, group=name)
            members.append(GroupMember(id_, "InService", group.new_protected, group.kind))
        self.all[name] = replace(group, desired=count, members=tuple(members))

    async def group(self, account, region, name):
        return self.all.get(name)

    async def set_desired(self, account, region, name, count):
        self.calls.append(("desired", name, count))
        self._scale(name, count)

    async def terminate(self, account, region, instance_id):
        self.calls.append(("terminate", instance_id))
        name = self.ec2.all[instance_id].group
        self.ec2.put(instance_id, "terminated")
        group = self.all[name]
        members = tuple(one for one in group.members if one.id != instance_id)
        self.all[name] = replace(group, desired=group.desired - 1, members=members)

    async def replace(self, account, region, instance_id):
        self.calls.append(("replace", instance_id))
        name = self.ec2.all[instance_id].group
        await self.terminate(account, region, instance_id)
        self._scale(name, self.all[name].desired + 1)

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


@dataclass
class Heard:
    """HostEvents that remember."""

    clusters: set = field(default_factory=lambda: {"web"})
    said: list = field(default_factory=list)
    here: dict = field(default_factory=dict)
    rounds: int = 0  # how often there is something to be waited for
    when_retiring: object = None

    def wanted(self, account, region, cluster):
        return cluster in self.clusters

    async def joined(self, host):
        self.said.append(("joined", host.id))
        self.here[host.id] = host

    async def stopped(self, host):
        self.said.append(("stopped", host.id))
        self.here.pop(host.id, None)

    async def left(self, host):
        self.said.append(("left", host.id))
        self.here.pop(host.id, None)

    async def retiring(self, instance_ids):
        self.said.append(("retiring", *instance_ids))
        if self.when_retiring is not None:
            self.when_retiring()
        self.rounds -= 1
        return self.rounds >= 0

    def retired(self, instance_ids):
        self.said.append(("retired", *instance_ids))

    async def leaving(self, host):
        self.said.append(("leaving", host.id))


class Used(list):
    """A UsageLedger."""

    def keep(self, *records):
        self.extend(records)


class Told(list):
    """An EventBus."""

    async def listens(self, account, region):
        return True

    async def put(self, account, region, source, detail_type, detail, resources=(), *, at=None):
        self.append((source, detail_type, dict(detail), list(resources)))


class World:
    """Everything, on one event loop; `again` is a restart after a kill."""

    def __init__(self, path, *, vcpus=8.0, memory_mib=16384, capabilities=None, machine="x86_64"):
        self.path = path
        self.vcpus, self.memory_mib = vcpus, memory_mib
        self.machine = machine
        self.clock = VirtualClock()
        self.ec2 = FakeEc2(self.clock)
        self.groups = FakeGroups(self.ec2)
        self.host = FakeHost()
        self.engine = FakeEngine(self.clock, host=self.host)
        if capabilities is not None:
            self.engine.capabilities = frozenset(capabilities)
        self.heard, self.used, self.told, self.notes = Heard(), Used(), Told(), []
        self.known = True
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.carriage = Carriage(self.vcpus, self.memory_mib)
        self.house = Ec2House(
            store=self.store,
            clock=self.clock,
            carriage=self.carriage,
            machines=self.ec2,
            groups=self.groups,
            usages=self.used,
            bus=self.told,
            knows=lambda: self.known,
            engine=self._engine,
            note=self.notes.append,
            machine=self.machine,
        )
        self.house.connect(self.heard)
        self.guards = self.house.guards()

    async def _engine(self):
        return self.engine

    async def again(self):
        await self.store.close()
        self.open()
        await self.house.start()

    async def call(self, action, service="ec2", effect=None, **form):
        """A call as it comes through the companions: before, what it does, after; then what follows of it."""
        call = Call(ACCOUNT, REGION, action, {"Action": action, **{name: str(v) for name, v in form.items()}})
        guard = self.guards[service]
        changed = await guard.before(call)
        given = effect(changed or call.form) if effect else None
        guard.after(call, done=True)
        return given

    async def run(self, count=1, least=None, kind="t3.micro", image=ECS_IMAGE, data=None, settle=True):
        """RunInstances; the ids."""
        data = user_data() if data is None else data

        def effect(form):
            return [self.ec2.run(kind, image=image, data=data) for _ in range(int(form["MinCount"]))]

        ids = await self.call(
            "RunInstances",
            effect=effect,
            MinCount=count if least is None else least,
            MaxCount=count,
            InstanceType=kind,
            ImageId=image,
            UserData=data,
        )
        if settle:
            await self.house.step()
        return ids

    async def change(self, action, id_, state):
        await self.call(action, effect=lambda _form: self.ec2.put(id_, state), **{"InstanceId.1": id_})
        await self.house.step()

    def slices(self):
        return sorted(name for _, name in self.host.slices)
