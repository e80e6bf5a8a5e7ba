"""What one run has that the task definition of its job definition has not: RunTask's overrides.  Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from cumulo.services.batch.model import Document
from cumulo.services.batch.resolution import containers_of
from cumulo.services.batch.resource_rules import Amounts, amounts_of, together
from cumulo.services.batch.running.task_documents import CONTAINER, cpu_units


def overrides_of(
    base: Mapping[str, Any], properties: Mapping[str, Any], variables: Mapping[str, str], *, fargate: bool
) -> dict[str, Any]:
    """The overrides; `base` is what the definition says, `properties` what the job runs, both as `run_properties` gives.

    Only what differs: ECS takes 8192 characters.
    """
    before, after = containers_of(base), containers_of(properties)
    figures = not fargate or len(after) > 1
    made: dict[str, Any] = {
        "containerOverrides": [
            _container(was, one, variables, figures=figures) for was, one in zip(before, after, strict=True)
        ]
    }
    if fargate:
        was, wanted = _sum(before), _sum(after)
        if wanted.vcpus != was.vcpus:
            made["cpu"] = str(cpu_units(wanted.vcpus or 0))
        if wanted.memory != was.memory:
            made["memory"] = str(wanted.memory or 0)
    return made


def _sum(containers: Sequence[Document]) -> Amounts:
    return together(amounts_of(one) for one in containers)


def _container(
    was: Document, one: Document, variables: Mapping[str, str], *, figures: bool
) -> dict[str, Any]:
    made: dict[str, Any] = {"name": one.get("name", CONTAINER)}
    if one.get("command", []) != was.get("command", []):
        made["command"] = list(one["command"])
    known = {pair["name"]: pair.get("value", "") for pair in was.get("environment", ())}
    wanted = {pair["name"]: pair.get("value", "") for pair in one.get("environment", ())}
    changed = {name: value for name, value in wanted.items() if known.get(name) != value} | dict(variables)
    made["environment"] = [{"name": name, "value": value} for name, value in changed.items()]
    before, after = amounts_of(was), amounts_of(one)
    if figures and after.vcpus and after.vcpus != before.vcpus:
        made["cpu"] = cpu_units(after.vcpus)
    if figures and after.memory and after.memory != before.memory:
        made["memory"] = after.memory
    if after.gpus and after.gpus != before.gpus:
        made["resourceRequirements"] = [{"type": "GPU", "value": str(after.gpus)}]
    return made
