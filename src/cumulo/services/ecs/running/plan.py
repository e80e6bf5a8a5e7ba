"""What becomes of a task, and what is to be done for it.  Pure.

step(task, definition, facts, now)  ─▶ the task's next record, or None when nothing has changed
todo(task, definition, facts, now)  ─▶ what to do now, and when to look again
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from cumulo.services.ecs.model import (
    Document,
    StopCode,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskStatus,
)
from cumulo.services.ecs.running import checks, order
from cumulo.services.ecs.running.endings import absorb, host_gone
from cumulo.services.ecs.running.facts import Action, Checked, Facts, Failure, Verb
from cumulo.services.ecs.running.states import LIFE, TaskEvent

STOP_SECONDS = 30.0  # without a stopTimeout
KILL_AGAIN_SECONDS = 10.0
ESSENTIAL = "Essential container in task exited"
FAILED = "Task failed to start"


class Todo(msgspec.Struct, frozen=True):
    """What to do now.  `at`: when to look again though nothing has happened; None: never."""

    actions: tuple[Action, ...] = ()
    at: float | None = None


def is_wanted(task: Task) -> bool:
    """Whether it shall run."""
    return task.desired_status != "STOPPED"


def stopping(task: Task, code: str, reason: str, now: float) -> Task:
    """The task, wanted STOPPED from now on; the first code and reason stay."""
    if not is_wanted(task):
        return task
    return replace(
        task, desired_status="STOPPED", stop_code=str(code), stopped_reason=reason, stopping_at=now
    )


# -- what becomes of it ------------------------------------------------------------------------------------


def step(task: Task, definition: TaskDefinition, facts: Facts, now: float) -> Task | None:
    """The next record, without the growth of its version; None when nothing has changed."""
    if task.last_status is TaskStatus.STOPPED:
        return None
    containers = tuple(absorb(task, one, definition, facts, now) for one in task.containers)
    changed = replace(task, containers=containers)
    changed = _network(changed, facts)
    changed = _health(changed, definition)
    changed = _verdict(changed, definition, facts, now)
    changed = _move(changed, facts, now)
    return None if changed == task else changed


def _network(task: Task, facts: Facts) -> Task:
    """Its address, once it has been made."""
    found = facts.interface
    if found is None or task.private_ip:
        return task
    return replace(
        task,
        private_ip=found.address,
        eni=found.eni,
        mac=found.mac,
        attachment_id=found.attachment_id,
    )


def _health(task: Task, definition: TaskDefinition) -> Task:
    by_name = {str(one["name"]): one for one in definition.containers}
    found = checks.overall(task.containers, by_name)
    return task if found is task.health else replace(task, health=found)


def _verdict(task: Task, definition: TaskDefinition, facts: Facts, now: float) -> Task:
    """Whether it has to stop."""
    if not is_wanted(task):
        return task
    if facts.failure is not None:
        blamed = tuple(_blame(one, facts.failure) for one in task.containers)
        task = replace(task, containers=blamed)
        return stopping(task, StopCode.TASK_FAILED_TO_START, facts.failure.task_reason, now)
    for one in task.containers:
        if one.essential and one.status == "STOPPED":
            if not one.started_at and one.reason:
                return stopping(task, StopCode.TASK_FAILED_TO_START, FAILED, now)
            return stopping(task, StopCode.ESSENTIAL_CONTAINER_EXITED, ESSENTIAL, now)
    hopeless = _hopeless(task, definition, facts, now)
    if hopeless is not None:
        task = replace(task, containers=tuple(_blame(one, hopeless) for one in task.containers))
        return stopping(task, StopCode.TASK_FAILED_TO_START, hopeless.task_reason, now)
    return task


def _blame(one: TaskContainer, failure: Failure) -> TaskContainer:
    return replace(one, reason=failure.reason) if one.name == failure.container else one


def _hopeless(task: Task, definition: TaskDefinition, facts: Facts, now: float) -> Failure | None:
    """A container that can never start, because of what became of those that it waits for."""
    by_name = {str(one["name"]): one for one in definition.containers}
    containers = {one.name: one for one in task.containers}
    for one in task.containers:
        if one.status in {"PENDING", "PULLED", "CREATED"} and not one.restarts and one.name in by_name:
            why = order.never(one.name, by_name, containers, facts.checked, now)
            if why:
                return Failure(why, one.name)
    return None


def _move(task: Task, facts: Facts, now: float) -> Task:
    """One step along the table, when its time has come."""
    event = _event(task, facts)
    if event is None:
        return _pulls(task, now)
    before, there = task.last_status, LIFE.step(task.last_status, event)
    task = replace(task, last_status=there)
    if there is TaskStatus.PENDING:
        return _pulls(task, now)
    if before is TaskStatus.ACTIVATING:
        return replace(task, started_at=now)  # it did run, also when it has ended before others knew of it
    if there is TaskStatus.DEPROVISIONING:
        return replace(task, containers=_ended(task.containers), execution_stopped_at=now)
    if there is TaskStatus.STOPPED:
        return replace(task, stopped_at=now)
    return task


def _ended(containers: Iterable[TaskContainer]) -> tuple[TaskContainer, ...]:
    return tuple(one if one.status == "STOPPED" else replace(one, status="STOPPED") for one in containers)


def _pulls(task: Task, now: float) -> Task:
    """When it was reachable, when images were begun to be pulled, and when all were there."""
    if task.last_status is not TaskStatus.PENDING or not is_wanted(task):
        return task
    if not task.pull_started_at:
        return replace(task, connectivity="CONNECTED", connectivity_at=now, pull_started_at=now)
    if not task.pull_stopped_at and all(one.status != "PENDING" for one in task.containers):
        return replace(task, pull_stopped_at=now)
    return task


def _event(task: Task, facts: Facts) -> TaskEvent | None:
    status, all_ended = task.last_status, all(one.status == "STOPPED" for one in task.containers)
    if not is_wanted(task) and status not in {
        TaskStatus.DEACTIVATING,
        TaskStatus.STOPPING,
        TaskStatus.DEPROVISIONING,
    }:
        return _stop_event(task, facts)
    if status is TaskStatus.PROVISIONING:
        return None if task.waits else TaskEvent.TAKEN
    if status is TaskStatus.PENDING:
        begun = all(one.status in {"RUNNING", "STOPPED"} for one in task.containers)
        return TaskEvent.STARTED if begun and task.pull_stopped_at else None
    if status is TaskStatus.ACTIVATING:
        return TaskEvent.ATTACHED if facts.attached else None
    if status is TaskStatus.DEACTIVATING:
        if facts.detached:
            return TaskEvent.DETACHED
        if all_ended:
            return TaskEvent.ENDED
        return TaskEvent.HOST_GONE if host_gone(task, facts) else None
    if status is TaskStatus.STOPPING:
        making = any(it.verb in {Verb.CREATE, Verb.START} for it in facts.doing)
        return TaskEvent.ENDED if all_ended and not making else None
    if status is TaskStatus.DEPROVISIONING:
        return TaskEvent.RELEASED if facts.removed else None
    return None


def _stop_event(task: Task, facts: Facts) -> TaskEvent:
    return TaskEvent.HOST_GONE if host_gone(task, facts) else TaskEvent.STOP


# -- what is to be done ------------------------------------------------------------------------------------


def todo(task: Task, definition: TaskDefinition, facts: Facts, now: float) -> Todo:
    """What to do that is not being done already."""
    found: list[Action] = []
    at: list[float] = []
    if task.waits and is_wanted(task):
        return Todo()
    if not facts.looked:
        return _new([Action(Verb.LOOK)], facts)
    status = task.last_status
    if status is TaskStatus.DEPROVISIONING:
        return _new([Action(Verb.REMOVE)], facts)
    found += [
        Action(Verb.WATCH, one.name)
        for one in task.containers
        if one.name in facts.seen and facts.seen[one.name].state == "running"
    ]
    if status is TaskStatus.STOPPING:
        actions, times = _endings(task, definition, facts, now)
        found += actions
        at += times
    elif status is TaskStatus.DEACTIVATING:
        found += [] if facts.detached else [Action(Verb.DETACH)]
    elif is_wanted(task):
        found += _preparations(task, facts)
        if facts.prepared:
            actions, times = _starts(task, definition)
            found += actions
            at += times
        if status in {TaskStatus.ACTIVATING, TaskStatus.RUNNING} and facts.prepared and not facts.attached:
            found.append(Action(Verb.ATTACH))
    if is_wanted(task):
        actions, times = _probes(task, definition, facts, now)
        found += actions
        at += times
    return _new(found, facts, [one for one in at if one > now])


def _new(found: Iterable[Action], facts: Facts, at: Iterable[float] = ()) -> Todo:
    return Todo(tuple(one for one in found if one not in facts.doing), min(at, default=None))


def _preparations(task: Task, facts: Facts) -> list[Action]:
    statuses = {one.status for one in task.containers}
    if "PENDING" in statuses:
        return [
            Action(Verb.PULL, one.name)
            for one in task.containers
            if one.status == "PENDING" and one.name not in facts.pulled
        ]
    if "PULLED" in statuses:
        # After a restart the images are not known any more; the engine still has them.
        missing = [one.name for one in task.containers if one.name not in facts.pulled]
        return [Action(Verb.PULL, name) for name in missing] or [Action(Verb.CREATE)]
    return [] if facts.prepared else [Action(Verb.PREPARE)]


def _starts(task: Task, definition: TaskDefinition) -> tuple[list[Action], list[float]]:
    by_name = {str(one["name"]): one for one in definition.containers}
    containers = {one.name: one for one in task.containers}
    actions, times = [], []
    for one in task.containers:
        if one.status != "CREATED":
            continue
        if one.restarts or order.may_start(one.name, by_name, containers):
            actions.append(Action(Verb.START, one.name))
        elif (end := order.patience(one.name, by_name, containers)) is not None:
            times.append(end)
    return actions, times


def _probes(
    task: Task, definition: TaskDefinition, facts: Facts, now: float
) -> tuple[list[Action], list[float]]:
    by_name = {str(one["name"]): one for one in definition.containers}
    actions, times = [], []
    for one in task.containers:
        check = checks.check_of(by_name.get(one.name, {}))
        if check is None or one.status != "RUNNING" or Action(Verb.PROBE, one.name) in facts.doing:
            continue
        when = checks.due(check, one, facts.checked.get(one.name, Checked()))
        if when <= now:
            actions.append(Action(Verb.PROBE, one.name))
        else:
            times.append(when)
    return actions, times


def _endings(
    task: Task, definition: TaskDefinition, facts: Facts, now: float
) -> tuple[list[Action], list[float]]:
    """Stop signals in the reverse order of the start, SIGKILL for those that take too long."""
    by_name = {str(one["name"]): one for one in definition.containers}
    containers = {one.name: one for one in task.containers}
    actions, times = [], []
    for one in task.containers:
        if one.status != "RUNNING":
            continue
        killed = facts.killed.get(one.name)
        if killed is not None:
            if now >= killed + KILL_AGAIN_SECONDS:
                actions.append(Action(Verb.KILL, one.name))
            times.append(max(killed, now) + KILL_AGAIN_SECONDS)
        elif host_gone(task, facts):
            actions.append(Action(Verb.KILL, one.name))
        elif one.name in facts.termed:
            seconds = stop_seconds(by_name.get(one.name, {}))
            end = facts.termed[one.name] + seconds
            actions += [Action(Verb.KILL, one.name)] if now >= end else []
            times.append(end)
        elif one.name not in by_name or order.may_stop(one.name, by_name, containers):
            actions.append(Action(Verb.SIGNAL, one.name))
    return actions, times


def stop_seconds(definition: Document) -> float:
    """How long a container may take to end after its stop signal."""
    said = definition.get("stopTimeout")
    return STOP_SECONDS if said is None else float(said)
