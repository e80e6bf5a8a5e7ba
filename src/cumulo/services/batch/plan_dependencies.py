"""Jobs that wait for others.  Pure.

plain dependency   the target must have SUCCEEDED: a job, a child, or a whole array
N_TO_N             child i waits for child i of the target;  SEQUENTIAL: child i waits for child i - 1
a target FAILED    whoever waits for it is FAILED at once
"""

from collections.abc import Iterable

from cumulo.services.batch.draft import Draft
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan_events import Submit, SubmitArray, Submitted
from cumulo.services.batch.states import Move

DEPENDENT_FAILED = "Dependent Job failed"
N_TO_N, SEQUENTIAL = "N_TO_N", "SEQUENTIAL"
_WAITING = (JobStatus.SUBMITTED, JobStatus.PENDING)


def submitted(draft: Draft, event: Submitted) -> None:
    """A new job: it waits, or is RUNNABLE, or has failed already because of what it depends on."""
    job = draft.begin(event.job)
    if job.array_size:
        job = draft.step(job, Move.HELD)
        job = draft.step_rest(job, JobStatus.PENDING)
        _settle_pairs(draft, job)
    elif not targets_done(draft, job):
        job = draft.step(job, Move.HELD)
    if _target_failed(draft, job):
        fail_waiting(draft, job)
    else:
        release(draft, job)


def target_ended(draft: Draft, target: Job) -> None:
    """A job has ended: release or fail those that wait for nothing else."""
    for job_id in list(draft.book.waiting(target.id)):
        job = draft.get(job_id)
        if job is None or job.status not in _WAITING:
            continue
        if any(one.job_id == target.id and not one.kind for one in job.depends):
            if target.status == JobStatus.FAILED:
                fail_waiting(draft, job)
            else:
                release(draft, job)


def targets_done(draft: Draft, job: Job) -> bool:
    """Whether every plain dependency has SUCCEEDED.  One that is forgotten has: its failure would have been this one's."""
    targets = (draft.get(one.job_id) for one in job.depends if not one.kind)
    return all(one is None or one.status == JobStatus.SUCCEEDED for one in targets)


def release(draft: Draft, job: Job) -> None:
    """Make a job, or the children of an array, RUNNABLE, if they wait for nothing any more."""
    if not targets_done(draft, job):
        return
    if job.array_size:
        _release_children(draft, job)
    elif job.reason_asked:
        draft.step(job, Move.FAILED, status_reason=job.reason_asked)
    else:
        draft.step(job, Move.RELEASED, runnable_at=draft.now)
        draft.actions.append(Submit(job.id))


def fail_waiting(draft: Draft, job: Job) -> None:
    """A dependency has failed."""
    if job.array_size:
        draft.step_rest(job, JobStatus.FAILED, DEPENDENT_FAILED)
    else:
        draft.step(job, Move.FAILED, status_reason=job.reason_asked or DEPENDENT_FAILED)


def release_child(draft: Draft, parent: Job, index: int) -> None:
    """Make a child RUNNABLE, if it waits for nothing any more."""
    child = draft.get(f"{parent.id}:{index}") if index < parent.array_size else None
    if child is None or child.status != JobStatus.PENDING or not _child_ready(draft, parent, index):
        return
    draft.step(child, Move.RELEASED, runnable_at=draft.now)
    draft.actions.append(Submit(child.id))


def fail_child(draft: Draft, child_id: str) -> None:
    """What a child waits for has failed."""
    child = draft.get(child_id)
    if child is not None and child.status in _WAITING:
        draft.step(child, Move.FAILED, status_reason=DEPENDENT_FAILED)


def is_paired(job: Job) -> bool:
    """Whether the children of an array become RUNNABLE one by one."""
    return any(one.kind for one in job.depends)


def _child_ready(draft: Draft, parent: Job, index: int) -> bool:
    wanted = [f"{one.job_id}:{index}" for one in parent.depends if one.kind == N_TO_N]
    if index and any(one.kind == SEQUENTIAL for one in parent.depends):
        wanted.append(f"{parent.id}:{index - 1}")
    found = [draft.get(name) for name in wanted]
    done = all(one is None or one.status == JobStatus.SUCCEEDED for one in found)
    return done and targets_done(draft, parent)


def _release_children(draft: Draft, parent: Job) -> None:
    if is_paired(parent):
        for index in _first(draft, parent):
            release_child(draft, parent, index)
        return
    made = parent.made  # children that a client has ended meanwhile
    names = draft.unmade(parent) if made else []
    draft.step_rest(parent, JobStatus.RUNNABLE)
    if made:
        draft.actions += [Submit(name) for name in names]
    else:
        draft.actions.append(SubmitArray(parent.id, parent.array_size))


def _first(draft: Draft, parent: Job) -> Iterable[int]:
    """The children that may be RUNNABLE when an array waits for no job any more; not all of 10,000 are looked at."""
    if any(one.kind == SEQUENTIAL for one in parent.depends):
        return (0,)
    targets = [draft.get(one.job_id) for one in parent.depends if one.kind == N_TO_N]
    for target in targets:
        if target is not None:
            return [one.index for one in draft.members(target) if one.status == JobStatus.SUCCEEDED]
    return range(parent.array_size)


def _settle_pairs(draft: Draft, parent: Job) -> None:
    """A new array: the children whose counterparts have failed already have failed, too."""
    for one in parent.depends:
        target = draft.get(one.job_id) if one.kind == N_TO_N else None
        if target is None or not target.counts.get(JobStatus.FAILED):
            continue
        failed = [child.index for child in draft.members(target) if child.status == JobStatus.FAILED]
        if target.rest == JobStatus.FAILED:
            failed += [int(name.rpartition(":")[2]) for name in draft.unmade(target)]
        for index in failed:
            fail_child(draft, f"{parent.id}:{index}")


def _target_failed(draft: Draft, job: Job) -> bool:
    targets = (draft.get(one.job_id) for one in job.depends if not one.kind)
    return any(one is not None and one.status == JobStatus.FAILED for one in targets)
