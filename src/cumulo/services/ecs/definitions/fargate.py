"""The sizes that Fargate has.  Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from cumulo.services.ecs.model import MIB_PER_GIB

STORAGE_GIB = 20  # that every task has
STORAGE_LEAST, STORAGE_MOST = 21, 200  # that may be asked for


def _gib(first: int, last: int, step: int = 1) -> tuple[int, ...]:
    return tuple(size * MIB_PER_GIB for size in range(first, last + 1, step))


SIZES: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        256: (512, 1024, 2048),
        512: _gib(1, 4),
        1024: _gib(2, 8),
        2048: _gib(4, 16),
        4096: _gib(8, 30),
        8192: _gib(16, 60, 4),
        16384: _gib(32, 120, 8),
        32768: (60 * MIB_PER_GIB, 120 * MIB_PER_GIB, 244 * MIB_PER_GIB),
    }
)
"""MiB of memory by CPU units."""


def has_size(cpu_units: int, memory_mib: int) -> bool:
    """Whether a task can have this much of both."""
    return memory_mib in SIZES.get(cpu_units, ())


def no_size(cpu_units: int, memory_mib: int) -> str:
    """AWS's sentence for a size that is not there."""
    return (
        f"No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory. "
        "See the Amazon ECS documentation for the valid values."
    )
