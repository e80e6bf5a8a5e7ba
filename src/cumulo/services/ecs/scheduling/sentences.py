"""What a service's events and a deployment's reasons say, in AWS's words."""

from collections.abc import Mapping, Sequence

_TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_NO_INSTANCES = "No Container Instances were found in your cluster."
_NO_CAPACITY = "Capacity is unavailable"
_OF_INSTANCES = frozenset({"AGENT", "ATTRIBUTE", "INACTIVE", "LOCATION", "MISSING"})

ELB_FAILED = "Task failed ELB health checks in (target-group {arn})"
CONTAINER_FAILED = "Task failed container health checks"
FAILED_TO_START = "tasks failed to start"
DEPLOYMENT_COMPLETED = "ECS deployment {id} completed."
DEPLOYMENT_RUNS = "ECS deployment {id} in progress."
BREAKER_FAILED = "ECS deployment circuit breaker: tasks failed to start."
BREAKER_ROLLS_BACK = "ECS deployment circuit breaker: rolling back to deploymentId {id}."
USER_ROLLS_BACK = "ECS deployment rolling back to deploymentId {id}."
USER_STOPPED = "ECS deployment {id} stopped."
IMPAIRED = "is unable to consistently start tasks successfully."
THRESHOLD_ROLLED_BACK = "Service deployment rolled back because the circuit breaker threshold was exceeded."
THRESHOLD_STOPPED = "Service deployment stopped because the circuit breaker threshold was exceeded."
NO_CANDIDATE = "No rollback candidate was found to run the rollback."
BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)
STEADY = "has reached a steady state."


def scaling(deployment: str) -> str:
    """Why the scheduler stops a task that is not wanted any more."""
    return f"Scaling activity initiated by (deployment {deployment})"


def started(tasks: Sequence[str]) -> str:
    """Tasks (ids) were started."""
    return f"has started {len(tasks)} tasks: {_listed(tasks)}."


def stopped(tasks: Sequence[str]) -> str:
    """Running tasks (ids) were stopped."""
    return f"has stopped {len(tasks)} running tasks: {_listed(tasks)}."


def uneven(zones: Mapping[str, int]) -> str:
    """Some zone has too many tasks; one more is started elsewhere."""
    return f"is not AZ balanced with {_by_zone(zones)}. AZ Rebalancing in progress."


def even(zones: Mapping[str, int]) -> str:
    """The zones have equally many tasks again."""
    return f"is AZ balanced with {_by_zone(zones)}."


def _by_zone(zones: Mapping[str, int]) -> str:
    return ", ".join(f"{count} tasks in {zone}" for zone, count in zones.items())


def stopped_pending(count: int) -> str:
    """Tasks were stopped before they ran."""
    return f"stopped {count} pending tasks."


def _listed(tasks: Sequence[str]) -> str:
    return " ".join(f"(task {one})" for one in tasks)


def not_placed(reason: str, instance: str, detail: str) -> str:
    """A task had no place.  `instance` is the id of the container instance that came nearest, `detail` what it lacks."""
    if not instance and not reason.startswith("RESOURCE:") and reason not in _OF_INSTANCES:
        return not_started(detail or reason)
    text = "was unable to place a task because no container instance met all of its requirements."
    if not instance:
        return f"{text} Reason: {_NO_INSTANCES} {_TROUBLESHOOTING}"
    lacks = _closed(detail or f'encountered error "{reason}"')
    return f"{text} The closest matching (container-instance {instance}) {lacks} {_TROUBLESHOOTING}"


def not_started(reason: str) -> str:
    """A task had no place on Fargate, or did not come up where it was placed."""
    text = f"was unable to place a task. Reason: {_closed(reason)}"
    return f"{text} {_TROUBLESHOOTING}" if reason.startswith(_NO_CAPACITY) else text


def _closed(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def sick(task: str, port: int, target_group: str) -> str:
    """A task failed its health checks: those of a target group, or those of its containers."""
    if not target_group:
        return f"(task {task}) failed container health checks."
    where = f"(port {port}) is unhealthy in (target-group {target_group})"
    return f"(task {task}) {where} due to (reason Health checks failed)."
