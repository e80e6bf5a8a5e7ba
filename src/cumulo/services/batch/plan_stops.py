"""Jobs that somebody wants ended: CancelJob, TerminateJob, and the limits of queues.  Pure.

                    SUBMITTED, PENDING         RUNNABLE    STARTING, RUNNING
    CancelJob       when its dependencies end  at once     never: nothing happens
    TerminateJob    when its dependencies end  at once     when its task has stopped
An array passes it on to its children at once, and ends when they have.
"""

import msgspec

from cumulo.services.batch.draft import Draft
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan_events import Cancelled, Expired, Stop, Stuck, Terminated
from cumulo.services.batch.plan_nodes import stop_nodes
from cumulo.services.batch.plan_outcomes import TERMINATED
from cumulo.services.batch.states import Move

_LIVE = (JobStatus.STARTING, JobStatus.RUNNING)
replace = msgspec.structs.replace


def cancelled(draft: Draft, event: Cancelled) -> None:
    """CancelJob."""
    job = draft.get(event.job)
    if job is None or job.has_ended or job.is_node:
        return
    if job.array_size:
        _end_array(draft, replace(job, is_cancelled=True), event.reason, terminate=False)
    elif job.status not in _LIVE:
        _end_waiting(draft, replace(job, is_cancelled=True), event.reason)


def terminated(draft: Draft, event: Terminated) -> None:
    """TerminateJob."""
    job = draft.get(event.job)
    if job is None or job.has_ended:
        return
    if job.array_size:
        _end_array(draft, replace(job, is_terminated=True), event.reason, terminate=True)
    elif job.status in _LIVE:
        _end_live(draft, job, event.reason)
    elif not job.is_node:
        _end_waiting(draft, replace(job, is_terminated=True), event.reason)


def expired(draft: Draft, event: Expired) -> None:
    """It was RUNNABLE for too long."""
    job = draft.get(event.job)
    if job is None or job.status != JobStatus.RUNNABLE or job.is_node:
        return
    terminate = event.action == "TERMINATE"
    verb = "Terminated" if terminate else "Canceled"
    draft.step(
        job,
        Move.FAILED,
        status_reason=f"{verb} by JobStateTimeLimit action due to reason: {event.reason}",
        is_cancelled=not terminate,
        is_terminated=terminate,
    )


def stuck(draft: Draft, event: Stuck) -> None:
    """Say why a job waits."""
    job = draft.get(event.job)
    if job is not None and job.status == JobStatus.RUNNABLE and job.status_reason != event.reason:
        draft.put(replace(job, status_reason=event.reason))


def _end_waiting(draft: Draft, job: Job, reason: str) -> None:
    """A job that has not started: a child at once, another one only when its dependencies have ended, as with AWS."""
    if job.status == JobStatus.RUNNABLE or job.is_child:
        draft.step(job, Move.FAILED, status_reason=reason)
    else:
        draft.put(replace(job, reason_asked=reason))


def _end_live(draft: Draft, job: Job, reason: str) -> None:
    assert job.run is not None, f"{job.id} is {job.status} without a run"
    run = replace(job.run, asked=job.run.asked or TERMINATED)
    draft.put(replace(job, run=run, is_terminated=True, reason_asked=reason, status_reason=reason))
    if job.nodes:
        stop_nodes(draft, job.id, reason)
    else:
        draft.actions.append(Stop(job.id, run.token, run.task, reason))


def _end_array(draft: Draft, parent: Job, reason: str, *, terminate: bool) -> None:
    draft.put(replace(parent, reason_asked=reason))
    for child in draft.members(parent):
        if child.has_ended:
            continue
        if child.status in _LIVE:
            if terminate:
                _end_live(draft, child, reason)
            continue
        flags = {"is_terminated": True} if terminate else {"is_cancelled": True}
        draft.step(child, Move.FAILED, status_reason=reason, **flags)
    draft.step_rest(parent, JobStatus.FAILED, reason)
