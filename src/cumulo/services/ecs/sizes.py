"""How large a task is: its definition's figures under the request's overrides."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.services.ecs.model import CPU_UNITS, MIB_PER_GIB, Document, TaskDefinition
from cumulo.services.ecs.refusals import client, invalid

EPHEMERAL_GIB: Final = 20  # what a Fargate task has when nothing was said
_NUMBER: Final = re.compile(r"\s*(\d{1,7}(?:\.\d{1,4})?)\s*(vcpu|gb)?\s*", re.IGNORECASE)


class Sizes(msgspec.Struct, frozen=True):
    """Of a task.  own_cpu, own_memory: the task's own figures, as AWS shows them; empty when it has none."""

    cpu_units: int
    memory_mib: int
    own_cpu: str
    own_memory: str
    ephemeral_gib: int


def sizes_of(definition: TaskDefinition, overrides: Document) -> Sizes:
    """The sizes of a task that is to come.  AwsError for overrides that are no sizes."""
    own_cpu = _own(overrides.get("cpu"), definition.document.get("cpu"), "vcpu", CPU_UNITS)
    own_memory = _own(overrides.get("memory"), definition.document.get("memory"), "gb", MIB_PER_GIB)
    containers = [overridden(one, overrides) for one in definition.containers]
    cpu = int(own_cpu) if own_cpu else sum(int(one.get("cpu") or 0) for one in containers)
    memory = (
        int(own_memory)
        if own_memory
        else sum(int(one.get("memoryReservation") or one.get("memory") or 0) for one in containers)
    )
    storage = overrides.get("ephemeralStorage") or definition.document.get("ephemeralStorage") or {}
    return Sizes(cpu, memory, own_cpu, own_memory, int(storage.get("sizeInGiB") or EPHEMERAL_GIB))


def overridden(container: Document, overrides: Document) -> Document:
    """A container's definition with the figures that a request has put in place of its own."""
    for one in overrides.get("containerOverrides", ()):
        if one.get("name") == container.get("name"):
            figures = {key: one[key] for key in ("cpu", "memory", "memoryReservation") if key in one}
            return {**container, **figures}
    return container


def check_overrides(definition: TaskDefinition, overrides: Document) -> None:
    """AwsError for overrides that do not go with the definition."""
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
    if storage is not None and not 20 <= int(storage["sizeInGiB"]) <= 200:
        raise invalid("The ephemeral storage size must be between 20 GiB and 200 GiB.")


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


def _own(override: object, defined: object, unit: str, per_unit: int) -> str:
    """A task's own figure in units or MiB, as decimal digits; also from `1 vCPU` and `2 GB`."""
    text = str(override or defined or "")
    if not text:
        return ""
    found = _NUMBER.fullmatch(text)
    if found is None or (found[2] and found[2].lower() != unit):
        what = "cpu" if unit == "vcpu" else "memory"
        raise client(
            f"Invalid '{what}' setting for task. For more information, see the Amazon ECS documentation."
        )
    return str(round(float(found[1]) * (per_unit if found[2] else 1)))
