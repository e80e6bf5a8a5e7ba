"""One round of decisions.

Queues are served by priority, equal ones by the age of their heads; each start may change who is next.  A head that
does not fit now *waits*: it holds its environment (a claim), and what comes after it, in its own queue or in one of
lower priority, may pass it in what it cannot use.  AWS calls its order "approximately" that of submission; here it is
bounded: at most PASSES_MAX jobs pass a head, and it looks at most WINDOW entries (fair share: shares) behind it.

A head that cannot start for a reason (reasons.py) blocks its queue, as on AWS, until it is cancelled or can again; it
holds nothing, so that other queues go on.
"""

import heapq
from typing import Final

from cumulo.services.batch.scheduling.environments import PASSES_MAX, Claim, EnvironmentState, Outlook
from cumulo.services.batch.scheduling.facts import Action, Expire, Need, Start, Terminate
from cumulo.services.batch.scheduling.facts import Stuck as StuckAction
from cumulo.services.batch.scheduling.planning import Blocked, Plan
from cumulo.services.batch.scheduling.queues import QueueState, Stuck
from cumulo.services.batch.scheduling.reasons import HOPEFUL, reason_of
from cumulo.services.batch.scheduling.rooms import Room
from cumulo.services.batch.scheduling.waiting import Entry, Lane
from cumulo.services.batch.scheduling.world import Wake, World

WINDOW: Final = 32
_IDLE_LOOKED_AT: Final = 64
_VISITS_MAX: Final = 8  # of a queue in a round without a start


