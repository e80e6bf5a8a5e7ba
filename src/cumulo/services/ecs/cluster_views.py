"""Clusters as AWS shows them.  Pure."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable

from cumulo.services.ecs.definitions.views import tag_list
from cumulo.services.ecs.model import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Service,
    Task,
    TaskStatus,
)
from cumulo.services.ecs.strategies import is_fargate
from cumulo.wire.service import Values

_PENDING = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
_FIRST, _LATER = ("EC2", "Fargate"), ("External", "ManagedInstances")
_TASKS = ("running{}TasksCount", "pending{}TasksCount")
_SERVICES = ("active{}ServiceCount", "draining{}ServiceCount")
_STATISTICS = ((_TASKS, _FIRST), (_TASKS, _LATER), (_SERVICES, _FIRST), (_SERVICES, _LATER))  # in AWS's order
REGISTERED = ("ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING")  # statuses of instances that are there


class Contents:
    """What is in a cluster, counted."""

    def __init__(
        self, tasks: Iterable[Task], services: Iterable[Service], instances: Iterable[ContainerInstance]
    ) -> None:
        running: Counter[str] = Counter()
        pending: Counter[str] = Counter()
        for task in tasks:
            if task.last_status is TaskStatus.RUNNING:
                running[_kind(task.launch_type)] += 1
            elif task.last_status in _PENDING:
                pending[_kind(task.launch_type)] += 1
        active: Counter[str] = Counter()
        draining: Counter[str] = Counter()
        for service in services:
            if service.status == "ACTIVE":
                active[_kind_of_service(service)] += 1
            elif service.status == "DRAINING":
                draining[_kind_of_service(service)] += 1
        self.running, self.pending, self.active, self.draining = running, pending, active, draining
        self.instances = sum(1 for one in instances if one.status in REGISTERED)


def cluster_view(
    cluster: Cluster,
    contents: Contents,
    include: Collection[str],
    providers: Iterable[CapacityProvider] = (),
) -> Values:
    """A cluster; `include` has AWS's words.  `providers` are those of its own that are there."""
    view: Values = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": contents.instances,
        "runningTasksCount": contents.running.total(),
        "pendingTasksCount": contents.pending.total(),
        "activeServicesCount": contents.active.total(),
        "statistics": _statistics(contents) if "STATISTICS" in include else [],
        "tags": tag_list(cluster.tags) if "TAGS" in include else [],
        "settings": list(cluster.settings) if "SETTINGS" in include else [],
        "capacityProviders": list(cluster.capacity_providers),
        "defaultCapacityProviderStrategy": list(cluster.default_strategy),
    }
    if cluster.service_connect_namespace:
        view["serviceConnectDefaults"] = {"namespace": cluster.service_connect_namespace}
    if "CONFIGURATIONS" in include and cluster.configuration:
        view["configuration"] = cluster.configuration
    if "ATTACHMENTS" in include:
        view["attachments"] = [one for provider in providers for one in _attachments(cluster, provider)]
        if cluster.capacity_providers:
            view["attachmentsStatus"] = "UPDATE_COMPLETE"
    return view


def _statistics(contents: Contents) -> list[Values]:
    counted = {
        "running{}TasksCount": contents.running,
        "pending{}TasksCount": contents.pending,
        "active{}ServiceCount": contents.active,
        "draining{}ServiceCount": contents.draining,
    }
    return [
        {"name": name.format(kind), "value": str(counted[name][kind])}
        for names, kinds in _STATISTICS
        for name, kind in _pairs(names, kinds)
    ]


def _pairs(names: Collection[str], kinds: Collection[str]) -> Iterable[tuple[str, str]]:
    """One kind after another for new kinds; for the first ones of old, all kinds under one name."""
    if kinds == _FIRST:
        return [(name, kind) for name in names for kind in kinds]
    return [(name, kind) for kind in kinds for name in names]


def _attachments(cluster: Cluster, provider: CapacityProvider) -> Iterable[Values]:
    """What AWS attaches to an Auto Scaling group for a cluster."""
    group = provider.auto_scaling_group
    if group.get("managedScaling", {}).get("status") == "ENABLED":
        number = uuid.uuid5(uuid.NAMESPACE_URL, f"{cluster.arn} {provider.arn} scaling")
        details = {
            "capacityProviderName": provider.name,
            "scalingPolicyName": f"ECSManagedAutoScalingPolicy-{number}",
        }
        yield _attachment(str(number), "as_policy", details)
    if group.get("managedDraining", "ENABLED") == "ENABLED":
        number = uuid.uuid5(uuid.NAMESPACE_URL, f"{cluster.arn} {provider.arn} draining")
        details = {
            "capacityProviderName": provider.name,
            "autoScalingLifecycleHookName": "ecs-managed-draining-termination-hook",
        }
        yield _attachment(str(number), "managed_draining", details)


def _attachment(number: str, kind: str, details: dict[str, str]) -> Values:
    return {
        "id": number,
        "type": kind,
        "status": "CREATED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


def _kind(launch_type: str) -> str:
    return {"FARGATE": "Fargate", "EXTERNAL": "External"}.get(launch_type, "EC2")


def _kind_of_service(service: Service) -> str:
    if service.strategy:
        return "Fargate" if is_fargate(service.strategy[0]["capacityProvider"]) else "EC2"
    return _kind(service.launch_type)
