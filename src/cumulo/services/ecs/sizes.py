"""How large a task is: its definition's figures under the request's overrides."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.services.ecs.definitions.fargate import STORAGE_GIB, STORAGE_MOST
from cumulo.services.ecs.definitions.sizes import cpu_units, memory_mib
from cumulo.services.ecs.model import Document, TaskDefinition
from cumulo.services.ecs.refusals import client, invalid

_FIGURES: Final = ("cpu", "memory", "memoryReservation", "resourceRequirements")
OVERRIDES_BYTES_MAX: Final = 8192  # of those of containers, as JSON


class Sizes(msgspec.Struct, frozen=True):
    """Of a task.  own_cpu, own_memory: the task's own figures, as AWS shows them; empty when it has none."""

    cpu_units: int
    memory_mib: int
    own_cpu: str
    own_memory: str
    ephemeral_gib: int


def sizes_of(definition: TaskDefinition, overrides: Document) -> Sizes:
    """The sizes of a task that is to come.  AwsError for overrides that are no sizes."""
    own_cpu = _own(overrides.get("cpu"), definition.document.get("cpu"), "cpu", cpu_units)
    own_memory = _own(overrides.get("memory"), definition.document.get("memory"), "memory", memory_mib)
    containers = [overridden(one, overrides) for one in definition.containers]
    cpu = int(own_cpu) if own_cpu else sum(int(one.get("cpu") or 0) for one in containers)
    memory = (
        int(own_memory)
        if own_memory
        else sum(int(one.get("memoryReservation") or one.get("memory") or 0) for one in containers)
    )
    storage = overrides.get("ephemeralStorage") or definition.document.get("ephemeralStorage") or {}
    return Sizes(cpu, memory, own_cpu, own_memory, int(storage.get("sizeInGiB") or STORAGE_GIB))


def overridden(container: Document, overrides: Document) -> Document:
    """A container's definition with the figures that a request has put in place of its own."""
    for one in overrides.get("containerOverrides", ()):
        if one.get("name") == container.get("name"):
            figures = {key: one[key] for key in _FIGURES if key in one}
            return {**container, **figures}
    return container


def check_overrides(definition: TaskDefinition, overrides: Document) -> None:
    """AwsError for overrides that do not go with the definition."""
    if len(msgspec.json.encode(overrides.get("containerOverrides", ()))) > OVERRIDES_BYTES_MAX:
        raise invalid(f"Container Overrides length must be at most {OVERRIDES_BYTES_MAX}")
    names = {str(one["name"]) for one in definition.containers}
    for one in overrides.get("containerOverrides", ()):
        name = one.get("name")
        if not name:
            raise invalid("Container override must specify a container name.")
        if name not in names:
            raise invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
        _check_figures(one, definition)
    if overrides.get("inferenceAcceleratorOverrides"):
        raise client("Inference accelerators are no longer supported.")
    storage = overrides.get("ephemeralStorage")
    if storage is not None and not STORAGE_GIB <= int(storage["sizeInGiB"]) <= STORAGE_MOST:
        raise invalid(f"The ephemeral storage size must be between {STORAGE_GIB} GiB and {STORAGE_MOST} GiB.")


def _check_figures(override: Mapping[str, object], definition: TaskDefinition) -> None:
    for key in ("cpu", "memory", "memoryReservation"):
        value = override.get(key)
        if isinstance(value, int) and value < (0 if key == "cpu" else 4):
            raise client(f"Invalid setting for container '{override['name']}'. {key} must be positive.")
    hard, soft = override.get("memory"), override.get("memoryReservation")
    if isinstance(hard, int) and isinstance(soft, int) and soft > hard:
        raise client(
            f"Invalid setting for container '{override['name']}'. Memory reservation must not exceed memory."
        )
    limit = definition.document.get("memory")
    if isinstance(hard, int) and limit and hard > int(limit):
        raise client(
            f"The 'memory' setting for container {override['name']} is greater than that for the task."
        )


def _own(override: object, defined: object, what: str, read: Callable[[str], int | None]) -> str:
    """A task's own figure in units or MiB, as decimal digits."""
    text = str(override or defined or "")
    if not text:
        return ""
    figure = read(text)
    if figure is None:
        raise client(
            f"Invalid '{what}' setting for task. For more information, see the Amazon ECS documentation."
        )
    return str(figure)
