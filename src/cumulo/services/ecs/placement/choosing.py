"""Which container instance takes a task: those that can, ordered by the strategies, in turn.

Instances that share the values of all attributes that are spread over form a cell; inside a cell only what an
instance itself has (free CPU and memory, tasks of the group) orders them.  So every cell is a heap, and a choice that is
kept looks again only at the instances that have changed: a decision costs a look at the cells, not at the instances.
"""

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.placement.demand import Demand, nearness, obstacle
from cumulo.services.ecs.placement.ledger import Fleet, Host
from cumulo.services.ecs.refusals import invalid

STRATEGIES_MAX: Final = 5
SPREAD_ZONES_THEN_INSTANCES: Final[tuple[Document, ...]] = (
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "spread", "field": "instanceId"},
)
"""What services do when nothing was asked for."""

_INSTANCE: Final = frozenset({"instanceId", "host"})
_STALE_MIN: Final = 1000  # entries of heaps that are void, before the heaps are made anew
_Cell = tuple[str, ...]
_Entry = tuple[tuple[float, ...], float, int, Host]


class Strategy(msgspec.Struct, frozen=True):
    """One rule.  `attribute` is what it spreads over; else `field` is instanceId, cpu or memory."""

    field: str = ""
    attribute: str = ""

    def of(self, host: Host, group: str) -> float:
        """How little an instance is wanted."""
        if self.field == "cpu":
            return host.cpu
        return host.memory if self.field == "memory" else host.groups.get(group, 0)


def strategies_of(documents: Sequence[Document]) -> tuple[Strategy, ...]:
    """The rules of a request, without `random` ones: what is left open is open to chance.  AwsError for what is none."""
    if len(documents) > STRATEGIES_MAX:
        raise invalid(f"You can specify up to {STRATEGIES_MAX} placement strategies.")
    return tuple(one for one in map(_strategy, documents) if one is not None)


def _strategy(document: Document) -> Strategy | None:
    kind, field = document.get("type"), str(document.get("field") or "")
    if kind == "random":
        return None  # its field is not used
    if kind == "binpack":
        if field.lower() not in {"cpu", "memory"}:
            raise invalid(f"binpack field {field or 'null'} is invalid. Valid values: cpu, memory.")
        return Strategy(field.lower())
    if kind != "spread":
        raise invalid("Invalid placement strategy type.")
    if field in _INSTANCE:
        return Strategy("instanceId")
    attribute = field.removeprefix("attribute:")
    if not attribute:
        raise invalid("spread field must be specified.")
    return Strategy(attribute=attribute)


class _Seat:
    """What a choice knows of an instance: its cell, what it added to the counts, and which entry of it is valid."""

    __slots__ = ("cell", "held", "number")

    def __init__(self, cell: _Cell, held: int, number: int) -> None:
        self.cell = cell
        self.held = held
        self.number = number


class Choice:
    """The instances of a cluster for tasks of one kind.  It may be kept: it hears of changes through the fleet."""

    def __init__(
        self, fleet: Fleet, demand: Demand, strategies: Sequence[Strategy], chance: random.Random
    ) -> None:
        self.fleet = fleet
        self._demand = demand
        self._chance = chance
        self._strategies = strategies
        self._spread = tuple(one.attribute for one in strategies if one.attribute)
        self._inside = tuple(one for one in strategies if not one.attribute)
        self._number = 0
        self._look_at_all()

    def take(self) -> Host | None:
        """The instance for the next task; None when none can take it.

        Once the task is counted in the ledger, the next one finds the instance changed.
        """
        self._look_at_changes()
        best: tuple[tuple[float, ...], float] | None = None
        found: Host | None = None
        for cell, heap in self._heaps.items():
            while heap and self._seats[heap[0][3]].number != heap[0][2]:
                heapq.heappop(heap)  # the instance has changed since
            if heap:
                inside, tie, _, host = heap[0]
                order = (self._order(cell, inside), tie)
                if best is None or order < best:
                    best, found = order, host
        if best is not None and not self._inside and found is not None:
            self._reached[self._seats[found].cell] = best[1]
        return found

    def nearest(self) -> tuple[Host, str] | None:
        """The instance that comes nearest to taking a task that none can take, and what it lacks."""
        nearest: tuple[int, Host, str] | None = None
        for host in self.fleet.hosts.values():
            reason = "" if self._is_foreign(host) else obstacle(host, self._demand)
            if reason and (nearest is None or nearness(reason) > nearest[0]):
                nearest = (nearness(reason), host, reason)
        return nearest[1:] if nearest else None

    def _look_at_all(self) -> None:
        self._mark = self.fleet.mark()
        self._seats: dict[Host, _Seat] = {}
        self._counts: tuple[Counter[str], ...] = tuple(Counter() for _ in self._spread)
        self._heaps: dict[_Cell, list[_Entry]] = {}
        self._reached: dict[_Cell, float] = {}
        for host in self.fleet.hosts.values():
            entry = self._seated(host)
            if entry is not None:
                self._heaps.setdefault(self._seats[host].cell, []).append(entry)
        for heap in self._heaps.values():
            heapq.heapify(heap)
        self._pushed = 0

    def _look_at_changes(self) -> None:
        changed = self.fleet.since(self._mark)
        if changed is None or self._pushed > _STALE_MIN + 2 * len(self._seats):
            self._look_at_all()
            return
        self._mark = self.fleet.mark()
        for host in changed:
            seat = self._seats.get(host)
            if seat is not None:
                seat.number = 0
                for counts, value in zip(self._counts, seat.cell, strict=True):
                    counts[value] -= seat.held
                seat.held = 0
            if host.instance is not None:
                entry = self._seated(host)
                if entry is not None:
                    heapq.heappush(self._heaps.setdefault(self._seats[host].cell, []), entry)
                    self._pushed += 1

    def _seated(self, host: Host) -> _Entry | None:
        """Count the instance; and its entry, when it can take a task."""
        attributes = host.attributes
        cell = tuple([attributes.get(name, "") for name in self._spread])
        held = host.groups.get(self._demand.group, 0)
        if held:
            for counts, value in zip(self._counts, cell, strict=True):
                counts[value] += held
        if self._is_foreign(host) or obstacle(host, self._demand):
            self._seats[host] = _Seat(cell, held, 0)
            return None
        self._number += 1
        self._seats[host] = _Seat(cell, held, self._number)
        group = self._demand.group
        return tuple([one.of(host, group) for one in self._inside]), self._tie(cell), self._number, host

    def _tie(self, cell: _Cell) -> float:
        """What decides between equals: lower goes first.

        Where nothing but chance orders a cell, each instance waits for a time that chance gives it, counted from when
        the last one was taken: so every one is as likely to be next, whoever was taken before.
        """
        if self._inside:
            return self._chance.random()
        return self._reached.get(cell, 0.0) + self._chance.expovariate(1.0)

    def _is_foreign(self, host: Host) -> bool:
        provider = self._demand.provider
        return bool(provider) and host.instance is not None and host.instance.capacity_provider != provider

    def _order(self, cell: _Cell, inside: tuple[float, ...]) -> tuple[float, ...]:
        over = iter([counts[value] for counts, value in zip(self._counts, cell, strict=True)])
        within = iter(inside)
        return tuple([next(over) if one.attribute else next(within) for one in self._strategies])
