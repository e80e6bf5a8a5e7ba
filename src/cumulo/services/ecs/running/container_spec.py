"""A container definition as the engine's container.  Pure."""

from collections.abc import Mapping

from cumulo.engines.engine import ContainerSpec, Limits, Mount, Ulimit
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.running.refusal import cannot_create

FARGATE_FILES = 65_535  # open files, soft and hard
CPU_SHARES_MIN = 2
LOG_BYTES_MAX = 64 * 1024 * 1024
_PING = {"net.ipv4.ping_group_range": "0 2147483647"}  # ping without NET_RAW, as Docker has it
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_UNCARRIED = {
    "dnsSearchDomains": "search domains",
    "firelensConfiguration": "FireLens",
    "credentialSpecs": "credential specs of Windows",
}


def container_spec(
    told: Document,
    *,
    inner: str,
    image: str,
    env: Mapping[str, str],
    mounts: tuple[Mount, ...],
    labels: Mapping[str, str],
    files: int,
    trusted: bool = True,
) -> ContainerSpec:
    """One container.  CannotStart for what no engine here can do.

    files     open files of a process when the definition does not say; 0: as the engine has it
    trusted   False: it may not make packets of its own, with which it could pose as a neighbour
    """
    name = str(told["name"])
    for field, what in _UNCARRIED.items():
        if told.get(field):
            raise cannot_create(f"{what} are not carried ({field})", name)
    linux = told.get("linuxParameters") or {}
    abilities = linux.get("capabilities") or {}
    entry = told.get("entryPoint")
    command = told.get("command")
    return ContainerSpec(
        name=inner,
        image=image,
        entrypoint=tuple(str(word) for word in entry) if entry else None,
        command=tuple(str(word) for word in command) if command else None,
        env=env,
        cwd=str(told.get("workingDirectory") or ""),
        user=str(told.get("user") or ""),
        terminal=bool(told.get("pseudoTerminal")),
        read_only=bool(told.get("readonlyRootFilesystem")),
        init=bool(linux.get("initProcessEnabled")),
        privileged=bool(told.get("privileged")),
        add=tuple(str(one) for one in abilities.get("add", ())),
        drop=(*(str(one) for one in abilities.get("drop", ())), *(() if trusted else ("NET_RAW",))),
        no_new_privileges=_no_new_privileges(told),
        mounts=mounts,
        limits=limits(told),
        ulimits=_ulimits(told, files),
        sysctls=({} if trusted else _PING)
        | {str(one["namespace"]): str(one["value"]) for one in told.get("systemControls", ())},
        devices=_devices(linux, name),
        shm_mib=int(linux.get("sharedMemorySize") or 64),
        labels={**labels, **{str(k): str(v) for k, v in (told.get("dockerLabels") or {}).items()}},
        log_bytes_max=_log_bytes(told),
    )


def limits(told: Document) -> Limits:
    """What a container may have of the machine: CPU units are shares, `memory` is hard, `memoryReservation` is soft."""
    cpu = int(told.get("cpu") or 0)
    return Limits(
        cpu_shares=max(CPU_SHARES_MIN, cpu),
        memory_mib=int(told.get("memory") or 0),
        reserve_mib=int(told.get("memoryReservation") or 0),
    )


def _no_new_privileges(told: Document) -> bool:
    wanted = False
    for option in told.get("dockerSecurityOptions", ()):
        if str(option) in {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}:
            wanted = True
        elif str(option) not in {"no-new-privileges:false", "no-new-privileges=false"}:
            raise cannot_create(f"the security option {option} is not carried", str(told["name"]))
    return wanted


def _ulimits(told: Document, files: int) -> tuple[Ulimit, ...]:
    said = [
        Ulimit(str(one["name"]), int(one["softLimit"]), int(one["hardLimit"]))
        for one in told.get("ulimits", ())
    ]
    if files and all(one.name != "nofile" for one in said):
        said.append(Ulimit("nofile", files, files))
    return tuple(said)


def _devices(linux: Document, name: str) -> tuple[str, ...]:
    found = []
    for one in linux.get("devices", ()):
        path = str(one["hostPath"])
        if str(one.get("containerPath") or path) != path:
            raise cannot_create(f"the device {path} can only be seen at its own path", name)
        found.append(path)
    return tuple(found)


def _log_bytes(told: Document) -> int:
    """How much the engine keeps of the log: as the json-file driver's options say."""
    logging = told.get("logConfiguration") or {}
    options = logging.get("options") or {}
    if logging.get("logDriver") != "json-file" or "max-size" not in options:
        return LOG_BYTES_MAX
    size = str(options["max-size"]).lower()
    unit = size.lstrip("0123456789")
    digits = size[: len(size) - len(unit)]
    if unit not in _UNITS or not digits:
        raise cannot_create(f"invalid value for max-size: {options['max-size']}", str(told["name"]))
    files = str(options.get("max-file", "1"))
    return max(1, int(digits)) * _UNITS[unit] * (int(files) if files.isdigit() else 1)
