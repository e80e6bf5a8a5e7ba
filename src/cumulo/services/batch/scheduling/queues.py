"""A job queue as the scheduler keeps it: its lanes in the order in which their heads come.

Without a fair-share policy: the oldest head first (there is one lane).  With one: the share with the least load times
weight; equal: the older head.  Loads fade with time, so the order is made anew after a part of the decay time (1 second
of 10 minutes); in between only the shares that changed are put elsewhere.
"""

import heapq
from collections import OrderedDict
from typing import Final

from cumulo.services.batch.scheduling.facts import Need, Queue, ShareUse
from cumulo.services.batch.scheduling.shares import allowed_fraction, decay_of, weight_of
from cumulo.services.batch.scheduling.waiting import Entry, Group, Lane

_ORDER_LASTS_PART: Final = 1 / 600
_STALE_MAX: Final = 64


class Stuck:
    """That the head cannot start: since when, and why."""

    __slots__ = ("job", "reason", "since")

    def __init__(self, job: str, reason: str, since: float) -> None:
        """So it is."""
        self.job = job
        self.reason = reason
        self.since = since


class QueueState:
    """See the module."""

    def __init__(self, number: int, facts: Queue) -> None:
        """Empty."""
        self.number = number
        self.facts = facts
        self.lanes: dict[str, Lane] = {}
        self.groups: OrderedDict[Need, Group] = OrderedDict()
        self.count = 0
        self.running = 0  # milli-vCPUs
        self.stuck: Stuck | None = None
        self.head_since = 0.0  # since when its head is that
        self.moved_at = 0.0  # when the others came nearer
        self._order: list[tuple[float, float, int, int, Lane]] = []
        self._ordered_at = -1.0
        self._aside: list[Lane] = []

    def change(self, facts: Queue) -> None:
        """It is another now."""
        self.facts = facts
        for lane in self.lanes.values():
            lane.weight = self._weight(lane.share)
        self._ordered_at = -1.0

    @property
    def decay(self) -> float:
        """Seconds in which what a share had fades."""
        return decay_of(self.facts.fair.decay_seconds) if self.facts.fair else 1.0

    def lane(self, share: str, number: int) -> Lane:
        """The lane of a new share."""
        lane = self.lanes[share] = Lane(number, self.facts.arn, share, self._weight(share))
        return lane

    def group(self, need: Need) -> Group:
        """The jobs that need the same."""
        group = self.groups.get(need)
        if group is None:
            group = self.groups[need] = Group(need)
        return group

    def changed(self, lane: Lane, now: float) -> None:
        """Its head or its load is another: it comes elsewhere among the lanes."""
        lane.stamp += 1
        if lane.count and not lane.aside:
            self._push(lane, now)

    def left(self, entry: Entry) -> None:
        """A job waits no more."""
        self.count -= 1
        if not entry.group.count:
            self.groups.pop(entry.need, None)

    def first(self, now: float) -> Lane | None:
        """The lane whose head comes first, of those not set aside."""
        if self._ordered_at < 0 or now - self._ordered_at >= self.decay * _ORDER_LASTS_PART:
            self._make_order(now)
        while self._order:
            lane = self._order[0][4]
            if self._order[0][3] == lane.stamp and lane.count:
                return lane
            heapq.heappop(self._order)
        return None

    def set_aside(self, lane: Lane) -> None:
        """Leave a lane out until `restore`: its head cannot start."""
        lane.stamp += 1
        lane.aside = True
        self._aside.append(lane)

    def restore(self, now: float) -> None:
        """What was set aside is there again."""
        aside, self._aside = self._aside, []
        for lane in aside:
            lane.aside = False
            self.changed(lane, now)

    def use(self, lane: Lane, vcpus: int, jobs: int, now: float) -> None:
        """More of a share runs, or less."""
        self.running += vcpus
        lane.running += jobs
        lane.use.change(vcpus, now, self.decay)
        if not lane.running:
            lane.idle_since = now
        if self.facts.fair is not None:
            self.changed(lane, now)

    def may_start(self, need: Need, max_vcpus: int) -> bool:
        """Whether what is kept for shares that are not there yet allows it; a job too large for that runs alone."""
        return not self.running or need.vcpus * need.nodes <= self.allowance(max_vcpus)

    def allowance(self, max_vcpus: int) -> int:
        """milli-vCPUs that may be started, of so many that its environments have at most."""
        if self.facts.fair is None or not self.facts.fair.reservation:
            return max_vcpus
        allowed = max_vcpus * allowed_fraction(self.facts.fair.reservation, len(self.lanes))
        return max(0, int(allowed) - self.running)

    def load(self, lane: Lane, now: float) -> float:
        """What the order of a fair queue goes by; the lowest is first."""
        return lane.weight * lane.use.load(now, self.decay)

    def shares(self, now: float) -> list[ShareUse]:
        """The active shares, the one that is served next first."""
        self._forget(now)
        ranked = sorted(self.lanes.values(), key=lambda lane: (self.load(lane, now), lane.number))
        return [ShareUse(lane.share, lane.use.running, lane.use.average, lane.count) for lane in ranked]

    def _weight(self, share: str) -> float:
        return weight_of(share, self.facts.fair.weights) if self.facts.fair else 1.0

    def _push(self, lane: Lane, now: float) -> None:
        head = lane.head()
        assert head is not None
        load = self.load(lane, now) if self.facts.fair else 0.0
        heapq.heappush(self._order, (load, head.since, lane.number, lane.stamp, lane))
        if len(self._order) > _STALE_MAX + 4 * len(self.lanes):
            self._ordered_at = -1.0

    def _make_order(self, now: float) -> None:
        self._forget(now)
        self._order = []
        self._ordered_at = now
        for lane in self.lanes.values():
            if lane.count and not lane.aside:
                self._push(lane, now)

    def _forget(self, now: float) -> None:
        """Shares that had nothing for the decay time are active no more."""
        decay = self.decay
        for lane in [*self.lanes.values()]:
            if not lane.count and not lane.running and now - lane.idle_since >= decay:
                del self.lanes[lane.share]
