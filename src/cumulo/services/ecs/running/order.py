"""Which containers wait for which: `dependsOn` and `links`, forwards at the start and backwards at the end.  Pure."""

from collections.abc import Mapping, Sequence

from cumulo.services.ecs.model import Document, Health, TaskContainer
from cumulo.services.ecs.running.facts import Checked

Definitions = Mapping[str, Document]


def dependencies(one: Document) -> Sequence[tuple[str, str]]:
    """The containers that this one waits for, each with its condition; a link is a START."""
    said = [(str(it["containerName"]), str(it["condition"])) for it in one.get("dependsOn", ())]
    return said + [(str(link).partition(":")[0], "START") for link in one.get("links", ())]


def _reached(condition: str, one: TaskContainer) -> bool:
    """Whether a container has come as far as another waits for."""
    if condition == "COMPLETE":
        return one.status == "STOPPED"
    if condition == "SUCCESS":
        return one.status == "STOPPED" and one.exit_code == 0
    if condition == "HEALTHY":
        return one.status == "RUNNING" and one.health is Health.HEALTHY
    return one.status == "RUNNING" or (one.status == "STOPPED" and one.started_at > 0)


def may_start(name: str, definitions: Definitions, containers: Mapping[str, TaskContainer]) -> bool:
    """Whether everything that it waits for has happened."""
    needs = dependencies(definitions[name])
    return all(_reached(condition, containers[other]) for other, condition in needs if other in containers)


def never(
    name: str,
    definitions: Definitions,
    containers: Mapping[str, TaskContainer],
    checked: Mapping[str, Checked],
    now: float,
) -> str:
    """Why a container can never start, in the words of AWS's agent; empty while it may."""
    for other, condition in dependencies(definitions[name]):
        it = containers.get(other)
        if it is None or _reached(condition, it):
            continue
        if it.status == "STOPPED":
            if it.started_at == 0:
                return _cannot(other, name, "because dependency will never start")
            if condition == "SUCCESS":
                return _cannot(other, name, "as dependency did not exit successfully.")
            return _cannot(other, name, "because dependency has exited")
        if condition == "HEALTHY" and checked.get(other, Checked()).unhealthy:
            return _cannot(other, name, "as dependency is unhealthy")
        seconds = float(definitions[other].get("startTimeout") or 0)
        if seconds and it.started_at and now >= it.started_at + seconds:
            return f"dependency graph: container ordering dependency [{other}] for target [{name}] has timed out."
    return ""


def _cannot(other: str, name: str, why: str) -> str:
    return f"dependency graph: failed to resolve container ordering dependency [{other}] for target [{name}] {why}"


def patience(name: str, definitions: Definitions, containers: Mapping[str, TaskContainer]) -> float | None:
    """When the first of the time-outs that a waiting container is under runs out; None when there is none."""
    ends = []
    for other, condition in dependencies(definitions[name]):
        it = containers.get(other)
        seconds = float(definitions[other].get("startTimeout") or 0) if other in definitions else 0.0
        if it is not None and seconds and it.started_at and not _reached(condition, it):
            ends.append(it.started_at + seconds)
    return min(ends, default=None)


def may_stop(name: str, definitions: Definitions, containers: Mapping[str, TaskContainer]) -> bool:
    """Whether all that started after it has ended."""
    return all(
        containers[one].status == "STOPPED"
        for one, definition in definitions.items()
        if one in containers and any(other == name for other, _ in dependencies(definition))
    )
