"""Which container instance takes a task: those that can, ordered by the strategies, in turn.

Instances that share the values of all attributes that are spread over form a cell; inside a cell only what an
instance itself has (free CPU and memory, tasks of the group) orders them.  So every cell is a heap, and a further task
of a launch costs a look at the cells, not at the instances.
"""

import heapq
import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.placement.demand import Demand, nearness, obstacle
from cumulo.services.ecs.placement.ledger import Host
from cumulo.services.ecs.refusals import invalid

STRATEGIES_MAX: Final = 5
SPREAD_ZONES_THEN_INSTANCES: Final[tuple[Document, ...]] = (
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "spread", "field": "instanceId"},
)
"""What services do when nothing was asked for."""

_INSTANCE: Final = frozenset({"instanceId", "host"})
_Entry = tuple[tuple[float, ...], float, int, Host]


class Strategy(msgspec.Struct, frozen=True):
    """One rule.  `attribute` is what it spreads over; else `field` is instanceId, cpu or memory."""

    field: str = ""
    attribute: str = ""

    def of(self, host: Host, group: str) -> float:
        """How little an instance is wanted."""
        if self.field == "cpu":
            return host.cpu
        return host.memory if self.field == "memory" else host.groups[group]


def strategies_of(documents: Sequence[Document]) -> tuple[Strategy, ...]:
    """The rules of a request, without `random` ones: what is left open is open to chance.  AwsError for what is none."""
    if len(documents) > STRATEGIES_MAX:
        raise invalid(f"You can specify up to {STRATEGIES_MAX} placement strategies.")
    return tuple(one for one in map(_strategy, documents) if one is not None)


def _strategy(document: Document) -> Strategy | None:
    kind, field = document.get("type"), str(document.get("field") or "")
    if kind == "random":
        if field:
            raise invalid("random field should not be specified.")
        return None
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


class Choice:
    """The instances for the tasks of one launch.

    Between two calls of `take` the task must have been counted in the ledger that the hosts belong to.
    """

    def __init__(
        self, hosts: Collection[Host], demand: Demand, strategies: Sequence[Strategy], chance: random.Random
    ) -> None:
        self._demand = demand
        self._chance = chance
        self._strategies = strategies
        self._spread = tuple(one.attribute for one in strategies if one.attribute)
        self._inside = tuple(one for one in strategies if not one.attribute)
        self._counts: tuple[Counter[str], ...] = tuple(Counter() for _ in self._spread)
        self._cells: dict[tuple[str, ...], list[_Entry]] = {}
        self._number = 0
        self._last: Host | None = None
        self._nearest: tuple[int, Host, str] | None = None
        for host in hosts:
            self._consider(host)
        for cell in self._cells.values():
            heapq.heapify(cell)

    def take(self) -> Host | None:
        """The instance for the next task; None when none can take it."""
        if self._last is not None:
            self._put_back(self._last)
            self._last = None
        while True:
            where = self._best_cell()
            if where is None:
                return None
            host = heapq.heappop(self._cells[where])[3]
            if not self._lacks(host):  # another launch may have been there since
                break
        for counts, value in zip(self._counts, where, strict=True):
            counts[value] += 1
        self._last = host
        return host

    def nearest(self) -> tuple[Host, str] | None:
        """When nothing could be taken: the instance that came nearest to it, and what it lacks."""
        return self._nearest[1:] if self._nearest else None

    def _best_cell(self) -> tuple[str, ...] | None:
        best: tuple[tuple[float, ...], float] | None = None
        where: tuple[str, ...] | None = None
        for values, cell in self._cells.items():
            if cell:
                inside, tie, _, _ = cell[0]
                order = (self._order(values, inside), tie)
                if best is None or order < best:
                    best, where = order, values
        return where

    def _consider(self, host: Host) -> None:
        values = tuple(host.attributes.get(name, "") for name in self._spread)
        held = host.groups.get(self._demand.group, 0)
        for counts, value in zip(self._counts, values, strict=True):
            counts[value] += held
        if self._lacks(host):
            return
        self._cells.setdefault(values, []).append(self._entry(host))

    def _put_back(self, host: Host) -> None:
        if not self._lacks(host):
            values = tuple(host.attributes.get(name, "") for name in self._spread)
            heapq.heappush(self._cells[values], self._entry(host))

    def _lacks(self, host: Host) -> str:
        demand = self._demand
        if (
            demand.provider
            and host.instance is not None
            and host.instance.capacity_provider != demand.provider
        ):
            return "another provider's"
        reason = obstacle(host, demand)
        if reason:
            rank = nearness(reason)
            if self._nearest is None or rank > self._nearest[0]:
                self._nearest = (rank, host, reason)
        return reason

    def _entry(self, host: Host) -> _Entry:
        self._number += 1
        group = self._demand.group
        return tuple(one.of(host, group) for one in self._inside), self._chance.random(), self._number, host

    def _order(self, values: tuple[str, ...], inside: tuple[float, ...]) -> tuple[float, ...]:
        spread: Iterable[float] = (counts[value] for counts, value in zip(self._counts, values, strict=True))
        over, within = iter(spread), iter(inside)
        return tuple(next(over) if one.attribute else next(within) for one in self._strategies)
