"""Everything that the scheduler knows, and what each thing that it is told changes.

Nothing is decided here.  What a change may have made possible is marked: a queue is *unsettled* when its head has to be
tried again, an environment is *short* when it may have fewer instances than it should.
"""

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakValueDictionary

import msgspec

from cumulo.services.batch.scheduling.environments import Claim, EnvironmentState
from cumulo.services.batch.scheduling.facts import Environment, Need, Queue
from cumulo.services.batch.scheduling.launching import ARRIVAL_SECONDS_MAX
from cumulo.services.batch.scheduling.queues import QueueState
from cumulo.services.batch.scheduling.rooms import Room
from cumulo.services.batch.scheduling.waiting import Entry, Lane
from cumulo.services.batch.scheduling.wakes import Wakes

_SHY_SECONDS_MAX = 60.0


class Running(msgspec.Struct, gc=False):
    """A job that was started, where, and what it is to become again if it is refused."""

    need: Need
    lane: int
    environment: str
    instances: tuple[str, ...]
    priority: int
    since: float


class Wake(NamedTuple):
    """What to look at: `limit` of a queue; `launches` of an environment; `idle` or `shy` room (none: all of it)."""

    what: str
    at: float
    arn: str
    room: Room | None = None


class World:
    """See the module."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.now = 0.0
        self.queues: dict[str, QueueState] = {}
        self.environments: dict[str, EnvironmentState] = {}
        self.running: dict[str, Running] = {}
        self.unsettled: dict[str, None] = {}  # ARNs of queues
        self.short: dict[str, None] = {}  # ARNs of environments
        self.wakes: Wakes[Wake] = Wakes()
        self._waiting: dict[str, Entry] = {}
        self._arrays: dict[str, list[Entry]] = {}
        self._lanes: WeakValueDictionary[int, Lane] = WeakValueDictionary()
        self._attached: dict[str, dict[str, None]] = {}  # queues by environment
        self._number = 0

    # queues and environments

    def put_queue(self, facts: Queue) -> None:
        """It is so now."""
        queue = self.queues.get(facts.arn)
        if queue is None:
            self._number += 1
            queue = self.queues[facts.arn] = QueueState(self._number, facts)
        for arn in queue.facts.environments:
            self._attached.get(arn, {}).pop(facts.arn, None)
        for arn in facts.environments:
            self._attached.setdefault(arn, {})[facts.arn] = None
        for lane in queue.lanes.values():
            self.release(lane)
        queue.change(facts)
        self.unsettled[facts.arn] = None

    def remove_queue(self, arn: str) -> None:
        """It is gone; its jobs wait no more."""
        queue = self.queues.pop(arn, None)
        if queue is None:
            return
        for environment in queue.facts.environments:
            self._attached.get(environment, {}).pop(arn, None)
        for lane in queue.lanes.values():
            self.release(lane)
            for entry in lane.entries():
                self._forget(entry)
        self.unsettled.pop(arn, None)

    def put_environment(self, facts: Environment) -> None:
        """It is so now."""
        environment = self.environments.get(facts.arn)
        if environment is None:
            environment = self.environments[facts.arn] = EnvironmentState(facts)
        else:
            environment.change(facts)
        self.short[facts.arn] = None
        self._look_at_kept(environment)
        self.gained(environment)

    def remove_environment(self, arn: str) -> None:
        """It is gone."""
        environment = self.environments.pop(arn, None)
        if environment is not None:
            if environment.claim:
                self.release(environment.claim.lane)
            self.short.pop(arn, None)
            self._unsettle(arn)

    def environments_of(self, queue: QueueState) -> list[EnvironmentState]:
        """Those of a queue that may run jobs, the preferred first."""
        found = (self.environments.get(arn) for arn in queue.facts.environments)
        return [one for one in found if one is not None and one.facts.open and not one.facts.invalid]

    def max_vcpus(self, queue: QueueState) -> int:
        """What the environments of a queue have at most together."""
        return sum(one.facts.max_vcpus or one.there for one in self.environments_of(queue))

    # rooms

    def put_room(
        self, environment: EnvironmentState, room: Room, *, ready: bool, draining: bool, now: float
    ) -> None:
        """A room is so now."""
        was_open = room.open
        environment.set_state(room, ready=ready, draining=draining, leaving=room.leaving)
        if room.open and not was_open:
            self._look_at_kept(environment)
            self.gained(environment)
        elif was_open and not room.open:
            self.short[environment.facts.arn] = None
            self._unsettle(environment.facts.arn)
        if not room.tasks:
            self.emptied(environment, room, now)

    def remove_room(self, environment: EnvironmentState, room: Room, now: float) -> None:
        """An instance is gone."""
        if environment.facts.kind == "SPOT" and not room.leaving and not room.draining:
            environment.launching.trouble(room.kind, now)
        environment.remove(room)
        self.short[environment.facts.arn] = None
        self._unsettle(environment.facts.arn)  # its vCPUs may be launched again

    def emptied(self, environment: EnvironmentState, room: Room, now: float) -> None:
        """Nothing runs in a room: somebody has to look whether it stays so."""
        room.idle_since = now
        if environment.is_managed and not room.leaving:
            self.wake_room(environment, room, self.idle_until(environment, room))

    def idle_until(self, environment: EnvironmentState, room: Room) -> float:
        """When a room that stays as it is may be terminated."""
        if room.draining:
            return room.idle_since
        seconds = environment.facts.idle_seconds
        return room.idle_since + (seconds if room.ready else max(seconds, ARRIVAL_SECONDS_MAX))

    def wake_room(self, environment: EnvironmentState, room: Room, at: float) -> None:
        """Look at an idle room then, if not earlier."""
        if room.wake_at is None or at < room.wake_at:
            room.wake_at = at
            self.wakes.add(at, Wake("idle", at, environment.facts.arn, room))

    def terminate(self, environment: EnvironmentState, room: Room) -> None:
        """Have an idle room no more."""
        environment.set_state(room, ready=room.ready, draining=room.draining, leaving=True)
        self.short[environment.facts.arn] = None
        self._look_at_kept(environment)

    def gained(self, environment: EnvironmentState) -> None:
        """There is more room: whoever waits for it is tried again."""
        environment.gained()
        self._unsettle(environment.facts.arn)

    # jobs

    def add(self, name: str, queue: QueueState, need: Need, share: str, priority: int, now: float,
            indexes: range | None = None) -> None:  # fmt: skip
        """A job waits, or the children of an array."""
        fair = queue.facts.fair is not None
        lane = self._lane(queue, share if fair else "")
        count = 1 if indexes is None else len(indexes)
        entry = Entry(name, queue.group(need), lane.number, priority if fair else 0, now, count, indexes)
        self._enter(queue, lane, entry, now, first=False)

    def withdraw(self, job: str) -> None:
        """A job waits no more, if it did."""
        entry, index = self._entry(job)
        lane = self._lanes.get(entry.lane) if entry else None
        queue = self.queues.get(lane.queue) if lane else None
        if entry is None or lane is None or queue is None:
            return
        was_head = lane.head() is entry and (index is None or entry.first() == job)
        if lane.drop(entry, index):
            self._left(queue, lane, entry, was_head=was_head, job=job)

    def start(self, queue: QueueState, lane: Lane, entry: Entry, environment: EnvironmentState,
              instances: tuple[str, ...]) -> str:  # fmt: skip
        """The next job of an entry runs there; its id."""
        now, need, was_head = self.now, entry.need, lane.head() is entry
        job = lane.take(entry)
        environment.hold(instances, need)
        self.running[job] = Running(
            need, lane.number, environment.facts.arn, instances, entry.priority, entry.since
        )
        self._left(queue, lane, entry, was_head=was_head, job=job)
        queue.use(lane, need.vcpus * need.nodes, 1, now)
        return job

    def is_running(self, job: str, queue: QueueState, environment: str, need: Need,
                   instances: tuple[str, ...], share: str, now: float) -> None:  # fmt: skip
        """A job runs already."""
        self.withdraw(job)
        self.ended(job, now)
        lane = self._lane(queue, share if queue.facts.fair else "")
        self.running[job] = Running(need, lane.number, environment, instances, 0, now)
        if environment in self.environments:
            self.environments[environment].hold(instances, need)
        queue.use(lane, need.vcpus * need.nodes, 1, now)

    def ended(self, job: str, now: float) -> Running | None:
        """A job holds nothing any more; what it held."""
        running = self.running.pop(job, None)
        if running is None:
            return None
        environment = self.environments.get(running.environment)
        if environment is not None:
            for room in environment.free(running.instances, running.need):
                self.emptied(environment, room, now)
            self._unsettle(running.environment)
        lane = self._lanes.get(running.lane)
        queue = self.queues.get(lane.queue) if lane else None
        if lane is not None and queue is not None:
            queue.use(lane, -running.need.vcpus * running.need.nodes, -1, now)
            if queue.count:
                self.unsettled[queue.facts.arn] = None
        return running

    def refused(self, job: str, now: float) -> None:
        """A job that was started did not start: it waits at its old place, and the room is left alone for a while."""
        running = self.ended(job, now)
        environment = self.environments.get(running.environment) if running else None
        if running is not None and environment is not None:
            self._avoid(environment, running.instances, now)
        lane = self._lanes.get(running.lane) if running else None
        queue = self.queues.get(lane.queue) if lane else None
        if running is not None and lane is not None and queue is not None:
            entry = Entry(job, queue.group(running.need), lane.number, running.priority, running.since)
            self._enter(queue, lane, entry, now, first=True)

    def succeeded(self, running: Running) -> None:
        """Where a job ran to its end, tasks are accepted."""
        environment = self.environments.get(running.environment)
        if environment is not None:
            environment.refusals = 0
            if environment.is_fargate and environment.shy_until > self.now:
                environment.shy_until = self.now  # there is room for one more
                self.gained(environment)
            for instance in running.instances:
                if instance in environment.by_instance:
                    environment.by_instance[instance].refusals = 0

    def waits(self, job: str) -> bool:
        """Whether a job is RUNNABLE."""
        entry, index = self._entry(job)
        return entry is not None and (index is None or job in set(entry.names()))

    # claims

    def claim(self, environment: EnvironmentState, claim: Claim) -> None:
        """A job comes first in an environment now."""
        if environment.claim is not None:
            environment.claim.lane.claimed = ""
        self.release(claim.lane)
        environment.claim_for(claim)
        claim.lane.claimed = environment.facts.arn

    def release(self, lane: Lane) -> None:
        """The head of a lane has a claim no more."""
        environment = self.environments.get(lane.claimed)
        lane.claimed = ""
        if environment is not None:
            if environment.is_saving:
                self.short[environment.facts.arn] = None
            environment.claim_for(None)
            self._unsettle(environment.facts.arn)

    # the rest

    def _lane(self, queue: QueueState, share: str) -> Lane:
        lane = queue.lanes.get(share)
        if lane is None:
            self._number += 1
            lane = queue.lane(share, self._number)
            self._lanes[lane.number] = lane
        return lane

    def _enter(self, queue: QueueState, lane: Lane, entry: Entry, now: float, *, first: bool) -> None:
        head = lane.head()
        lane.add(entry, first=first)
        entry.group.count += entry.count
        queue.count += entry.count
        if entry.indexes is None:
            self._waiting[entry.name] = entry
        else:
            self._arrays.setdefault(entry.name, []).append(entry)
        if lane.head() is not head:
            self._new_head(queue, lane, now)
        self.unsettled[queue.facts.arn] = None

    def _left(self, queue: QueueState, lane: Lane, entry: Entry, *, was_head: bool, job: str) -> None:
        """A job of an entry waits no more."""
        queue.left(entry)
        queue.moved_at = self.now
        if queue.stuck is not None and queue.stuck.job == job:
            queue.stuck = None
        if not entry.count:
            self._forget(entry)
        if was_head:
            self._new_head(queue, lane, self.now)
        if queue.count:
            self.unsettled[queue.facts.arn] = None

    def _new_head(self, queue: QueueState, lane: Lane, now: float) -> None:
        queue.head_since = now
        lane.passed = 0
        if lane.claimed:
            self.release(lane)
        queue.changed(lane, now)

    def _entry(self, job: str) -> tuple[Entry | None, int | None]:
        if job in self._waiting:
            return self._waiting[job], None
        parent, _, index = job.rpartition(":")
        for entry in self._arrays.get(parent, ()):
            if index.isdecimal() and entry.indexes is not None and int(index) in entry.indexes[entry.at :]:
                return entry, int(index)
        return None, None

    def _forget(self, entry: Entry) -> None:
        if entry.indexes is None:
            self._waiting.pop(entry.name, None)
            return
        left = [one for one in self._arrays.get(entry.name, ()) if one is not entry]
        if left:
            self._arrays[entry.name] = left
        else:
            self._arrays.pop(entry.name, None)

    def _avoid(self, environment: EnvironmentState, instances: tuple[str, ...], now: float) -> None:
        rooms: Iterator[Room | None] = (environment.by_instance.get(instance) for instance in instances)
        for room in rooms:
            if room is not None:
                until = now + min(_SHY_SECONDS_MAX, 2.0 ** min(room.refusals, 10))
                room.refusals += 1
                environment.avoid(room, shy=True)
                self.wakes.add(until, Wake("shy", until, environment.facts.arn, room))
        # What was started together is refused together, and counts once.
        if environment.is_fargate and environment.shy_until <= now:
            environment.shy_until = now + min(_SHY_SECONDS_MAX, 2.0 ** min(environment.refusals, 10))
            environment.refusals += 1
            self.wakes.add(environment.shy_until, Wake("shy", environment.shy_until, environment.facts.arn))

    def _look_at_kept(self, environment: EnvironmentState) -> None:
        """There are more instances than before, or fewer need be: one that the minimum kept may go."""
        if environment.kept:
            self.wake_room(environment, environment.kept.popitem()[1], self.now)

    def _unsettle(self, environment: str) -> None:
        for arn in self._attached.get(environment, ()):
            if self.queues[arn].count:
                self.unsettled[arn] = None
