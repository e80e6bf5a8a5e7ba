"""Which types of instances an environment launches, and how many: between its minimum and its maximum of vCPUs.

BEST_FIT                 the one type on which what waits costs least; when it is not to be had: waits for it
BEST_FIT_PROGRESSIVE     the lowest price of a vCPU first, then what costs least; the next one when it is not to be had
SPOT_PRICE_CAPACITY_...  the same by Spot prices, after those that were interrupted or not to be had of late
SPOT_CAPACITY_OPTIMIZED  by the depth of the pool.  We cannot see it: a type whose Spot price is a small part of its
                         on-demand price is taken for deep, one that was interrupted or not to be had for shallow
..._ORDERED, ..._PRIORITIZED   in the order of instanceTypes

On-demand BEST_FIT stays under the maximum; all others may exceed it by one instance, as on AWS.  A type that failed is
left alone for 10 seconds, then 20, ... up to 10 minutes.  What does not arrive in 5 minutes is given up.
"""

import math
from typing import Final

from cumulo.services.batch.scheduling.facts import Environment, Kind, Need
from cumulo.services.batch.scheduling.kinds import tasks_on

BACKOFF_SECONDS_LEAST: Final = 10.0
BACKOFF_SECONDS_MAX: Final = 600.0
ARRIVAL_SECONDS_MAX: Final = 300.0
CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
_TROUBLE_HALVES_SECONDS: Final = 600.0
_FITTING_MAX: Final = 1000  # needs whose types are remembered
_VCPU_PRICE: Final = 0.04  # USD an hour, where a price is not known
_GIB_PRICE: Final = 0.005
_SPOT_PART: Final = 0.4


class Failure:
    """A type that could not be launched: how often in a row, until when it is left alone, and why."""

    __slots__ = ("count", "reason", "until")

    def __init__(self, count: int, until: float, reason: str) -> None:
        """It failed."""
        self.count = count
        self.until = until
        self.reason = reason


