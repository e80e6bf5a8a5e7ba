"""What may be registered as a task definition, and the document that comes of it.  Pure.

what a client said ──▶ defaults filled in ──▶ rules of every kind ──▶ rules of Fargate ──▶ document
"""

from typing import Any

import msgspec

from cumulo.base.arn import parse_arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError, not_implemented
from cumulo.services.ecs.definitions import fargate, sizes
from cumulo.services.ecs.definitions.attributes import required_attributes
from cumulo.services.ecs.definitions.container_rules import (
    CONTAINERS_MAX,
    NAME,
    check_container,
    check_names,
)
from cumulo.services.ecs.definitions.defaults import DEFAULT_NETWORK, filled_container, filled_volume
from cumulo.services.ecs.definitions.dependency_rules import check_dependencies
from cumulo.services.ecs.definitions.fargate_rules import check_fargate
from cumulo.services.ecs.definitions.log_rules import check_logs
from cumulo.services.ecs.definitions.port_rules import check_network
from cumulo.services.ecs.definitions.volume_rules import check_volumes
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.placement.constraints import query_of
from cumulo.services.ecs.refusals import client

DOCUMENT_BYTES_MAX = 65_536
CONSTRAINTS_MAX = 10
_KEPT = (
    "ephemeralStorage",
    "runtimePlatform",
    "requiresCompatibilities",
    "pidMode",
    "ipcMode",
    "enableFaultInjection",
)


def definition_document(values: Document, caller: Caller) -> dict[str, Any]:
    """The document of a new revision, as DescribeTaskDefinition shows it.

    AwsError ClientException with AWS's sentence for what it would refuse; NotImplemented for what nothing here can do.
    """
    _check_family(values["family"])
    _check_possible(values)
    document = _filled(values, caller)
    containers = document["containerDefinitions"]
    if not any(container["essential"] for container in containers):
        raise client("Task definition doesn't have any essential container.")
    for container in containers:
        check_container(container, document["networkMode"])
    _check_amounts(document)
    check_network(containers, document["networkMode"])
    check_dependencies(containers)
    check_volumes(document["volumes"], containers)
    check_logs(containers)
    _check_secrets(document)
    _check_constraints(document)
    if "FARGATE" in document.get("requiresCompatibilities", ()):
        check_fargate(document)
    _check_storage(document)
    length = len(msgspec.json.encode(document))
    if length > DOCUMENT_BYTES_MAX:
        raise client(f"Actual length: '{length}'. Max allowed length is '{DOCUMENT_BYTES_MAX}' bytes.")
    attributes = required_attributes(document)
    if attributes:
        document["requiresAttributes"] = attributes
    document["compatibilities"] = _compatibilities(document)
    if "networkMode" not in values:
        del document["networkMode"]  # AWS shows none unless it was chosen
    return document


def _check_family(family: str) -> None:
    if not family:
        raise client("Family should not be null or empty.")
    if not NAME.fullmatch(family):
        raise client("Family contains invalid characters.")


def _check_possible(values: Document) -> None:
    """What nothing here can act on is refused by name."""
    refused = ""
    if values.get("inferenceAccelerators"):
        raise client("Unsupported field 'inferenceAccelerators'.")  # AWS itself has given them up
    if "proxyConfiguration" in values:
        refused = "proxyConfiguration needs App Mesh"
    if "MANAGED_INSTANCES" in values.get("requiresCompatibilities", ()):
        refused = "there are no managed instances"
    family = values.get("runtimePlatform", {}).get("operatingSystemFamily", "LINUX")
    if family != "LINUX":
        refused = f"{family} needs a machine with Windows"
    if any(container.get("credentialSpecs") for container in values["containerDefinitions"]):
        refused = "credentialSpecs needs an Active Directory"
    if refused:
        raise not_implemented("ecs", "RegisterTaskDefinition", refused)


