"""What becomes of compute environments and job queues, as one table: both have the same life.

    CREATING ──▶ VALID ◀──▶ UPDATING        what goes wrong makes it INVALID, with the reason
                   └──▶ DELETING ──▶ DELETED
CREATING, UPDATING and DELETING are left by `capacity/settling.py`, which does again after a restart what was not done.
"""

from enum import StrEnum
from typing import Final, TypeVar

from msgspec.structs import replace

from cumulo.base.machine import Machine
from cumulo.services.batch.errors import client
from cumulo.services.batch.model import ComputeEnvironment, JobQueue


class Status(StrEnum):
    """Where it is."""

    CREATING = "CREATING"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    VALID = "VALID"
    INVALID = "INVALID"


class Event(StrEnum):
    """What moves it on."""

    READY = "everything that it needs is there"
    FAULTY = "something that it needs cannot be had"
    CHANGE = "a client changes it"
    REMOVE = "a client deletes it"
    GONE = "nothing is left of it"


_S, _E = Status, Event

LIFE: Final = Machine(
    name="compute environment or job queue",
    start=_S.CREATING,
    moves={
        (_S.CREATING, _E.READY): _S.VALID,
        (_S.CREATING, _E.FAULTY): _S.INVALID,
        (_S.VALID, _E.FAULTY): _S.INVALID,
        (_S.VALID, _E.CHANGE): _S.UPDATING,
        (_S.VALID, _E.REMOVE): _S.DELETING,
        (_S.INVALID, _E.CHANGE): _S.UPDATING,
        (_S.INVALID, _E.REMOVE): _S.DELETING,
        (_S.UPDATING, _E.READY): _S.VALID,
        (_S.UPDATING, _E.FAULTY): _S.INVALID,
        (_S.DELETING, _E.FAULTY): _S.INVALID,
        (_S.DELETING, _E.GONE): _S.DELETED,
    },
)

MOVING: Final = frozenset({_S.CREATING, _S.UPDATING, _S.DELETING})
HEALTHY: Final = {ComputeEnvironment: "ComputeEnvironment Healthy", JobQueue: "JobQueue Healthy"}

T = TypeVar("T", ComputeEnvironment, JobQueue)


def moved(one: T, event: Event, reason: str = "") -> T:
    """It, after an event; IllegalMove for one that cannot come now."""
    status = LIFE.step(Status(one.status), event)
    if status is Status.VALID:
        reason = HEALTHY[type(one)]
    return replace(one, status=str(status), status_reason=reason or one.status_reason)


def changed(one: T) -> T:
    """It, as a client's change leaves it.  ClientException while another change is under way."""
    if not LIFE.allows(Status(one.status), Event.CHANGE):
        raise client("Cannot update, resource is being modified")
    return moved(one, Event.CHANGE)


def removed(one: T) -> T:
    """It, as a client's DeleteComputeEnvironment or DeleteJobQueue leaves it.  ClientException when it may not be deleted."""
    if not LIFE.allows(Status(one.status), Event.REMOVE):
        raise client("Cannot delete, resource is being modified")
    if one.state != "DISABLED":
        raise client("Cannot delete, state must be DISABLED")
    return moved(one, Event.REMOVE)
