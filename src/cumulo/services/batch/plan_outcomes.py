"""What the end of an attempt makes of its job.  Pure."""

import msgspec

from cumulo.services.batch.draft import Draft
from cumulo.services.batch.model import Attempt, Job, JobStatus
from cumulo.services.batch.retry import is_retried
from cumulo.services.batch.states import Move

TIMED_OUT = "Job attempt duration exceeded timeout"
TIMEOUT, TERMINATED = "timeout", "terminated"  # why a run was told to stop


def conclude(draft: Draft, job: Job, attempt: Attempt, *, succeeded: bool) -> JobStatus:
    """The state that the job comes to, with this attempt behind it; RUNNABLE: there is to be another."""
    assert job.run is not None, f"{job.id} has an attempt, and no run"
    asked = job.run.asked
    job = msgspec.structs.replace(job, attempts=(*job.attempts, attempt))
    if asked == TIMEOUT:
        return _end(draft, job, attempt, Move.FAILED, TIMED_OUT)
    if asked:
        return _end(draft, job, attempt, Move.FAILED, job.reason_asked or attempt.status_reason)
    if succeeded:
        return _end(draft, job, attempt, Move.SUCCEEDED, attempt.status_reason)
    if is_retried(job.retry, attempt, len(job.attempts)):
        return draft.step(
            job,
            Move.RETRIED,
            run=None,
            runnable_at=draft.now,
            started_at=0,
            status_reason=attempt.status_reason,
        ).status
    return _end(draft, job, attempt, Move.FAILED, attempt.status_reason)


def _end(draft: Draft, job: Job, attempt: Attempt, move: Move, reason: str) -> JobStatus:
    stopped = attempt.stopped_at or draft.now
    return draft.step(job, move, status_reason=reason, stopped_at=stopped).status
