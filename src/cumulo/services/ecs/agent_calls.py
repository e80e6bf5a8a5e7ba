"""What AWS's container agent calls.  Tasks here are carried by this machine itself, which knows their state first.

So a report that says what is known already is acknowledged, as AWS does with reports that come twice or late; one that
would change something cannot be acted on, and is refused by name.
"""

from collections.abc import Mapping
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.services.ecs import arns
from cumulo.services.ecs.model import Cluster, Task
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.tasks import FindCluster, task_of
from cumulo.wire.service import Coverage, Operation, Values

ACK: Final = "ACK"
_NO_AGENTS: Final = "container instances are parts of this machine, and none is run by an agent elsewhere"
_STEPS: Final = ("NONE", "MANIFEST_PULLED", "PULLED", "CREATED", "PENDING", "RUNNING", "STOPPED")
_ATTACHMENTS: Final = ("NONE", "PRECREATED", "ATTACHED", "DETACHED", "DELETED")


class AgentCalls:
    """The operations of agents."""

    def __init__(self, records: Records, *, find_cluster: FindCluster) -> None:
        self._records = records
        self._find_cluster = find_cluster

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        known = "reports of what is known already are acknowledged; others are refused"
        return {
            "DiscoverPollEndpoint": Operation(self.discover, Coverage.REFUSED, _NO_AGENTS),
            "SubmitTaskStateChange": Operation(self.task, note=known),
            "SubmitContainerStateChange": Operation(self.container, note=known),
            "SubmitAttachmentStateChanges": Operation(self.attachments, note=known),
        }

    async def discover(self, caller: Caller, values: Values) -> Values | None:
        """DiscoverPollEndpoint: there is nothing to poll."""
        del caller, values
        raise not_implemented("ecs", "DiscoverPollEndpoint", _NO_AGENTS)

    async def task(self, caller: Caller, values: Values) -> Values | None:
        """SubmitTaskStateChange."""
        operation = "SubmitTaskStateChange"
        cluster, task = self._task(caller, values)
        if values.get("status"):
            _no_news(operation, values["status"], str(task.last_status), _STEPS)
        for one in values.get("containers", ()):
            _container_report(operation, task, one.get("containerName"), one)
        for one in values.get("attachments", ()):
            self._attachment_report(operation, cluster, one)
        if values.get("managedAgents"):
            raise not_implemented("ecs", operation, _NO_AGENTS)
        return {"acknowledgment": ACK}

    async def container(self, caller: Caller, values: Values) -> Values | None:
        """SubmitContainerStateChange."""
        _, task = self._task(caller, values)
        _container_report("SubmitContainerStateChange", task, values.get("containerName"), values)
        return {"acknowledgment": ACK}

    async def attachments(self, caller: Caller, values: Values) -> Values | None:
        """SubmitAttachmentStateChanges."""
        cluster = self._find_cluster(caller, values.get("cluster"))
        for one in values["attachments"]:
            self._attachment_report("SubmitAttachmentStateChanges", cluster, one)
        return {"acknowledgment": ACK}

    def _task(self, caller: Caller, values: Values) -> tuple[Cluster, Task]:
        cluster = self._find_cluster(caller, values.get("cluster"))
        task = task_of(self._records, cluster, values.get("task", ""))
        if task is None:
            raise invalid("The referenced task was not found.")
        return cluster, task

    def _attachment_report(self, operation: str, cluster: Cluster, report: Values) -> None:
        wanted = arns.last_part(report["attachmentArn"])
        found = (
            task for task in self._records.tasks.by("cluster", cluster.arn) if task.attachment_id == wanted
        )
        task = next(found, None)
        if task is None:
            raise invalid("The referenced attachment was not found.")
        status = "ATTACHED" if task.private_ip else "PRECREATED"
        _no_news(operation, report["status"], status if task.is_live else "DELETED", _ATTACHMENTS)


def _container_report(operation: str, task: Task, name: str | None, report: Values) -> None:
    container = next((one for one in task.containers if one.name == name), None)
    if container is None:
        raise invalid("The referenced container was not found.")
    if report.get("status"):
        _no_news(operation, report["status"], container.status, _STEPS)
    if report.get("exitCode") not in {None, container.exit_code}:
        raise not_implemented("ecs", operation, _NO_AGENTS)


def _no_news(operation: str, said: str, known: str, steps: tuple[str, ...]) -> None:
    """A state that is known, or was passed before, changes nothing."""
    if said == known:
        return
    if said in steps and known in steps and steps.index(said) < steps.index(known):
        return
    raise not_implemented("ecs", operation, _NO_AGENTS)
