"""Arrays: what the end of children makes of the others, and of their parent.  Pure."""

from cumulo.services.batch.draft import ENDED, Draft
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan_dependencies import (
    DEPENDENT_FAILED,
    N_TO_N,
    SEQUENTIAL,
    fail_child,
    fail_waiting,
    release_child,
)
from cumulo.services.batch.states import Move

CHILD_FAILED = "Array Child Job failed"


def child_ended(draft: Draft, child: Job) -> None:
    """One child: its successor, its counterparts in other arrays, its parent."""
    parent = _parent(draft, child.parent)
    has_failed = child.status == JobStatus.FAILED
    if any(one.kind == SEQUENTIAL for one in parent.depends):
        _follow(draft, parent, child.index, has_failed=has_failed)
    for other in _paired(draft, parent.id):
        if has_failed:
            fail_child(draft, f"{other.id}:{child.index}")
        else:
            release_child(draft, other, child.index)
    _finish(draft, parent.id)


def rest_ended(draft: Draft, parent_id: str) -> None:
    """The children without records have failed together: their counterparts, those that wait for one, their parent."""
    parent = _parent(draft, parent_id)
    names = draft.unmade(parent)
    for other in _paired(draft, parent_id):
        if not parent.made and not other.made:
            draft.step_rest(other, JobStatus.FAILED, DEPENDENT_FAILED)
            continue
        for name in names:
            fail_child(draft, f"{other.id}:{name.rpartition(':')[2]}")
    for name in names:
        for job_id in list(draft.book.waiting(name)):
            job = draft.get(job_id)
            if job is not None and job.status in (JobStatus.SUBMITTED, JobStatus.PENDING):
                fail_waiting(draft, job)
    _finish(draft, parent_id)


def _follow(draft: Draft, parent: Job, index: int, *, has_failed: bool) -> None:
    """One child after the other: the next one may run, or none may."""
    if not has_failed:
        release_child(draft, parent, index + 1)
    elif parent.made == index + 1:
        draft.step_rest(parent, JobStatus.FAILED, DEPENDENT_FAILED)
    else:  # a client has ended this one before its turn
        for later in range(index + 1, parent.array_size):
            fail_child(draft, f"{parent.id}:{later}")


def _paired(draft: Draft, parent_id: str) -> list[Job]:
    """The arrays whose children wait for the children of this one, each for its counterpart."""
    others = [draft.get(job_id) for job_id in draft.book.waiting(parent_id)]
    return [
        one
        for one in others
        if one is not None
        and one.array_size
        and any(dep.job_id == parent_id and dep.kind == N_TO_N for dep in one.depends)
    ]


def _finish(draft: Draft, parent_id: str) -> None:
    """End the parent when all of its children have ended."""
    parent = _parent(draft, parent_id)
    over = sum(parent.counts.get(status, 0) for status in ENDED)
    if parent.has_ended or over < parent.array_size:
        return
    if parent.counts.get(JobStatus.FAILED):
        draft.step(parent, Move.FAILED, status_reason=parent.reason_asked or CHILD_FAILED)
    else:
        draft.step(parent, Move.SUCCEEDED)


def _parent(draft: Draft, parent_id: str) -> Job:
    parent = draft.get(parent_id)
    assert parent is not None, f"{parent_id} is gone before its children"
    return parent
