"""Decides: what has happened to instances since the last look, and which of the new ones fit."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from cumulo.base.carriage import Load
from cumulo.base.instances import Group, SeenInstance
from cumulo.services.ec2.model import Instance

RUNS: Final = frozenset({"pending", "running"})
ENDED: Final = frozenset({"shutting-down", "terminated"})
_SLACK: Final = 1e-9  # of adding up fractions of processors


class Change(StrEnum):
    """What has happened to an instance."""

    APPEARED = "appeared"  # it was not known
    STARTED = "started"
    STOPPED = "stopped"
    TERMINATED = "terminated"


class Event(msgspec.Struct, frozen=True):
    """One change; `seen` is None when EC2 shows the instance no longer."""

    change: Change
    id: str
    seen: SeenInstance | None = None


def changes(known: Mapping[str, Instance], seen: Sequence[SeenInstance]) -> list[Event]:
    """What has happened, ends first, so that what they free can be used; the others by the time of their launch."""
    events = [_event(known.get(one.id), one) for one in seen]
    shown = {one.id for one in seen}
    gone = [
        Event(Change.TERMINATED, one.id)
        for one in known.values()
        if one.id not in shown and one.state != "terminated"
    ]
    found = [*gone, *(event for event in events if event is not None)]
    return sorted(found, key=_order)


def _event(before: Instance | None, now: SeenInstance) -> Event | None:
    if now.state in ENDED:
        alive = before is not None and before.state != "terminated"
        return Event(Change.TERMINATED, now.id, now) if alive else None
    if before is None:
        return Event(Change.APPEARED, now.id, now)
    runs = now.state in RUNS
    if runs == (before.state == "running"):
        return None
    return Event(Change.STARTED if runs else Change.STOPPED, now.id, now)


def _order(event: Event) -> tuple[int, float, str]:
    frees = event.change in (Change.TERMINATED, Change.STOPPED)
    return (0 if frees else 1), event.seen.launched_at if event.seen else 0.0, event.id


def fitting(room: tuple[float, int], each: Load, most: int) -> int:
    """How many of at most `most` instances find room for their load."""
    vcpus, memory = room
    count = most
    if each.vcpus > 0:
        count = int(min(count, (vcpus + _SLACK) / each.vcpus))
    if each.memory_mib > 0:
        count = min(count, memory // each.memory_mib)
    return max(count, 0)


def is_spot(base: int, percent: int, on_demand: int, total: int) -> bool:
    """Whether the next instance of a group with so many on demand, of so many, is a spot instance.

    The first `base` are on demand, and of the others this share, rounded up.
    """
    above = max(0, total + 1 - base)
    return on_demand >= min(total + 1, base) + math.ceil(above * percent / 100)


def billed_seconds(started_at: float, metered_at: float, now: float, *, ends: bool) -> float:
    """What is to be billed of a run since `metered_at`: what has passed, and at the end the rest of a first minute."""
    until = max(now, started_at + 60.0) if ends else now
    return max(0.0, until - metered_at)


def ending(group: Group, form: Mapping[str, str]) -> list[str]:
    """The instances that end when a call asks for fewer: the first that are not protected, as many as are too many."""
    asked = form.get("DesiredCapacity") or form.get("MaxSize", "")
    if not asked.isdigit():
        return []
    wanted = int(asked)
    if "DesiredCapacity" in form and form.get("MaxSize", "").isdigit():
        wanted = min(wanted, int(form["MaxSize"]))
    free = [one.id for one in group.members if not one.protected]
    return free[: max(len(group.members) - wanted, 0)]
