"""Which changes of a task are news: those that an event is sent for, and its version grows with.  Pure."""

from collections.abc import Mapping
from typing import Any, Final

from cumulo.services.ecs.model import Task

_SHOWN: Final[Mapping[str, str]] = {
    "PULLED": "PENDING",
    "CREATED": "PENDING",
    "RESOURCES_PROVISIONED": "RUNNING",
}
"""Steps of a container that only agents speak of."""


def shown_status(status: str) -> str:
    """A container's status as clients are shown it."""
    return _SHOWN.get(status, status)


def is_news(before: Task, after: Task) -> bool:
    """Whether the task, its network interface or one of its containers has come to another state."""
    return _state(before) != _state(after)


def _state(task: Task) -> tuple[Any, ...]:
    containers = tuple(
        (shown_status(one.status), one.exit_code, one.reason, one.health, one.restarts)
        for one in task.containers
    )
    return task.last_status, task.desired_status, task.health, task.private_ip, containers
