"""SubmitJob's request, as far as it can be judged without looking at other jobs.  Pure; AwsError ClientException."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from cumulo.services.batch.container_rules import check_command, check_environment
from cumulo.services.batch.definition_rules import check_parameters, check_priority, check_tags
from cumulo.services.batch.errors import Unfit, client, unbuilt, unfit
from cumulo.services.batch.model import Dependency, Document, Job, JobDefinition, JobQueue
from cumulo.services.batch.node_rules import NODES_MAX
from cumulo.services.batch.resolution import containers_of, missing_parameter, node_ranges, run_properties
from cumulo.services.batch.resource_rules import (
    amounts_of,
    check_fargate,
    check_least,
    check_no_legacy,
    together,
)

T = TypeVar("T")
ARRAY_LEAST, ARRAY_MOST = 2, 10_000
DEPENDENCIES_MAX = 20
SUBMIT_BYTES_MAX = 30 * 1024
OVERRIDES_MAX = 8192  # as ECS
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_SHARE = re.compile(r"[A-Za-z0-9_-]{1,255}\*?")
_UNBUILT = ("eksPropertiesOverride", "consumableResourcePropertiesOverride")
_OVERRIDES = ("containerOverrides", "ecsPropertiesOverride", "nodeOverrides")
_FAIR_ONLY = "Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share scheduling policy."


def check_request(values: Document) -> None:
    """What can be said of the request by itself."""
    if not _NAME.fullmatch(values["jobName"]):
        raise unfit("Job name should match valid pattern")
    for member in _UNBUILT:
        if member in values:
            raise unbuilt("SubmitJob", member)
    if len(msgspec.json.encode(values)) > SUBMIT_BYTES_MAX:
        raise unfit(f"Job submission size cannot exceed {SUBMIT_BYTES_MAX} bytes.")
    check_parameters(values.get("parameters", {}))
    check_tags(values.get("tags", {}))
    if "schedulingPriorityOverride" in values:
        check_priority(values["schedulingPriorityOverride"])
    size = values.get("arrayProperties", {}).get("size")
    if size is not None and not ARRAY_LEAST <= size <= ARRAY_MOST:
        raise unfit(f"Array size must be between {ARRAY_LEAST} and {ARRAY_MOST}.")
    if len(values.get("dependsOn", ())) > DEPENDENCIES_MAX:
        raise unfit(f"Job cannot have more than {DEPENDENCIES_MAX} dependencies")


def checked_dependencies(values: Document) -> tuple[Dependency, ...]:
    """The dependencies of a request, each once; whether the jobs are there is another question."""
    size = values.get("arrayProperties", {}).get("size")
    made: dict[Dependency, None] = {}
    for one in values.get("dependsOn", ()):
        job, kind = one.get("jobId", ""), one.get("type", "")
        if kind == "SEQUENTIAL" and job:
            raise client("A SEQUENTIAL dependency cannot have a jobId.")
        if kind and not size:
            raise client(f"A dependency of type {kind} requires an array job.")
        if not job and kind != "SEQUENTIAL":
            raise client("A dependency requires a jobId.")
        made[Dependency(job, kind)] = None
    return tuple(made)


def check_queue(queue: JobQueue | None, text: str) -> JobQueue:
    """That jobs may be submitted to a queue."""
    if queue is None:
        raise client(f"JobQueue {text} not found.")
    if queue.state != "ENABLED":
        raise client(f"JobQueue {queue.name} is not in ENABLED state.")
    if queue.status not in ("VALID", "UPDATING"):
        raise client(f"JobQueue {queue.name} is not in VALID status.")
    return queue


def check_share(values: Document, queue: JobQueue) -> None:
    """A share identifier is for fair-share queues, and there it must be."""
    share = values.get("shareIdentifier")
    if not queue.policy:
        if share is not None or "schedulingPriorityOverride" in values:
            raise client(_FAIR_ONLY)
        return
    if share is None:
        raise client("shareIdentifier must be specified for job queues with a fair share scheduling policy.")
    if not _SHARE.fullmatch(share):
        raise client(f"shareIdentifier {share} does not match valid pattern.")


def check_overrides(values: Document, definition: JobDefinition) -> None:
    """That overrides are of the kind that the definition has."""
    wanted = {
        "containerProperties": "containerOverrides",
        "ecsProperties": "ecsPropertiesOverride",
        "nodeProperties": "nodeOverrides",
    }[next(iter(definition.properties))]
    for member in _OVERRIDES:
        if member in values and member != wanted:
            raise client(f"{member} is not applicable for this job definition; use {wanted}.")
    if definition.kind == "multinode" and "arrayProperties" in values:
        raise client("Array jobs cannot be multi-node parallel jobs.")
    if wanted == "containerOverrides":
        _check_container(values.get(wanted, {}), definition.platforms[0])
    elif wanted == "ecsPropertiesOverride":
        _check_task(values.get(wanted, {}), definition.properties["ecsProperties"], definition.platforms[0])
    else:
        _check_nodes(values.get(wanted, {}), definition)


def node_count(values: Document, definition: JobDefinition) -> int:
    """How many nodes a job has; 0 when it is none of several nodes."""
    if definition.kind != "multinode":
        return 0
    kept = definition.properties["nodeProperties"]
    count = int(values.get("nodeOverrides", {}).get("numNodes", kept["numNodes"]))
    if not 1 <= count <= NODES_MAX:
        raise client(f"Number of nodes must be between 1 and {NODES_MAX}.")
    if kept["mainNode"] >= count:
        raise client("Main node index is out of range, must be less than numNodes.")
    if count != kept["numNodes"] and not any(
        one.is_open for one in node_ranges(definition, kept["numNodes"])
    ):
        raise client("numNodes can only be overridden when a node range has an open upper boundary.")
    plainly(node_ranges, definition, count)
    return count


def check_result(job: Job, definition: JobDefinition) -> None:
    """What comes of a definition, overrides and parameters together."""
    platform = definition.platforms[0]
    for properties in _every(job, definition):
        missing = missing_parameter(properties)
        if missing is not None:
            raise client(f"Unable to substitute value. No parameter found for reference {missing}")
        amounts = [plainly(amounts_of, one) for one in containers_of(properties)]
        if platform == "FARGATE":
            plainly(check_fargate, together(amounts))
            continue
        for one in amounts:
            plainly(check_least, one)


def plainly(check: Callable[..., T], *arguments: object) -> T:
    """A check of definitions, of which SubmitJob tells what is wrong without wrapping."""
    try:
        return check(*arguments)
    except Unfit as error:
        raise client(error.message) from None


def _every(job: Job, definition: JobDefinition) -> Sequence[Document]:
    if not job.nodes:
        return [run_properties(definition, job)]
    firsts = {one.first for one in node_ranges(definition, job.nodes)} | {job.main_node}
    nodes = [msgspec.structs.replace(job, node=number) for number in sorted(firsts)]
    return [run_properties(definition, node) for node in nodes]


def _check_container(override: Document, platform: str) -> None:
    if len(msgspec.json.encode(override)) > OVERRIDES_MAX:
        raise client(f"Container Overrides length must be at most {OVERRIDES_MAX}")
    plainly(check_command, override)
    plainly(check_environment, override)
    wanted = override.get("resourceRequirements", ())
    if len({one["type"] for one in wanted}) < len(wanted):
        raise client("Cannot provide duplicates in resourceRequirements.")
    if platform == "FARGATE":
        plainly(check_no_legacy, override)
        if any(one["type"] == "GPU" for one in wanted):
            raise client("GPU is not applicable for Fargate.")
    plainly(check_least if platform != "FARGATE" else _nothing, plainly(amounts_of, override))


def _nothing(_amounts: object) -> None:
    """Fargate's pairs are looked at when everything is together."""