class Round:
    """See the module."""

    def __init__(self, world: World, now: float, starts_max: int) -> None:
        """Nothing is decided yet."""
        self._world = world
        self._now = now
        self._starts_left = starts_max
        self._actions: list[Action] = []
        self._blocked: dict[str, Blocked] = {}
        self._heap: list[tuple[float, float, int, QueueState]] = []
        self._in_heap: set[int] = set()
        self._visits: dict[int, int] = {}

    def run(self) -> list[Action]:
        """What is to be done."""
        while due := self._world.wakes.due(self._now):
            for wake in due:
                self._wake(wake)
        self._serve_all()
        plan = Plan(self._world)
        for blocked in self._blocked.values():
            if blocked.head.count:
                plan.for_waiting(blocked)
        short, self._world.short = self._world.short, {}
        for arn in short:
            if arn in self._world.environments:
                plan.for_minimum(self._world.environments[arn])
        self._actions.extend(plan.launches())
        return self._actions

    # queues

    def _serve_all(self) -> None:
        while True:
            self._refill()
            if not self._heap:
                return
            if self._starts_left <= 0:
                for _, _, _, queue in self._heap:
                    self._world.unsettled[queue.facts.arn] = None
                return
            queue = heapq.heappop(self._heap)[3]
            self._in_heap.discard(queue.number)
            self._visits[queue.number] = self._visits.get(queue.number, 0) + 1
            if self._visits[queue.number] <= _VISITS_MAX:
                self._serve(queue)

    def _refill(self) -> None:
        while self._world.unsettled:
            arn = next(iter(self._world.unsettled))
            del self._world.unsettled[arn]
            queue = self._world.queues.get(arn)
            lane = queue.first(self._now) if queue is not None and queue.facts.open else None
            head = lane.head() if lane else None
            if queue is not None and head is not None and queue.number not in self._in_heap:
                self._in_heap.add(queue.number)
                heapq.heappush(self._heap, (-queue.facts.priority, head.since, queue.number, queue))

    def _serve(self, queue: QueueState) -> None:
        lane = queue.first(self._now)
        head = lane.head() if lane else None
        if lane is None or head is None:
            return
        if not queue.may_start(head.need, self._world.max_vcpus(queue)):
            self._blocked.pop(queue.facts.arn, None)
            return
        order = (-queue.facts.priority, head.since, queue.number)
        found = self._find(queue, head, order)
        if found is not None:
            self._start(queue, lane, head, *found)
            self._visits[queue.number] = 0
            self._world.unsettled[queue.facts.arn] = None
        else:
            self._wait(queue, lane, head, order)

    def _find(
        self, queue: QueueState, head: Entry, order: tuple[float, ...]
    ) -> tuple[EnvironmentState, tuple[str, ...]] | None:
        """Where the head of a queue goes: past those that come after it, behind those that come first."""
        for site in self._sites(queue):
            claim = site.claim
            if claim is None or claim.entry is head:
                found = site.find(head.need, entry=head)
            elif claim.queue == queue.facts.arn or order < claim.order:
                found = site.find(head.need)
                if found is None and claim.rooms:
                    self._world.release(claim.lane)
                    found = site.find(head.need)
            else:
                found = self._find_behind(site, head.need)
            if found is not None:
                return site, found
        return None

    def _find_behind(self, site: EnvironmentState, need: Need) -> tuple[str, ...] | None:
        """Where a job goes that comes after the one that waits for this environment, if there is any."""
        claim = site.claim
        if claim is None:
            return site.find(need)
        if claim.lane.passed >= PASSES_MAX or site.find(need) is None:
            return None
        site.secure()
        found = site.find(need)
        if found is not None:
            claim.lane.passed += 1
        return found

    def _start(
        self, queue: QueueState, lane: Lane, entry: Entry, site: EnvironmentState, instances: tuple[str, ...]
    ) -> None:
        job = self._world.start(queue, lane, entry, site, instances)
        self._starts_left -= 1
        self._actions.append(Start(job, site.facts.arn, instances))
        self._blocked.pop(queue.facts.arn, None)

    # waiting

    def _wait(self, queue: QueueState, lane: Lane, head: Entry, order: tuple[float, ...]) -> None:
        """The head does not fit now."""
        sites = self._sites(queue)
        outlooks = [(site, site.outlook(head.need, self._now)) for site in sites]
        if (
            head.need.nodes > 1
        ):  # its first environment blocks it, even if the next one has instances: as on AWS
            possible = [one for one in outlooks if one[1] not in (Outlook.TOO_LARGE, Outlook.NO_KIND)]
            outlooks = possible[:1] or outlooks
        reason = reason_of(head.need, self._all_invalid(queue), outlooks, self._now)
        self._tell(queue, head.first(), reason)
        waits = [one for one in outlooks if one[1] in HOPEFUL]
        if reason or not waits:
            if lane.claimed:
                self._world.release(lane)
            self._blocked[queue.facts.arn] = Blocked(queue, head, alone=True)
            return
        site, outlook = next((one for one in waits if one[1] is Outlook.LAUNCH), waits[0])
        self._claim(queue, lane, head, order, site, outlook)
        if outlook is Outlook.MAXIMUM:
            self._make_room(site, head.need)
        self._blocked[queue.facts.arn] = Blocked(queue, head, alone=False)
        if len(queue.groups) > 1:
            self._let_pass(queue, lane, head)

    def _claim(self, queue: QueueState, lane: Lane, head: Entry, order: tuple[float, ...], site: EnvironmentState,
               outlook: Outlook) -> None:  # fmt: skip
        keeps = (
            head.need.nodes if head.need.nodes > 1 else int(outlook is Outlook.ROOM and not site.is_fargate)
        )
        claim = site.claim
        if claim is None or (
            claim.entry is not head and (claim.queue == queue.facts.arn or order < claim.order)
        ):
            claim = Claim(queue.facts.arn, lane, head, order, keeps)
            self._world.claim(site, claim)
        if claim.entry is head:
            claim.keeps, claim.wants_vcpus = keeps, outlook is Outlook.MAXIMUM

    def _let_pass(self, queue: QueueState, lane: Lane, head: Entry) -> None:
        """Start what comes after the head in its queue, and does not take its place."""
        if queue.facts.fair is None:
            no_room = {head.need}
            for entry in lane.behind(WINDOW):
                if entry.need not in no_room and not self._pass(queue, lane, entry, lane):
                    no_room.add(entry.need)
            return
        queue.set_aside(lane)
        for _ in range(WINDOW):
            other = queue.first(self._now)
            entry_behind = other.head() if other else None
            if other is None or entry_behind is None:
                break
            if not self._pass(queue, lane, entry_behind, other):
                queue.set_aside(other)
        queue.restore(self._now)

    def _pass(self, queue: QueueState, lane: Lane, entry: Entry, other: Lane) -> bool:
        """Start jobs of an entry behind the head of a lane; whether any did.  Of another share: one, then it is weighed."""
        started = False
        while entry.count and self._starts_left > 0 and lane.passed < PASSES_MAX:
            if not queue.may_start(entry.need, self._world.max_vcpus(queue)):
                break
            found = ((site, self._find_behind(site, entry.need)) for site in self._sites(queue))
            site, instances = next(((one, where) for one, where in found if where is not None), (None, None))
            if site is None or instances is None:
                break
            if site.claim is None or site.claim.lane is not lane:
                lane.passed += 1
            passed = lane.passed
            blocked = self._blocked.get(queue.facts.arn)
            self._start(queue, other, entry, site, instances)
            lane.passed = passed
            if blocked is not None:
                self._blocked[queue.facts.arn] = blocked
            started = True
            if other is not lane:
                break
        return started

    def _make_room(self, site: EnvironmentState, need: Need) -> None:
        """Terminate idle instances that keep the maximum from an instance that the head could have."""
        launching = site.launching
        kinds = launching.candidates(need, 1, self._now)
        missing = need.nodes - site.rooms.could_hold(need) - launching.is_coming(need)
        possible = [
            kind for kind in kinds if not launching.is_strict or kind.vcpus * missing <= site.facts.max_vcpus
        ]
        if not possible or missing <= 0:
            return
        wanted = possible[0].vcpus * missing if launching.is_strict else possible[0].vcpus * (missing - 1) + 1
        lacking = wanted - site.free_vcpus - site.leaving
        for room in site.rooms.idle_anyhow(_IDLE_LOOKED_AT):
            if lacking <= 0:
                break
            if not room.could_hold(need):
                lacking -= room.size[0]
                self._terminate(site, room)

    def _tell(self, queue: QueueState, job: str, reason: str) -> None:
        """Say why the head cannot start, when that is news."""
        was = queue.stuck
        if was is not None and (was.job, was.reason) == (job, reason):
            return
        if was is not None and (was.job != job or not reason) and self._world.waits(was.job):
            self._actions.append(StuckAction(was.job, ""))
        queue.stuck = Stuck(job, reason, self._now) if reason else None
        if reason:
            self._actions.append(StuckAction(job, reason))
            limit = self._limit(queue, reason)
            if limit is not None:
                at = self._now + limit[1]
                self._world.wakes.add(at, Wake("limit", at, queue.facts.arn))

    # later

    def _wake(self, wake: Wake) -> None:
        if wake.what == "limit":
            queue = self._world.queues.get(wake.arn)
            if queue is not None:
                self._expire(queue)
            return
        site = self._world.environments.get(wake.arn)
        if site is None:
            return
        if wake.what == "launches":
            site.launching.give_up(self._now)
            self._world.short[wake.arn] = None
            self._world.gained(site)
        elif wake.what == "shy":
            if wake.room is not None and site.by_instance.get(wake.room.instance) is wake.room:
                site.avoid(wake.room, shy=False)
            self._world.gained(site)
        elif wake.room is not None and wake.room.wake_at == wake.at:
            wake.room.wake_at = None
            self._look_at_idle(site, wake.room)

    def _look_at_idle(self, site: EnvironmentState, room: Room) -> None:
        """Terminate a room that was idle for long enough, if the minimum allows it."""
        if room.leaving or room.tasks or site.by_instance.get(room.instance) is not room:
            return
        until = self._world.idle_until(site, room)
        if until > self._now:
            self._world.wake_room(site, room, until)
            return
        site.secure()
        if room.claimed:
            self._world.wake_room(site, room, self._now + max(1.0, site.facts.idle_seconds))
        elif room.open and site.settled - room.size[0] < site.facts.min_vcpus:
            site.kept[room.number] = room
        else:
            self._terminate(site, room)

    def _terminate(self, site: EnvironmentState, room: Room) -> None:
        self._world.terminate(site, room)
        self._actions.append(Terminate(site.facts.arn, room.instance))

    def _expire(self, queue: QueueState) -> None:
        stuck = queue.stuck
        limit = self._limit(queue, stuck.reason) if stuck else None
        if stuck is None or limit is None or stuck.since + limit[1] > self._now:
            return
        queue.stuck = None
        self._world.withdraw(stuck.job)
        self._actions.append(Expire(stuck.job, limit[2], limit[0]))

    def _limit(self, queue: QueueState, reason: str) -> tuple[str, float, str] | None:
        return next((limit for limit in queue.facts.limits if reason.startswith(limit[0])), None)

    def _sites(self, queue: QueueState) -> list[EnvironmentState]:
        return [site for site in self._world.environments_of(queue) if site.shy_until <= self._now]

    def _all_invalid(self, queue: QueueState) -> bool:
        found = (self._world.environments.get(arn) for arn in queue.facts.environments)
        return all(site is None or site.facts.invalid for site in found)
