"""Tasks as AWS shows them, in answers and in events."""

from collections.abc import Mapping
from typing import Final

from cumulo.services.ecs.model import Document, Task, TaskContainer, TaskStatus
from cumulo.services.ecs.seams import Failure
from cumulo.services.ecs.task_news import shown_status
from cumulo.wire.service import Values

_UNSEEN: Final = frozenset({TaskStatus.PROVISIONING, TaskStatus.PENDING})
"""While it is there, AWS shows nothing of what an agent says: health, ports."""

_PLACEMENT: Final = (
    "RESOURCE:",
    "AGENT",
    "ATTRIBUTE",
    "MemberOf",
    "DistinctInstance",
    "LOCATION",
    "INACTIVE",
)


def task_view(task: Task, *, tags: bool) -> Values:
    """A task.  Without `tags` its list of tags is empty, as AWS answers unless it is asked for them."""
    shown: Values = {
        "attachments": _attachments(task),
        "attributes": [dict(one) for one in task.attributes],
        "availabilityZone": task.availability_zone or None,
        "capacityProviderName": task.capacity_provider or None,
        "clusterArn": task.cluster_arn,
        "connectivity": task.connectivity or None,
        "containerInstanceArn": task.instance_arn or None,
        "containers": [] if task.waits else [_container(task, one) for one in task.containers],
        "cpu": task.own_cpu or str(task.cpu_units),
        "desiredStatus": task.desired_status,
        "enableExecuteCommand": task.execute_command,
        "group": task.group,
        "healthStatus": None if task.last_status in _UNSEEN else str(task.health),
        "lastStatus": str(task.last_status),
        "launchType": task.launch_type,
        "memory": task.own_memory or str(task.memory_mib),
        "overrides": _overrides(task),
        "platformVersion": task.platform_version or None,
        "platformFamily": task.platform_family or None,
        "startedBy": task.started_by or None,
        "stopCode": task.stop_code or None,
        "stoppedReason": task.stopped_reason or None,
        "tags": tag_list(task.tags) if tags else [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.definition_arn,
        "version": task.version,
    }
    if task.ephemeral_gib:
        shown["ephemeralStorage"] = {"sizeInGiB": task.ephemeral_gib}
        shown["fargateEphemeralStorage"] = {"sizeInGiB": task.ephemeral_gib}
    shown |= _times(task)
    return {name: value for name, value in shown.items() if value is not None}


def failure_view(failure: Failure) -> Values:
    """A failure.  What the detail says of an instance is for service events; AWS does not show it here."""
    shown: Values = {"reason": failure.reason}
    if failure.arn:
        shown["arn"] = failure.arn
    if failure.detail and not failure.reason.startswith(_PLACEMENT):
        shown["detail"] = failure.detail
    return shown


def tag_list(tags: Mapping[str, str]) -> list[Values]:
    """Tags as ECS lists them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def _times(task: Task) -> Values:
    times = {
        "createdAt": task.created_at,
        "pullStartedAt": task.pull_started_at,
        "pullStoppedAt": task.pull_stopped_at,
        "connectivityAt": task.connectivity_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "executionStoppedAt": task.execution_stopped_at,
        "stoppedAt": task.stopped_at,
    }
    return {name: at for name, at in times.items() if at}


def _container(task: Task, container: TaskContainer) -> Values:
    told = task.last_status not in _UNSEEN or container.status != "PENDING"
    shown: Values = {
        "containerArn": container.arn,
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "imageDigest": container.image_digest or None,
        "runtimeId": container.runtime_id or None,
        "lastStatus": shown_status(container.status),
        "exitCode": container.exit_code,
        "reason": container.reason or None,
        "networkBindings": [dict(one) for one in container.bindings] if told else None,
        "networkInterfaces": [dict(one) for one in container.interfaces],
        "healthStatus": str(container.health) if told else None,
        "managedAgents": _agents(task, container),
        "cpu": container.cpu,
        "memory": container.memory or None,
        "memoryReservation": container.memory_reservation or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _agents(task: Task, container: TaskContainer) -> list[Values] | None:
    if container.managed_agents:
        return [dict(one) for one in container.managed_agents]
    return [{"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}] if task.execute_command else None


def _attachments(task: Task) -> list[Values]:
    """The network interface of an awsvpc task that has a place."""
    if not task.attachment_id or not task.subnet:
        return []
    details = [{"name": "subnetId", "value": task.subnet}]
    if task.private_ip:
        details += [
            {"name": "networkInterfaceId", "value": task.eni},
            {"name": "macAddress", "value": task.mac},
            {"name": "privateDnsName", "value": _dns_name(task)},
            {"name": "privateIPv4Address", "value": task.private_ip},
        ]
    return [
        {
            "id": task.attachment_id,
            "type": "ElasticNetworkInterface",
            "status": _interface_status(task),
            "details": details,
        }
    ]


def _interface_status(task: Task) -> str:
    if task.last_status is TaskStatus.STOPPED:
        return "DELETED"
    if task.last_status is TaskStatus.DEPROVISIONING:
        return "DETACHING" if task.private_ip else "DELETED"
    if task.private_ip:
        return "ATTACHED"
    return "PRECREATED" if task.last_status is TaskStatus.PROVISIONING else "ATTACHING"


def _dns_name(task: Task) -> str:
    name = f"ip-{task.private_ip.replace('.', '-')}"
    return f"{name}.ec2.internal" if task.region == "us-east-1" else f"{name}.{task.region}.compute.internal"


def _overrides(task: Task) -> Values:
    """AWS names every container, also those of which nothing is overridden."""
    given: Mapping[str, Document] = {
        str(one.get("name")): one for one in task.overrides.get("containerOverrides", ())
    }
    containers = [
        dict(given.get(one.name) or {"name": one.name})
        for one in task.containers
        if not task.waits or one.name in given
    ]
    rest = {name: value for name, value in task.overrides.items() if name != "containerOverrides"}
    return {"containerOverrides": containers, "inferenceAcceleratorOverrides": [], **rest}
