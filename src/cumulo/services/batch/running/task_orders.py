"""The order of a run: everything that TaskRunner.run is told.  Pure.

The same job with the same run gives the same order, whatever has happened since: so one that may have been given before a
kill can be given again.
"""

from collections.abc import Mapping
from typing import Any, Final

from cumulo.base.task_runner import TaskOrder
from cumulo.services.batch.model import ComputeEnvironment, Document, Job, JobDefinition

OWNER: Final = "batch"
_PROPAGATED_MAX: Final = 50


def order_of(
    job: Job,
    definition: JobDefinition,
    environment: ComputeEnvironment,
    *,
    properties: Mapping[str, Any],
    overrides: Mapping[str, Any],
    task_definition: str,
    awsvpc: bool,
) -> TaskOrder:
    """The order; `properties` are what the job runs, `task_definition` the ARN of ECS's."""
    assert job.run is not None, f"{job.id} has no run"
    told = _told(properties)
    type_ = str(environment.resources.get("type", "EC2"))
    fargate = type_.startswith("FARGATE")
    return TaskOrder(
        account=job.account,
        region=job.region,
        owner=OWNER,
        token=job.run.token,
        cluster=environment.cluster,
        definition=task_definition,
        launch_type="FARGATE" if fargate else "EC2",
        provider="FARGATE_SPOT" if type_ == "FARGATE_SPOT" else "",
        instance="" if fargate else job.run.instance,
        overrides=overrides,
        network=_network(environment, told, fargate=fargate) if awsvpc else {},
        platform_version=_platform(told) if fargate else "",
        execute_command=bool(told.get("enableExecuteCommand", False)),
        started_by=f"{OWNER}/{job.id}",
        tags=_tags(job, definition, environment),
    )


def _told(properties: Mapping[str, Any]) -> Document:
    """What is said of the task as a whole."""
    if "ecsProperties" in properties:
        task: Document = properties["ecsProperties"]["taskProperties"][0]
        return task
    container: Document = properties["containerProperties"]
    return container


def _platform(told: Document) -> str:
    version = told.get("fargatePlatformConfiguration", {}).get("platformVersion")
    return str(version or told.get("platformVersion") or "LATEST")


def _network(environment: ComputeEnvironment, told: Document, *, fargate: bool) -> dict[str, Any]:
    resources = environment.resources
    made: dict[str, Any] = {"subnets": list(resources.get("subnets") or ())}
    if resources.get("securityGroupIds"):
        made["securityGroups"] = list(resources["securityGroupIds"])
    if fargate:
        made["assignPublicIp"] = told.get("networkConfiguration", {}).get("assignPublicIp", "DISABLED")
    return {"awsvpcConfiguration": made}


def _tags(job: Job, definition: JobDefinition, environment: ComputeEnvironment) -> dict[str, str]:
    """The job's and its definition's, when they are to be passed on; and AWS's own, by which costs are told apart."""
    own = {
        "aws:batch:compute-environment": environment.name,
        "aws:batch:job-definition": f"{definition.name}:{definition.revision}",
        "aws:batch:job-queue": job.queue.rpartition("/")[2],
    }
    passed = {**definition.tags, **job.tags} if job.propagate_tags or definition.propagate_tags else {}
    return dict(list(passed.items())[: _PROPAGATED_MAX - len(own)]) | own
