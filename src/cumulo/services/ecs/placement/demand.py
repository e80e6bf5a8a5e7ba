"""What a task asks of a container instance, and why an instance cannot give it."""

from typing import Final

import msgspec

from cumulo.services.ecs.model import Document, Task, TaskDefinition
from cumulo.services.ecs.placement.constraints import Constraints
from cumulo.services.ecs.placement.ledger import Host
from cumulo.services.ecs.sizes import overridden

INACTIVE: Final = "INACTIVE"
AGENT: Final = "AGENT"
ATTRIBUTE: Final = "ATTRIBUTE"
MEMBER_OF: Final = "MemberOf placement constraint unsatisfied."
DISTINCT: Final = "DistinctInstance placement constraint unsatisfied."
LOCATION: Final = "LOCATION"
GPU: Final = "RESOURCE:GPU"
ENI: Final = "RESOURCE:ENI"
PORTS: Final = "RESOURCE:PORTS"
MEMORY: Final = "RESOURCE:MEMORY"
CPU: Final = "RESOURCE:CPU"

_NEARER: Final = (INACTIVE, AGENT, ATTRIBUTE, MEMBER_OF, DISTINCT, LOCATION, GPU, ENI, PORTS, MEMORY, CPU)
_RANK: Final = {reason: rank for rank, reason in enumerate(_NEARER)}
_SAID: Final = {
    CPU: "has insufficient CPU units available.",
    MEMORY: "has insufficient memory available.",
    PORTS: "is already using a port required by your task.",
    ATTRIBUTE: "is missing an attribute required by your task.",
}
PORTS_MAX: Final = 100  # reserved on one instance
_ARCHITECTURE: Final = "ecs.cpu-architecture"


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one task needs.

    attributes   names that an instance must have, with the value where one is asked for
    zones        of the subnets of an awsvpc task; empty: any
    provider     only instances of this capacity provider; empty: any
    """

    group: str
    cpu: int = 0
    memory: int = 0
    ports: tuple[tuple[int, str], ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    gpus: int = 0
    interface: bool = False
    zones: frozenset[str] = frozenset()
    provider: str = ""
    constraints: Constraints = Constraints()


def demand_of(
    definition: TaskDefinition,
    task: Task,
    *,
    constraints: Constraints | None = None,
    zones: frozenset[str] = frozenset(),
) -> Demand:
    """What a task that is to come needs."""
    return Demand(
        group=task.group,
        cpu=task.cpu_units,
        memory=task.memory_mib,
        ports=task.host_ports,
        attributes=_required(definition.document),
        gpus=sum(_gpus(overridden(one, task.overrides)) for one in definition.containers),
        interface=definition.network_mode == "awsvpc",
        zones=zones,
        provider=task.capacity_provider,
        constraints=constraints or Constraints(),
    )


def daemon_demand(definition: TaskDefinition, group: str, constraints: Constraints) -> Demand:
    """What the tasks of a daemon service ask of their instances, whatever these have left."""
    return Demand(
        group=group,
        attributes=_required(definition.document),
        interface=definition.network_mode == "awsvpc",
        constraints=constraints,
    )


def obstacle(host: Host, demand: Demand) -> str:
    """Why a task cannot go there, as AWS calls it; empty when it can."""
    barred = unsuited(host, demand)
    if barred:
        return barred
    if demand.gpus:
        return GPU  # no instance of ours has any
    if demand.interface and host.interfaces_max is not None and host.interfaces >= host.interfaces_max:
        return ENI
    if demand.ports:
        ports = host.ports
        if len(ports) + len(demand.ports) > PORTS_MAX or any(port in ports for port in demand.ports):
            return PORTS
    if demand.memory > host.memory:
        return MEMORY
    return CPU if demand.cpu > host.cpu else ""


def unsuited(host: Host, demand: Demand) -> str:
    """The same, whatever the instance has left: what a daemon's instances are chosen by."""
    instance = host.instance
    if instance is None or instance.status != "ACTIVE":
        return INACTIVE
    if not instance.agent_connected:
        return AGENT
    for name, value in demand.attributes:
        has = host.attributes.get(name)
        if has is None or (value and has != value):
            return ATTRIBUTE
    constraints = demand.constraints
    if not constraints.admits(host):
        return MEMBER_OF
    if constraints.distinct and demand.group in host.groups:
        return DISTINCT
    if demand.zones and instance.availability_zone not in demand.zones:
        return LOCATION
    return ""


def nearness(reason: str) -> int:
    """How near an instance came to taking the task: more is nearer."""
    return _RANK.get(reason, -1)


def said(reason: str) -> str:
    """The reason as a service's event says it of the closest matching instance."""
    return _SAID.get(reason) or f'encountered error "{reason}".'


def _required(document: Document) -> tuple[tuple[str, str], ...]:
    found = [
        (str(one["name"]), str(one.get("value") or "")) for one in document.get("requiresAttributes", ())
    ]
    wanted = (document.get("runtimePlatform") or {}).get("cpuArchitecture")
    if wanted and all(name != _ARCHITECTURE for name, _ in found):
        found.append((_ARCHITECTURE, str(wanted).lower()))
    return tuple(found)


def _gpus(container: Document) -> int:
    asked = container.get("resourceRequirements", ())
    return sum(
        int(one["value"]) for one in asked if one.get("type") == "GPU" and str(one["value"]).isdecimal()
    )
