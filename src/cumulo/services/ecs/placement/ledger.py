"""What is used of every container instance, and what Fargate has promised: kept up with each change, never recounted.

`heard_task` and `heard_instance` are listeners of the shelves; a task counts from its creation until it is STOPPED.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from cumulo.services.ecs.capacity.resources import ports_of
from cumulo.services.ecs.model import ContainerInstance, Task, TaskStatus
from cumulo.services.ecs.placement.interfaces import awsvpc_tasks_max

K = TypeVar("K")
_PENDING = frozenset({TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING})
_ZONE = "ecs.availability-zone"
_TYPE = "ecs.instance-type"
_CHANGES_MIN = 1000
_TRUNK = "ecs.awsvpc-trunk-id"


class Host:
    """A container instance with what its tasks leave of it.

    cpu, memory      units and MiB that are free; below 0 when the instance has shrunk under its tasks
    ports            taken host ports with their protocol, and by how many tasks
    groups           live tasks that are wanted RUNNING, by task group: what spreads and distinctInstance look at
    interfaces       network interfaces of awsvpc tasks; `interfaces_max`: None when there is no limit
    """

    __slots__ = (
        "attributes",
        "cpu",
        "groups",
        "instance",
        "interfaces",
        "interfaces_max",
        "memory",
        "pending",
        "ports",
        "running",
        "tasks",
    )

    def __init__(self) -> None:
        self.instance: ContainerInstance | None = None
        self.attributes: Mapping[str, str] = {}
        self.cpu = 0
        self.memory = 0
        self.ports: Counter[tuple[int, str]] = Counter()
        self.groups: Counter[str] = Counter()
        self.tasks = 0
        self.running = 0
        self.pending = 0
        self.interfaces = 0
        self.interfaces_max: int | None = None

    @property
    def arn(self) -> str:
        """Of the instance; empty when there is none (any more)."""
        return self.instance.arn if self.instance else ""

    @property
    def registered_at(self) -> float:
        """Seconds since the epoch."""
        return self.instance.registered_at if self.instance else 0.0

    @property
    def ec2_id(self) -> str:
        """The id of the EC2 instance."""
        return self.instance.ec2_id if self.instance else ""

    @property
    def agent_connected(self) -> bool:
        """Whether its agent can be reached."""
        return self.instance is not None and self.instance.agent_connected

    def count(self, task: Task, sign: int) -> None:
        """Add (1) or take away (-1) a live task."""
        self.cpu -= sign * task.cpu_units
        self.memory -= sign * task.memory_mib
        self.tasks += sign
        self.running += sign * (task.last_status is TaskStatus.RUNNING)
        self.pending += sign * (task.last_status in _PENDING)
        self.interfaces += sign * bool(task.attachment_id)
        for port in ports_of(task):  # also those that it was given: nobody may ask for them meanwhile
            _add(self.ports, port, sign)
        if task.desired_status == "RUNNING":
            _add(self.groups, task.group, sign)

    def become(self, instance: ContainerInstance | None) -> None:
        """The instance has come, has changed, or is gone."""
        before, self.instance = self.instance, instance
        self.cpu += (instance.cpu_units if instance else 0) - (before.cpu_units if before else 0)
        self.memory += (instance.memory_mib if instance else 0) - (before.memory_mib if before else 0)
        for one, sign in ((before, -1), (instance, 1)):
            if one is not None:
                for port in one.ports_tcp:
                    _add(self.ports, (port, "tcp"), sign)
                for port in one.ports_udp:
                    _add(self.ports, (port, "udp"), sign)
        self.attributes = _attributes(instance) if instance else {}
        trunked = _TRUNK in self.attributes  # the instance has taken up the account setting awsvpcTrunking
        self.interfaces_max = (
            None if instance is None or trunked else awsvpc_tasks_max(instance.instance_type)
        )


class Fleet:
    """The container instances of one cluster, in whatever state, and which of them have changed since a mark."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._changed: list[Host] = []
        self._forgotten = 0  # how many changes were noted before those in the list

    def note(self, host: Host) -> None:
        """The host is not as it was."""
        self._changed.append(host)
        if len(self._changed) > _CHANGES_MIN + 2 * len(self.hosts):
            self._forgotten += len(self._changed)
            self._changed.clear()

    def mark(self) -> int:
        """Now, for `since`."""
        return self._forgotten + len(self._changed)

    def since(self, mark: int) -> Iterable[Host] | None:
        """What has changed since a mark, each once; None when that is too long ago to know."""
        if mark < self._forgotten:
            return None
        return dict.fromkeys(self._changed[mark - self._forgotten :])


