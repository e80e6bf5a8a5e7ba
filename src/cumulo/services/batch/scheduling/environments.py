"""A compute environment as the scheduler keeps it: its rooms, what jobs hold of them, what is on its way, who waits.

A job that comes first and waits for room here holds the environment with a *claim*: those after it may still start in
what it cannot use, but at most PASSES_MAX of them; and the rooms that it waits for take nothing new meanwhile.
"""

from enum import Enum
from typing import Final

from cumulo.services.batch.scheduling.facts import Environment, Need
from cumulo.services.batch.scheduling.launching import Launching
from cumulo.services.batch.scheduling.rooms import Room, Rooms, Size
from cumulo.services.batch.scheduling.waiting import Entry, Lane

PASSES_MAX: Final = 100
_MISSES_MAX: Final = 1000
_ANYWHERE: Final = ("",)


class Outlook(Enum):
    """What a job that does not fit now can hope for."""

    LAUNCH = "an instance is on its way, or may be launched"
    ROOM = "a task has to end"
    MAXIMUM = "the maximum of vCPUs is reached by instances that cannot hold it"
    CAPACITY = "instances are not to be had"
    TOO_LARGE = "the maximum of vCPUs is smaller than the job"
    NO_KIND = "no instance type could hold it"


class Claim:
    """The job that comes first here, and the rooms that it keeps free.

    `wants_vcpus`: of the maximum, for an instance that could hold it: nothing is launched for others meanwhile.
    """

    __slots__ = ("entry", "keeps", "lane", "order", "queue", "rooms", "wants_vcpus")

    def __init__(self, queue: str, lane: Lane, entry: Entry, order: tuple[float, ...], keeps: int) -> None:
        """It keeps at most so many rooms; none yet."""
        self.queue = queue
        self.lane = lane
        self.entry = entry
        self.order = order
        self.keeps = keeps
        self.rooms: list[Room] = []
        self.wants_vcpus = False


class Held:
    """What jobs hold of an instance, whether it is known or not."""

    __slots__ = ("alone", "gpus", "memory", "tasks", "vcpus")

    def __init__(self) -> None:
        """Nothing."""
        self.vcpus = self.memory = self.gpus = 0
        self.tasks = 0
        self.alone = 0  # tasks that have it to themselves

    def change(self, need: Need, sign: int) -> None:
        """One more task, or one less."""
        self.vcpus += sign * need.vcpus
        self.memory += sign * need.memory
        self.gpus += sign * need.gpus
        self.tasks += sign
        self.alone += sign * (need.nodes > 1)


