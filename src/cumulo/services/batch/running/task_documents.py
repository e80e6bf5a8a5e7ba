"""What RegisterTaskDefinition is asked for, so that the jobs of a definition can run.  Pure.

containerProperties ──▶ one container, `default`
ecsProperties       ──▶ its containers
"""

from collections.abc import Mapping
from typing import Any, Final

from cumulo.services.batch.model import Document
from cumulo.services.batch.resource_rules import amounts_of, together

LOG_GROUP: Final = "/aws/batch/job"
CONTAINER: Final = "default"
PREFIX_MAX: Final = 200
_CPU_UNITS: Final = 1024
_AS_THEY_ARE: Final = (
    "command", "environment", "mountPoints", "secrets", "ulimits", "user", "privileged", "readonlyRootFilesystem",
    "linuxParameters", "repositoryCredentials", "dependsOn", "essential",
)  # fmt: skip


def document_of(
    name: str, properties: Mapping[str, Any], *, region: str, fargate: bool, nodes: bool, host: bool
) -> dict[str, Any]:
    """The document.

    name         of the job definition
    properties   as `resolution.run_properties` gives them
    nodes        its tasks are nodes that talk to one another: each has an address of its own
    host         tasks on instances have the network of their instance, as on AWS
    """
    made = (
        _of_task(properties["ecsProperties"]["taskProperties"][0]) if "ecsProperties" in properties else None
    )
    made = made or _of_container(properties["containerProperties"])
    made |= {"family": name, "networkMode": "awsvpc" if fargate or nodes else "host" if host else "bridge"}
    containers = [
        _container(one, name, region=region, own_figures=not fargate or len(made["containers"]) > 1)
        for one in made["containers"]
    ]
    if fargate:
        amounts = together(amounts_of(one) for one in made["containers"])
        made["requiresCompatibilities"] = ["FARGATE"]
        made["cpu"], made["memory"] = str(cpu_units(amounts.vcpus or 0)), str(amounts.memory or 0)
    return {key: value for key, value in made.items() if key != "containers"} | {
        "containerDefinitions": containers
    }


def cpu_units(vcpus: int) -> int:
    """ECS's CPU units of milli-vCPUs."""
    return vcpus * _CPU_UNITS // 1000


def _of_container(container: Document) -> dict[str, Any]:
    made = _roles(container, role="jobRoleArn")
    return made | {"containers": [{**container, "name": CONTAINER}]}


def _of_task(task: Document) -> dict[str, Any]:
    made = _roles(task, role="taskRoleArn")
    made |= {name: task[name] for name in ("ipcMode", "pidMode") if name in task}
    return made | {"containers": list(task["containers"])}


def _roles(told: Document, *, role: str) -> dict[str, Any]:
    """What the task as a whole has."""
    named = {"taskRoleArn": role, "executionRoleArn": "executionRoleArn", "volumes": "volumes"}
    named |= {name: name for name in ("ephemeralStorage", "runtimePlatform")}
    return {name: told[source] for name, source in named.items() if told.get(source)}


def _container(told: Document, definition: str, *, region: str, own_figures: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": told["name"], "image": told["image"]}
    made |= {name: told[name] for name in _AS_THEY_ARE if told.get(name) not in (None, [], {}, "")}
    amounts = amounts_of(told)
    if own_figures and amounts.vcpus:
        made["cpu"] = cpu_units(amounts.vcpus)
    if own_figures and amounts.memory:
        made["memory"] = amounts.memory
    if amounts.gpus:
        made["resourceRequirements"] = [{"type": "GPU", "value": str(amounts.gpus)}]
    made["logConfiguration"] = _log(told.get("logConfiguration", {}), definition, region)
    return made


def _log(told: Document, definition: str, region: str) -> Document:
    """Where the output goes: to Batch's own group unless the definition says otherwise."""
    if told.get("logDriver", "awslogs") != "awslogs":
        return told
    options = {
        "awslogs-group": LOG_GROUP,
        "awslogs-region": region,
        "awslogs-stream-prefix": definition[:PREFIX_MAX],
        **told.get("options", {}),
    }
    if options["awslogs-group"] == LOG_GROUP:
        options["awslogs-create-group"] = "true"
    return {**told, "logDriver": "awslogs", "options": options}
