"""What RunTask and StartTask ask for, read and checked."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.services.ecs.model import Cluster, Tags, TaskDefinition
from cumulo.services.ecs.refusals import client, invalid
from cumulo.services.ecs.seams import LaunchRequest
from cumulo.services.ecs.tagging import checked_tags
from cumulo.wire.service import Values

COUNT_MAX: Final = 10
STARTED_BY_MAX: Final = 128
TOKEN_MAX: Final = 64
REFERENCE_MAX: Final = 1024


def run_request(
    caller: Caller, values: Values, cluster: Cluster, definition: TaskDefinition
) -> LaunchRequest:
    """A RunTask.  AwsError for what cannot be accepted."""
    count = values.get("count", 1)
    if not 1 <= count <= COUNT_MAX:
        raise invalid(f"Task count must be between 1 and {COUNT_MAX}.")
    if values.get("launchType") and values.get("capacityProviderStrategy"):
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported."
            " Remove one and try again."
        )
    token = values.get("clientToken", "")
    if len(token) > TOKEN_MAX:
        raise invalid(f"clientToken can have at most {TOKEN_MAX} characters.")
    if any(not "!" <= one <= "~" for one in token):
        raise invalid("clientToken can only have the characters from ! to ~ of ASCII.")
    return LaunchRequest(
        **_shared("RunTask", caller, values, cluster, definition),
        count=count,
        launch_type=values.get("launchType", ""),
        strategy=values.get("capacityProviderStrategy", ()),
        client_token=token,
        constraints=values.get("placementConstraints", ()),
        strategies=values.get("placementStrategy", ()),
        platform_version=values.get("platformVersion", ""),
    )


def start_request(
    caller: Caller, values: Values, cluster: Cluster, definition: TaskDefinition
) -> LaunchRequest:
    """A StartTask; the container instances as ARNs.  AwsError for what cannot be accepted."""
    instances = values["containerInstances"]
    if not instances:
        raise invalid("Container instances cannot be empty.")
    if len(instances) > COUNT_MAX:
        raise invalid(f"Container instances count must be between 1 and {COUNT_MAX}.")
    own = f"{cluster.arn.replace(':cluster/', ':container-instance/')}/"
    return LaunchRequest(
        **_shared("StartTask", caller, values, cluster, definition),
        count=len(instances),
        instances=[one if one.startswith("arn:") else own + one for one in instances],
    )


def _shared(
    operation: str, caller: Caller, values: Values, cluster: Cluster, definition: TaskDefinition
) -> Values:
    group = values.get("group", "")
    if group.startswith("service:"):
        raise invalid("The task group name cannot begin with 'service:'.")
    started_by = values.get("startedBy", "")
    if len(started_by) > STARTED_BY_MAX:
        raise invalid(f"startedBy can have at most {STARTED_BY_MAX} characters.")
    reference = values.get("referenceId", "")
    if len(reference) > REFERENCE_MAX:
        raise invalid(f"referenceId can have at most {REFERENCE_MAX} characters.")
    if values.get("volumeConfigurations"):
        raise not_implemented("ecs", operation, "volumeConfigurations: there are no EBS volumes for tasks")
    if definition.status != "ACTIVE":
        raise client("TaskDefinition is inactive")
    role = values.get("overrides", {}).get("taskRoleArn") or definition.document.get("taskRoleArn")
    if values.get("enableExecuteCommand") and not role:
        raise invalid(
            "The execute command failed because a valid task role is not being used. Specify a valid task role in"
            " your task definition or as a task override and try again."
        )
    return {
        "account": caller.account,
        "region": caller.region,
        "cluster_arn": cluster.arn,
        "definition": definition,
        "group": group,
        "started_by": started_by,
        "reference_id": reference,
        "overrides": values.get("overrides", {}),
        "network": values.get("networkConfiguration", {}),
        "execute_command": values.get("enableExecuteCommand", False),
        "tags": _tags(values, cluster, definition),
    }


def _tags(values: Values, cluster: Cluster, definition: TaskDefinition) -> Tags:
    """The request's, over those of the definition when they are to be passed on, over ECS's own."""
    propagate = values.get("propagateTags", "NONE")
    if propagate == "SERVICE":
        raise invalid("Invalid value for propagateTags. SERVICE is only supported for tasks of a service.")
    passed = definition.tags if propagate == "TASK_DEFINITION" else {}
    managed = {"aws:ecs:clusterName": cluster.name} if values.get("enableECSManagedTags") else {}
    return checked_tags(values.get("tags", ()), {**managed, **passed})
