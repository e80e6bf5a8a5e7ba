"""What an event makes of jobs: decides everything, and does nothing.

event ──▶ the job itself ──▶ whoever waits for it: dependents, its array, its multi-node job ──▶ and so on
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cumulo.services.batch.draft import Book, Draft
from cumulo.services.batch.plan_arrays import child_ended, rest_ended
from cumulo.services.batch.plan_attempts import ended, refused, seen, started, timed_out
from cumulo.services.batch.plan_dependencies import submitted, target_ended
from cumulo.services.batch.plan_events import (
    Cancelled,
    Ended,
    Event,
    Expired,
    Outcome,
    Refused,
    Seen,
    Started,
    Stuck,
    Submitted,
    Terminated,
    TimedOut,
)
from cumulo.services.batch.plan_nodes import node_ended
from cumulo.services.batch.plan_stops import cancelled, expired, stuck, terminated

_FIRST: Mapping[type, Callable[[Draft, Any], None]] = MappingProxyType(
    {
        Submitted: submitted,
        Started: started,
        Refused: refused,
        Seen: seen,
        Ended: ended,
        Cancelled: cancelled,
        Terminated: terminated,
        TimedOut: timed_out,
        Expired: expired,
        Stuck: stuck,
    }
)


def plan(event: Event, book: Book, now: int) -> Outcome:
    """What an event comes to; `now` in milliseconds since the epoch.  The more it costs, the more it changes."""
    draft = Draft(book, now)
    _FIRST[type(event)](draft, event)
    while draft.ended or draft.rests:
        if draft.ended:
            _draw(draft, draft.ended.popleft())
        else:
            rest_ended(draft, draft.rests.popleft())
    return draft.outcome()


def _draw(draft: Draft, job_id: str) -> None:
    """The consequences of a job's end."""
    job = draft.get(job_id)
    assert job is not None, f"{job_id} has ended, and is not there"
    if not job.has_ended:
        return  # a node that runs again already
    if job.is_node:
        node_ended(draft, job)
    elif job.is_child:
        child_ended(draft, job)
    target_ended(draft, job)
