"""How things of ours are called in Docker.  Pure.

A dot separates the parts, which no instance, pod or container has in its name, so no two names run together.
"""

INSTANCE = "cumulo.instance"
POD = "cumulo.pod"
OWNER = "cumulo.owner"
CONTAINER = "cumulo.container"
SPEC = "cumulo.spec"  # of the infra container: the whole PodSpec as JSON, for adoption
VOLUME = "cumulo.volume"


def infra(instance: str, pod: str) -> str:
    """The container that holds a pod's network, and that says what the pod is."""
    return f"cumulo.{instance}.{pod}"


def container(instance: str, pod: str, name: str) -> str:
    """A container of a pod."""
    return f"cumulo.{instance}.{pod}.{name}"


def network(instance: str) -> str:
    """The bridge of an instance."""
    return f"cumulo-{instance}"


def volume(instance: str, name: str) -> str:
    """A volume that is kept."""
    return f"cumulo-{instance}.volume.{name}"


def pod_folder(instance: str, pod: str, name: str) -> str:
    """A volume that goes with its pod."""
    return f"cumulo-{instance}.pod.{pod}.{name}"


def filters(instance: str, *labels: str) -> dict[str, list[str]]:
    """For Docker's lists: what is this instance's, and has these labels (`key` or `key=value`) too."""
    return {"label": [f"{INSTANCE}={instance}", *labels]}
