"""What a container's record becomes when the engine tells of it: made, started, ended, lost.  Pure."""

from msgspec.structs import replace

from cumulo.services.ecs.model import (
    EXEC_AGENT,
    Document,
    Health,
    StopCode,
    Task,
    TaskContainer,
    TaskDefinition,
)
from cumulo.services.ecs.running import checks
from cumulo.services.ecs.running.facts import Action, Facts, Seen, Verb

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
LOST = "CannotInspectContainerError: Could not inspect the container: its pod is gone"
RESTART_SECONDS = 60.0  # restartAttemptPeriod's default
UNBORN = frozenset({"PENDING", "PULLED", "CREATED"})


def host_gone(task: Task, facts: Facts) -> bool:
    """Whether the machine is gone: nothing is drained then, and nobody is asked to end."""
    return facts.host_gone or task.stop_code == StopCode.TERMINATION_NOTICE


def absorb(
    task: Task, one: TaskContainer, definition: TaskDefinition, facts: Facts, now: float
) -> TaskContainer:
    """The container's record, given the facts."""
    if one.status == "STOPPED":
        return one
    told = next((it for it in definition.containers if it["name"] == one.name), {})
    one = _made(one, facts)
    seen = facts.seen.get(one.name)
    if seen is not None and seen.state == "running" and one.status in UNBORN:
        one = replace(one, status="RUNNING", started_at=seen.started_at, health=Health.UNKNOWN)
        one = _agents(task, one, "RUNNING")
    elif seen is not None and seen.state == "exited" and not _is_old(one, seen):
        one = _ended(task, one, told, seen)
        if _is_killed(one, facts) and host_gone(task, facts):
            one = replace(one, exit_code=None)  # it went with its machine: no agent was left to tell
    elif one.name in facts.lost and one.status in {"CREATED", "RUNNING"}:
        one = replace(one, status="STOPPED", reason=LOST, finished_at=now, health=Health.UNKNOWN)
    elif task.desired_status == "STOPPED" and one.status in UNBORN and facts.looked and _idle(one, facts):
        one = _agents(task, replace(one, status="STOPPED"), "STOPPED")  # it never ran, or was to run again
    if one.status == "RUNNING":
        health = checks.health(facts.checked.get(one.name), one.health)
        one = one if health is one.health else replace(one, health=health)
    return one


def _is_killed(one: TaskContainer, facts: Facts) -> bool:
    """Whether it was sent SIGKILL; its end may be told before the one who sends it has come back."""
    return one.name in facts.killed or Action(Verb.KILL, one.name) in facts.doing


def _made(one: TaskContainer, facts: Facts) -> TaskContainer:
    pulled, made = facts.pulled.get(one.name), facts.made.get(one.name)
    if one.status == "PENDING" and pulled is not None:
        one = replace(one, status="PULLED", image_digest=pulled.digest)
    if one.status in {"PENDING", "PULLED"} and made is not None:
        one = replace(
            one,
            status="CREATED",
            pod=made.pod,
            runtime_id=made.id,
            created_at=made.created_at,
            bindings=made.bindings,
            interfaces=made.interfaces,
        )
    return one


def _agents(task: Task, one: TaskContainer, status: str) -> TaskContainer:
    """The agent of ExecuteCommand lives as long as the container."""
    if not task.execute_command:
        return one
    agent: dict[str, object] = {"name": EXEC_AGENT, "lastStatus": status}
    if one.started_at:
        agent["lastStartedAt"] = one.started_at
    return replace(one, managed_agents=(agent,))


def _is_old(one: TaskContainer, seen: Seen) -> bool:
    """Whether this is the end that was noted when it was decided to start it again."""
    return one.status == "CREATED" and one.restarts > 0 and seen.started_at <= one.started_at


def _idle(one: TaskContainer, facts: Facts) -> bool:
    """Whether nothing is under way that could still bring it to life."""
    return not facts.doing & {
        Action(Verb.CREATE),
        Action(Verb.START, one.name),
    }


def _ended(task: Task, one: TaskContainer, told: Document, seen: Seen) -> TaskContainer:
    """It has ended: for good, or to be started again."""
    reason = one.reason
    if seen.out_of_memory:
        reason = OUT_OF_MEMORY
    elif seen.error and seen.code in {126, 127, 128}:
        reason = f"CannotStartContainerError: {seen.error}"
    elif seen.error:
        reason = seen.error
    started_at = seen.started_at or one.started_at
    ended = replace(
        one,
        started_at=started_at,
        exit_code=seen.code if started_at else None,  # what has never run has not ended with a code
        finished_at=seen.finished_at,
        reason=reason,
        health=Health.UNKNOWN,
    )
    ended = _agents(task, ended, "STOPPED")
    if task.desired_status != "STOPPED" and _again(told, seen, started_at):
        return replace(ended, status="CREATED", restarts=one.restarts + 1)
    return replace(ended, status="STOPPED")


def _again(told: Document, seen: Seen, started_at: float) -> bool:
    """Whether the restart policy wants it started again."""
    policy = told.get("restartPolicy") or {}
    if not policy.get("enabled") or not started_at:
        return False
    if seen.code in policy.get("ignoredExitCodes", ()):
        return False
    period = float(policy.get("restartAttemptPeriod") or RESTART_SECONDS)
    return seen.finished_at - started_at >= period
