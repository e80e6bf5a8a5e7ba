"""What any container of a job must look like: in containerProperties, in ecsProperties, in a node range.

Pure; AwsError ClientException, with AWS's sentences where they are known.
"""

import re

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.model import Document

IMAGE_MAX = 255
_IMAGE = re.compile(r"[a-zA-Z0-9_\-:./#@]+")
_USER = re.compile(r"[a-z0-9_][a-z0-9_-]{0,30}(:[a-z0-9_][a-z0-9_-]{0,30})?")
_FARGATE_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_AWSLOGS = frozenset(
    {
        "awslogs-create-group",
        "awslogs-datetime-format",
        "awslogs-group",
        "awslogs-multiline-pattern",
        "awslogs-region",
        "awslogs-stream-prefix",
        "max-buffer-size",
        "mode",
    }
)
_NOT_ON_FARGATE = ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness")
_SYSTEMS = (
    "WINDOWS_SERVER_2019_CORE",
    "WINDOWS_SERVER_2019_FULL",
    "WINDOWS_SERVER_2022_CORE",
    "WINDOWS_SERVER_2022_FULL",
    "LINUX",
)
_ARCHITECTURES = ("X86_64", "ARM64")
STORAGE_LEAST, STORAGE_MOST = 21, 200  # GiB


def check_container(container: Document, platform: str, execution_role: str) -> None:
    """What can be said of a container by itself, except of what it takes (resource_rules.py)."""
    _check_image(container)
    check_command(container)
    check_environment(container)
    _check_secrets(container, execution_role)
    _check_log(container, platform)
    _check_linux(container.get("linuxParameters", {}), platform)
    _check_limits(container)
    if container.get("user") and not _USER.fullmatch(container["user"]):
        raise unfit(f"User '{container['user']}' does not match regex")
    if platform != "FARGATE":
        return
    if container.get("privileged"):
        raise unfit("Fargate requires that the ‘privileged’ setting be ‘false’ at the container level.")  # noqa: RUF001 - AWS's
    if container.get("ulimits"):
        raise unfit("ulimits is not applicable for Fargate.")


def check_command(container: Document) -> None:
    """A command has no empty words."""
    if "" in container.get("command", ()):
        raise unfit("Command cannot contain an empty string.")


def check_environment(container: Document) -> None:
    """Names of variables; those that Batch sets itself are not a client's."""
    for pair in container.get("environment", ()):
        name = pair.get("name", "")
        if not name:
            raise unfit("Environment variable name must be provided.")
        if name.startswith("AWS_BATCH"):
            raise unfit("Environment variables cannot start with AWS_BATCH.")


def check_platform(properties: Document, platform: str) -> None:
    """What only one of the platforms has: `properties` are containerProperties, or taskProperties."""
    if platform == "FARGATE":
        if not properties.get("executionRoleArn"):
            raise unfit("executionRoleArn is required for Fargate jobs.")
        _check_storage(properties.get("ephemeralStorage"))
        _check_runtime(properties.get("runtimePlatform", {}))
        return
    for member in ("networkConfiguration", "fargatePlatformConfiguration"):
        if member in properties:
            raise unfit(f"{member} not applicable for EC2.")
    for member in ("runtimePlatform", "ephemeralStorage", "platformVersion"):
        if member in properties:
            raise unfit(f"{member} is not applicable for EC2.")


def _check_image(container: Document) -> None:
    image = container.get("image", "")
    if not image:
        raise unfit("ECS Container Image must be provided.")
    if len(image) > IMAGE_MAX or not _IMAGE.fullmatch(image):
        raise unfit(f"ECS Container Image {image[:IMAGE_MAX]} is not valid.")


def _check_secrets(container: Document, execution_role: str) -> None:
    log = container.get("logConfiguration", {})
    if (container.get("secrets") or log.get("secretOptions")) and not execution_role:
        raise unfit("executionRoleArn cannot be empty when using secrets or secretOptions")
    for secret in (*container.get("secrets", ()), *log.get("secretOptions", ())):
        if not secret["name"] or not secret["valueFrom"]:
            raise unfit("Secret name and valueFrom must be provided.")


def _check_log(container: Document, platform: str) -> None:
    log = container.get("logConfiguration")
    if log is None:
        return
    driver = log["logDriver"]
    if platform == "FARGATE" and driver not in _FARGATE_DRIVERS:
        raise unfit(f"Log driver for Fargate is not valid: {driver}")
    if driver == "awslogs":
        strange = sorted(set(log.get("options", ())) - _AWSLOGS)
        if strange:
            raise unfit(f"Log driver awslogs disallows options: {', '.join(strange)}")


def _check_linux(linux: Document, platform: str) -> None:
    if platform == "FARGATE":
        for member in _NOT_ON_FARGATE:
            if member in linux and linux[member] != []:
                raise unfit(f"linuxParameter.{member} is not allowed for Fargate.")
    _check_swap(linux)
    if linux.get("sharedMemorySize", 1) < 1:
        raise unfit(f"Invalid shared memory size: {linux['sharedMemorySize']}, must be positive.")
    for mount in linux.get("tmpfs", ()):
        if mount["size"] < 1:
            raise unfit("Size of a tmpfs is invalid. The size is required and must be a positive integer.")
        if not mount["containerPath"].startswith("/"):
            raise unfit("containerPath of a tmpfs must be an absolute path.")


def _check_swap(linux: Document) -> None:
    swap, swappiness = linux.get("maxSwap"), linux.get("swappiness")
    if swap is not None and swap < 0:
        raise unfit(f"Invalid swap memory size: {swap}, must be non-negative.")
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise unfit(f"Invalid swappiness: {swappiness}, must be between 0 and 100.")
    if swap is not None and swappiness is None:
        raise unfit("When container specified swap memory, swappiness value is required.")


def _check_limits(container: Document) -> None:
    seen: set[str] = set()
    for limit in container.get("ulimits", ()):
        name, soft, hard = limit["name"], limit["softLimit"], limit["hardLimit"]
        if not name or name in seen:
            raise unfit(f"Ulimit name '{name}' is not valid.")
        seen.add(name)
        unlimited = hard == -1
        if min(soft, hard) < -1 or (not unlimited and (soft == -1 or soft > hard)):
            raise unfit(f"Soft limit exceeds hard limit for ulimit {name}")


def _check_storage(storage: Document | None) -> None:
    if storage is not None and not STORAGE_LEAST <= storage["sizeInGiB"] <= STORAGE_MOST:
        raise unfit("Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB")


def _check_runtime(runtime: Document) -> None:
    system, architecture = runtime.get("operatingSystemFamily"), runtime.get("cpuArchitecture")
    if system is not None and system not in _SYSTEMS:
        listed = ", ".join(_SYSTEMS)
        raise unfit(f"RuntimePlatform supports only one from [{listed}] operating systems, provided {system}")
    if architecture is not None and architecture not in _ARCHITECTURES:
        listed = ", ".join(_ARCHITECTURES)
        raise unfit(
            f"RuntimePlatform supports only one from [{listed}] cpuArchitecture, provided {architecture}"
        )
    if system is not None and system != "LINUX":
        if architecture == "ARM64":
            raise unfit("Windows supported only by X86_64 cpuArchitecture")
        raise unbuilt("RegisterJobDefinition", f"operatingSystemFamily {system}")
