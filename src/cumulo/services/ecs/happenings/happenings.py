"""Tells EventBridge what happens: a listener of tasks and instances, and a voice for the services' scheduler."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.ports import EventBus
from cumulo.services.ecs.happenings.details import (
    detail_of,
    instance_is_news,
    lives_on,
    moment,
    task_is_news,
)
from cumulo.services.ecs.model import ContainerInstance, Service, Task
from cumulo.services.ecs.records import Records
from cumulo.state.outbox import Outbox
from cumulo.wire.service import Values

SOURCE = "aws.ecs"
TASK = "ECS Task State Change"
INSTANCE = "ECS Container Instance State Change"
SERVICE = "ECS Service Action"
DEPLOYMENT = "ECS Deployment State Change"


class TaskView(Protocol):
    """A task as DescribeTasks shows it."""

    def __call__(self, task: Task, *, tags: bool) -> Values:
        """The view."""
        ...


class Happenings:
    """Everything that ECS tells.  Every event is durable with the commit of the change that it tells of.

    task_view, instance_view   what DescribeTasks and DescribeContainerInstances show
    """

    def __init__(
        self,
        records: Records,
        clock: Clock,
        bus: EventBus,
        *,
        task_view: TaskView,
        instance_view: Callable[[ContainerInstance], Values],
    ) -> None:
        self._records = records
        self._clock = clock
        self._task_view = task_view
        self._instance_view = instance_view
        self.outbox = Outbox(records.store, clock, bus, source=SOURCE, table="ecs_outbox")
        records.tasks.listeners.append(self._task)
        records.instances.listeners.append(self._instance)

    async def run(self) -> None:
        """Deliver, for ever."""
        await self.outbox.run()

    def clear(self) -> None:
        """Forget what was not delivered."""
        self.outbox.clear()

    def service_action(
        self,
        service: Service,
        event_type: str,
        event_name: str,
        **more: Any,
    ) -> None:
        """Tell of a service: INFO, WARN or ERROR, and what (SERVICE_STEADY_STATE, ...); `more` goes into the detail."""
        now = moment(self._clock.now())
        detail = {
            "eventType": event_type,
            "eventName": event_name,
            "clusterArn": service.cluster_arn,
            **more,
            "createdAt": now,
        }
        self._send(service, SERVICE, detail)

    def deployment_change(
        self, service: Service, deployment: str, event_type: str, event_name: str, reason: str
    ) -> None:
        """Tell of a deployment (`ecs-svc/...`): SERVICE_DEPLOYMENT_IN_PROGRESS, _COMPLETED or _FAILED."""
        detail = {
            "eventType": event_type,
            "eventName": event_name,
            "deploymentId": deployment,
            "updatedAt": moment(self._clock.now()),
            "reason": reason,
        }
        self._send(service, DEPLOYMENT, detail)

    def _task(self, before: Task | None, after: Task | None) -> None:
        if after is not None and task_is_news(before, after):
            self._send(after, TASK, detail_of(self._task_view(after, tags=False), self._clock.now()))
        was, is_ = lives_on(before), lives_on(after)
        if was != is_:  # what remains of its instance has changed
            for arn in (was, is_):
                instance = self._records.instances.get(arn) if arn else None
                if instance is not None:
                    self._records.instances.put(replace(instance, version=instance.version + 1))

    def _instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        if after is not None and instance_is_news(before, after):
            self._tell(after)

    def _tell(self, instance: ContainerInstance) -> None:
        self._send(instance, INSTANCE, detail_of(self._instance_view(instance), self._clock.now()))

    def _send(
        self, about: Task | ContainerInstance | Service, detail_type: str, detail: Mapping[str, Any]
    ) -> None:
        self.outbox.send((about.account, about.region), detail_type, detail, (about.arn,), lane=about.arn)
