"""A task definition with a task's overrides laid over it.  Pure."""

from typing import Any

from cumulo.services.ecs.model import Document, Task, TaskDefinition

_TAKEN = ("command", "cpu", "memory", "memoryReservation", "resourceRequirements", "environmentFiles")


def containers_of(task: Task, definition: TaskDefinition) -> tuple[Document, ...]:
    """The container definitions as this task runs them."""
    told = {str(one.get("name")): one for one in task.overrides.get("containerOverrides", ())}
    return tuple(_laid_over(one, told.get(str(one["name"]), {})) for one in definition.containers)


def _laid_over(definition: Document, override: Document) -> Document:
    merged: dict[str, Any] = dict(definition)
    for name in _TAKEN:
        if override.get(name):
            merged[name] = override[name]
    if override.get("environment"):
        # Beside the definition's, not in its place: a name that both have is the override's.
        merged["overridden"] = list(override["environment"])
    return merged


def role_of(task: Task, definition: TaskDefinition) -> str:
    """The role of what runs in the task; empty when it has none."""
    return str(task.overrides.get("taskRoleArn") or definition.document.get("taskRoleArn") or "")


def execution_role_of(task: Task, definition: TaskDefinition) -> str:
    """The role that pulls images and reads secrets; empty when it has none."""
    return str(task.overrides.get("executionRoleArn") or definition.document.get("executionRoleArn") or "")


def own_limits(task: Task, definition: TaskDefinition) -> tuple[int, int]:
    """The task's own CPU units and MiB of memory; 0 where only its containers have figures."""
    cpu = task.overrides.get("cpu") or definition.document.get("cpu") or 0
    memory = task.overrides.get("memory") or definition.document.get("memory") or 0
    return int(cpu), int(memory)
