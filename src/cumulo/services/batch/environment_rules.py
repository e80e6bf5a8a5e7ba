"""What CreateComputeEnvironment refuses, in AWS's sentences.  Pure: what EC2 and IAM know of is found out afterwards."""

import re
from collections.abc import Mapping
from typing import Any, Final

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.instance_types import check_instance_types
from cumulo.services.batch.launch_template_rules import check_template
from cumulo.services.batch.scheduling.kinds import BUNDLES

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
TAGS_MAX: Final = 50
VCPUS_MAX: Final = 2**31 - 1
FARGATE_SUBNETS_MAX, FARGATE_GROUPS_MAX = 16, 5
SERVICE_LINKED: Final = "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
ONLY_EC2: Final = (
    "allocationStrategy",
    "minvCpus",
    "desiredvCpus",
    "instanceTypes",
    "imageId",
    "ec2KeyPair",
    "instanceRole",
    "tags",
    "placementGroup",
    "bidPercentage",
    "spotIamFleetRole",
    "launchTemplate",
    "ec2Configuration",
    "scalingPolicy",
)
IMAGE_TYPES: Final = ("ECS_AL2023", "ECS_AL2023_NVIDIA")
_OLD_IMAGE_TYPES: Final = ("ECS_AL2", "ECS_AL2_NVIDIA", "ECS_AL1")
_OLD: Final = (
    "Amazon Linux 2 is end-of-life. Please see "
    "https://docs.aws.amazon.com/batch/latest/userguide/compute_resource_AMIs.html."
)
_FITS: Final = {
    "BEST_FIT_PROGRESSIVE_ORDERED": "EC2",
    "SPOT_CAPACITY_OPTIMIZED": "SPOT",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED": "SPOT",
    "SPOT_PRICE_CAPACITY_OPTIMIZED": "SPOT",
}
_ORDERED: Final = ("BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED")

Document = Mapping[str, Any]


def check_new(values: Document) -> None:
    """ClientException, or 501 for what this cloud does not have."""
    if not NAME.fullmatch(values["computeEnvironmentName"]):
        raise unfit("Compute Environment name should match a valid pattern.")
    if "eksConfiguration" in values:
        raise unbuilt("CreateComputeEnvironment", "compute environments on Amazon EKS are not built")
    if values.get("state", "ENABLED") != "ENABLED":
        raise unfit("Compute Environment must be created in ENABLED state.")
    check_tags(values.get("tags") or {})
    resources = values.get("computeResources")
    if values["type"] == "UNMANAGED":
        _check_unmanaged(values)
        return
    if "unmanagedvCpus" in values:
        raise unfit("unmanagedvCpus is not applicable for managed Compute Environments")
    if not resources:
        raise unfit("computeResources are required for managed Compute Environments.")
    check_resources("CreateComputeEnvironment", resources)


def _check_unmanaged(values: Document) -> None:
    if values.get("computeResources"):
        raise unfit("computeResources are not applicable for unmanaged Compute Environments")
    if not values.get("serviceRole"):
        raise unfit("ServiceRole is required.")
    if is_service_linked(values["serviceRole"]):
        raise unfit("Service Linked Role cannot be used with UNMANAGED Compute Environment")
    check_unmanaged_vcpus(values.get("unmanagedvCpus", 0))


def check_unmanaged_vcpus(count: int) -> None:
    """ClientException for fewer than none."""
    if not 0 <= count <= VCPUS_MAX:
        raise unfit("unmanagedvCpus should be greater than or equal to 0.")


def check_resources(operation: str, resources: Document) -> None:
    """ClientException for computeResources that cannot be, as a whole; also after an update."""
    kind = resources["type"]
    if kind == "ECS_MANAGED_INSTANCES" or "managedInstancesProvider" in resources:
        raise unbuilt(operation, "ECS Managed Instances are not built")
    if resources.get("capacityTags"):
        raise unfit("capacityTags is only applicable for ECS_MANAGED_INSTANCES.")
    if kind.startswith("FARGATE"):
        _check_fargate(resources)
        return
    if not resources.get("instanceRole"):
        raise unfit("Instance role is required.")
    _check_vcpus(resources)
    check_instance_types(resources.get("instanceTypes") or [])
    _check_strategy(resources)
    if not resources.get("subnets"):
        raise unfit("Subnets are required.")
    template = resources.get("launchTemplate")
    if not resources.get("securityGroupIds") and not template:
        raise unfit("Security group ids are required.")
    if template:
        check_template(operation, template, resources["instanceTypes"])
    _check_images(resources.get("ec2Configuration") or [])
    _check_delay(resources.get("scalingPolicy") or {})
    check_tags(resources.get("tags") or {})


def check_fargate_fields(resources: Document) -> None:
    """ClientException for what is of instances alone."""
    for member in ONLY_EC2:
        if member in resources:
            raise unfit(f"{member} is not applicable for Fargate.")


