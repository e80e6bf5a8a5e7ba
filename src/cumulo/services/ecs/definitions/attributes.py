"""What a task definition asks of an instance, in the attributes by which AWS's agent says what it can.  Pure.

DescribeTaskDefinition shows them as `requiresAttributes`; an instance of ours has `INSTANCE_ATTRIBUTES`.
"""

from collections.abc import Iterable, Iterator

from cumulo.services.ecs.definitions.fargate_rules import is_ecr
from cumulo.services.ecs.model import Document

_DOCKER = "com.amazonaws.ecs.capability.docker-remote-api.1."
_OLD = "com.amazonaws.ecs.capability."
_NEW = "ecs.capability."
_DRIVER_API = {"json-file": 18, "gelf": 20, "fluentd": 20, "splunk": 22}  # 19 for the others
INSTANCE_ATTRIBUTES: tuple[str, ...] = (
    *(f"{_DOCKER}{minor}" for minor in range(17, 45)),
    *(
        _OLD + name
        for name in (
            "ecr-auth",
            "logging-driver.awslogs",
            "logging-driver.json-file",
            "privileged-container",
            "task-iam-role",
            "task-iam-role-network-host",
        )
    ),
    *(
        _NEW + name
        for name in (
            "container-health-check",
            "container-ordering",
            "container-restart-policy",
            "docker-plugin.local",
            "efs",
            "efsAuth",
            "env-files.s3",
            "execution-role-awslogs",
            "execution-role-ecr-pull",
            "pid-ipc-namespace-sharing",
            "private-registry-authentication.secretsmanager",
            "secrets.asm.environment-variables",
            "secrets.ssm.environment-variables",
            "task-cpu-mem-limit",
            "task-eni",
        )
    ),
)


def required_attributes(document: Document) -> list[dict[str, str]]:
    """The attributes that a definition requires, each once."""
    names: list[str] = []
    for container in document["containerDefinitions"]:
        names += _of_container(container, execution_role=bool(document.get("executionRoleArn")))
    names += _of_task(document)
    return [{"name": name} for name in dict.fromkeys(names)]


def _of_task(document: Document) -> Iterator[str]:
    mode = document["networkMode"]
    if document.get("taskRoleArn"):
        yield f"{_DOCKER}17"
        yield _OLD + ("task-iam-role-network-host" if mode == "host" else "task-iam-role")
    if mode == "awsvpc":
        yield f"{_DOCKER}18"
        yield _NEW + "task-eni"
    if "pidMode" in document or "ipcMode" in document:
        yield _NEW + "pid-ipc-namespace-sharing"
    if document.get("enableFaultInjection"):
        yield _NEW + "fault-injection"
    for volume in document["volumes"]:
        docker = volume.get("dockerVolumeConfiguration")
        if docker is not None:
            yield f"{_DOCKER}25"
            yield f"{_NEW}docker-plugin.{docker.get('driver', 'local')}"
        efs = volume.get("efsVolumeConfiguration")
        if efs is not None:
            yield f"{_DOCKER}25"
            yield _NEW + ("efsAuth" if "authorizationConfig" in efs or "transitEncryption" in efs else "efs")


def _of_container(container: Document, *, execution_role: bool) -> Iterator[str]:
    yield from _of_logging(container, execution_role=execution_role)
    if is_ecr(container["image"]):
        yield _OLD + "ecr-auth"
        if execution_role:
            yield _NEW + "execution-role-ecr-pull"
    if "@sha256:" in container["image"]:
        yield f"{_DOCKER}21"
    if container.get("privileged"):
        yield _OLD + "privileged-container"
    if "memoryReservation" in container:
        yield f"{_DOCKER}21"
    if container.get("dockerLabels") or container.get("ulimits"):
        yield f"{_DOCKER}18"
    yield from _of_kernel(container.get("linuxParameters", {}))
    yield from _of_course(container)
    for store in _stores(container.get("secrets", ())):
        yield f"{_NEW}secrets.{store}.environment-variables"
    if container.get("environmentFiles"):
        yield _NEW + "env-files.s3"
    if "repositoryCredentials" in container:
        yield _NEW + "private-registry-authentication.secretsmanager"


def _of_course(container: Document) -> Iterator[str]:
    """How it starts, lives and ends."""
    if "healthCheck" in container:
        yield f"{_DOCKER}24"
        yield _NEW + "container-health-check"
    if container.get("dependsOn") or "startTimeout" in container or "stopTimeout" in container:
        yield _NEW + "container-ordering"
    if container.get("restartPolicy", {}).get("enabled"):
        yield _NEW + "container-restart-policy"
    if "firelensConfiguration" in container:
        yield f"{_NEW}firelens.{container['firelensConfiguration']['type']}"


def _of_logging(container: Document, *, execution_role: bool) -> Iterator[str]:
    logging = container.get("logConfiguration")
    if logging is None:
        return
    driver = logging["logDriver"]
    prefix = _NEW if driver == "awsfirelens" else _OLD
    yield f"{prefix}logging-driver.{driver}"
    yield f"{_DOCKER}{_DRIVER_API.get(driver, 19)}"
    if driver == "awslogs" and execution_role:
        yield _NEW + "execution-role-awslogs"
        yield f"{_DOCKER}29"
    for store in _stores(logging.get("secretOptions", ())):
        yield f"{_NEW}secrets.{store}.bootstrap.log-driver"


def _of_kernel(linux: Document) -> Iterator[str]:
    if linux.get("initProcessEnabled"):
        yield f"{_DOCKER}25"
    if linux.get("tmpfs") or linux.get("sharedMemorySize"):
        yield f"{_DOCKER}22"


def _stores(secrets: Iterable[Document]) -> Iterator[str]:
    for secret in secrets:
        yield "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
