"""What the details of events look like.  Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cumulo.services.ecs.model import ContainerInstance, Task

_TIME = "At"  # how the names of times end


def moment(at: float) -> str:
    """Seconds since the epoch as events write them: 2020-01-23T17:57:58.103Z."""
    when = datetime.fromtimestamp(round(at, 3), UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def detail_of(view: Mapping[str, Any], now: float) -> dict[str, Any]:
    """A task or an instance as its Describe operation shows it, as an event: with times in words, without tags.

    Two things have other names in events than in answers: network interfaces, and the state of agents in containers.
    """
    shown = {
        name: _plain(name, value) for name, value in view.items() if value is not None and name != "tags"
    }
    for attachment in shown.get("attachments", ()):
        if attachment.get("type") == "ElasticNetworkInterface":
            attachment["type"] = "eni"
    for container in shown.get("containers", ()):
        if agents := container.get("managedAgents"):
            container["managedAgents"] = [
                {"name": agent["name"], "status": agent["lastStatus"]} for agent in agents
            ]
    return {**shown, "updatedAt": moment(now)}


def task_is_news(before: Task | None, after: Task) -> bool:
    """Whether AWS would tell of this change of a task."""
    if before is None:
        return True
    return (before.version, before.last_status, before.desired_status) != (
        after.version,
        after.last_status,
        after.desired_status,
    )


def instance_is_news(before: ContainerInstance | None, after: ContainerInstance) -> bool:
    """Whether AWS would tell of this change of an instance."""
    if before is None:
        return True
    return (before.version, before.status, before.agent_connected) != (
        after.version,
        after.status,
        after.agent_connected,
    )


def lives_on(task: Task | None) -> str:
    """The ARN of the instance whose resources a task holds; empty when it holds none."""
    return task.instance_arn if task is not None and task.is_live else ""


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(key, one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_plain("", one) for one in value]
    if isinstance(value, float) and name.endswith(_TIME):
        return moment(value)
    return value
