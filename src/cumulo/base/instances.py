"""EC2's instances, as its parts need to know of one another: what EC2 tells, who gives instances a body, who uses them.

Machines, Groups  the companions for EC2 and Auto Scaling, which keep every instance
Fleet             the same EC2, for who launches instances (Batch)
Hosts             the instances that have a body here: a slice of this machine
HostEvents        who wants to hear of them (ECS: they become container instances)
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec


class SeenInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as EC2 describes it.

    state       pending, running, shutting-down, terminated, stopping or stopped
    group       name of its Auto Scaling group, or empty
    launched_at seconds since the epoch
    """

    account: str
    region: str
    id: str
    state: str
    kind: str  # its type: t3.micro
    image: str = ""
    zone: str = ""
    subnet: str = ""
    network: str = ""
    private_ip: str = ""
    architecture: str = "x86_64"
    platform: str = ""  # windows, or empty
    spot: bool = False
    group: str = ""
    launched_at: float = 0.0
    tags: Mapping[str, str] = {}


class SeenImage(msgspec.Struct, frozen=True):
    """A machine image: id, name, architecture (x86_64, arm64), and `windows` or nothing."""

    id: str
    name: str
    architecture: str = "x86_64"
    platform: str = ""


class Template(msgspec.Struct, frozen=True):
    """What a launch template says of instances; empty what it leaves open.  `user_data` is in base64."""

    image: str = ""
    kind: str = ""
    user_data: str = ""
    spot: bool = False


class Machines(Protocol):
    """EC2, wherever its companion lives.  Every call: AwsError as EC2 says it."""

    async def instances(self, account: str, region: str) -> list[SeenInstance]:
        """All instances; of terminated ones some, or none."""
        ...

    async def user_data(self, account: str, region: str, instance_id: str) -> str:
        """An instance's user data in base64; empty without."""
        ...

    async def image(self, account: str, region: str, image_id: str) -> SeenImage | None:
        """A machine image, or None when EC2 does not know it."""
        ...

    async def kind(self, account: str, region: str, name: str) -> tuple[int, int, str] | None:
        """vCPUs, MiB of memory and architecture (x86_64, arm64) of an instance type, or None when there is none."""
        ...

    async def template(self, account: str, region: str, *, id_: str, name: str, version: str) -> Template:
        """A version ($Default, $Latest or a number) of a launch template, by its id or its name."""
        ...

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        """End an instance."""
        ...

    async def stop(self, account: str, region: str, instance_id: str) -> None:
        """Stop an instance, which can be started again."""
        ...


_SYSTEM_SHARE: Final = (
    18  # of memory, one part is the kernel's: AWS's images show about so much less than the type
)
_SYSTEM_MIB_LEAST: Final = 72


