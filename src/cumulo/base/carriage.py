"""What this machine can carry, and for whom: nothing is promised twice."""

import os
from collections.abc import Callable

import msgspec

from cumulo.base.limits import MIB

_MEMORY_SHARE = 0.9  # of what is there: the rest is the machine's own


class Load(msgspec.Struct, frozen=True):
    """What somebody is promised."""

    vcpus: float = 0.0
    memory_mib: int = 0


class Carriage:
    """The machine's vCPUs and memory, times what over-commit allows.

    Those who promise (ECS on Fargate, EC2) say through a function how much they have promised; what is left is
    always derived, never kept.
    """

    def __init__(self, vcpus: float, memory_mib: int, overcommit: float = 1.0) -> None:
        self.vcpus = vcpus * overcommit
        self.memory_mib = int(memory_mib * overcommit)
        self._promises: list[Callable[[], Load]] = []

    def add(self, promised: Callable[[], Load]) -> None:
        """From now on `promised` counts."""
        self._promises.append(promised)

    def room(self) -> tuple[float, int]:
        """The vCPUs and MiB of memory that are not promised to anybody; not below 0."""
        loads = [promised() for promised in self._promises]
        vcpus = self.vcpus - sum(load.vcpus for load in loads)
        memory = self.memory_mib - sum(load.memory_mib for load in loads)
        return max(0.0, vcpus), max(0, memory)


def this_machine(overcommit: float = 1.0) -> Carriage:
    """The processors that this process may use, and nine tenths of the memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    return Carriage(len(os.sched_getaffinity(0)), int(memory * _MEMORY_SHARE), overcommit)
