"""Units of usage, and how each is counted in whole numbers.

Quantities arrive as floats in a price line's unit and are added as integers of a smaller unit, so that a
million small records make exactly the sum that one large record makes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_HOUR_MS = 3_600_000


class Unit(NamedTuple):
    """`atoms` whole numbers make one unit; `label` is how people write it."""

    atoms: int
    label: str


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "request": Unit(1, "requests"),
        "message": Unit(1, "messages"),
        "operation": Unit(1, "operations"),
        "query": Unit(1, "queries"),
        "connection-minute": Unit(60_000, "connection-minutes"),
        "GB-second": Unit(1_024_000, "GB-s"),  # MB-milliseconds
        "GB": Unit(1 << 30, "GB"),  # bytes
        "GB-month": Unit(10**12, "GB-months"),
        "second": Unit(1000, "s"),  # milliseconds
        "hour": Unit(_HOUR_MS, "hours"),
        "vCPU-hour": Unit(1024 * _HOUR_MS, "vCPU-hours"),  # 1/1024 vCPU for a millisecond, ECS's CPU unit
        "GB-hour": Unit(1024 * _HOUR_MS, "GB-hours"),
    }
)
_OTHER_ATOMS = 10**9


def unit(name: str) -> Unit:
    """The unit of that name; one that is not listed is counted in thousand-millionths."""
    return UNITS.get(name) or Unit(_OTHER_ATOMS, name)
