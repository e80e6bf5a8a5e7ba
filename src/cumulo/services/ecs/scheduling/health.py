"""How a service's task stands, from what its containers and its target groups say.  Pure."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from cumulo.base.ports.targets import Target
from cumulo.services.ecs.model import Document, Health, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.scheduling import sentences

_COMING = frozenset({TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING})
_AT_WORK = frozenset(
    {"healthy", "unused", "unavailable"}
)  # the last two: nobody asks it, so nobody knows better


class Standing(StrEnum):
    """What a live task counts for."""

    PENDING = "PENDING"  # does not run yet
    STARTING = "STARTING"  # runs; whether it is well is not known yet
    HEALTHY = "HEALTHY"
    SICK = "SICK"  # is to be replaced


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """How the tasks of a deployment are judged.

    container      whether an essential container has a health check
    target_groups  {targetGroupArn, containerName, containerPort}
    grace_seconds  so long after its start a task is not sick, whatever the checks say
    settle_seconds without any check, a task is healthy when it has run so long
    """

    container: bool = False
    target_groups: tuple[Document, ...] = ()
    grace_seconds: float = 0.0
    settle_seconds: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    """A task's standing; `reason`, `target_group` and `port` of a sick one; `again` when time alone will change it."""

    standing: Standing
    reason: str = ""
    target_group: str = ""
    port: int = 0
    again: float = 0.0


def checks_of(
    definition: TaskDefinition | None,
    target_groups: Sequence[Document],
    *,
    grace_seconds: float,
    settle_seconds: float,
) -> Checks:
    """The checks that a definition and a service's load balancers ask for."""
    containers = definition.containers if definition is not None else ()
    return Checks(
        container=any(one.get("healthCheck") and one.get("essential", True) for one in containers),
        target_groups=tuple(target_groups),
        grace_seconds=grace_seconds,
        settle_seconds=settle_seconds,
    )


def targets_of(task: Task, balancer: Document, ec2_id: str) -> Target | None:
    """What a task is in a target group: its own address, or a host port of its instance; None when not known yet.

    ec2_id   of the container instance that it runs on; empty on Fargate
    """
    port = int(balancer.get("containerPort", 0))
    if task.private_ip:
        return Target(task.private_ip, port)
    for container in task.containers:
        if container.name != balancer.get("containerName"):
            continue
        for binding in container.bindings:
            if int(binding.get("containerPort", 0)) == port and binding.get("hostPort") and ec2_id:
                return Target(ec2_id, int(binding["hostPort"]))
    return None


def judge(
    task: Task,
    checks: Checks,
    health_of: Callable[[str], Mapping[Target, str]],
    ec2_id: str,
    now: float,
) -> Verdict:
    """How a task stands.  `health_of` gives the health of a target group's targets."""
    if task.last_status in _COMING:
        return Verdict(Standing.PENDING)
    grace_until = task.started_at + checks.grace_seconds
    states = [
        (one, _state_of(task, one, health_of(str(one.get("targetGroupArn", ""))), ec2_id))
        for one in checks.target_groups
    ]
    sick = _sickness(task, checks, states)
    if sick is not None:
        return sick if now >= grace_until else Verdict(Standing.STARTING, again=grace_until)
    if checks.container and task.health is not Health.HEALTHY:
        return Verdict(Standing.STARTING)
    if any(state not in _AT_WORK for _, state in states):
        return Verdict(Standing.STARTING)
    settled_at = task.started_at + checks.settle_seconds
    if not checks.container and not states and now < settled_at:
        return Verdict(Standing.STARTING, again=settled_at)
    return Verdict(Standing.HEALTHY)


def _sickness(task: Task, checks: Checks, states: Sequence[tuple[Document, str]]) -> Verdict | None:
    if checks.container and task.health is Health.UNHEALTHY:
        return Verdict(Standing.SICK, sentences.CONTAINER_FAILED)
    for balancer, state in states:
        if state == "unhealthy":
            arn = str(balancer.get("targetGroupArn", ""))
            reason = sentences.ELB_FAILED.format(arn=arn)
            return Verdict(Standing.SICK, reason, arn, int(balancer.get("containerPort", 0)))
    return None


def _state_of(task: Task, balancer: Document, health: Mapping[Target, str], ec2_id: str) -> str:
    target = targets_of(task, balancer, ec2_id)
    return health.get(target, "") if target is not None else ""