def _filled(values: Document, caller: Caller) -> dict[str, Any]:
    containers = values["containerDefinitions"]
    if not containers:
        raise client("Container list cannot be empty.")
    if len(containers) > CONTAINERS_MAX:
        raise client("Too many containers.")
    check_names(containers)
    network = values.get("networkMode", DEFAULT_NETWORK)
    document: dict[str, Any] = {
        "containerDefinitions": [filled_container(one, network) for one in containers],
        "networkMode": network,
        "volumes": [filled_volume(one) for one in values.get("volumes", ())],
        "placementConstraints": list(values.get("placementConstraints", ())),
    }
    for member in ("taskRoleArn", "executionRoleArn"):
        if values.get(member):
            document[member] = _role(values[member], caller)
    document |= {member: values[member] for member in _KEPT if member in values}
    if "cpu" in values:
        document["cpu"] = _sized("cpu", sizes.cpu_units(values["cpu"]))
    if "memory" in values:
        document["memory"] = _sized("memory", sizes.memory_mib(values["memory"]))
    return document


def _sized(kind: str, amount: int | None) -> str:
    if amount is None:
        raise client(f"Invalid '{kind}' setting for task.")
    return str(amount)


def _role(name: str, caller: Caller) -> str:
    arn = parse_arn(name)
    if arn is None:
        if name.startswith("arn:") or not name.strip("/"):
            raise client("Role is not valid")
        return f"arn:{partition_of(caller.region)}:iam::{caller.account}:role/{name}"
    if arn.service != "iam" or not arn.resource.startswith("role/"):
        raise client("Role is not valid")
    return name


def _check_amounts(document: Document) -> None:
    cpu, memory = int(document.get("cpu", 0)), int(document.get("memory", 0))
    on_fargate = "FARGATE" in document.get("requiresCompatibilities", ())
    if "cpu" in document and not on_fargate and not sizes.CPU_LEAST <= cpu <= sizes.CPU_MOST:
        raise client("Invalid 'cpu' setting for task.")
    if "memory" in document and memory < sizes.MEMORY_LEAST:
        raise client("Invalid 'memory' setting for task.")
    containers = document["containerDefinitions"]
    for container in containers:
        name = container["name"]
        if not memory and "memory" not in container and "memoryReservation" not in container:
            raise client(
                f"Invalid setting for container '{name}'. "
                "At least one of 'memory' or 'memoryReservation' must be specified."
            )
        for kind in ("memory", "memoryReservation"):
            if memory and container.get(kind, 0) > memory:
                raise client(f"The '{kind}' setting for container '{name}' is greater than for the task.")
    if cpu and sum(container["cpu"] for container in containers) > cpu:
        raise client(
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."
        )
    if memory and sum(container.get("memoryReservation", 0) for container in containers) > memory:
        raise client(
            "The sum of all container 'memoryReservation' values cannot be greater than the value of the task "
            "'memory'."
        )


def _check_secrets(document: Document) -> None:
    if document.get("executionRoleArn"):
        return
    for container in document["containerDefinitions"]:
        if container.get("secrets") or container.get("logConfiguration", {}).get("secretOptions"):
            raise client(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            )


def _check_constraints(document: Document) -> None:
    constraints = document["placementConstraints"]
    if len(constraints) > CONSTRAINTS_MAX:
        raise client(f"Maximum number of constraints is {CONSTRAINTS_MAX}.")
    for constraint in constraints:
        if constraint.get("type") != "memberOf" or not constraint.get("expression", "").strip():
            raise client("memberOf expression should be specified.")
        try:
            query_of(constraint["expression"])
        except AwsError:
            raise client(f"constraint.expression '{constraint['expression']}' is not valid.") from None


def _check_storage(document: Document) -> None:
    storage = document.get("ephemeralStorage")
    if storage is None:
        return
    least, most = fargate.STORAGE_LEAST, fargate.STORAGE_MOST
    if storage["sizeInGiB"] < least:
        raise client(f"EphemeralStorage size should be at least {least}")
    if storage["sizeInGiB"] > most:
        raise client(f"EphemeralStorage size should be at most {most}")


def _compatibilities(document: Document) -> list[str]:
    """What could run it, whatever the client required."""
    if document["networkMode"] != "awsvpc":
        return ["EXTERNAL", "EC2"]
    try:
        check_fargate(document)
    except AwsError:
        return ["EC2"]
    if "runtimePlatform" in document:
        return ["EC2", "FARGATE", "MANAGED_INSTANCES"]
    return ["EC2", "MANAGED_INSTANCES", "FARGATE"]
