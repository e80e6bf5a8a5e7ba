"""Multi-node jobs.  Pure.

    RUNNABLE ──▶ the main node is STARTING ──▶ it is RUNNING: so is the job, and the other nodes are STARTING
                 the main node has ended ──▶ the others are stopped ──▶ all have: the job ends as its main node did

A node that ends while the main one runs concerns nobody.  Nodes have no retries: the job has, and all run again.
"""

from collections.abc import Sequence

import msgspec

from cumulo.services.batch.draft import Draft
from cumulo.services.batch.model import Attempt, Job, JobStatus, Run
from cumulo.services.batch.plan_events import Order, Stop, Submit
from cumulo.services.batch.plan_outcomes import TERMINATED, conclude
from cumulo.services.batch.states import Move

MAIN_ENDED = "The main node has ended"
_LIVE = (JobStatus.STARTING, JobStatus.RUNNING)
replace = msgspec.structs.replace


def start_nodes(draft: Draft, job: Job, instances: Sequence[str]) -> None:
    """Promise every node its place, and order the main one."""
    assert job.run is not None, f"{job.id} starts without a run"
    for number in range(job.nodes):
        node = draft.get(f"{job.id}#{number}")
        assert node is not None, f"{job.id} has no node {number}"
        instance = instances[number] if number < len(instances) else ""
        run = Run(token=f"{job.run.token}/{number}", environment=job.run.environment, instance=instance)
        node = draft.put(replace(node, run=run, status_reason=""))
        if number == job.main_node:
            _start(draft, node)


def main_refused(draft: Draft, node: Job) -> None:
    """The main node has found no room: the job waits again, or ends if it was to."""
    job = _whole(draft, node)
    if node.node != job.main_node:
        return
    if job.run is not None and job.run.asked:
        draft.step(node, Move.FAILED, status_reason=job.reason_asked)
        return
    draft.step(node, Move.REFUSED, run=None)
    for other in draft.members(job):
        draft.put(replace(other, run=None))
    draft.step(job, Move.REFUSED, run=None)


def main_runs(draft: Draft, node: Job) -> None:
    """What is known of the main node is known of the job; when it runs, the others may."""
    job = _whole(draft, node)
    if node.node != job.main_node or job.run is None or node.run is None:
        return
    kept = replace(node.run, token=job.run.token, asked=job.run.asked)
    if node.status != JobStatus.RUNNING or job.status == JobStatus.RUNNING:
        draft.put(replace(job, run=kept))
        return
    draft.step(job, Move.RAN, run=kept, started_at=node.started_at)
    if not job.run.asked:
        for other in sorted(draft.members(job), key=lambda one: one.node):
            if other.status == JobStatus.RUNNABLE:
                _start(draft, other)


def node_ended(draft: Draft, node: Job) -> None:
    """Stop the others when it was the main one; end the job when no node lives any more."""
    job = _whole(draft, node)
    if job.status not in _LIVE:
        return
    main = draft.get(f"{job.id}#{job.main_node}")
    if main is None or not main.has_ended:
        return
    if node.id == main.id:
        stop_nodes(draft, job.id, MAIN_ENDED)
    if not any(one.status in _LIVE for one in draft.members(job)):
        _conclude(draft, job, main)


def stop_nodes(draft: Draft, job_id: str, reason: str) -> None:
    """Stop every node that lives."""
    job = draft.get(job_id)
    assert job is not None, f"{job_id} is gone"
    for node in sorted(draft.members(job), key=lambda one: one.node):
        if node.status in _LIVE and node.run is not None:
            draft.actions.append(Stop(node.id, node.run.token, node.run.task, reason))


def _conclude(draft: Draft, job: Job, main: Job) -> None:
    assert job.run is not None, f"{job.id} ends without a run"
    if main.is_terminated and not job.run.asked:
        job = replace(job, run=replace(job.run, asked=TERMINATED), reason_asked=main.status_reason)
    attempt = main.attempts[-1] if main.attempts else Attempt(stopped_at=draft.now)
    status = conclude(draft, job, attempt, succeeded=main.status == JobStatus.SUCCEEDED)
    for node in draft.members(job):
        if status == JobStatus.RUNNABLE:
            again = draft.step(node, Move.RESET) if node.has_ended else node
            draft.put(replace(again, run=None, started_at=0, stopped_at=0))
        elif not node.has_ended:
            draft.step(node, Move.FAILED, status_reason=MAIN_ENDED)
    if status == JobStatus.RUNNABLE:
        draft.actions.append(Submit(job.id))


def _start(draft: Draft, node: Job) -> None:
    draft.step(node, Move.STARTED)
    draft.actions.append(Order(node.id))


def _whole(draft: Draft, node: Job) -> Job:
    job = draft.get(node.parent)
    assert job is not None, f"{node.parent} is gone before its nodes"
    return job
