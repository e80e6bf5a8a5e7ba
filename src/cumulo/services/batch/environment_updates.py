"""What UpdateComputeEnvironment makes of an environment: a scaling update, or one for which instances are replaced.  Pure.

https://docs.aws.amazon.com/batch/latest/userguide/infrastructure-updates.html
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.services.batch.environment_rules import (
    check_fargate_fields,
    check_resources,
    check_unmanaged_vcpus,
    is_service_linked,
    role_arn,
)
from cumulo.services.batch.errors import client, unbuilt, unfit
from cumulo.services.batch.model import ComputeEnvironment

SCALING: Final = ("minvCpus", "maxvCpus", "desiredvCpus", "scalingPolicy")
INFRASTRUCTURE: Final = (
    "allocationStrategy",
    "bidPercentage",
    "ec2Configuration",
    "ec2KeyPair",
    "imageId",
    "instanceRole",
    "instanceTypes",
    "launchTemplate",
    "placementGroup",
    "securityGroupIds",
    "subnets",
    "tags",
    "type",
)
_OF_FARGATE: Final = ("maxvCpus", "securityGroupIds", "subnets", "type", "updateToLatestImageVersion")
_ONE_OF: Final = ("state", "computeResources", "serviceRole", "unmanagedvCpus")
_ALSO: Final = ("updatePolicy", "context", "ecsSettings")
_SCALED_DOWN: Final = (
    "Manually scaling down compute environment is not supported. Disconnecting job queues from compute environment "
    "will cause it to scale-down to minvCpus."
)
_EMPTY_REMOVES: Final = ("imageId", "ec2KeyPair", "placementGroup")

Document = Mapping[str, Any]


def updated(environment: ComputeEnvironment, values: Document, *, desired: int) -> ComputeEnvironment:
    """The environment with a client's changes, and a new generation when its instances are to be replaced.

    `desired` vCPUs are what it has now.  ClientException for what cannot be changed so.
    """
    _check_whole(values)
    changes: dict[str, Any] = {}
    if "state" in values:
        changes["state"] = values["state"]
    if values.get("serviceRole"):
        changes["service_role"] = _role(environment, values["serviceRole"])
    if "unmanagedvCpus" in values:
        changes["unmanaged_vcpus"] = _unmanaged_vcpus(environment, values["unmanagedvCpus"])
    if "updatePolicy" in values:
        changes["update_policy"] = {**environment.update_policy, **values["updatePolicy"]}
    if "context" in values:
        changes["context"] = values["context"]
    asked = values.get("computeResources")
    if asked is not None:
        changes["resources"] = _resources(environment, asked, desired)
        if _replaces(environment, asked, changes["resources"]):
            changes["generation"] = environment.generation + 1
            changes["image"] = ""
    return replace(environment, **changes)


def _check_whole(values: Document) -> None:
    if "eksConfiguration" in values:
        raise unbuilt("UpdateComputeEnvironment", "compute environments on Amazon EKS are not built")
    if "ecsSettings" in values:
        raise unbuilt(
            "UpdateComputeEnvironment",
            "the settings of a cluster are changed with UpdateClusterSettings of ECS",
        )
    if not any(member in values for member in (*_ONE_OF, *_ALSO)):
        raise client("One of [state | compute-resources | service-role | unmanaged-vcpus] is required.")


def _role(environment: ComputeEnvironment, asked: str) -> str:
    role = role_arn(environment.account, asked)
    if is_service_linked(role) != is_service_linked(environment.service_role):
        raise client("Service role cannot be changed from or to a service-linked role.")
    return role


def _unmanaged_vcpus(environment: ComputeEnvironment, count: int) -> int:
    if environment.kind == "MANAGED":
        raise client("unmanagedvCpus is not applicable for managed Compute Environments")
    check_unmanaged_vcpus(count)
    return count


def _resources(environment: ComputeEnvironment, asked: Document, desired: int) -> Document:
    """The computeResources with the changes, checked as a whole."""
    if environment.kind != "MANAGED":
        raise client("computeResources are not applicable for unmanaged Compute Environments")
    if not asked:
        raise client("At least one compute-resources attribute must be specified")
    if "managedInstancesProvider" in asked or asked.get("type") == "ECS_MANAGED_INSTANCES":
        raise unbuilt("UpdateComputeEnvironment", "ECS Managed Instances are not built")
    merged = _merged(environment, asked)
    if environment.is_fargate:
        _check_fargate(asked)
    else:
        if str(merged["type"]).startswith("FARGATE"):
            raise client("Compute environment type cannot be changed between EC2 and Fargate.")
        _check_desired(merged, asked, desired)
    check_resources("UpdateComputeEnvironment", merged)
    return merged


def _merged(environment: ComputeEnvironment, asked: Document) -> dict[str, Any]:
    merged = {**environment.resources, **asked}
    merged.pop("updateToLatestImageVersion", None)
    for member in _EMPTY_REMOVES:
        if merged.get(member) == "":
            del merged[member]
    template = asked.get("launchTemplate")
    if template is not None and not any(
        template.get(member) for member in ("launchTemplateId", "launchTemplateName", "overrides")
    ):
        merged.pop("launchTemplate")  # an empty name takes it away
    if environment.is_fargate:
        for member in ("subnets", "securityGroupIds"):
            if not merged.get(member):
                merged[member] = environment.resources.get(member)  # an empty list means no change
    elif merged["type"] == "SPOT":
        merged.setdefault("bidPercentage", 100)
    else:
        merged.pop("bidPercentage", None)
    return merged


def _check_fargate(asked: Document) -> None:
    check_fargate_fields(asked)
    for member in asked:
        if member not in _OF_FARGATE:
            raise unfit(f"{member} is not applicable for Fargate.")
    if not asked.get("type", "FARGATE").startswith("FARGATE"):
        raise client("Compute environment type cannot be changed between EC2 and Fargate.")


def _check_desired(merged: dict[str, Any], asked: Document, desired: int) -> None:
    """Only upwards; a new minimum or maximum moves what is desired when nobody says how much."""
    if "desiredvCpus" not in asked:
        merged["desiredvCpus"] = max(merged["minvCpus"], min(desired, merged["maxvCpus"]))
        return
    if merged["minvCpus"] <= asked["desiredvCpus"] <= merged["maxvCpus"] and asked["desiredvCpus"] < desired:
        raise client(_SCALED_DOWN)


def _replaces(environment: ComputeEnvironment, asked: Document, merged: Document) -> bool:
    """Whether instances are to be replaced; ClientException where only a new environment would do."""
    if environment.is_fargate:
        return False
    changed = [
        name
        for name in INFRASTRUCTURE
        if name in asked and merged.get(name) != environment.resources.get(name)
    ]
    if asked.get("updateToLatestImageVersion"):
        changed.append("updateToLatestImageVersion")
    if not changed:
        return False
    fields = ", ".join(changed)
    if not is_service_linked(environment.service_role):
        raise unfit(
            f"Following fields [{fields}] can be updated only for Non-fargate Compute Environment having a Batch "
            "Service Linked Role"
        )
    if environment.resources.get("allocationStrategy", "BEST_FIT") == "BEST_FIT":
        raise unfit(
            f"Following fields [{fields}] cannot be updated for Compute Environment having the allocation strategy "
            "BEST_FIT"
        )
    return True
