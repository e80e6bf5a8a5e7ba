"""What a container definition must look like, whatever it runs on.  Pure; AwsError ClientException for what is wrong.

The sentences are AWS's.  Containers come with the defaults filled in.
"""

import re
from collections.abc import Iterable

from cumulo.base.arn import parse_arn
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client

NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
CONTAINERS_MAX = 10
MEMORY_LEAST = 4  # MiB
_IMAGE = re.compile(r"[a-zA-Z0-9_\-:./#@]{1,511}")
_FILES_MAX = 10
_IGNORED_CODES_MAX = 50
_TIMEOUT_LEAST = 2
_NAMESPACES = re.compile(
    r"kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+|net\..+"
)
_LIMITS = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
_CAPABILITIES = frozenset(
    re.findall(
        r"\w+",
        "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK "
        "IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE "
        "NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE "
        "SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM",
    )
)


def check_names(containers: Iterable[Document]) -> None:
    """Every container has a name of its own."""
    seen: set[str] = set()
    for container in containers:
        name = container.get("name")
        if not name:
            raise client("Container.name should not be null or empty.")
        if not NAME.fullmatch(name):
            raise client("Container.name contains invalid characters.")
        if name in seen:
            raise client("Container names must be unique within a task definition.")
        seen.add(name)


def check_container(container: Document, network: str) -> None:
    """What can be said of a container by itself."""
    _check_image(container)
    _check_amounts(container)
    _check_environment(container)
    _check_health(container)
    _check_timeouts(container)
    _check_restarts(container)
    _check_limits(container)
    _check_controls(container, network)
    _check_linux(container)
    _check_resources(container)


def _check_image(container: Document) -> None:
    image = container.get("image")
    if not image:
        raise client("Container.image should not be null or empty.")
    if not _IMAGE.fullmatch(image):
        raise client("Container.image contains invalid characters.")


def _check_amounts(container: Document) -> None:
    name = container["name"]
    if container["cpu"] < 0:
        raise client(f"Invalid 'cpu' setting for container '{name}'.")
    memory, reserved = container.get("memory"), container.get("memoryReservation")
    for kind, amount in (("memory", memory), ("memoryReservation", reserved)):
        if amount is not None and amount < MEMORY_LEAST:
            raise client(f"Invalid '{kind}' setting for container '{name}'.")
    if memory is not None and reserved is not None and memory < reserved:
        raise client(
            f"Invalid setting for container '{name}'. "
            "'memory' must be greater than or equal to 'memoryReservation'."
        )


def _check_environment(container: Document) -> None:
    taken = {pair.get("name") for pair in container["environment"]}
    for secret in container.get("secrets", ()):
        if secret["name"] in taken:
            raise client(
                "The secret name must be unique and not shared with any new or existing environment variables "
                f"set on the container, such as '{secret['name']}'."
            )
        taken.add(secret["name"])
    files = container.get("environmentFiles", ())
    if len(files) > _FILES_MAX:
        raise client(
            "The maximum number of environment files was exceeded. Specify ten or less and try again."
        )
    for file in files:
        arn = parse_arn(file["value"])
        if arn is None or arn.service != "s3" or "/" not in arn.resource:
            raise client("Invalid arn syntax.")


def _check_health(container: Document) -> None:
    check = container.get("healthCheck")
    if check is None:
        return
    name, command = container["name"], check["command"]
    if not command or command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise client(f"Health check command must start with CMD or CMD-SHELL for container '{name}'")
    if command[0] != "NONE" and len(command) == 1:
        raise client(f"Health check command must not be empty for container '{name}'")
    for kind, (least, most) in _LIMITS.items():
        value = check.get(kind)
        if value is not None and value < least:
            raise client(
                f"Health check {kind} must be greater than or equal to the minimum allowed value {least} "
                f"for container '{name}'"
            )
        if value is not None and value > most:
            raise client(
                f"Health check {kind} must be less than or equal to the maximum allowed value {most} "
                f"for container '{name}'"
            )


def _check_timeouts(container: Document) -> None:
    for kind, words in (("startTimeout", "start timeout"), ("stopTimeout", "stop timeout")):
        value = container.get(kind)
        if value is not None and value < _TIMEOUT_LEAST:
            name = container["name"]
            raise client(f"Granular {words} on container '{name}' must be at least {_TIMEOUT_LEAST} seconds.")


def _check_restarts(container: Document) -> None:
    policy = container.get("restartPolicy")
    if policy is None:
        return
    name = container["name"]
    period = policy.get("restartAttemptPeriod")
    if period is not None and not 60 <= period <= 1800:
        raise client(
            f"The 'restartAttemptPeriod' setting for container '{name}' must be between 60 and 1800."
        )
    if len(policy.get("ignoredExitCodes", ())) > _IGNORED_CODES_MAX:
        raise client(
            f"The 'ignoredExitCodes' setting for container '{name}' "
            f"cannot have more than {_IGNORED_CODES_MAX} entries."
        )


def _check_limits(container: Document) -> None:
    seen: set[str] = set()
    for limit in container.get("ulimits", ()):
        kind, soft, hard = limit["name"], limit["softLimit"], limit["hardLimit"]
        if kind in seen:
            raise client(f"Duplicate ulimit {kind} for container '{container['name']}'.")
        seen.add(kind)
        unlimited = hard == -1
        if min(soft, hard) < -1 or (not unlimited and (soft == -1 or soft > hard)):
            raise client(f"Soft limit exceeds hard limit for ulimit {kind}")


def _check_controls(container: Document, network: str) -> None:
    name = container["name"]
    for control in container["systemControls"]:
        namespace = control.get("namespace", "")
        if not _NAMESPACES.fullmatch(namespace) or not control.get("value"):
            raise client(f"Invalid 'systemControls' setting for container '{name}'.")
        if network == "host" and namespace.startswith("net."):
            raise client(
                f"Invalid 'systemControls' setting for container '{name}'. "
                f"'{namespace}' is not supported when networkMode=host."
            )


def _check_linux(container: Document) -> None:
    name, linux = container["name"], container.get("linuxParameters", {})
    swappiness = linux.get("swappiness")
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise client(f"Invalid 'swappiness' setting for container '{name}'.")
    for kind in ("maxSwap", "sharedMemorySize"):
        if linux.get(kind, 0) < 0:
            raise client(f"Invalid '{kind}' setting for container '{name}'.")
    for mount in linux.get("tmpfs", ()):
        if not mount["containerPath"].startswith("/") or mount["size"] < 1:
            raise client(f"Invalid 'tmpfs' setting for container '{name}'.")
    wanted = linux.get("capabilities", {})
    for capability in (*wanted.get("add", ()), *wanted.get("drop", ())):
        if capability not in _CAPABILITIES:
            raise client(f"Invalid 'capabilities' setting for container '{name}': {capability}")


def _check_resources(container: Document) -> None:
    for wanted in container.get("resourceRequirements", ()):
        if wanted["type"] == "InferenceAccelerator":
            raise client("Unsupported field 'inferenceAccelerators'.")
        if not wanted["value"].isdecimal() or int(wanted["value"]) < 1:
            raise client(f"Invalid 'resourceRequirements' setting for container '{container['name']}'.")
