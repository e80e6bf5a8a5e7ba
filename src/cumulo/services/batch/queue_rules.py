"""What CreateJobQueue and UpdateJobQueue refuse, in AWS's sentences.  Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cumulo.base.arn import parse_arn
from cumulo.services.batch.environment_rules import NAME, check_tags
from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.instance_types import architecture_of
from cumulo.services.batch.model import ComputeEnvironment, TimeLimit

ENVIRONMENTS_MAX: Final = 3
PRIORITY_MAX: Final = 2**31 - 1
REASONS: Final = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
NOT_READY: Final = "Compute Environments must be created and valid before attaching them to a job queue"
_UNBUILT_TYPES: Final = ("EKS", "SAGEMAKER_TRAINING", "ECS_MANAGED_INSTANCES")
_SECONDS: Final = range(600, 86_401)

Document = Mapping[str, Any]


def check_queue(operation: str, values: Document) -> None:
    """ClientException for what is wrong by itself; 501 for what this cloud does not have."""
    if values.get("serviceEnvironmentOrder"):
        raise unbuilt(operation, "service environments are not built")
    if values.get("jobQueueType") in _UNBUILT_TYPES:
        raise unbuilt(operation, f"job queues of the type {values['jobQueueType']} are not built")
    if "jobQueueName" in values and not NAME.fullmatch(values["jobQueueName"]):
        raise unfit("Job Queue name should match a valid pattern.")
    if not 0 <= values.get("priority", 0) <= PRIORITY_MAX:
        raise unfit("priority should be greater than or equal to 0.")
    check_tags(values.get("tags") or {})
    if values.get("schedulingPolicyArn") is not None:
        _check_policy_arn(values["schedulingPolicyArn"])


def _check_policy_arn(arn: str) -> None:
    parsed = parse_arn(arn)
    if parsed is None:
        raise unfit(
            f'[AttributeName("scheduling_policy_arn")] ARN Type Validation Error: Value "{arn}" cannot be parsed as an ARN.'
        )
    if parsed.service != "batch" or not parsed.resource.startswith("scheduling-policy/"):
        raise unfit("Only scheduling policy Arn can be allowed.")


def in_order(order: Sequence[Document]) -> list[tuple[int, str]]:
    """computeEnvironmentOrder, the first first: numbers, and names or ARNs."""
    if not order:
        raise unfit("At least one compute environment is required in job queue request.")
    if len(order) > ENVIRONMENTS_MAX:
        raise unfit(f"Only {ENVIRONMENTS_MAX} environments are allowed in job queue request.")
    if len({one["order"] for one in order}) < len(order):
        raise unfit("Duplicate ComputeEnvironment order values.")
    return sorted((one["order"], one["computeEnvironment"]) for one in order)


def check_environments(
    environments: Sequence[ComputeEnvironment], *, attached: Iterable[str] = (), kind: str | None = None
) -> None:
    """ClientException for environments that one queue cannot have; those that are `attached` already need not be VALID."""
    if len({one.arn for one in environments}) < len(environments):
        raise unfit("Duplicate ComputeEnvironments within order list.")
    if any(one.status != "VALID" and one.arn not in attached for one in environments):
        raise unfit(NOT_READY)
    if len({one.is_fargate for one in environments}) > 1:
        raise unfit("Fargate and EC2 compute environments can not be mixed.")
    own = [one.resources["instanceTypes"] for one in environments if one.has_instances]
    if len({architecture_of(types) for types in own}) > 1:
        raise unfit("All compute environments of a job queue must have the same architecture.")
    if kind is not None and kind != queue_type(environments):
        raise unfit(
            f"The jobQueueType provided is {kind}, which is incompatible with the provided computeEnvironmentOrder."
        )


def queue_type(environments: Iterable[ComputeEnvironment]) -> str:
    """What DescribeJobQueues shows as jobQueueType."""
    return "ECS_FARGATE" if any(one.is_fargate for one in environments) else "ECS"


def limits_of(actions: Sequence[Document]) -> tuple[TimeLimit, ...]:
    """jobStateTimeLimitActions, checked."""
    found: list[TimeLimit] = []
    for one in actions:
        if one["action"] != "CANCEL":
            raise unfit("Invalid job action. Valid job actions: [CANCEL]")
        if one["reason"] not in REASONS:
            raise unfit(f"Invalid job state limit reason. Valid reasons: [{', '.join(REASONS)}]")
        if one["maxTimeSeconds"] not in _SECONDS:
            raise unfit("maxTimeSeconds should be between 600 and 86400.")
        if any((one["state"], one["reason"]) == (other.state, other.reason) for other in found):
            raise unfit("Duplicate job state limit actions are not allowed.")
        found.append(
            TimeLimit(
                reason=one["reason"],
                state=one["state"],
                max_seconds=one["maxTimeSeconds"],
                action=one["action"],
            )
        )
    return tuple(found)
