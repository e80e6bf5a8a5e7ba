"""Attempts: from a place to run to the end of a run, and perhaps to the next one.  Pure."""

import msgspec

from cumulo.services.batch.draft import Draft
from cumulo.services.batch.model import Attempt, Job, JobStatus, Run
from cumulo.services.batch.plan_events import Ended, Order, Refused, Seen, Started, Stop, Submit, TimedOut
from cumulo.services.batch.plan_nodes import main_refused, main_runs, start_nodes, stop_nodes
from cumulo.services.batch.plan_outcomes import TIMED_OUT, TIMEOUT, conclude
from cumulo.services.batch.retry import has_succeeded
from cumulo.services.batch.states import Move

replace = msgspec.structs.replace


def started(draft: Draft, event: Started) -> None:
    """Order what a job needs, unless it is not RUNNABLE any more."""
    job = draft.get(event.job)
    if job is None or job.status != JobStatus.RUNNABLE or job.array_size or job.is_node:
        return
    token = f"{job.id}/{len(job.attempts) + 1}"
    run = Run(token=token, environment=event.environment, instance=event.instances[0])
    job = draft.step(job, Move.STARTED, run=run, status_reason="")
    if job.nodes:
        start_nodes(draft, job, event.instances)
    else:
        draft.actions.append(Order(job.id))


def refused(draft: Draft, event: Refused) -> None:
    """It waits again.  A node other than the main one stays STARTING: its room is promised, so it is ordered again."""
    job = _running(draft, event.job, event.token)
    if job is None or job.status != JobStatus.STARTING:
        return
    if job.is_node:
        main_refused(draft, job)
    elif job.run is not None and job.run.asked:
        conclude(draft, job, Attempt(stopped_at=draft.now), succeeded=False)  # it was to end, and never began
    else:
        draft.step(job, Move.REFUSED, run=None)


def seen(draft: Draft, event: Seen) -> None:
    """Note what is known of the task, and that it runs."""
    job = _running(draft, event.job, event.token)
    if job is None or job.run is None:
        return
    run = replace(
        job.run,
        task=event.task or job.run.task,
        instance=event.instance or job.run.instance,
        containers=event.containers or job.run.containers,
        interfaces=event.interfaces or job.run.interfaces,
        started_at=event.started_at or job.run.started_at,
    )
    if event.running and job.status == JobStatus.STARTING:
        run = replace(run, started_at=run.started_at or draft.now)
        job = draft.step(job, Move.RAN, run=run, started_at=run.started_at)
    elif run != job.run:
        job = draft.put(replace(job, run=run))
    if job.is_node:
        main_runs(draft, job)


def ended(draft: Draft, event: Ended) -> None:
    """An attempt is over."""
    job = _running(draft, event.job, event.token)
    if job is None or job.run is None:
        return
    attempt = replace(event.attempt, stopped_at=event.attempt.stopped_at or draft.now)
    succeeded = has_succeeded(attempt, event.essential)
    if job.is_node:
        move = Move.SUCCEEDED if succeeded else Move.FAILED
        kept = {"attempts": (*job.attempts, attempt), "status_reason": attempt.status_reason}
        draft.step(job, move, stopped_at=attempt.stopped_at, **kept)
    elif conclude(draft, job, attempt, succeeded=succeeded) == JobStatus.RUNNABLE:
        draft.actions.append(Submit(job.id))


def timed_out(draft: Draft, event: TimedOut) -> None:
    """Stop it; what it comes to is decided when it has stopped."""
    job = _running(draft, event.job, event.token)
    if job is None or job.run is None or job.run.asked or job.is_node:
        return
    run = replace(job.run, asked=TIMEOUT)
    draft.put(replace(job, run=run))
    if job.nodes:
        stop_nodes(draft, job.id, TIMED_OUT)
    else:
        draft.actions.append(Stop(job.id, run.token, run.task, TIMED_OUT))


def _running(draft: Draft, job_id: str, token: str) -> Job | None:
    """The job, when this is the run that it has."""
    job = draft.get(job_id)
    if job is None or job.run is None or job.run.token != token:
        return None
    return job if job.status in (JobStatus.STARTING, JobStatus.RUNNING) else None
