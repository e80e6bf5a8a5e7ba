"""How many instances are to be launched for what waits, and for the minimum.

What waits is taken by need, not job by job: the head's need first, then the others in the order in which the queue first
had them, at most GROUPS_MAX.  Each is covered by instances that are on their way, as far as they go; for the rest new
ones are asked for, in the queue's first environment that has them to give, then in the next.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from cumulo.services.batch.scheduling.environments import EnvironmentState, Outlook
from cumulo.services.batch.scheduling.facts import Launch, Need
from cumulo.services.batch.scheduling.kinds import tasks_on
from cumulo.services.batch.scheduling.queues import QueueState
from cumulo.services.batch.scheduling.waiting import Entry
from cumulo.services.batch.scheduling.world import World

GROUPS_MAX: Final = 64
_ANYTHING: Final = Need(vcpus=1000, memory=1)
_ROUNDING: Final = 1e-6


class Blocked(NamedTuple):
    """A queue whose head waits.  `alone`: nothing behind the head can start before it does."""

    queue: QueueState
    head: Entry
    alone: bool


class Plan:
    """What is launched, as it becomes more."""

    def __init__(self, world: World) -> None:
        """Nothing yet."""
        self._world = world
        self._now = world.now
        self._supply: dict[
            str, dict[str, float]
        ] = {}  # instances on their way that nobody counts on, by environment
        self._launches: dict[tuple[str, str], int] = {}

    def launches(self) -> list[Launch]:
        """All of it."""
        return [Launch(arn, kind, count) for (arn, kind), count in self._launches.items()]

    def for_waiting(self, blocked: Blocked) -> None:
        """Cover what waits in a queue."""
        queue = blocked.queue
        sites = [one for one in self._world.environments_of(queue) if one.is_managed]
        if not sites or all(one.free_vcpus <= 0 for one in sites):
            return
        left = queue.allowance(self._world.max_vcpus(queue))
        for need, count in _groups(blocked):
            each = max(1, need.vcpus * need.nodes)
            covered = self._cover(
                sites, need, min(count, max(1, -(-left // each))), is_head=need == blocked.head.need
            )
            left -= covered * each
            if left <= 0:
                break

    def for_minimum(self, environment: EnvironmentState) -> None:
        """Launch what an environment lacks of its minimum, and of what a client wants it to have."""
        facts, launching = environment.facts, environment.launching
        if not environment.is_managed or facts.invalid or environment.is_saving:
            return
        least = min(facts.max_vcpus, max(facts.min_vcpus, environment.wanted))
        missing = least - environment.settled - environment.fresh_vcpus - launching.vcpus
        if missing <= 0:
            environment.wanted = 0
            return
        for kind in launching.candidates(_ANYTHING, -(-missing // _ANYTHING.vcpus), self._now):
            count = min(-(-missing // kind.vcpus), launching.launchable(kind, environment.free_vcpus))
            if count > 0:
                self._ask(environment, kind.name, count)
                missing -= count * kind.vcpus
            if missing <= 0:
                return

    def _cover(self, sites: list[EnvironmentState], need: Need, tasks: int, *, is_head: bool) -> int:
        left = tasks
        for site in sites:
            if left <= 0:
                break
            if not site.launching.fitting(need) or site.is_saving:
                continue
            if not is_head and site.find(need) is not None:
                return tasks  # there is room for it: it only waits for the head
            if need.nodes > 1:
                left -= self._cover_gang(site, need)
            else:
                left -= self._from_supply(site, need, left)
                left -= self._from_launches(site, need, left) if left > 0 else 0
        return tasks - left

    def _cover_gang(self, site: EnvironmentState, need: Need) -> int:
        """One job of several nodes at a time: one after the other, their instances serve the next ones too."""
        if site.facts.kind != "EC2" or site.outlook(need, self._now) is not Outlook.LAUNCH:
            return 0
        missing = need.nodes - site.idle_count(need)
        missing -= self._from_supply(site, need, missing) if missing > 0 else 0
        if missing > 0:
            self._from_launches(site, need, missing)
        return 1

    def _from_supply(self, site: EnvironmentState, need: Need, tasks: int) -> int:
        """How many tasks go on instances that are on their way."""
        supply = self._supply_of(site)
        left = tasks
        for kind in site.launching.fitting(need):
            if left <= 0:
                break
            if (there := supply.get(kind.name, 0.0)) > 0:
                each = tasks_on(kind, need)
                taken = min(left, math.floor(there * each + _ROUNDING))
                supply[kind.name] = there - taken / each
                left -= taken
        return tasks - left

    def _from_launches(self, site: EnvironmentState, need: Need, tasks: int) -> int:
        """How many tasks go on instances that are asked for now."""
        left = tasks
        for kind in site.launching.candidates(need, tasks, self._now):
            each = tasks_on(kind, need)
            count = min(-(-left // each), site.launching.launchable(kind, site.free_vcpus))
            if count > 0:
                taken = min(left, count * each)
                self._ask(site, kind.name, count)
                self._supply_of(site)[kind.name] = (
                    self._supply_of(site).get(kind.name, 0.0) + count - taken / each
                )
                left -= taken
            if left <= 0:
                break
        return tasks - left

    def _supply_of(self, site: EnvironmentState) -> dict[str, float]:
        supply = self._supply.get(site.facts.arn)
        if supply is None:
            coming: Mapping[str, float] = site.launching.on_its_way()
            supply = self._supply[site.facts.arn] = dict(coming)
            for kind, count in site.fresh.items():
                supply[kind] = supply.get(kind, 0.0) + count
        return supply

    def _ask(self, environment: EnvironmentState, kind: str, count: int) -> None:
        environment.launching.ask(kind, count)
        key = (environment.facts.arn, kind)
        self._launches[key] = self._launches.get(key, 0) + count


def _groups(blocked: Blocked) -> Iterator[tuple[Need, int]]:
    """Needs of what waits, and how many jobs have each."""
    first = blocked.head.group
    yield first.need, 1 if blocked.alone else first.count
    if not blocked.alone:
        for group in islice(blocked.queue.groups.values(), GROUPS_MAX):
            if group is not first:
                yield group.need, group.count
