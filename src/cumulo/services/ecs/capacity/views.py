"""Container instances and capacity providers as AWS shows them."""

from collections.abc import Collection, Sequence
from typing import Any

from cumulo.services.ecs.capacity import resources
from cumulo.services.ecs.model import (
    AGENT_VERSION,
    CapacityProvider,
    ContainerInstance,
    Document,
    Tags,
    Task,
)

DOCKER_VERSION = "DockerVersion: 25.0.8"


def container_instance(
    instance: ContainerInstance, tasks: Sequence[Task], include: Collection[str] = ()
) -> dict[str, Any]:
    """One container instance with what its tasks leave of it; `tasks` are at least its live ones."""
    running, pending = resources.counts(instance, tasks)
    shown: dict[str, Any] = {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_id or None,
        "capacityProviderName": instance.capacity_provider or None,
        "version": instance.version,
        "versionInfo": {
            "agentVersion": AGENT_VERSION,
            "agentHash": "cumulo",
            "dockerVersion": DOCKER_VERSION,
        },
        "remainingResources": resources.remaining(instance, tasks),
        "registeredResources": resources.registered(instance),
        "status": instance.status,
        "agentConnected": instance.agent_connected and instance.status != "INACTIVE",
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "attributes": [dict(one) for one in instance.attributes],
        "registeredAt": instance.registered_at,
        "attachments": [],
        "tags": tag_list(instance.tags) if "TAGS" in include else [],
    }
    if "CONTAINER_INSTANCE_HEALTH" in include:
        shown["healthStatus"] = _health(instance)
    return shown


def _health(instance: ContainerInstance) -> dict[str, Any]:
    """The health of the runtime: as good as it can be known, for it is this machine's."""
    status = "OK" if instance.agent_connected else "IMPAIRED"
    detail = {
        "type": "CONTAINER_RUNTIME",
        "status": status,
        "lastUpdated": instance.registered_at,
        "lastStatusChange": instance.registered_at,
    }
    return {"overallStatus": status, "details": [detail]}


def capacity_provider(provider: CapacityProvider, include: Collection[str] = ()) -> dict[str, Any]:
    """One capacity provider."""
    shown: dict[str, Any] = {
        "capacityProviderArn": provider.arn,
        "name": provider.name,
        "status": provider.status,
        "tags": tag_list(provider.tags) if "TAGS" in include else [],
    }
    if provider.auto_scaling_group:
        shown["autoScalingGroupProvider"] = _plain(provider.auto_scaling_group)
        shown["type"] = "EC2_AUTOSCALING"
    else:
        shown["type"] = provider.name
    if provider.update_status:
        shown["updateStatus"] = provider.update_status
    if provider.update_reason:
        shown["updateStatusReason"] = provider.update_reason
    return shown


def _plain(document: Document) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, dict) else value for name, value in document.items()}


def tag_list(tags: Tags) -> list[dict[str, str]]:
    """Tags as a list."""
    return [{"key": key, "value": value} for key, value in tags.items()]
