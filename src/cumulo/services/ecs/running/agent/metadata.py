"""The documents of the metadata endpoint, version 3 and 4.  Pure."""

from datetime import UTC, datetime
from typing import Any

from cumulo.services.ecs.model import Document, Task, TaskContainer, TaskDefinition
from cumulo.services.ecs.running.overrides import containers_of, own_limits

CIDR_BITS = 16


def container_view(task: Task, definition: TaskDefinition, one: TaskContainer, *, v4: bool) -> Document:
    """A container, as it sees itself."""
    told = next(it for it in containers_of(task, definition) if it["name"] == one.name)
    logging = told.get("logConfiguration") or {}
    options = dict(logging.get("options") or {})
    if logging.get("logDriver") == "awslogs":
        prefix = options.pop("awslogs-stream-prefix", "")
        options["awslogs-stream"] = f"{prefix}/{one.name}/{task.id}" if prefix else one.runtime_id
        options.setdefault("awslogs-region", task.region)
    revision = task.definition_arn.rpartition(":")[2]
    view: dict[str, Any] = {
        "DockerId": one.runtime_id,
        "Name": one.name,
        "DockerName": f"ecs-{task.family}-{revision}-{one.name}-{one.runtime_id[:20]}",
        "Image": one.image,
        "ImageID": one.image_digest,
        "Ports": _ports(one),
        "Labels": {
            **{str(k): str(v) for k, v in (told.get("dockerLabels") or {}).items()},
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": one.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.family,
            "com.amazonaws.ecs.task-definition-version": revision,
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": one.status,
        "ExitCode": one.exit_code,
        "Limits": {"CPU": int(told.get("cpu") or 0), "Memory": int(told.get("memory") or 0)},
        "CreatedAt": at(one.created_at),
        "StartedAt": at(one.started_at),
        "FinishedAt": at(one.finished_at) if one.status == "STOPPED" else None,
        "Type": "NORMAL",
        "Health": _health(one, told),
        "Networks": _networks(task, definition, v4=v4),
    }
    if v4:
        view |= {
            "LogDriver": logging.get("logDriver"),
            "LogOptions": options or None,
            "ContainerARN": one.arn,
            "Snapshotter": "overlayfs" if task.is_fargate else None,
            "RestartCount": one.restarts if (told.get("restartPolicy") or {}).get("enabled") else None,
        }
    return {name: value for name, value in view.items() if value is not None}


def task_view(task: Task, definition: TaskDefinition, now: float, *, v4: bool, tags: bool) -> Document:
    """The task, with all its containers."""
    cpu, memory = own_limits(task, definition)
    limits = {name: value for name, value in (("CPU", cpu / 1024), ("Memory", memory)) if value}
    view: dict[str, Any] = {
        "Cluster": task.cluster_arn if task.is_fargate else task.cluster_arn.rpartition("/")[2],
        "TaskARN": task.arn,
        "Family": task.family,
        "Revision": task.definition_arn.rpartition(":")[2],
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status.value,
        "Limits": limits or None,
        "PullStartedAt": at(task.pull_started_at),
        "PullStoppedAt": at(task.pull_stopped_at),
        "ExecutionStoppedAt": at(task.execution_stopped_at),
        "AvailabilityZone": task.availability_zone or None,
        "Containers": [
            container_view(task, definition, one, v4=v4) for one in task.containers if one.runtime_id
        ],
    }
    if v4:
        view |= {
            "LaunchType": task.launch_type,
            "ServiceName": task.service or None,
            "FaultInjectionEnabled": False,
            "ClockDrift": {
                "ClockErrorBound": 0.5,
                "ReferenceTimestamp": at(now),
                "ClockSynchronizationStatus": "SYNCHRONIZED",
            }
            if task.is_fargate
            else None,
        }
    if tags:
        view["TaskTags"] = dict(task.tags) or None
    return {name: value for name, value in view.items() if value is not None}


def _health(one: TaskContainer, told: Document) -> Document | None:
    return {"status": one.health.value} if told.get("healthCheck") else None


def _ports(one: TaskContainer) -> list[Document] | None:
    found: list[Document] = [
        {
            "ContainerPort": it["containerPort"],
            "Protocol": it["protocol"],
            "HostPort": it["hostPort"],
            "HostIp": it["bindIP"],
        }
        for it in one.bindings
    ]
    return found or None


def _networks(task: Task, definition: TaskDefinition, *, v4: bool) -> list[Document]:
    mode = definition.network_mode
    network: dict[str, Any] = {"NetworkMode": mode}
    if task.private_ip:
        network["IPv4Addresses"] = [task.private_ip]
    if v4 and mode == "awsvpc" and task.private_ip:
        parts = task.private_ip.split(".")
        network |= {
            "AttachmentIndex": 0,
            "MACAddress": task.mac,
            "IPv4SubnetCIDRBlock": f"{parts[0]}.{parts[1]}.0.0/{CIDR_BITS}",
            "PrivateDNSName": f"ip-{'-'.join(parts)}.ec2.internal",
            "SubnetGatewayIpv4Address": f"{parts[0]}.{parts[1]}.0.1/{CIDR_BITS}",
        }
    return [network]


def at(seconds: float) -> str | None:
    """A moment as Go writes it; None when it has not come."""
    if not seconds:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"
