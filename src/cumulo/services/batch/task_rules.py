"""containerProperties, and ecsProperties: a task of several containers.  Pure; AwsError ClientException.

The answers are what is kept: the client's, with the defaults that AWS shows.
"""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from cumulo.services.batch.container_rules import check_container, check_platform
from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.model import Document
from cumulo.services.batch.resource_rules import (
    amounts_of,
    check_amounts,
    check_fargate,
    check_least,
    check_no_legacy,
    check_ways,
    together,
)
from cumulo.services.batch.volume_rules import check_mounts, check_volumes

CONTAINERS_MAX = 10
LATEST = "LATEST"
_SHOWN = ("command", "environment", "mountPoints", "resourceRequirements", "secrets", "ulimits")
_CONDITIONS = ("START", "COMPLETE", "SUCCESS")


def container_properties(container: Document, platform: str, *, node: bool = False) -> dict[str, Any]:
    """containerProperties, checked."""
    check_ways(container)
    if container.get("instanceType") and not node:
        raise unfit("instanceType is only applicable for multinode jobs.")
    check_container(container, platform, container.get("executionRoleArn", ""))
    check_amounts(container, platform)
    check_platform(container, platform)
    version = container.get("fargatePlatformConfiguration", {}).get("platformVersion", LATEST)
    check_mounts(container, check_volumes(container.get("volumes", ()), platform, version))
    made = {**{name: [] for name in (*_SHOWN, "volumes")}, **container}
    if platform == "FARGATE":
        made["fargatePlatformConfiguration"] = {"platformVersion": version}
    return made


def ecs_properties(properties: Document, platform: str) -> dict[str, Any]:
    """ecsProperties, checked."""
    tasks = properties["taskProperties"]
    if len(tasks) != 1:
        raise unfit("Number of taskProperties must be 1")
    return {"taskProperties": [_task(tasks[0], platform)]}


def _task(task: Document, platform: str) -> dict[str, Any]:
    if "networkMode" in task:
        raise unfit("networkMode is only applicable for MANAGED_INSTANCES.")
    check_platform(task, platform)
    _check_modes(task, platform)
    containers = _named(task["containers"])
    version = task.get("platformVersion", LATEST)
    volumes = check_volumes(task.get("volumes", ()), platform, version)
    for container in containers:
        check_ways(container)
        check_container(container, platform, task.get("executionRoleArn", ""))
        check_mounts(container, volumes)
        _check_firelens(container)
    _check_amounts(containers, platform)
    _check_dependencies(containers)
    made = {"volumes": [], **task, "containers": [_filled(one) for one in containers]}
    return made | ({"platformVersion": version} if platform == "FARGATE" else {})


def _check_modes(task: Document, platform: str) -> None:
    ipc, pid = task.get("ipcMode"), task.get("pidMode")
    if ipc is not None and ipc not in ("host", "task", "none"):
        raise unfit(f"ipcMode {ipc} is not valid. Valid values are: [host, task, none]")
    if pid is not None and pid not in ("host", "task"):
        raise unfit(f"Capability {pid} is not valid. Valid capabilities: [host, task]")
    if platform == "FARGATE" and ipc is not None:
        raise unfit("ipcMode is not applicable for Fargate.")
    if platform == "FARGATE" and pid == "host":
        raise unfit("pidMode host is not applicable for Fargate.")


def _named(containers: Sequence[Document]) -> list[Document]:
    if not 1 <= len(containers) <= CONTAINERS_MAX:
        raise unfit(f"Number of containers must be between 1 and {CONTAINERS_MAX}")
    if len(containers) == 1:
        return [{"name": "default", **containers[0]}]
    names = [one.get("name", "") for one in containers]
    if "" in names:
        raise unfit("Container name must be provided")
    if len(set(names)) < len(names):
        raise unfit("Container names must be unique")
    return list(containers)


def _check_amounts(containers: Sequence[Document], platform: str) -> None:
    amounts = [amounts_of(one) for one in containers]
    if platform == "FARGATE":
        for container in containers:
            check_no_legacy(container)
        if any(one.gpus for one in amounts):
            raise unfit("GPU is not applicable for Fargate.")
        check_fargate(together(amounts))
        return
    for one in amounts:
        if one.vcpus is None or one.memory is None:
            raise unfit("vCPU is required." if one.vcpus is None else "Memory is required.")
        check_least(one)


def _check_dependencies(containers: Sequence[Document]) -> None:
    essential = {one["name"]: one.get("essential", True) for one in containers}
    if not any(essential.values()):
        raise unfit("At least one container must be set as essential")
    graph: dict[str, list[str]] = {}
    for container in containers:
        for one in container.get("dependsOn", ()):
            if len(containers) == 1:
                raise unfit("Container dependency can not be used in a single-container job.")
            _check_dependency(one, essential)
            graph.setdefault(container["name"], []).append(one["containerName"])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        raise unfit("Container dependencies contain a cycle.") from None


def _check_dependency(one: Document, essential: Mapping[str, bool]) -> None:
    name, condition = one.get("containerName", ""), one.get("condition")
    if condition not in _CONDITIONS:
        listed = ", ".join(_CONDITIONS)
        raise unfit(f"TaskContainer dependency {condition} is not valid. Valid values are: [{listed}]")
    if name not in essential:
        raise unfit(f"containerName {name} must reference a defined container.")
    if condition != "START" and essential[name]:
        raise unfit(
            f"The container target of a dependency can not have condition {condition} if the target is essential"
        )


def _check_firelens(container: Document) -> None:
    driver = container.get("logConfiguration", {}).get("logDriver")
    if "firelensConfiguration" in container or driver == "awsfirelens":
        raise unbuilt("RegisterJobDefinition", "firelensConfiguration")


def _filled(container: Document) -> dict[str, Any]:
    return {**{name: [] for name in _SHOWN}, "dependsOn": [], "essential": True, **container}