def usable_mib(memory_mib: int) -> int:
    """What of a type's memory an ECS agent registers: less than the type has."""
    return max(0, memory_mib - max(_SYSTEM_MIB_LEAST, memory_mib // _SYSTEM_SHARE))


class InstanceKind(msgspec.Struct, frozen=True):
    """An instance type; `architecture` is x86_64 or arm64."""

    name: str
    vcpus: int
    memory_mib: int
    architecture: str = "x86_64"
    gpus: int = 0


class InstanceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that are to be launched, as RunInstances takes it; empty what is left to a launch template or to EC2.

    count      at most so many, at least one
    profile    name or ARN of an instance profile
    max_price  USD an hour that a spot instance may cost; empty: what it costs on demand
    user_data  in base64
    """

    account: str
    region: str
    kind: str
    count: int = 1
    image: str = ""
    subnet: str = ""
    security_groups: Sequence[str] = ()
    profile: str = ""
    key: str = ""
    placement_group: str = ""
    spot: bool = False
    max_price: str = ""
    user_data: str = ""
    template: "TemplateName | None" = None
    tags: Mapping[str, str] = {}


class TemplateName(msgspec.Struct, frozen=True):
    """A launch template by id or name, and its version ($Default, $Latest or a number)."""

    id: str = ""
    name: str = ""
    version: str = "$Default"


class Fleet(Protocol):
    """EC2 for who launches instances, wherever its companion lives.  Every call: AwsError as EC2 says it."""

    async def launch(self, order: InstanceOrder) -> list[str]:
        """The ids of the instances that were launched: one at least."""
        ...

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        """End an instance."""
        ...

    async def instances(self, account: str, region: str) -> list[SeenInstance]:
        """All instances; of terminated ones some, or none."""
        ...

    async def sizes(self, account: str, region: str, name: str) -> list[InstanceKind]:
        """An instance type (m5.large), or all of a family (m5); none when EC2 knows no such."""
        ...

    async def template(self, account: str, region: str, *, id_: str, name: str, version: str) -> Template:
        """A version of a launch template."""
        ...


class GroupMember(msgspec.Struct, frozen=True):
    """An instance of an Auto Scaling group.  `state` is InService, Pending, Terminating, Standby, ..."""

    id: str
    state: str
    protected: bool = False  # from scale-in
    kind: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """An Auto Scaling group.  `new_protected`: instances that come are protected from scale-in.

    on_demand_*   how many instances are no spot instances: so many, and this share (per cent) of the others
    """

    name: str
    arn: str
    least: int
    most: int
    desired: int
    new_protected: bool = False
    members: Sequence[GroupMember] = ()
    kind: str = ""  # the instance type that it launches, when it is known
    on_demand_base: int = 0
    on_demand_percent: int = 100
    tags: Mapping[str, str] = {}


class Groups(Protocol):
    """Auto Scaling, wherever its companion lives.  Every call: AwsError as Auto Scaling says it."""

    async def group(self, account: str, region: str, name: str) -> Group | None:
        """A group, or None when there is none of this name."""
        ...

    async def set_desired(self, account: str, region: str, name: str, count: int) -> None:
        """How many instances it should have."""
        ...

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        """End one of a group's instances, and want one less."""
        ...

    async def replace(self, account: str, region: str, instance_id: str) -> None:
        """End one of a group's instances; the group may put another in its place."""
        ...

    async def tag(self, account: str, region: str, name: str, key: str, value: str) -> None:
        """Tag a group, and the instances that come."""
        ...

    async def protect(
        self, account: str, region: str, name: str, instance_ids: Sequence[str], *, protected: bool
    ) -> None:
        """Protect instances of a group from scale-in, or no longer."""
        ...


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance's user data says to the ECS agent.

    cluster        empty: not said, and the agent joins `default`
    reserved_mib   memory that is kept from tasks
    """

    cluster: str = ""
    attributes: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    reserved_mib: int = 0
    spot_draining: bool = False
    propagate_tags: bool = False  # the instance's tags become the container instance's


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """An instance with a body: a part of this machine, with an ECS agent's settings.

    running     false while it is stopped
    slice       name of the engine's slice; empty where the engine has none, or not yet
    address     under which this machine and pods reach its host ports; empty likewise
    vcpus, memory_mib  of its type
    """

    account: str
    region: str
    id: str
    kind: str
    vcpus: int
    memory_mib: int
    running: bool = True
    slice: str = ""
    address: str = ""
    image: str = ""
    zone: str = ""
    subnet: str = ""
    network: str = ""
    architecture: str = "x86_64"
    spot: bool = False
    group: str = ""
    tags: Mapping[str, str] = {}
    agent: AgentSettings = AgentSettings()


class HostEvents(Protocol):
    """Who uses the instances.  Every call is harmless when repeated, and committed when it returns."""

    def wanted(self, account: str, region: str, cluster: str) -> bool:
        """Whether there is a cluster of this name to join."""
        ...

    async def joined(self, host: Host) -> None:
        """An instance runs, also again."""
        ...

    async def stopped(self, host: Host) -> None:
        """An instance does not run now; it may again."""
        ...

    async def left(self, host: Host) -> None:
        """An instance is terminated."""
        ...

    async def leaving(self, host: Host) -> None:
        """A spot instance will be taken away soon."""
        ...

    async def retiring(self, instance_ids: Sequence[str]) -> bool:
        """Their group is about to end these: take nothing new to them.  Whether something on them is to be waited for."""
        ...

    def retired(self, instance_ids: Sequence[str]) -> None:
        """Nobody ends them any more: those that are still there are as good as others when they join again."""
        ...


class Hosts(Protocol):
    """The instances that have a body."""

    def host(self, instance_id: str) -> Host | None:
        """One of them, or None."""
        ...

    def hosts(self) -> Sequence[Host]:
        """All of them."""
        ...

    async def embody(self, account: str, region: str, instance_id: str, cluster: str) -> Host | None:
        """An agent on a running instance registers it in a cluster: it gets a body if it has none.

        None when EC2 shows no such running instance, or this machine has no room for it.
        """
        ...

    def room_for(self, kind: str) -> int:
        """How many more instances of a type this machine has room for; 0 for a type that is not known."""
        ...

    def wake(self) -> None:
        """Look again soon: something changed that decides who has a body."""
        ...
