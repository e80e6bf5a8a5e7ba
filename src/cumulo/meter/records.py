"""Usage as it is kept: whole numbers of small units, by resource and hour."""

from collections.abc import Iterator
from typing import NamedTuple

from cumulo.base.ports import Usage

HOUR_MS = 3_600_000
QUANTITY_MAX = 1e12  # of one record; more is a mistake of who recorded it
HOURS_SPANNED_MAX = 24 * 366


class Use(NamedTuple):
    """`atoms / scale` units of a kind, used by one resource.

    `hour` counts from the epoch; where several hours were added up, it is the first of them.
    """

    account: str
    region: str
    service: str
    kind: str
    resource: str
    hour: int
    scale: int
    atoms: int


def counted(usage: Usage, scale: int) -> int:
    """The quantity of a record in atoms; ValueError when it is no quantity."""
    if not 0 <= usage.quantity <= QUANTITY_MAX:
        raise ValueError(f"{usage.service} {usage.kind}: {usage.quantity} is no quantity")
    return round(usage.quantity * scale)


def by_hour(start_ms: int, end_ms: int, atoms: int) -> Iterator[tuple[int, int]]:
    """Share atoms out over the hours they were used in; what does not divide goes to the first."""
    first = start_ms // HOUR_MS
    last = max(first, (end_ms - 1) // HOUR_MS)
    if first == last or last - first > HOURS_SPANNED_MAX:
        yield first, atoms
        return
    span = end_ms - start_ms
    later = [
        (hour, atoms * (min(end_ms, (hour + 1) * HOUR_MS) - hour * HOUR_MS) // span)
        for hour in range(first + 1, last + 1)
    ]
    yield first, atoms - sum(share for _, share in later)
    yield from ((hour, share) for hour, share in later if share)
