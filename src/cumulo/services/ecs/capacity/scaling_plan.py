"""Decides how many instances a capacity provider's group should have.

AWS's metric is CapacityProviderReservation = M / N x 100, held at the target:

    N  the instances that are there
    M  the instances that are needed: without tasks that wait, those that have tasks; else N and what a bin packing of
       the waiting tasks needs beyond it (those that are empty already would hold their part: what is not placed on
       them waits for something else than capacity)

so the group should have M x 100 / target.  It grows at once, by the step sizes, and shrinks after the surplus has lasted,
and only by instances that have no tasks.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

WHOLE: Final = 100.0
AGAIN_SECONDS: Final = 60.0  # after a growth that did not last: this machine, or EC2, had no more


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`managedScaling` and what goes with it.  Seconds; `target` in per cent."""

    target: int = 100
    step_least: int = 1
    step_most: int = 10_000
    warmup_seconds: float = 300.0
    protects: bool = False  # managedTerminationProtection
    shrink_seconds: float = 900.0  # for how long a surplus must last


class Need(msgspec.Struct, frozen=True):
    """What a waiting task asks of an instance."""

    cpu_units: int
    memory_mib: int


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of the group.

    tasks      those of daemons do not count
    joined     whether it is a container instance that can take tasks
    """

    id: str
    tasks: int = 0
    joined: bool = True
    draining: bool = False
    protected: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is so now.

    size   what an instance of the group has for tasks; None when none was ever seen
    room   how many more instances this machine has room for
    """

    least: int
    most: int
    desired: int
    members: Sequence[Member] = ()
    waiting: Sequence[Need] = ()
    size: Need | None = None
    room: int = 1_000_000


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered between two decisions.  Seconds of a clock that never goes back."""

    surplus_since: float | None = None
    grown_at: float | None = None
    grown_to: int = 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do.

    reservation  the metric, in per cent
    desired      how many instances the group is to have from now on; None: as it has
    remove       instances to end, each with one less wanted
    protect, release  whose protection from scale-in is to change
    look_at      when to decide again though nothing has happened; None: not
    """

    reservation: float
    desired: int | None = None
    remove: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    look_at: float | None = None
    memory: Memory = Memory()


def decide(facts: Facts, settings: Settings, memory: Memory, now: float) -> Decision:
    """The decision for one group."""
    there = [one for one in facts.members if one.joined and not one.draining]
    used = sum(one.tasks > 0 for one in there)
    more = max(packed(facts.waiting, facts.size) - (len(there) - used), 0)
    needed = len(there) + more if facts.waiting else used
    reservation = reserved(needed, len(there))
    wanted = min(max(math.ceil(needed * WHOLE / settings.target), facts.least), facts.most)
    decision = Decision(reservation=reservation, memory=memory)
    if settings.protects:
        decision = _protecting(decision, facts)
    # Instances that drain take no tasks: they are wanted no more, though they are still there.
    short = wanted - (facts.desired - sum(one.draining for one in facts.members))
    if short > 0 and (facts.waiting or wanted > facts.desired):
        return _growing(decision, facts, settings, short, now)
    surplus = facts.desired - wanted
    if surplus > 0 and not facts.waiting:
        return _shrinking(decision, facts, settings, surplus, now)
    return msgspec.structs.replace(decision, memory=msgspec.structs.replace(memory, surplus_since=None))


def reserved(needed: int, there: int) -> float:
    """CapacityProviderReservation: 100 when nothing is there nor needed, 200 when something is to come from nothing."""
    if there == 0:
        return WHOLE if needed == 0 else 2 * WHOLE
    return needed / there * WHOLE


def packed(waiting: Sequence[Need], size: Need | None) -> int:
    """How many empty instances hold the waiting tasks at least; those that fit on none are left out.

    Alike tasks are packed together, as AWS does; the largest figure counts, and no less than what all together need.
    """
    if size is None:
        return 1 if waiting else 0
    fitting = [
        one for one in waiting if one.cpu_units <= size.cpu_units and one.memory_mib <= size.memory_mib
    ]
    if not fitting:
        return 0
    most = 0
    for need, count in Counter(fitting).items():
        most = max(most, math.ceil(count / _each(need, size)))
    cpu = math.ceil(sum(one.cpu_units for one in fitting) / size.cpu_units) if size.cpu_units else 0
    memory = math.ceil(sum(one.memory_mib for one in fitting) / size.memory_mib) if size.memory_mib else 0
    return max(most, cpu, memory)


def _each(need: Need, size: Need) -> int:
    """How many of these an empty instance holds; at least one, for it fits."""
    cpu = size.cpu_units // need.cpu_units if need.cpu_units else 1_000_000
    memory = size.memory_mib // need.memory_mib if need.memory_mib else 1_000_000
    return max(1, min(cpu, memory))


def _growing(decision: Decision, facts: Facts, settings: Settings, short: int, now: float) -> Decision:
    memory = decision.memory
    calm = msgspec.structs.replace(memory, surplus_since=None)
    if memory.grown_at is not None and facts.desired < memory.grown_to:
        again = memory.grown_at + AGAIN_SECONDS
        if now < again:  # what came was ended again: do not ask at once for what cannot be
            return msgspec.structs.replace(decision, look_at=again, memory=calm)
    step = min(max(short, settings.step_least), settings.step_most)
    target = min(facts.desired + min(step, facts.room), facts.most)
    if target <= facts.desired:
        return msgspec.structs.replace(decision, look_at=now + AGAIN_SECONDS, memory=calm)
    grown = msgspec.structs.replace(calm, grown_at=now, grown_to=target)
    return msgspec.structs.replace(decision, desired=target, memory=grown)


def _shrinking(decision: Decision, facts: Facts, settings: Settings, surplus: int, now: float) -> Decision:
    memory = decision.memory
    since = now if memory.surplus_since is None else memory.surplus_since
    due = since + settings.shrink_seconds
    if memory.grown_at is not None:
        due = max(due, memory.grown_at + settings.warmup_seconds)
    kept = msgspec.structs.replace(memory, surplus_since=since)
    if now < due:
        return msgspec.structs.replace(decision, look_at=due, memory=kept)
    empty = [one for one in facts.members if one.tasks == 0]
    empty.sort(key=lambda one: (one.joined, not one.draining))
    gone = tuple(one.id for one in empty[:surplus])
    release = tuple(one for one in decision.release if one not in gone)
    if not gone:  # the group wants more than it has, or all have tasks: look when something happens
        return msgspec.structs.replace(decision, memory=kept)
    return msgspec.structs.replace(decision, remove=gone, release=release, memory=Memory())


def _protecting(decision: Decision, facts: Facts) -> Decision:
    """Those with tasks are protected from scale-in, the others are not."""
    return msgspec.structs.replace(
        decision,
        protect=tuple(one.id for one in facts.members if one.tasks and not one.protected),
        release=tuple(one.id for one in facts.members if not one.tasks and one.protected and one.joined),
    )
