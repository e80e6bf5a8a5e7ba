"""Lambda's state machines, and what is not finished yet.

Idle functions stay Active here (there is nothing to take away from them).  Inactive is what a function becomes whose
image is gone when it must be pulled again; calls go on asking for it.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from cumulo.base.machine import Machine
from cumulo.services.lambda_.model import LATEST, Function, State, UpdateStatus, Version

CREATING = "The function is being created."
CREATING_CODE = "Creating"


class Event(StrEnum):
    """What can happen to a version."""

    UPDATED = "updated"
    PREPARED = "prepared"
    REFUSED = "refused"
    LOST = "lost"  # its image, when it had to be had again
    FOUND = "found"


VERSION = Machine(
    name="version",
    start=State.PENDING,
    moves={
        (State.PENDING, Event.PREPARED): State.ACTIVE,
        (State.PENDING, Event.REFUSED):  State.FAILED,
        (State.ACTIVE, Event.UPDATED):   State.ACTIVE,
        (State.ACTIVE, Event.PREPARED):  State.ACTIVE,
        (State.ACTIVE, Event.REFUSED):   State.ACTIVE,  # the old code goes on serving
        (State.FAILED, Event.UPDATED):   State.PENDING,
        (State.ACTIVE, Event.LOST):      State.INACTIVE,
        (State.INACTIVE, Event.LOST):    State.INACTIVE,
        (State.INACTIVE, Event.FOUND):   State.ACTIVE,
        (State.INACTIVE, Event.UPDATED): State.PENDING,
    },
)  # fmt: skip

UPDATE = Machine(
    name="update",
    start=UpdateStatus.SUCCESSFUL,
    moves={
        (UpdateStatus.SUCCESSFUL, Event.UPDATED):   UpdateStatus.IN_PROGRESS,
        (UpdateStatus.FAILED, Event.UPDATED):       UpdateStatus.IN_PROGRESS,
        (UpdateStatus.IN_PROGRESS, Event.PREPARED): UpdateStatus.SUCCESSFUL,
        (UpdateStatus.IN_PROGRESS, Event.REFUSED):  UpdateStatus.FAILED,
    },
)  # fmt: skip


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a preparation went: nothing in it when it went well."""

    version_arn: str = ""
    reason: str = ""
    reason_code: str = ""


def begin_update(version: Version) -> Version:
    """`$LATEST` with an update in progress."""
    return msgspec.structs.replace(
        version,
        state=VERSION.step(version.state, Event.UPDATED),
        state_reason="",
        state_reason_code="",
        last_update=UPDATE.step(version.last_update or UPDATE.start, Event.UPDATED),
        last_update_reason=CREATING,
        last_update_reason_code=CREATING_CODE,
    )


def settle(version: Version, outcome: Outcome) -> Version:
    """What a version becomes when its preparation is done.

    The creation's fate shows in State; an update's in LastUpdateStatus (and in State when nothing ever served).
    """
    event = Event.REFUSED if outcome.reason_code else Event.PREPARED
    state = VERSION.step(version.state, event)
    failed = state is State.FAILED
    settled = msgspec.structs.replace(
        version,
        state=state,
        state_reason=outcome.reason if failed else "",
        state_reason_code=outcome.reason_code if failed else "",
        runtime_version_arn=outcome.version_arn or version.runtime_version_arn,
    )
    if version.last_update is UpdateStatus.IN_PROGRESS:
        return msgspec.structs.replace(
            settled,
            last_update=UPDATE.step(version.last_update, event),
            last_update_reason=outcome.reason,
            last_update_reason_code=outcome.reason_code,
        )
    return settled if failed else msgspec.structs.replace(settled, last_update=UpdateStatus.SUCCESSFUL)


def lose(version: Version, outcome: Outcome) -> Version:
    """A version that was callable and is not, for want of its image."""
    return msgspec.structs.replace(
        version,
        state=VERSION.step(version.state, Event.LOST),
        state_reason=outcome.reason,
        state_reason_code=outcome.reason_code,
    )


def find(version: Version) -> Version:
    """The same when its image has been found again."""
    state = VERSION.step(version.state, Event.FOUND)
    return msgspec.structs.replace(version, state=state, state_reason="", state_reason_code="")


def in_progress(version: Version) -> bool:
    """Whether a preparation of this version is still to come."""
    return version.state is State.PENDING or version.last_update is UpdateStatus.IN_PROGRESS


def unfinished(function: Function, published: Iterable[Version]) -> Iterator[Version]:
    """The versions of a function that wait for their preparation, `$LATEST` first."""
    if in_progress(function.latest):
        yield function.latest
    yield from (version for version in published if in_progress(version))


def settle_latest(function: Function, outcome: Outcome) -> Function:
    """The function after the preparation of its `$LATEST`."""
    latest = settle(function.latest, outcome)
    assert latest.version == LATEST
    serving = function.serving if outcome.reason_code else latest
    return msgspec.structs.replace(function, latest=latest, serving=serving)
