"""Children of arrays and nodes of multi-node jobs: what they are called, and what they have from their parents.

    3f0c...            a parent              3f0c...            a multi-node job
    3f0c...:17         its child 17          3f0c...#2          its node 2
A member without a record of its own is what its parent says of all of them.  Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.services.batch.model import Job, JobStatus

_MEMBER = re.compile(r"([^:#]+)([:#])(0|[1-9][0-9]{0,4})")
# What a member has from its parent, and does not keep itself.
_BARE: Mapping[str, Any] = {
    "depends": (),
    "parameters": {},
    "overrides": {},
    "retry": {},
    "timeout": 0,
    "propagate_tags": False,
    "tags": {},
    "share": "",
    "priority": 0,
    "platform": "EC2",
}


def split_id(text: str) -> tuple[str, str, int] | None:
    """The parent's id, `:` or `#`, and the number of a member; None when the text is no member's id."""
    found = _MEMBER.fullmatch(text)
    return (found[1], found[2], int(found[3])) if found else None


def bare(job: Job) -> Job:
    """A member without what it has from its parent; another job as it is."""
    return msgspec.structs.replace(job, **_BARE) if job.parent else job


def whole(member: Job, parent: Job) -> Job:
    """A member with what it has from its parent."""
    return msgspec.structs.replace(member, **{name: getattr(parent, name) for name in _BARE})


def born(parent: Job, sign: str, number: int) -> Job | None:
    """A member that has no record of its own; None when the parent has no such member."""
    if sign == ":" and number < parent.array_size:
        return _child(parent, number)
    if sign == "#" and number < parent.nodes:
        return _node(parent, number)
    return None


def _child(parent: Job, index: int) -> Job:
    has_ended = parent.rest in (JobStatus.SUCCEEDED, JobStatus.FAILED)
    return msgspec.structs.replace(
        parent,
        id=f"{parent.id}:{index}",
        parent=parent.id,
        index=index,
        array_size=0,
        counts={},
        counted_at=0,
        made=0,
        status=parent.rest,
        status_reason=parent.rest_reason,
        stopped_at=parent.rest_stopped_at,
        is_cancelled=parent.is_cancelled and has_ended,
        is_terminated=parent.is_terminated and has_ended,
        reason_asked="",
        rest=JobStatus.SUBMITTED,
        rest_reason="",
        rest_stopped_at=0,
    )


def _node(parent: Job, number: int) -> Job:
    started = parent.status in (JobStatus.STARTING, JobStatus.RUNNING)
    return msgspec.structs.replace(
        parent,
        id=f"{parent.id}#{number}",
        parent=parent.id,
        node=number,
        nodes=0,
        status=JobStatus.RUNNABLE if started else parent.status,  # the others wait for the main node
        run=None,
        attempts=(),
        started_at=0,
        reason_asked="",
    )