class Launching:
    """What an environment has asked for and has on its way, what failed; which type it would launch."""

    def __init__(self, environment: Environment) -> None:
        """Nothing is on its way."""
        self.environment = environment
        self.failures: dict[str, Failure] = {}
        self._asked: dict[str, int] = {}
        self._coming: list[tuple[float, str, int]] = []  # since when, type, how many; oldest first
        self._trouble: dict[str, tuple[float, float]] = {}  # how much, when
        self._fitting: dict[Need, tuple[Kind, ...]] = {}
        self._kinds = {kind.name: kind for kind in environment.kinds}

    def change(self, environment: Environment) -> None:
        """The environment is another now."""
        self.environment = environment
        self._fitting.clear()
        self._kinds |= {kind.name: kind for kind in environment.kinds}

    @property
    def is_strict(self) -> bool:
        """Whether the maximum is never exceeded."""
        return self.environment.kind == "EC2" and self.environment.strategy == "BEST_FIT"

    @property
    def vcpus(self) -> int:
        """milli-vCPUs that are on their way."""
        return sum(self.size_of(kind) * count for kind, count in self.on_its_way().items())

    def on_its_way(self) -> dict[str, int]:
        """How many instances of each type are asked for, or launched and not yet there."""
        counts = dict(self._asked)
        for _, kind, count in self._coming:
            counts[kind] = counts.get(kind, 0) + count
        return counts

    def is_coming(self, need: Need) -> int:
        """How many instances that could hold a task are on their way."""
        return sum(
            count
            for kind, count in self.on_its_way().items()
            if kind in self._kinds and tasks_on(self._kinds[kind], need)
        )

    def ask(self, kind: str, count: int) -> None:
        """Instances are to be launched."""
        self._asked[kind] = self._asked.get(kind, 0) + count

    def launched(self, kind: str, count: int, now: float) -> None:
        """They are on their way."""
        self._answered(kind, count)
        self.failures.pop(kind, None)
        self._coming.append((now, kind, count))

    def failed(self, kind: str, count: int, reason: str, now: float) -> float:
        """They could not be launched, or will not come; when the type may be tried again."""
        if not self._answered(kind, count):
            self.arrived(kind, count)
        before = self.failures.get(kind)
        times = before.count + 1 if before else 1
        until = now + min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_LEAST * 2.0 ** min(times - 1, 10))
        self.failures[kind] = Failure(times, until, reason)
        self.trouble(kind, now)
        return until

    def arrived(self, kind: str, count: int = 1) -> None:
        """So many of those on their way are there (or never will be)."""
        left = []
        for since, name, coming in self._coming:
            here = min(count, coming) if name == kind else 0
            count -= here
            if coming > here:
                left.append((since, name, coming - here))
        self._coming = left

    def give_up(self, now: float) -> bool:
        """Forget what should have arrived long ago; whether there was any."""
        left = [one for one in self._coming if one[0] + ARRIVAL_SECONDS_MAX > now]
        given_up = len(left) < len(self._coming)
        self._coming = left
        return given_up

    def trouble(self, kind: str, now: float) -> None:
        """An instance of the type was interrupted, or not to be had."""
        self._trouble[kind] = (self._troubled(kind, now) + 1, now)

    def fitting(self, need: Need) -> tuple[Kind, ...]:
        """The types that could hold a task of it."""
        known = self._fitting.get(need)
        if known is None:
            if len(self._fitting) >= _FITTING_MAX:
                self._fitting.clear()
            known = tuple(kind for kind in self.environment.kinds if tasks_on(kind, need))
            self._fitting[need] = known
        return known

    def candidates(self, need: Need, tasks: int, now: float) -> list[Kind]:
        """The types that would be launched for so many tasks, the best first; not those to be left alone now."""
        ranked = self._ranked(need, tasks, now)
        if self.environment.strategy == "BEST_FIT" and ranked and self._is_backing_off(ranked[0], now):
            return []
        return [kind for kind in ranked if not self._is_backing_off(kind, now)]

    def failing(self, need: Need, now: float) -> tuple[str, str] | None:
        """The type and why it is not to be had, when that is so of all types that fit (BEST_FIT: of the one)."""
        if not self.failures and any(map(self._bids, self.fitting(need))):
            return None
        ranked = self._ranked(need, 1, now)
        if self.environment.strategy == "BEST_FIT":
            ranked = ranked[:1]
        failures = [
            (kind.name, self.failures[kind.name].reason) for kind in ranked if kind.name in self.failures
        ]
        if not ranked:  # all are above the bid
            failures = [(kind.name, CAPACITY) for kind in self.fitting(need)]
        return failures[0] if failures and len(failures) >= len(ranked) else None

    def launchable(self, kind: Kind, free_vcpus: int) -> int:
        """How many of a type may be launched when so much of the maximum is left."""
        if free_vcpus <= 0 or kind.vcpus <= 0:
            return 0
        return free_vcpus // kind.vcpus if self.is_strict else -(-free_vcpus // kind.vcpus)

    def _ranked(self, need: Need, tasks: int, now: float) -> list[Kind]:
        kinds = [kind for kind in self.fitting(need) if self._bids(kind)]
        return sorted(kinds, key=lambda kind: self._rank(kind, need, tasks, now))

    def _answered(self, kind: str, count: int) -> bool:
        asked = self._asked.pop(kind, 0)
        if asked > count:
            self._asked[kind] = asked - count
        return asked > 0

    def size_of(self, kind: str) -> int:
        """milli-vCPUs of a type."""
        return self._kinds[kind].vcpus if kind in self._kinds else 0

    def _is_backing_off(self, kind: Kind, now: float) -> bool:
        failure = self.failures.get(kind.name)
        return failure is not None and failure.until > now

    def _troubled(self, kind: str, now: float) -> float:
        much, at = self._trouble.get(kind, (0.0, now))
        return much * math.pow(0.5, (now - at) / _TROUBLE_HALVES_SECONDS)

    def _bids(self, kind: Kind) -> bool:
        """Whether its Spot price is under the bid."""
        if self.environment.kind != "SPOT" or not kind.price or not kind.spot_price:
            return True
        bid = self.environment.bid_percentage / 100
        return kind.spot_price < kind.price * bid or (bid >= 1 and kind.spot_price <= kind.price * bid)

    def _price(self, kind: Kind) -> float:
        price = kind.price or kind.vcpus / 1000 * _VCPU_PRICE + kind.memory / 1024 * _GIB_PRICE
        return (kind.spot_price or price * _SPOT_PART) if self.environment.kind == "SPOT" else price

    def _rank(self, kind: Kind, need: Need, tasks: int, now: float) -> tuple[float, ...]:
        price, strategy = self._price(kind), self.environment.strategy
        instances = math.ceil(tasks / tasks_on(kind, need)) if need.nodes == 1 else tasks * need.nodes
        cost = round(instances * price, 6)
        if strategy.endswith(("_ORDERED", "_PRIORITIZED")):
            return (self.environment.kinds.index(kind),)
        of_vcpu = round(price / max(1, kind.vcpus), 9)
        if strategy == "BEST_FIT":
            return (cost, kind.vcpus, kind.memory)
        if strategy == "BEST_FIT_PROGRESSIVE":
            return (of_vcpu, cost, kind.vcpus, kind.memory)
        trouble = round(self._troubled(kind.name, now))
        if strategy == "SPOT_CAPACITY_OPTIMIZED":
            depth = round(price / kind.price, 3) if kind.price else _SPOT_PART
            return (trouble, depth, cost, kind.vcpus, kind.memory)
        return (trouble, of_vcpu, cost, kind.vcpus, kind.memory)
