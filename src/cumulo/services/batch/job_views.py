"""Jobs as DescribeJobs and ListJobs show them.  Pure."""

from collections.abc import Mapping
from typing import Any

from cumulo.services.batch.definition_views import timeout_view
from cumulo.services.batch.model import Attempt, AttemptContainer, Job, JobDefinition, JobStatus
from cumulo.services.batch.resolution import node_properties, run_properties
from cumulo.wire.service import Values

_LISTS = (
    "volumes",
    "environment",
    "mountPoints",
    "ulimits",
    "networkInterfaces",
    "resourceRequirements",
    "secrets",
)


def job_view(job: Job, definition: JobDefinition | None) -> Values:
    """A job, a child or a node; without a definition (it is forgotten) what the job knows by itself."""
    view: Values = {
        "jobArn": job.arn,
        "jobName": job.name,
        "jobId": job.id,
        "jobQueue": job.queue,
        "status": job.status,
        "shareIdentifier": job.share or None,
        "schedulingPriority": job.priority if job.share else None,
        "attempts": [_attempt(one, several=_is_several(definition)) for one in job.attempts],
        "statusReason": job.status_reason or None,
        "createdAt": job.created_at,
        "retryStrategy": {"attempts": 1, "evaluateOnExit": [], **job.retry},
        "startedAt": job.started_at or None,
        "stoppedAt": job.stopped_at or None,
        "dependsOn": [{"jobId": one.job_id or None, "type": one.kind or None} for one in job.depends],
        "jobDefinition": job.definition,
        "parameters": {**(definition.parameters if definition else {}), **job.parameters},
        "arrayProperties": _array(job),
        "timeout": timeout_view(job.timeout),
        "tags": dict(job.tags),
        "propagateTags": job.propagate_tags,
        "platformCapabilities": [job.platform],
        "eksAttempts": [],
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
    }
    if definition is not None:
        view |= _properties(job, definition)
    return {name: value for name, value in view.items() if value is not None}


def summary_view(job: Job) -> Values:
    """A job in a list."""
    container = _container_of(job)
    summary: Values = {
        "jobArn": job.arn,
        "jobId": job.id,
        "jobName": job.name,
        "createdAt": job.created_at,
        "shareIdentifier": job.share or None,
        "status": job.status,
        "statusReason": job.status_reason or None,
        "startedAt": job.started_at or None,
        "stoppedAt": job.stopped_at or None,
        "container": _end_of(container) if container is not None else None,
        "arrayProperties": _array(job),
        "nodeProperties": _node_summary(job),
        "jobDefinition": job.definition,
        "isCancelled": True if job.is_cancelled else None,
        "isTerminated": True if job.is_terminated else None,
    }
    return {name: value for name, value in summary.items() if value is not None}


def _properties(job: Job, definition: JobDefinition) -> Values:
    if job.nodes:
        return {"nodeProperties": node_properties(definition, job)}
    node: Values = {}
    if job.is_node:
        main = definition.properties["nodeProperties"]["mainNode"]
        node = {"nodeDetails": {"nodeIndex": job.node, "isMainNode": job.node == main}}
    properties = run_properties(definition, job)
    if "ecsProperties" in properties:
        return node | {"ecsProperties": _task_detail(job, properties["ecsProperties"])}
    return node | {"container": _container_detail(job, properties["containerProperties"])}


def _container_detail(job: Job, container: Mapping[str, Any]) -> Values:
    ran = _container_of(job)
    task, instance, interfaces = _place_of(job)
    return {
        **{name: [] for name in _LISTS},
        "command": [],
        **container,
        **(_end_of(ran) | {"logStreamName": ran.log_stream or None} if ran is not None else {}),
        "taskArn": task or None,
        "containerInstanceArn": instance or None,
        "networkInterfaces": [dict(one) for one in interfaces],
    }


def _task_detail(job: Job, properties: Mapping[str, Any]) -> Values:
    kept = properties["taskProperties"][0]
    ran = {one.name: one for one in _containers_of(job)}
    task, instance, interfaces = _place_of(job)
    containers = []
    for container in kept["containers"]:
        one = ran.get(container["name"])
        more = _end_of(one) | {"logStreamName": one.log_stream or None} if one is not None else {}
        containers.append({**container, **more, "networkInterfaces": [dict(each) for each in interfaces]})
    detail = {
        **kept,
        "containers": containers,
        "taskArn": task or None,
        "containerInstanceArn": instance or None,
    }
    return {"taskProperties": [detail]}


def _attempt(attempt: Attempt, *, several: bool) -> Values:
    place = {"taskArn": attempt.task or None, "containerInstanceArn": attempt.instance or None}
    interfaces = [dict(one) for one in attempt.interfaces]
    ends = [
        {**_end_of(one), "logStreamName": one.log_stream or None, "networkInterfaces": interfaces}
        for one in attempt.containers
    ]
    view: Values = {
        "startedAt": attempt.started_at or None,
        "stoppedAt": attempt.stopped_at or None,
        "statusReason": attempt.status_reason or None,
    }
    if several:
        named = [{"name": one.name or None, **end} for one, end in zip(attempt.containers, ends, strict=True)]
        return view | {"taskProperties": [{**place, "containers": named}], "container": {}}
    first = ends[0] if ends else {"networkInterfaces": interfaces}
    return view | {"container": {**place, **first}}


def _end_of(container: AttemptContainer) -> Values:
    return {"exitCode": container.exit_code, "reason": container.reason or None}


def _containers_of(job: Job) -> tuple[AttemptContainer, ...]:
    if job.run is not None:
        return job.run.containers
    return job.attempts[-1].containers if job.attempts else ()


def _container_of(job: Job) -> AttemptContainer | None:
    return next(iter(_containers_of(job)), None)


def _place_of(job: Job) -> tuple[str, str, tuple[Mapping[str, str], ...]]:
    if job.run is not None:
        return job.run.task, job.run.instance if job.run.task else "", job.run.interfaces
    if job.attempts:
        last = job.attempts[-1]
        return last.task, last.instance, last.interfaces
    return "", "", ()


def _array(job: Job) -> Values | None:
    if job.array_size:
        return {
            "size": job.array_size,
            "statusSummary": {status: job.counts.get(status, 0) for status in JobStatus},
            "statusSummaryLastUpdatedAt": job.counted_at,
        }
    return {"index": job.index} if job.is_child else None


def _node_summary(job: Job) -> Values | None:
    if job.nodes:
        return {"numNodes": job.nodes}
    if job.is_node:
        return {"nodeIndex": job.node, "isMainNode": job.node == job.main_node}
    return None


def _is_several(definition: JobDefinition | None) -> bool:
    return definition is not None and "ecsProperties" in definition.properties
