"""What a container instance has, and what its tasks leave of it.  Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from cumulo.base.instances import usable_mib
from cumulo.services.ecs.model import CPU_UNITS, ContainerInstance, Task, TaskStatus

AGENT_PORTS: Final = (22, 2375, 2376, 51678, 51679)  # reserved on every instance, as AWS's agent does
_PENDING: Final = frozenset({TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING})


def registered_memory(memory_mib: int, reserved_mib: int) -> int:
    """What of a type's memory an agent registers: less than the type has, and without what is reserved."""
    return max(0, usable_mib(memory_mib) - reserved_mib)


def registered_cpu(vcpus: int) -> int:
    """The CPU units of so many vCPUs."""
    return vcpus * CPU_UNITS


def registered(instance: ContainerInstance) -> list[dict[str, Any]]:
    """`registeredResources`."""
    return _shown(instance.cpu_units, instance.memory_mib, instance.ports_tcp, instance.ports_udp)


def remaining(instance: ContainerInstance, tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """`remainingResources`: without what its live tasks hold; the ports are those that are taken."""
    cpu, memory = instance.cpu_units, instance.memory_mib
    tcp, udp = set(instance.ports_tcp), set(instance.ports_udp)
    for task in tasks:
        if not task.is_live or task.instance_arn != instance.arn:
            continue
        cpu -= task.cpu_units
        memory -= task.memory_mib
        for port, protocol in ports_of(task):
            (udp if protocol == "udp" else tcp).add(port)
    return _shown(cpu, memory, sorted(tcp), sorted(udp))


def ports_of(task: Task) -> set[tuple[int, str]]:
    """The host ports that a task holds on its instance: those it asked for, and those it was given."""
    given = {
        (int(binding["hostPort"]), str(binding.get("protocol", "tcp")))
        for container in task.containers
        for binding in container.bindings
        if binding.get("hostPort")
    }
    return given | set(task.host_ports)


def counts(instance: ContainerInstance, tasks: Iterable[Task]) -> tuple[int, int]:
    """How many of its tasks run, and how many will."""
    own = [task.last_status for task in tasks if task.instance_arn == instance.arn]
    return sum(one is TaskStatus.RUNNING for one in own), sum(one in _PENDING for one in own)


def _shown(cpu: int, memory: int, tcp: Sequence[int], udp: Sequence[int]) -> list[dict[str, Any]]:
    return [
        _number("CPU", cpu),
        _number("MEMORY", memory),
        _ports("PORTS", tcp),
        _ports("PORTS_UDP", udp),
    ]


def _number(name: str, value: int) -> dict[str, Any]:
    return {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value}


def _ports(name: str, ports: Sequence[int]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(port) for port in ports],
    }
