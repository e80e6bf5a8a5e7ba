"""A service's tasks in the target groups of its load balancers: registered while they run, drained before they stop."""

import asyncio
from collections.abc import Mapping, Sequence

from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.base.ports.targets import Target, TargetGroups
from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling.health import targets_of
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.telling import Telling

DRAIN_MOST_SECONDS = 3600.0  # the longest deregistration delay that a target group can have
LOOK_SECONDS = 0.2
_log = Log("ecs.targets")


class TargetAttachment:
    """The part of a task's life that its target groups take: a `seams.Attachment`."""

    def __init__(
        self,
        records: Records,
        book: Book,
        *,
        targets: TargetGroups,
        telling: Telling,
        clock: Clock,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._records = records
        self._book = book
        self._targets = targets
        self._telling = telling
        self._clock = clock
        self._look_seconds = look_seconds

    def hosts(self, task: Task) -> Mapping[str, str]:
        """Target groups need no names."""
        del task
        return {}

    async def prepare(self, task: Task, pod: str) -> None:
        """Nor do they listen inside pods."""

    async def attach(self, task: Task) -> None:
        """Register the task with every target group of its deployment."""
        for arn, target in self._of(task):
            if self._state(arn, target) in {"", "draining"}:
                await self._targets.register(arn, [target])
                self._say(task, f"registered 1 targets in (target-group {arn})")
        await self._records.store.commit()

    async def detach(self, task: Task) -> None:
        """Deregister it, and wait until nothing of it drains any more."""
        here = [(arn, target) for arn, target in self._of(task) if self._state(arn, target)]
        leaving = [(arn, target) for arn, target in here if self._state(arn, target) != "draining"]
        for arn, target in leaving:
            await self._targets.deregister(arn, [target])
            self._say(task, f"deregistered 1 targets in (target-group {arn})")
        if leaving:
            self._say(task, "has begun draining connections on 1 tasks.", task.deployment)
            await self._records.store.commit()
        until = self._clock.monotonic() + DRAIN_MOST_SECONDS
        while any(self._state(arn, target) == "draining" for arn, target in here):
            if self._clock.monotonic() >= until:
                _log.warning("a target has not drained in time", task=task.arn)
                return
            await asyncio.sleep(self._look_seconds)

    async def gone(self, task: Task) -> None:
        """Deregister what a crash or a kill has left behind."""
        for arn, target in self._of(task):
            if self._state(arn, target) not in {"", "draining"} and not self._is_used(task, arn, target):
                await self._targets.deregister(arn, [target])
                self._say(task, f"deregistered 1 targets in (target-group {arn})")
        await self._records.store.commit()

    def _of(self, task: Task) -> Sequence[tuple[str, Target]]:
        """The target groups of a task, and what it is in each."""
        instance = self._records.instances.get(task.instance_arn) if task.instance_arn else None
        ec2_id = instance.ec2_id if instance is not None else ""
        found: list[tuple[str, Target]] = []
        for balancer in self._balancers(task):
            arn = str(balancer.get("targetGroupArn", ""))
            target = targets_of(task, balancer, ec2_id)
            if target is not None and self._targets.group(arn) is not None:
                found.append((arn, target))
        return found

    def _balancers(self, task: Task) -> Sequence[Document]:
        if not task.service:
            return ()
        services = self._records.services.get(service_key(task.cluster_arn, task.service))
        deployment = self._book.find(services.arn, task.deployment) if services is not None else None
        return deployment.target_groups if deployment is not None else ()

    def _is_used(self, task: Task, arn: str, target: Target) -> bool:
        """Whether another live task of the service has the same target by now: its address was given on."""
        key = service_key(task.cluster_arn, task.service)
        others = self._records.tasks.by("live_service", key)
        return any((arn, target) in self._of(other) for other in others if other.arn != task.arn)

    def _state(self, arn: str, target: Target) -> str:
        if self._targets.group(arn) is None:
            return ""
        return self._targets.health(arn).get(target, "")

    def _say(self, task: Task, note: str, deployment: str = "") -> None:
        service = self._records.services.get(service_key(task.cluster_arn, task.service))
        if service is None:
            return
        name = f"{service.name}, taskSet {deployment}" if deployment else service.name
        self._telling.say(service.arn, name, note)
