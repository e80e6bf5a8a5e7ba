"""What a service's events and a deployment's reasons say, in AWS's words."""

from collections.abc import Sequence

_TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_NO_INSTANCES = "No Container Instances were found in your cluster."
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


def stopped_pending(count: int) -> str:
    """Tasks were stopped before they ran."""
    return f"stopped {count} pending tasks."


def _listed(tasks: Sequence[str]) -> str:
    return " ".join(f"(task {one})" for one in tasks)


def not_placed(reason: str, instance: str, detail: str) -> str:
    """A task had no place.  `instance` is the id of the container instance that came nearest, `detail` what it lacks."""
    if not instance and not reason.startswith("RESOURCE:") and reason not in _OF_INSTANCES:
        return f"was unable to place a task. Reason: {_closed(detail or reason)}"
    text = "was unable to place a task because no container instance met all of its requirements."
    if not instance:
        return f"{text} Reason: {_NO_INSTANCES} {_TROUBLESHOOTING}"
    lacks = _closed(detail or f'encountered error "{reason}"')
    return f"{text} The closest matching (container-instance {instance}) {lacks} {_TROUBLESHOOTING}"


def _closed(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def sick(task: str, port: int, target_group: str) -> str:
    """A task failed its health checks: those of a target group, or those of its containers."""
    if not target_group:
        return f"(task {task}) failed container health checks."
    where = f"(port {port}) is unhealthy in (target-group {target_group})"
    return f"(task {task}) {where} due to (reason Health checks failed)."
