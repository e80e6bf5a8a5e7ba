"""What a service is made of, out of a client's request and a cluster's defaults.  Pure."""

import hashlib
from typing import Any

import msgspec

from cumulo.base.arn import Arn, partition_of
from cumulo.base.caller import Caller
from cumulo.services.ecs import service_checks
from cumulo.services.ecs.model import Cluster, Document, Service
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.scheduling.rollout import OF_REVISION
from cumulo.services.ecs.strategies import checked_strategy, is_fargate
from cumulo.wire.service import Values

KEPT = (
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "serviceConnectConfiguration",
)


def fingerprint(values: Values) -> str:
    """Of a CreateService request: the same for the same request with the same token, whatever its tags."""
    asked = {name: value for name, value in values.items() if name != "tags"}
    text = msgspec.json.encode(asked, order="deterministic")
    return hashlib.sha256(text).hexdigest()


def capacity(cluster: Cluster, values: Values) -> tuple[str, tuple[Document, ...]]:
    """Launch type and strategy: what was asked for, else the cluster's default, else EC2."""
    asked = values.get("capacityProviderStrategy", ())
    launch_type = values.get("launchType", "")
    if asked and launch_type:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    strategy: tuple[Document, ...] = checked_strategy(asked, cluster.capacity_providers)
    if strategy or launch_type:
        return launch_type, strategy
    return ("", cluster.default_strategy) if cluster.default_strategy else ("EC2", ())


def runs_on(cluster: Cluster, values: Values) -> str:
    """FARGATE or EC2: where the tasks of a new service run.  AwsError for a strategy that is none."""
    launch_type, strategy = capacity(cluster, values)
    on_fargate = is_fargate(str(strategy[0]["capacityProvider"])) if strategy else launch_type == "FARGATE"
    return "FARGATE" if on_fargate else "EC2"


def merged(before: Document, changes: Document) -> Document:
    """A deploymentConfiguration after a change: what is not said stays, also within the circuit breaker."""
    breaker = before.get("deploymentCircuitBreaker", {})
    changed = changes.get("deploymentCircuitBreaker", {})
    return {**before, **changes, "deploymentCircuitBreaker": {**breaker, **changed}}


def type_of(service: Service) -> str:
    """The launch type of a service that gives up its strategy."""
    return "FARGATE" if service_checks.is_on_fargate(service) else "EC2"


def platform(launch_type: str, strategy: tuple[Document, ...], values: Values) -> str:
    """What is shown: a Fargate service that names none has LATEST."""
    asked = str(values.get("platformVersion", ""))
    fargate = launch_type == "FARGATE" or any(
        str(one["capacityProvider"]).startswith("FARGATE") for one in strategy
    )
    return asked or ("LATEST" if fargate else "")


def desired(values: Values, *, daemon: bool, new: bool = False) -> int:
    """The count that was asked for.  AwsError for a daemon's, which nobody chooses, and for less than none."""
    count = values.get("desiredCount")
    if daemon:
        if count is not None:
            raise invalid(
                "The daemon scheduling strategy does not support a desired count for services. Remove the desired"
                " count value and try again"
            )
        return 0
    if count is None:
        raise invalid("DesiredCount is missing")
    if count < 0:
        raise invalid(f"{'DesiredCount' if new else 'Task count'} can not be lesser than 0")
    return int(count)


def document_of(values: Values, cluster: Cluster, *, daemon: bool) -> Document:
    """What of a CreateService is kept by AWS's names, with AWS's defaults."""
    document: dict[str, Any] = {name: values[name] for name in KEPT if name in values}
    if "serviceConnectConfiguration" in document:
        document["serviceConnectConfiguration"] = connect(values, cluster)
    configuration = service_checks.default_percents(values.get("deploymentConfiguration", {}), daemon=daemon)
    even = values.get("availabilityZoneRebalancing")
    if even is None:
        even = "DISABLED" if daemon or configuration["maximumPercent"] <= 100 else "ENABLED"
    document.setdefault("healthCheckGracePeriodSeconds", 0)
    return document | {
        "deploymentConfiguration": configuration,
        "deploymentController": {"type": "ECS"},
        "availabilityZoneRebalancing": even,
    }


def connect(values: Values, cluster: Cluster) -> Document:
    """A serviceConnectConfiguration with its namespace: the cluster's, when it names none."""
    connect: Values = values["serviceConnectConfiguration"]
    default = cluster.service_connect_namespace
    if not connect.get("enabled") or connect.get("namespace") or not default:
        return connect
    return {**connect, "namespace": default}


def role_arn(caller: Caller, role: str) -> str:
    """A role by its name or its ARN."""
    if not role or role.startswith("arn:"):
        return role
    return str(Arn("iam", "", caller.account, f"role/{role}", partition_of(caller.region)))


def is_another(before: Service, after: Service) -> bool:
    """Whether tasks of the service are made of something else now: a new deployment begins."""
    if any(before.document.get(name) != after.document.get(name) for name in OF_REVISION):
        return True
    return (
        before.definition_arn,
        before.launch_type,
        before.strategy,
        before.platform_version,
        before.propagate_tags,
        before.managed_tags,
    ) != (
        after.definition_arn,
        after.launch_type,
        after.strategy,
        after.platform_version,
        after.propagate_tags,
        after.managed_tags,
    )
