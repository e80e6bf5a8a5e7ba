"""What `cumulo batch top` shows, where the page /_cumulo/batch is not to be had: through AWS's own operations.

The same form as services/batch/overview.py gives, but for shares and what happened in the last minute: no operation tells
that.  Of long lists only the first part is counted.
"""

from collections.abc import Iterator
from typing import Any, Final

from cumulo.cli.batch_jobs import STATES, counts_of, listed

COUNTED_MAX: Final = 5000  # jobs of a queue in one state
INSTANCES_MAX: Final = 100
Row = dict[str, Any]


def read(batch: Any, ecs: Any) -> Row:
    """Queues and environments of an account and region."""
    queues = [
        one for page in batch.get_paginator("describe_job_queues").paginate() for one in page["jobQueues"]
    ]
    environments = [
        one
        for page in batch.get_paginator("describe_compute_environments").paginate()
        for one in page["computeEnvironments"]
    ]
    return {
        "queues": [_queue(batch, one) for one in sorted(queues, key=lambda one: -int(one["priority"]))],
        "environments": [_environment(ecs, one) for one in environments],
    }


def _queue(batch: Any, queue: Row) -> Row:
    order = sorted(queue["computeEnvironmentOrder"], key=lambda one: int(one["order"]))
    return {
        **_named(queue, "jobQueueArn", "jobQueueName"),
        "priority": queue["priority"],
        "environments": [str(one["computeEnvironment"]).rpartition("/")[2] for one in order],
        "jobs": _counts(batch, queue["jobQueueArn"]),
        "minute": None,
        "blocked": "",
        "shares": [],
    }


def _counts(batch: Any, queue: str) -> dict[str, int]:
    counts = dict.fromkeys(STATES, 0)
    for state in STATES:
        for job in listed(batch, COUNTED_MAX, jobQueue=queue, jobStatus=state):
            for found, count in counts_of(job).items():
                counts[found] += count
    return counts


def _environment(ecs: Any, environment: Row) -> Row:
    resources = environment.get("computeResources", {})
    kind = resources.get("type", "UNMANAGED")
    instances = [] if kind.startswith("FARGATE") else list(_instances(ecs, environment))
    return {
        **_named(environment, "computeEnvironmentArn", "computeEnvironmentName"),
        "type": kind,
        "min_vcpus": resources.get("minvCpus", 0),
        "max_vcpus": resources.get("maxvCpus", environment.get("unmanagedvCpus", 0)),
        "vcpus": resources.get("desiredvCpus", 0),
        "used_vcpus": sum(one["vcpus"] - one["free_vcpus"] for one in instances) if instances else None,
        "instance_count": len(instances),
        "instances": instances,
    }


def _instances(ecs: Any, environment: Row) -> Iterator[Row]:
    cluster = environment.get("ecsClusterArn")
    if not cluster:
        return
    arns = ecs.list_container_instances(cluster=cluster, maxResults=INSTANCES_MAX)["containerInstanceArns"]
    if not arns:
        return
    for one in ecs.describe_container_instances(cluster=cluster, containerInstances=arns)[
        "containerInstances"
    ]:
        whole, free = _resources(one["registeredResources"]), _resources(one["remainingResources"])
        types = [
            found.get("value") for found in one.get("attributes", ()) if found["name"] == "ecs.instance-type"
        ]
        yield {
            "id": one["ec2InstanceId"],
            "type": types[0] if types else "",
            "state": "READY" if one["status"] == "ACTIVE" else one["status"],
            "tasks": one["runningTasksCount"] + one["pendingTasksCount"],
            "vcpus": whole["CPU"] / 1024,
            "free_vcpus": free["CPU"] / 1024,
            "memory": whole["MEMORY"],
            "free_memory": free["MEMORY"],
        }


def _resources(given: list[Row]) -> dict[str, int]:
    return {one["name"]: one.get("integerValue", 0) for one in given if one["name"] in ("CPU", "MEMORY")}


def _named(one: Row, arn: str, name: str) -> Row:
    _, _, _, region, account, _ = str(one[arn]).split(":", 5)
    return {
        "arn": one[arn],
        "name": one[name],
        "account": account,
        "region": region,
        "state": one["state"],
        "status": one["status"],
        "reason": one.get("statusReason", ""),
    }
