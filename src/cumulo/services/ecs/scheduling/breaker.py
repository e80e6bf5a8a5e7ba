"""When a deployment has failed, and how long to wait before trying again.  Pure."""

import math

from msgspec.structs import replace

from cumulo.services.ecs.model import Document, StopCode, Task
from cumulo.services.ecs.scheduling.model import Backoff

THRESHOLD_LEAST, THRESHOLD_MOST = 3, 200
WAIT_FIRST_SECONDS, WAIT_MOST_SECONDS = 1.0, 900.0
IMPAIRED_AT = 3  # rounds of tasks that never ran
PLACE_FIRST_SECONDS, PLACE_MOST_SECONDS = 5.0, 60.0
_STEPS_MOST = 20
_OWN_FAULT = frozenset({StopCode.TASK_FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED})


def threshold(breaker: Document, desired: int) -> int:
    """How many failed tasks trip the circuit breaker."""
    configured = breaker.get("thresholdConfiguration") or {}
    kind = configured.get("type", "BOUNDED_PERCENT")
    value = int(configured.get("value", 50))
    if kind == "COUNT":
        return max(1, value)
    share = math.ceil(value * desired / 100)
    if kind == "UNBOUNDED_PERCENT":
        return max(1, share)
    return min(max(share, THRESHOLD_LEAST), THRESHOLD_MOST)


def has_failed(task: Task, *, was_healthy: bool) -> bool:
    """Whether a task that ends counts as a failure of its deployment.

    It never ran, or ended by itself before it was healthy, or failed its health checks.  Others that end (a client
    stopped it, its instance went, it was not wanted any more) say nothing about the deployment.
    """
    if task.stop_code == StopCode.SERVICE_SCHEDULER_INITIATED:
        return task.stopped_reason.startswith("Task failed ")
    if task.stop_code in _OWN_FAULT:
        return not was_healthy
    return not task.stop_code and not task.started_at


def after_failure(backoff: Backoff, created_at: float, now: float) -> Backoff:
    """A task never reached RUNNING: wait, twice as long after each round of them."""
    if created_at < backoff.since:
        return backoff  # of a round that is counted already
    step = min(backoff.step + 1, _STEPS_MOST)
    seconds = min(WAIT_FIRST_SECONDS * 2 ** (step - 1), WAIT_MOST_SECONDS)
    return replace(backoff, step=step, since=now, until=now + seconds)


def after_running(backoff: Backoff) -> Backoff:
    """A task runs: what was counted is forgotten."""
    return replace(backoff, step=0, since=0.0, until=0.0) if backoff.step else backoff


def after_no_place(backoff: Backoff, now: float) -> Backoff:
    """There was no place for a task: ask again a little later, or when there may be room."""
    step = min(backoff.place_step + 1, _STEPS_MOST)
    seconds = min(PLACE_FIRST_SECONDS * 2 ** (step - 1), PLACE_MOST_SECONDS)
    return replace(backoff, place_step=step, place_until=now + seconds)


def after_place(backoff: Backoff) -> Backoff:
    """Tasks were placed."""
    return replace(backoff, place_step=0, place_until=0.0) if backoff.place_step else backoff