def _check_fargate(resources: Document) -> None:
    check_fargate_fields(resources)
    _check_maximum(resources["maxvCpus"])
    subnets, groups = resources.get("subnets") or [], resources.get("securityGroupIds") or []
    if not subnets:
        raise unfit("Subnets are required.")
    if not groups:
        raise unfit("Security group ids are required.")
    if len(subnets) > FARGATE_SUBNETS_MAX:
        raise unfit(f"Fargate supports a maximum of {FARGATE_SUBNETS_MAX} subnets.")
    if len(groups) > FARGATE_GROUPS_MAX:
        raise unfit(f"Fargate supports a maximum of {FARGATE_GROUPS_MAX} security groups.")


def _check_maximum(most: int) -> None:
    if most < 0:
        raise unfit("maxvCpus should be greater than or equal to 0.")


def _check_vcpus(resources: Document) -> None:
    if "minvCpus" not in resources:
        raise unfit("Resource minvCpus is required.")
    least, most = resources["minvCpus"], resources["maxvCpus"]
    if least < 0:
        raise unfit("minvCpus should be greater than or equal to 0.")
    _check_maximum(most)
    if most < least:
        raise unfit("maxvCpus should be greater than or equal to minvCpus.")
    if not least <= resources.get("desiredvCpus", least) <= most:
        raise unfit("desiredvCpus should be between minvCpus and maxvCpus.")


def _check_strategy(resources: Document) -> None:
    kind, strategy = resources["type"], resources.get("allocationStrategy", "BEST_FIT")
    if _FITS.get(strategy, kind) != kind:
        raise unfit(f"Allocation strategy {strategy} requires compute resource type {_FITS[strategy]}.")
    if strategy in _ORDERED and any(name in BUNDLES for name in resources["instanceTypes"]):
        raise unfit(
            "Instance type bundles (e.g. optimal, default_x86_64) are not allowed for "
            f"{strategy} allocation strategy. Specify instance families or types directly."
        )
    if kind == "SPOT":
        if strategy == "BEST_FIT" and not resources.get("spotIamFleetRole"):
            raise unfit("compute resource spotIamFleetRole is required.")
        if not 0 <= resources.get("bidPercentage", 100) <= 100:
            raise unfit("Bid percentage must be between 0 to 100.")
    elif resources.get("bidPercentage"):
        raise unfit("bidPercentage is only applicable for SPOT.")


def _check_images(configurations: list[Document]) -> None:
    if len(configurations) > len(IMAGE_TYPES):
        raise unfit("At most 2 ec2Configuration values can be provided.")
    kinds = [one["imageType"] for one in configurations]
    if any(kind in _OLD_IMAGE_TYPES for kind in kinds):
        raise unfit(_OLD)
    if any(kind not in IMAGE_TYPES for kind in kinds) or len(set(kinds)) < len(kinds):
        raise unfit("Invalid imageType in ComputeResources.ec2Configuration")
    if any("imageKubernetesVersion" in one for one in configurations):
        raise unfit("imageKubernetesVersion is not applicable for ECS.")


def _check_delay(policy: Document) -> None:
    minutes = policy.get("minScaleDownDelayMinutes", 0)
    if minutes != 0 and not 20 <= minutes <= 10_080:
        raise unfit("minScaleDownDelayMinutes should be 0, or between 20 and 10080.")


def check_tags(tags: Mapping[str, str]) -> None:
    """ClientException for tags that no resource can have."""
    if len(tags) > TAGS_MAX:
        raise unfit(f"Number of tags should not be greater than {TAGS_MAX}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise unfit("Tag keys can have 1 to 128 characters, and tag values up to 256.")
        if key.lower().startswith("aws:"):
            raise unfit("Tag keys should not start with aws:")


def is_service_linked(role: str) -> bool:
    """Whether a role, by name or ARN, is the one that Batch makes for itself."""
    return role.rpartition("/")[2] == "AWSServiceRoleForBatch"


def role_arn(account: str, role: str) -> str:
    """The ARN of a role that a client gave by its name (with its path) or its ARN; without one, the service-linked role's."""
    if role.startswith("arn:"):
        return role
    return (
        f"arn:aws:iam::{account}:role/{role.lstrip('/')}"
        if role
        else f"arn:aws:iam::{account}:{SERVICE_LINKED}"
    )


def filled(resources: Document) -> dict[str, Any]:
    """New computeResources as they are shown: with what AWS fills in."""
    shown = dict(resources)
    if shown["type"].startswith("FARGATE"):
        return shown
    shown.setdefault("desiredvCpus", shown["minvCpus"])
    if not shown.get("ec2Configuration"):
        shown["ec2Configuration"] = [{"imageType": IMAGE_TYPES[0]}]
    if shown["type"] == "SPOT":
        shown.setdefault("bidPercentage", 100)
    return shown
