"""Names of a task's things in the engine: always the same for the same task, so that they are found again.  Pure."""

import hashlib
import re
import zlib

from cumulo.services.ecs.model import Task, TaskDefinition

OWNER = "ecs"
TASK_LABEL = "cumulo.ecs.task"
_UNFIT = re.compile(r"[^a-z0-9-]+")
_SLUG_MAX = 40


def inner_name(definition: TaskDefinition, container: str) -> str:
    """What the engine calls a container: its own name where that fits, else what is left of it and its number."""
    number = [str(one["name"]) for one in definition.containers].index(container)
    slug = _UNFIT.sub("-", container.lower()).strip("-")[:_SLUG_MAX]
    return container if slug == container else f"c{number}-{slug}".rstrip("-")


def pod_name(task: Task, definition: TaskDefinition, container: str) -> str:
    """The pod that holds a container: the task's, or one of its own in bridge mode."""
    if definition.network_mode != "bridge":
        return f"ecs-{task.id}"
    number = [str(one["name"]) for one in definition.containers].index(container)
    return f"ecs-{task.id}-{number}"


def pod_names(task: Task, definition: TaskDefinition) -> list[str]:
    """All pods of a task."""
    return list(dict.fromkeys(pod_name(task, definition, str(one["name"])) for one in definition.containers))


def volume_name(task: Task, volume: str) -> str:
    """The engine's volume for a volume that is the task's alone."""
    return f"ecs-{task.id}-{_UNFIT.sub('-', volume.lower())[:_SLUG_MAX]}-{zlib.crc32(volume.encode()):08x}"


def shared_volume_name(task: Task, volume: str) -> str:
    """The engine's volume for one that outlives tasks: the same on the same instance (or account, on Fargate)."""
    place = task.instance_arn or f"{task.account}/{task.region}"
    return f"ecs-shared-{hashlib.sha256(f'{place}/{volume}'.encode()).hexdigest()[:32]}"


def endpoint_id(task: Task, container: str) -> str:
    """What a container is called in the paths of its metadata endpoint."""
    return f"{task.id}-{zlib.crc32(container.encode()):010d}"


def credentials_id(task: Task) -> str:
    """What names the credentials of a task's role; not to be guessed from what the API shows."""
    digits = hashlib.sha256(f"{task.arn}:{task.created_at!r}:{task.client_token}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


def loopback_of(task: Task) -> str:
    """The loopback address of the endpoints of a task that has the machine's network."""
    raw = hashlib.sha256(task.arn.encode()).digest()
    return f"127.{128 + raw[0] % 127}.{raw[1]}.{1 + raw[2] % 254}"


def mac_of(address: str) -> str:
    """The hardware address that goes with an address."""
    return "0a:58:" + ":".join(f"{int(part):02x}" for part in address.split("."))
