"""How the containers of a task may refer to one another.  Pure."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client


def check_dependencies(containers: Sequence[Document]) -> None:
    """dependsOn, links and volumesFrom name containers that are there, and never go in a circle."""
    by_name = {container["name"]: container for container in containers}
    for container in containers:
        for wanted in container.get("dependsOn", ()):
            _check_condition(by_name, wanted)
        for link in container.get("links", ()):
            _known(by_name, "links", link.partition(":")[0])
        for source in container["volumesFrom"]:
            _known(by_name, "volumesFrom", source.get("sourceContainer", ""))
    if _circular({one["name"]: _names(one.get("dependsOn", ()), "containerName") for one in containers}):
        raise client("Container dependsOn contains a cycle")
    if _circular({one["name"]: _names(one["volumesFrom"], "sourceContainer") for one in containers}):
        raise client("Invalid 'volumesFrom' setting. Containers depend on one another in a cycle.")
    linked = {one["name"]: [link.partition(":")[0] for link in one.get("links", ())] for one in containers}
    if _circular(linked):
        raise client("Invalid 'links' setting. Containers depend on one another in a cycle.")


def _check_condition(by_name: Mapping[str, Document], wanted: Document) -> None:
    name, condition = wanted["containerName"], wanted["condition"]
    target = by_name.get(name)
    if target is None:
        # The plus sign is AWS's.
        raise client(f"Cannot depend on container + '{name}' because it does not exist")
    if condition in ("SUCCESS", "COMPLETE") and target["essential"]:
        raise client(
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
        )
    if condition == "HEALTHY" and "healthCheck" not in target:
        raise client("A dependency container with HEALTHY condition must have health check configured")


def _known(by_name: Mapping[str, Document], member: str, name: str) -> None:
    if name not in by_name:
        raise client(f"Invalid '{member}' setting. Unknown container: '{name}'.")


def _names(entries: Iterable[Document], member: str) -> list[str]:
    return [entry[member] for entry in entries]


def _circular(graph: Mapping[str, Sequence[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False
