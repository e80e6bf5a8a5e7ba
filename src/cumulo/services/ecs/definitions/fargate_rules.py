"""What a task definition must be to run on Fargate.  Pure; AwsError ClientException with AWS's sentence."""

import re

from cumulo.services.ecs.definitions import fargate
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client

LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_TIMEOUT_MOST = 120  # seconds
_NOFILE_MOST = 1_048_576
_ECR = re.compile(r"\d{12}\.dkr\.ecr\..+?/.+")


def is_ecr(image: str) -> bool:
    """Whether an image is one of ECR's."""
    return _ECR.fullmatch(image) is not None


def check_fargate(document: Document) -> None:
    """Refuse what Fargate does not have.  The document has its defaults filled in, and `cpu` and `memory` in units."""
    _check_size(document)
    _check_task(document)
    role = bool(document.get("executionRoleArn"))
    for container in document["containerDefinitions"]:
        _check_container(container)
        _check_kernel(container)
        _check_logs(container, role=role)
        if is_ecr(container["image"]) and not role:
            raise client("Fargate requires task definition to have execution role ARN to support ECR images.")


def _check_size(document: Document) -> None:
    if document["networkMode"] != "awsvpc":
        # The quotation marks are AWS's.
        raise client("Fargate only supports network mode \u2018awsvpc\u2019.")
    for kind in ("cpu", "memory"):
        if kind not in document:
            raise client(f"Fargate requires that '{kind}' be defined at the task level.")
    cpu, memory = int(document["cpu"]), int(document["memory"])
    if not fargate.has_size(cpu, memory):
        raise client(fargate.no_size(cpu, memory))


def _check_task(document: Document) -> None:
    if "ipcMode" in document:
        raise _unsupported("ipcMode")
    if document.get("pidMode", "task") != "task":
        raise client(
            f"Tasks using the Fargate launch type do not support pidMode '{document['pidMode']}'. "
            "The supported value for pidMode is 'task'."
        )
    if document["placementConstraints"]:
        raise _unsupported("constraints")
    for volume in document["volumes"]:
        if "dockerVolumeConfiguration" in volume:
            raise _unsupported("dockerVolumeConfiguration")
        if "sourcePath" in volume.get("host", {}):
            raise _unsupported("sourcePath")


def _unsupported(what: str) -> Exception:
    return client(f"Fargate compatible task definitions do not support {what}")


def _check_container(container: Document) -> None:
    if container.get("privileged"):
        raise client(
            "Fargate requires that the \u2018privileged\u2019 setting be \u2018false\u2019 at the container level."
        )
    if container.get("dockerSecurityOptions"):
        raise _unsupported("dockerSecurityOptions")
    if any(wanted["type"] == "GPU" for wanted in container.get("resourceRequirements", ())):
        raise client("Tasks using the Fargate launch type do not support GPU resource requirements.")
    for kind, words in (("startTimeout", "start timeout"), ("stopTimeout", "stop timeout")):
        if container.get(kind, 0) > _TIMEOUT_MOST:
            raise client(
                f"Tasks using the Fargate launch type must have a container {words} of less than "
                f"{_TIMEOUT_MOST} seconds."
            )


def _check_kernel(container: Document) -> None:
    linux = container.get("linuxParameters", {})
    for member in ("maxSwap", "swappiness", "sharedMemorySize", "devices"):
        if linux.get(member) not in (None, []):
            raise _unsupported(member)
    for capability in linux.get("capabilities", {}).get("add", ()):
        if capability != "SYS_PTRACE":
            raise client(f"{capability} is not allowed on Fargate.")
    for limit in container.get("ulimits", ()):
        if limit["name"] == "nofile" and limit["hardLimit"] > _NOFILE_MOST:
            raise client(f"The hard limit of ulimit nofile cannot be greater than {_NOFILE_MOST} on Fargate.")


def _check_logs(container: Document, *, role: bool) -> None:
    logging = container.get("logConfiguration")
    if logging is None:
        return
    driver = logging["logDriver"]
    if driver not in LOG_DRIVERS:
        raise client(f"{driver} is not a valid log driver. Must be one of [{','.join(LOG_DRIVERS)}]")
    if driver != "awslogs":
        return
    if not role:
        raise client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        )
    if not logging.get("options", {}).get("awslogs-stream-prefix"):
        raise client(
            "Fargate requires log configuration options to include awslogs-stream-prefix "
            "to support log driver awslogs."
        )
