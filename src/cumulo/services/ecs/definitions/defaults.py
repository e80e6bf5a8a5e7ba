"""What AWS fills in where a client says nothing.  Pure: the client's own values are not changed."""

from typing import Any

from cumulo.services.ecs.model import Document

DEFAULT_NETWORK = "bridge"
OWN_PORTS = ("awsvpc", "host")  # network modes in which the port of a container is that of its host
_INTERVAL, _TIMEOUT, _RETRIES = 30, 5, 3  # of health checks
_EMPTY = ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")


def filled_container(container: Document, network: str) -> dict[str, Any]:
    """A container definition as DescribeTaskDefinition shows it."""
    made = {"cpu": 0, "essential": True, **{name: [] for name in _EMPTY}, **container}
    made["portMappings"] = [_port(mapping, network) for mapping in made["portMappings"]]
    if "healthCheck" in container:
        made["healthCheck"] = {
            "interval": _INTERVAL,
            "timeout": _TIMEOUT,
            "retries": _RETRIES,
            **container["healthCheck"],
        }
    return made


def filled_volume(volume: Document) -> dict[str, Any]:
    """A volume as DescribeTaskDefinition shows it."""
    made = dict(volume)
    kinds = ("host", "dockerVolumeConfiguration", "efsVolumeConfiguration", "configuredAtLaunch")
    if not any(kind in volume for kind in kinds):
        made["host"] = {}
    if "dockerVolumeConfiguration" in volume:
        made["dockerVolumeConfiguration"] = {"scope": "task", **volume["dockerVolumeConfiguration"]}
    if "efsVolumeConfiguration" in volume:
        made["efsVolumeConfiguration"] = {"rootDirectory": "/", **volume["efsVolumeConfiguration"]}
    return made


def _port(mapping: Document, network: str) -> dict[str, Any]:
    made = {"protocol": "tcp", **mapping}
    if "containerPort" in made and "hostPort" not in made:
        made["hostPort"] = made["containerPort"] if network in OWN_PORTS else 0
    elif network in OWN_PORTS and made.get("hostPort") == 0:
        made["hostPort"] = made.get("containerPort", 0)
    return made