class Ledger:
    """The hosts of every cluster, and the sums of Fargate."""

    def __init__(self) -> None:
        self.fargate_cpu = 0  # units
        self.fargate_memory = 0  # MiB
        self._hosts: dict[str, Host] = {}
        self._fleets: dict[str, Fleet] = {}
        self._zones: dict[tuple[str, str], Counter[str]] = {}
        self._waiting: Counter[str] = Counter()

    def heard_task(self, before: Task | None, after: Task | None) -> None:
        """A task was written or removed."""
        if before is not None and before.is_live:
            self._count(before, -1)
        if after is not None and after.is_live:
            self._count(after, 1)

    def heard_instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        """A container instance was written or removed."""
        known = after or before
        if known is None:
            return
        host = self._host(known.arn)
        host.become(after)
        fleet = self._fleets.setdefault(known.cluster_arn, Fleet())
        fleet.note(host)
        if after is not None:
            fleet.hosts[after.arn] = host
            return
        fleet.hosts.pop(known.arn, None)
        if not fleet.hosts:
            del self._fleets[known.cluster_arn]
        self._forget_empty(known.arn, host)

    def fleet(self, cluster_arn: str) -> Fleet:
        """The container instances of a cluster."""
        return self._fleets.get(cluster_arn) or Fleet()

    def hosts(self, cluster_arn: str) -> Collection[Host]:
        """The same, without their changes."""
        return self.fleet(cluster_arn).hosts.values()

    def host(self, instance_arn: str) -> Host | None:
        """One container instance."""
        host = self._hosts.get(instance_arn)
        return host if host is not None and host.instance is not None else None

    def zones(self, cluster_arn: str, group: str) -> Mapping[str, int]:
        """How many live Fargate tasks of a group are in each zone."""
        return self._zones.get((cluster_arn, group), {})

    def waiting(self, cluster_arn: str) -> int:
        """How many tasks of a cluster wait for capacity."""
        return self._waiting[cluster_arn]

    def _count(self, task: Task, sign: int) -> None:
        if task.waits:
            _add(self._waiting, task.cluster_arn, sign)
        if task.is_fargate:
            self.fargate_cpu += sign * task.cpu_units
            self.fargate_memory += sign * task.memory_mib
            key = (task.cluster_arn, task.group)
            zones = self._zones.setdefault(key, Counter())
            _add(zones, task.availability_zone, sign)
            if not zones:
                del self._zones[key]
        elif task.instance_arn:
            host = self._host(task.instance_arn)
            host.count(task, sign)
            if host.instance is not None:
                self._fleets[host.instance.cluster_arn].note(host)
            self._forget_empty(task.instance_arn, host)

    def _host(self, arn: str) -> Host:
        host = self._hosts.get(arn)
        if host is None:
            host = self._hosts[arn] = Host()
        return host

    def _forget_empty(self, arn: str, host: Host) -> None:
        """An instance that is gone is remembered as long as tasks hold on to it."""
        if host.instance is None and host.tasks == 0:
            self._hosts.pop(arn, None)


def _add(counter: Counter[K], key: K, sign: int) -> None:
    counter[key] += sign
    if not counter[key]:
        del counter[key]


def _attributes(instance: ContainerInstance) -> Mapping[str, str]:
    known = {_ZONE: instance.availability_zone, _TYPE: instance.instance_type}
    named = {name: value for name, value in known.items() if value}
    return named | {str(one["name"]): str(one.get("value") or "") for one in instance.attributes}
