"""Which tasks go first, and which capacity provider the next ones take.  Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.scheduling.health import Standing

_FIRST = {Standing.SICK: 0, Standing.PENDING: 1, Standing.STARTING: 2, Standing.HEALTHY: 3}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A live task as the plan looks at it.

    doomed     it stands where no task of the service is wanted any more (a draining instance, ...)
    waits      it waits for capacity
    protected_until   it must not be stopped before this moment
    reason, target_group, port   why it is sick
    """

    arn: str
    id: str
    deployment: str
    standing: Standing
    created_at: float = 0.0
    zone: str = ""
    instance: str = ""
    provider: str = ""
    doomed: bool = False
    waits: bool = False
    protected_until: float = 0.0
    reason: str = ""
    target_group: str = ""
    port: int = 0


def order(pieces: Sequence[Piece], count: int | None = None, among: Sequence[Piece] = ()) -> list[Piece]:
    """Those that scaling in would stop, the first victim first; at most `count`.

    Sick and unstarted tasks go before healthy ones.  Among equals the fullest zone loses one, in it the fullest
    instance, there the newest task: so what stays is spread.  `among`: all that count for how full they are.
    """
    if count == 0:
        return []
    zones = Counter(one.zone for one in among or pieces)
    instances = Counter(one.instance for one in among or pieces)
    wanted = len(pieces) if count is None else count
    ordered: list[Piece] = []
    for rank in range(len(_FIRST)):
        left = _Pile([one for one in pieces if _FIRST[one.standing] == rank])
        while len(ordered) < wanted and (victim := left.take(zones, instances)) is not None:
            ordered.append(victim)
            zones[victim.zone] -= 1
            instances[victim.instance] -= 1
    return ordered


class _Pile:
    """Tasks by zone and instance, each instance's newest last."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._by: dict[str, dict[str, list[Piece]]] = {}
        for one in sorted(pieces, key=lambda one: (one.created_at, one.id)):
            self._by.setdefault(one.zone, {}).setdefault(one.instance, []).append(one)

    def take(self, zones: Mapping[str, int], instances: Mapping[str, int]) -> Piece | None:
        """Remove the next victim."""
        if not self._by:
            return None
        zone = max(self._by, key=lambda one: (zones[one], one))
        there = self._by[zone]
        instance = max(there, key=lambda one: (instances[one], there[one][-1].created_at, one))
        victim = there[instance].pop()
        if not there[instance]:
            del there[instance]
        if not there:
            del self._by[zone]
        return victim


def split(strategy: Sequence[Document], there: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of `count` new tasks each capacity provider gets, when it has so many already.

    The one with a base is filled up to it first; after that, whoever is furthest below its weight's share.
    """
    have = {str(one["capacityProvider"]): there.get(str(one["capacityProvider"]), 0) for one in strategy}
    bases = {str(one["capacityProvider"]): int(one.get("base", 0) or 0) for one in strategy}
    weights = {str(one["capacityProvider"]): int(one.get("weight", 0) or 0) for one in strategy}
    new: dict[str, int] = {}
    for _ in range(count):
        lacking = [name for name in have if have[name] < bases[name]]
        weighted = [name for name in have if weights[name] > 0]
        if not lacking and not weighted:
            break
        if lacking:
            name = lacking[0]
        else:
            name = min(weighted, key=lambda one: (max(0, have[one] - bases[one]) + 1) / weights[one])
        have[name] += 1
        new[name] = new.get(name, 0) + 1
    return new


def skew(pieces: Sequence[Piece], zones: Sequence[str]) -> int:
    """By how many tasks the fullest zone is ahead of the emptiest."""
    counts = Counter(one.zone for one in pieces)
    known = [counts[zone] for zone in zones] or [0]
    return max(known) - min(known)
