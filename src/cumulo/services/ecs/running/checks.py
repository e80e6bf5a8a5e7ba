"""Health checks: when the next is due, and what their outcomes mean.  Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from cumulo.services.ecs.model import Document, Health, TaskContainer
from cumulo.services.ecs.running.facts import Checked


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A container's health check, with AWS's defaults filled in.  Seconds."""

    argv: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 5.0
    retries: int = 3
    start_period: float = 0.0


def check_of(definition: Document) -> Check | None:
    """The health check of a container; None when it has none, or says NONE."""
    said = definition.get("healthCheck")
    command = [str(word) for word in said.get("command", ())] if said else []
    if not said or not command or command == ["NONE"]:
        return None
    if command[0] == "CMD-SHELL":
        argv: tuple[str, ...] = ("/bin/sh", "-c", " ".join(command[1:]))
    else:
        argv = tuple(command[1:] if command[0] == "CMD" else command)
    return Check(
        argv=argv,
        interval=float(said.get("interval") or 30),
        timeout=float(said.get("timeout") or 5),
        retries=int(said.get("retries") or 3),
        start_period=float(said.get("startPeriod") or 0),
    )


def due(check: Check, container: TaskContainer, checked: Checked) -> float:
    """When the next check is to begin."""
    return (checked.at or container.started_at) + check.interval


def after(check: Check, container: TaskContainer, checked: Checked, now: float, *, ok: bool) -> Checked:
    """What is known once a check has ended.  Failures in the start period count from the first success on."""
    if ok:
        return Checked(at=now, failures=0, healthy=True)
    if not checked.healthy and now < container.started_at + check.start_period:
        return msgspec.structs.replace(checked, at=now)
    failures = checked.failures + 1
    return Checked(
        at=now,
        failures=failures,
        healthy=checked.healthy,
        unhealthy=checked.unhealthy or failures >= check.retries,
    )


def health(checked: Checked | None, before: Health) -> Health:
    """A container's health, given its checks."""
    if checked is None or not checked.at:
        return before
    if checked.unhealthy:
        return Health.UNHEALTHY
    return Health.HEALTHY if checked.healthy else before


def overall(containers: Iterable[TaskContainer], definitions: Mapping[str, Document]) -> Health:
    """A task's health: over its essential containers that have a check, the worst counts."""
    looked = [
        one.health
        for one in containers
        if one.essential and check_of(definitions.get(one.name, {})) is not None
    ]
    for worst in (Health.UNHEALTHY, Health.UNKNOWN):
        if worst in looked:
            return worst
    return Health.HEALTHY if looked else Health.UNKNOWN
