"""RegisterJobDefinition's request.  Pure; AwsError ClientException."""

import re
from typing import Any

import msgspec

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.model import Document
from cumulo.services.batch.node_rules import node_properties
from cumulo.services.batch.retry_rules import checked_retry, checked_timeout
from cumulo.services.batch.task_rules import container_properties, ecs_properties

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
DEFINITION_BYTES_MAX = 24 * 1024
PRIORITY_MOST = 9999
TAGS_MAX = 50
_UNBUILT = ("eksProperties", "consumableResourceProperties")


def definition_members(values: Document) -> dict[str, Any]:
    """The members of a JobDefinition that a request makes."""
    if not NAME.fullmatch(values["jobDefinitionName"]):
        raise unfit("Job definition name should match valid pattern")
    for member in _UNBUILT:
        if member in values:
            raise unbuilt("RegisterJobDefinition", member)
    if len(msgspec.json.encode(values)) > DEFINITION_BYTES_MAX:
        raise unfit(f"Job definition size cannot exceed {DEFINITION_BYTES_MAX} bytes.")
    priority = values.get("schedulingPriority", 0)
    check_priority(priority)
    check_parameters(values.get("parameters", {}))
    check_tags(values.get("tags", {}))
    platform = _platform(values)
    return {
        "name": values["jobDefinitionName"],
        "kind": values["type"],
        "platforms": (platform,),
        "properties": _properties(values, platform),
        "parameters": values.get("parameters", {}),
        "retry": checked_retry(values.get("retryStrategy")),
        "timeout": checked_timeout(values.get("timeout")),
        "scheduling_priority": priority,
        "propagate_tags": values.get("propagateTags", False),
        "tags": values.get("tags", {}),
    }


def check_priority(priority: int) -> None:
    """A scheduling priority."""
    if not 0 <= priority <= PRIORITY_MOST:
        raise unfit(f"Scheduling priority must be between 0 and {PRIORITY_MOST}.")


def check_parameters(parameters: Document) -> None:
    """Names of parameters."""
    if "" in parameters:
        raise unfit("Parameter names cannot be empty.")


def check_tags(tags: Document) -> None:
    """Tags of any resource of Batch."""
    if len(tags) > TAGS_MAX:
        raise unfit(f"Number of tags cannot exceed {TAGS_MAX}.")
    for key in tags:
        if key.lower().startswith("aws:"):
            raise unfit("Tag keys cannot start with aws:.")


def _platform(values: Document) -> str:
    platforms = values.get("platformCapabilities", ["EC2"])
    if len(platforms) != 1:
        raise unfit("Exactly 1 capability must be provided.")
    if platforms[0] == "MANAGED_INSTANCES":
        raise unbuilt("RegisterJobDefinition", "platformCapabilities MANAGED_INSTANCES")
    return str(platforms[0])


def _properties(values: Document, platform: str) -> dict[str, Any]:
    if values["type"] == "multinode":
        if platform == "FARGATE":
            raise unfit("Fargate does not support MNP jobs")
        if "nodeProperties" not in values:
            raise unfit("Node properties of multinode job is required.")
        if "containerProperties" in values or "ecsProperties" in values:
            raise unfit("containerProperties and ecsProperties are not applicable for multinode jobs.")
        return {"nodeProperties": node_properties(values["nodeProperties"])}
    if "nodeProperties" in values:
        raise unfit("nodeProperties is only applicable for multinode jobs.")
    if "containerProperties" in values and "ecsProperties" in values:
        raise unfit("Cannot use both ECS containerProperties and ecsProperties")
    if "ecsProperties" in values:
        return {"ecsProperties": ecs_properties(values["ecsProperties"], platform)}
    container = values.get("containerProperties", {})
    return {"containerProperties": container_properties(container, platform)}
