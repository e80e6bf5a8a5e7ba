"""What a task of ECS says of the run that it is: the planner's events.  Pure."""

from collections.abc import Iterator
from typing import Final

from cumulo.base.task_runner import RanContainer, RanTask
from cumulo.services.batch.model import Attempt, AttemptContainer, Job
from cumulo.services.batch.plan_events import Ended, Event, Seen
from cumulo.services.batch.running.variables import ADDRESS

ESSENTIAL_EXITED: Final = "Essential container in task exited"
NOT_STARTED: Final = "Task failed to start"
LOST: Final = "The task of this job is gone"
_RUNS: Final = frozenset({"RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"})


def events_of(task: RanTask, job: Job, essential: tuple[str, ...] = ()) -> Iterator[Event]:
    """The events that are news for a job whose run has the task's token."""
    assert job.run is not None, f"{job.id} has no run"
    ran = task.started_at > 0 and task.status in _RUNS
    begins = ran and not job.run.started_at
    if task.status != "STOPPED":
        if begins or job.run.task != task.arn or (task.address and not job.run.interfaces):
            yield _seen(task, job, running=ran)
        return
    if begins:
        yield _seen(task, job, running=True)
    yield Ended(job=job.id, token=task.token, attempt=attempt_of(task), essential=essential)


def attempt_of(task: RanTask) -> Attempt:
    """An attempt, as its stopped task tells of it."""
    return Attempt(
        task=task.arn,
        instance=task.instance,
        started_at=_millis(task.started_at),
        stopped_at=_millis(task.stopped_at),
        status_reason=_why(task),
        containers=tuple(_container(one) for one in task.containers),
        interfaces=_interfaces(task),
    )


def _seen(task: RanTask, job: Job, *, running: bool) -> Seen:
    return Seen(
        job=job.id,
        token=task.token,
        task=task.arn,
        instance=task.instance,
        containers=tuple(
            AttemptContainer(name=one.name, log_stream=one.log_stream) for one in task.containers
        ),
        interfaces=_interfaces(task),
        running=running,
        started_at=_millis(task.started_at),
    )


def _why(task: RanTask) -> str:
    if task.stop_code == "EssentialContainerExited":
        return ESSENTIAL_EXITED
    if task.stop_code == "TaskFailedToStart" and any(one.reason for one in task.containers):
        return NOT_STARTED  # the reason is its container's
    return task.stopped_reason


def _container(one: RanContainer) -> AttemptContainer:
    return AttemptContainer(
        name=one.name, exit_code=one.exit_code, reason=one.reason, log_stream=one.log_stream
    )


def _interfaces(task: RanTask) -> tuple[dict[str, str], ...]:
    if not task.interface:
        return ()
    return ({"attachmentId": task.interface, ADDRESS: task.address},)


def _millis(seconds: float) -> int:
    return int(seconds * 1000)