class EnvironmentState:
    """See the module."""

    def __init__(self, facts: Environment) -> None:
        """Without instances."""
        self.facts = facts
        self.launching = Launching(facts)
        self.rooms = Rooms()
        self.by_instance: dict[str, Room] = {}
        self.claim: Claim | None = None
        self.used = 0  # milli-vCPUs of what runs here
        self.there = 0  # milli-vCPUs of all rooms
        self.settled = 0  # of those that stay
        self.leaving = 0  # of those that we terminate
        self.fresh: dict[str, int] = {}  # rooms by type that were never ready
        self.wanted = facts.desired_vcpus
        self.shy_until = 0.0
        self.refusals = 0
        self.kept: dict[int, Room] = {}  # idle ones that the minimum keeps, by number
        self._held: dict[str, Held] = {}
        self._misses: set[Need] = set()
        self._number = 0

    @property
    def is_fargate(self) -> bool:
        """Whether only vCPUs are counted."""
        return self.facts.kind.startswith("FARGATE")

    @property
    def is_managed(self) -> bool:
        """Whether instances are launched and terminated here."""
        return self.facts.kind in ("EC2", "SPOT")

    @property
    def is_saving(self) -> bool:
        """Whether what the maximum leaves is for the job that comes first, once it is enough."""
        return self.claim is not None and self.claim.wants_vcpus

    @property
    def fresh_vcpus(self) -> int:
        """milli-vCPUs of instances that are there and were never ready."""
        return sum(self.launching.size_of(kind) * count for kind, count in self.fresh.items())

    @property
    def free_vcpus(self) -> int:
        """What the maximum leaves for instances to launch; may be negative."""
        return self.facts.max_vcpus - self.there - self.launching.vcpus

    def change(self, facts: Environment) -> None:
        """It is another now."""
        if facts.desired_vcpus != self.facts.desired_vcpus:
            self.wanted = facts.desired_vcpus
        self.facts = facts
        self.launching.change(facts)
        self._misses.clear()

    # rooms

    def put(self, instance: str, kind: str, size: Size) -> tuple[Room, bool]:
        """The room of an instance, and whether it is new."""
        room = self.by_instance.get(instance)
        if room is not None and room.size == size and room.kind == kind:
            return room, False
        if room is not None:
            self.remove(room)
        self._number += 1
        room = Room(self._number, instance, kind, size)
        self.by_instance[instance] = room
        self.there += size[0]
        self.fresh[kind] = self.fresh.get(kind, 0) + 1
        self.launching.arrived(kind)
        self._refresh(room)
        return room, True

    def set_state(self, room: Room, *, ready: bool, draining: bool, leaving: bool) -> None:
        """What may be done with a room."""
        was_open, was_fresh, was_leaving = room.open, not room.was_ready, room.leaving
        room.ready, room.draining, room.leaving = ready, draining, leaving
        room.was_ready = room.was_ready or ready or draining or leaving
        if was_fresh and room.was_ready:
            self._unfresh(room)
        self.leaving += room.size[0] * (leaving - was_leaving)
        if room.open != was_open:
            change = 1 if room.open else -1
            self.rooms.count(room, change)
            self.settled += change * room.size[0]
        if not room.open:
            self._unclaim(room)
        self._refresh(room)

    def remove(self, room: Room) -> None:
        """It is gone; what jobs hold of it is kept until they end."""
        self.set_state(room, ready=False, draining=room.draining, leaving=False)
        if not room.was_ready:
            self._unfresh(room)
        self.there -= room.size[0]
        self.kept.pop(room.number, None)
        del self.by_instance[room.instance]

    def avoid(self, room: Room, *, shy: bool) -> None:
        """Give it no tasks for a while, or again."""
        room.shy = shy
        self._refresh(room)

    # tasks

    def find(self, need: Need, *, entry: Entry | None = None) -> tuple[str, ...] | None:
        """Where a job's tasks go, or None; the job that has the claim may also have what it keeps free."""
        if self.is_fargate:
            fits = need.nodes == 1 and self.used + need.vcpus <= self.facts.max_vcpus
            return _ANYWHERE if fits else None
        kept = self.claim.rooms if self.claim and entry is not None and self.claim.entry is entry else []
        own = [room for room in kept if room.fits(need)][: need.nodes]
        missing = need.nodes - len(own)
        if missing and not own and need in self._misses:
            return None
        if need.nodes > 1:
            own += self.rooms.idle(need, missing) if missing and self.facts.kind == "EC2" else []
        elif missing:
            room = self.rooms.find(need)
            own += [room] if room else []
        if len(own) == need.nodes:
            return tuple(room.instance for room in own)
        if len(self._misses) >= _MISSES_MAX:
            self._misses.clear()
        self._misses.add(need)
        return None

    def hold(self, instances: tuple[str, ...], need: Need) -> None:
        """A job's tasks are there."""
        self._change(instances, need, 1)

    def free(self, instances: tuple[str, ...], need: Need) -> list[Room]:
        """They are not any more; the rooms that have no task now."""
        self._change(instances, need, -1)
        self._misses.clear()
        rooms = (self.by_instance.get(instance) for instance in instances)
        return [room for room in rooms if room is not None and not room.tasks]

    # waiting

    def outlook(self, need: Need, now: float) -> Outlook:
        """What a job that does not fit now can hope for here."""
        if self.is_fargate:
            if need.nodes > 1:
                return Outlook.NO_KIND
            return Outlook.TOO_LARGE if need.vcpus > self.facts.max_vcpus else Outlook.ROOM
        if need.nodes > 1 and self.facts.kind != "EC2":
            return Outlook.NO_KIND
        holding = self.rooms.could_hold(need)
        if not self.is_managed:
            return Outlook.ROOM if holding or not self.by_instance else Outlook.NO_KIND
        if holding < need.nodes and (never := self._never(need)) is not None:
            return never
        return self._outlook_managed(need, holding, now)

    def claim_for(self, claim: Claim | None) -> None:
        """A job comes first here now; none: nobody waits."""
        if self.claim is not None:
            rooms, self.claim.rooms = self.claim.rooms, []
            for room in rooms:
                room.claimed = False
                self.rooms.place(room)
        self.claim = claim
        self._misses.clear()

    def secure(self) -> None:
        """Keep free what the claim waits for: before somebody else is given a room, or an idle one goes."""
        claim = self.claim
        if claim is None or len(claim.rooms) >= claim.keeps:
            return
        for room in self.rooms.freest(claim.entry.need, claim.keeps - len(claim.rooms)):
            room.claimed = True
            self.rooms.place(room)
            claim.rooms.append(room)

    def gained(self) -> None:
        """There is more room than there was when something was not found."""
        self._misses.clear()

    def idle_count(self, need: Need) -> int:
        """Rooms without a task that could hold one, kept free or not."""
        kept = self.claim.rooms if self.claim else []
        return len(self.rooms.idle(need, need.nodes)) + sum(room.fits(need) for room in kept)

    def _outlook_managed(self, need: Need, holding: int, now: float) -> Outlook:
        coming = self.launching.is_coming(need) + self._fresh_for(need)
        free = self.free_vcpus
        kinds = self.launching.candidates(need, 1, now) if free > 0 else []
        more = max((self.launching.launchable(kind, free) for kind in kinds), default=0)
        if (coming or more) and holding + coming + more >= need.nodes:
            return Outlook.LAUNCH
        if holding >= need.nodes:
            return Outlook.ROOM
        return Outlook.CAPACITY if free > 0 and not kinds else Outlook.MAXIMUM

    def _never(self, need: Need) -> Outlook | None:
        kinds, most = self.launching.fitting(need), self.facts.max_vcpus
        if need.vcpus * need.nodes > most:
            return Outlook.TOO_LARGE
        if not kinds:
            return Outlook.NO_KIND
        if self.launching.is_strict:
            possible = any(kind.vcpus * need.nodes <= most for kind in kinds)
        else:
            possible = any(kind.vcpus * (need.nodes - 1) < most for kind in kinds)
        return None if possible else Outlook.TOO_LARGE

    def _fresh_for(self, need: Need) -> int:
        fitting = {kind.name for kind in self.launching.fitting(need)} if self.fresh else ()
        return sum(self.fresh.get(kind, 0) for kind in fitting)

    def _change(self, instances: tuple[str, ...], need: Need, sign: int) -> None:
        self.used += sign * need.vcpus * need.nodes
        for instance in instances:
            if not instance:
                continue
            held = self._held.setdefault(instance, Held())
            held.change(need, sign)
            if not held.tasks:
                del self._held[instance]
            room = self.by_instance.get(instance)
            if room is not None:
                self._refresh(room)

    def _refresh(self, room: Room) -> None:
        held = self._held.get(room.instance)
        if held is None:
            room.tasks, room.free = 0, room.size
        else:
            vcpus, memory, gpus = room.size
            room.tasks = held.tasks
            room.free = (vcpus - held.vcpus, memory - held.memory, gpus - held.gpus)
            if held.alone or min(room.free) < 0:
                room.free = (0, 0, 0)
        self.rooms.place(room)

    def _unclaim(self, room: Room) -> None:
        if room.claimed:
            room.claimed = False
            if self.claim is not None:
                self.claim.rooms = [one for one in self.claim.rooms if one is not room]

    def _unfresh(self, room: Room) -> None:
        left = self.fresh[room.kind] - 1
        if left:
            self.fresh[room.kind] = left
        else:
            del self.fresh[room.kind]
