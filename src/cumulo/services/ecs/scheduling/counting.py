"""Counts, with every change of a task, what failed: in the same transaction, so each task counts exactly once."""

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.services.ecs.model import Task, TaskStatus
from cumulo.services.ecs.scheduling import breaker, sentences
from cumulo.services.ecs.scheduling.facts import is_wanted
from cumulo.services.ecs.scheduling.model import Deployment, Rollout
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.telling import Telling


class Counting:
    """Hears of tasks.

    was_healthy   tasks (ARNs) that were healthy once
    """

    def __init__(
        self, book: Book, clock: Clock, telling: Telling, was_healthy: set[str], settle_seconds: float
    ) -> None:
        self._book = book
        self._clock = clock
        self._telling = telling
        self._was_healthy = was_healthy
        self._settle_seconds = settle_seconds

    def heard(self, service_arn: str, name: str, before: Task | None, after: Task | None) -> None:
        """A task of a service changed."""
        if after is None:
            return
        runs = after.last_status is TaskStatus.RUNNING
        begins = runs and (before is None or before.last_status is not TaskStatus.RUNNING)
        ends = not is_wanted(after) and (before is None or is_wanted(before))
        if not begins and not ends:
            return
        deployment = self._book.find(service_arn, after.deployment)
        if deployment is None:
            return
        if begins and not ends:
            backoff = breaker.after_running(deployment.backoff)
            if backoff != deployment.backoff:
                self._book.deployments.put(replace(deployment, backoff=backoff))
        if ends:
            self._ended(deployment, name, after)

    def _ended(self, deployment: Deployment, name: str, task: Task) -> None:
        now = self._clock.now()
        seconds = now - task.started_at if task.started_at else 0.0
        was_healthy = task.arn in self._was_healthy
        self._was_healthy.discard(task.arn)
        if not breaker.has_failed(task, was_healthy=was_healthy):
            return
        changed = deployment
        if deployment.rollout is Rollout.IN_PROGRESS:
            changed = replace(changed, failed=deployment.failed + 1, updated_at=now)
        if not task.started_at or seconds < self._settle_seconds:
            backoff = breaker.after_failure(deployment.backoff, task.created_at, now)
            changed = replace(changed, backoff=backoff)
            if not task.started_at and task.stopped_reason:
                note = sentences.not_started(task.stopped_reason)
                self._telling.complain(deployment.service_arn, name, note)
            if backoff.step == breaker.IMPAIRED_AT != deployment.backoff.step:
                self._telling.say(deployment.service_arn, name, sentences.IMPAIRED)
                self._telling.act(deployment.service_arn, "WARN", "SERVICE_TASK_START_IMPAIRED")
        if changed != deployment:
            self._book.deployments.put(changed)