def _check_task(override: Document, kept: Document, platform: str) -> None:
    tasks = override.get("taskProperties", ())
    if len(tasks) > 1:
        raise client("Number of taskProperties must be 1")
    names = {one["name"] for one in kept["taskProperties"][0]["containers"]}
    for task in tasks:
        for container in task.get("containers", ()):
            name = container.get("name", "default")
            if name not in names:
                raise client(f"Container {name} is not part of the job definition.")
            _check_container(container, platform)


def _check_nodes(override: Document, definition: JobDefinition) -> None:
    kept = {one["targetNodes"]: one for one in definition.properties["nodeProperties"]["nodeRangeProperties"]}
    for one in override.get("nodePropertyOverrides", ()):
        target = one["targetNodes"]
        if target not in kept:
            raise client(f"NodeOverride targets should match job definition. Non matching targets - {target}")
        for member in _UNBUILT:
            if member in one:
                raise unbuilt("SubmitJob", member)
        if "containerOverrides" in one:
            _check_container(one["containerOverrides"], "EC2")
        if "ecsPropertiesOverride" in one and "ecsProperties" in kept[target]:
            _check_task(one["ecsPropertiesOverride"], kept[target]["ecsProperties"], "EC2")
        elif "ecsPropertiesOverride" in one:
            raise client(f"ecsPropertiesOverride is not applicable for node range {target}.")
