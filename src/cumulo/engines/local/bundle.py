"""A container's spec, and what the machine and the image say, to the OCI runtime's config.json.  Pure."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from cumulo.engines.engine import ContainerSpec, ExecSpec, Limits
from cumulo.engines.images import Config
from cumulo.engines.local import seccomp
from cumulo.engines.local.users import User

INIT_INSIDE = "/dev/init"  # in a file system of memory: the image stays as it is
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM = ("/proc", "/dev", "/sys")  # what is mounted in every container
PERIOD_US = 100_000
_QUOTA_US_MIN = 1_000  # the kernel's
_MIB = 1024 * 1024
_OCI_VERSION = "1.0.2"

_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Bound(msgspec.Struct, frozen=True):
    """A file or folder of the host (`source`) at `target`; or memory, when `kind` is tmpfs."""

    target: str
    source: str = ""
    kind: str = "bind"
    read_only: bool = False
    options: tuple[str, ...] = ()


class Device(msgspec.Struct, frozen=True):
    """A device of the host's: c or b, and its numbers."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is not in the spec.

    namespace  path of the network namespace; empty: the host's
    cgroup     path of the control group from the root of the hierarchies
    architecture  of the image, in OCI's words
    init       path of a small init on the host, when one is wanted
    swap       whether the kernel can bound swap
    unified    control groups are of version 2: the container sees its own as the root, as with Docker
    pod        limits of the pod as a whole
    """

    image: Config
    rootfs: str
    hostname: str
    namespace: str
    cgroup: str
    user: User
    capabilities: frozenset[str]
    architecture: str
    mounts: tuple[Bound, ...] = ()
    devices: tuple[Device, ...] = ()
    init: str = ""
    swap: bool = True
    unified: bool = False
    pod: Limits = Limits()


def argv(spec: ContainerSpec, image: Config) -> tuple[str, ...]:
    """What is run; empty when neither says.  An entrypoint that is given drops the image's command."""
    entrypoint = image.entrypoint if spec.entrypoint is None else spec.entrypoint
    command = spec.command
    if command is None:
        command = image.command if spec.entrypoint is None else ()
    return (*entrypoint, *command)


def cwd(spec: ContainerSpec, image: Config) -> str:
    """Where it is run."""
    return _absolute(spec.cwd or image.cwd)


def environment(
    spec: ContainerSpec, image: Config, hostname: str, home: str, further: Mapping[str, str] | None = None
) -> list[str]:
    """The variables: what is always there, then the image's, then the spec's, then `further`."""
    merged = {"PATH": PATH, "HOSTNAME": hostname, "HOME": home}
    if spec.terminal:
        merged["TERM"] = "xterm"
    merged |= image.env
    merged |= spec.env
    merged |= further or {}
    return [f"{name}={value}" for name, value in merged.items()]


def config(spec: ContainerSpec, around: Surroundings) -> dict[str, Any]:
    """The whole config.json."""
    linux: dict[str, Any] = {
        "cgroupsPath": around.cgroup,
        "namespaces": _namespaces(around.namespace, unified=around.unified),
        "resources": _resources(spec, around),
        "devices": [_node(device) for device in around.devices],
        "sysctl": dict(spec.sysctls),
    }
    if not spec.privileged:
        linux["maskedPaths"] = list(_MASKED)
        linux["readonlyPaths"] = list(_READ_ONLY)
        linux["seccomp"] = seccomp.profile(around.capabilities, around.architecture)
    return {
        "ociVersion": _OCI_VERSION,
        "process": _process(spec, around),
        "root": {"path": around.rootfs, "readonly": spec.read_only},
        "hostname": around.hostname,
        "mounts": _system_mounts(spec) + [_mount(bound) for bound in _in_order(around)],
        "linux": linux,
    }


def exec_process(
    spec: ContainerSpec,
    image: Config,
    hostname: str,
    user: User,
    capabilities: Collection[str],
    asked: ExecSpec,
) -> dict[str, Any]:
    """The process of an exec."""
    home = {} if "HOME" in spec.env or "HOME" in image.env else {"HOME": user.home}
    terminal = {"TERM": "xterm"} if asked.terminal else {}
    process: dict[str, Any] = {
        "terminal": asked.terminal,
        "user": _identity(user),
        "args": list(asked.argv),
        "env": environment(spec, image, hostname, user.home, terminal | home | dict(asked.env)),
        "cwd": _absolute(asked.cwd or cwd(spec, image)),
        "capabilities": _sets(capabilities),
        "noNewPrivileges": spec.no_new_privileges,
    }
    if asked.terminal:
        process["consoleSize"] = {"height": asked.rows, "width": asked.columns}
    return process


def _process(spec: ContainerSpec, around: Surroundings) -> dict[str, Any]:
    image = around.image
    init = [INIT_INSIDE, "--"] if around.init else []
    return {
        "terminal": spec.terminal,
        "user": _identity(around.user),
        "args": init + list(argv(spec, image)),
        "env": environment(spec, image, around.hostname, around.user.home),
        "cwd": cwd(spec, image),
        "capabilities": _sets(around.capabilities),
        "rlimits": [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard}
            for limit in spec.ulimits
        ],
        "noNewPrivileges": spec.no_new_privileges,
    }


def _identity(user: User) -> dict[str, Any]:
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}


def _sets(capabilities: Collection[str]) -> dict[str, list[str]]:
    names = sorted(f"CAP_{name}" for name in capabilities)
    return {"bounding": names, "effective": names, "permitted": names}


def _namespaces(network: str, *, unified: bool) -> list[dict[str, str]]:
    kinds = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    kinds += [{"type": "network", "path": network}] if network else []
    return [*kinds, {"type": "cgroup"}] if unified else kinds


def _system_mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    kernel = "rw" if spec.privileged else "ro"
    return [
        _plain_mount("/proc", "proc", safe),
        _plain_mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _plain_mount(
            "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        _plain_mount("/sys", "sysfs", [*safe, kernel]),
        _plain_mount("/sys/fs/cgroup", "cgroup", [*safe, kernel]),
        _plain_mount("/dev/mqueue", "mqueue", safe),
        _plain_mount("/dev/shm", "tmpfs", [*safe, "mode=1777", f"size={max(1, spec.shm_mib)}m"]),
    ]


def _plain_mount(target: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": options}


def _in_order(around: Surroundings) -> list[Bound]:
    """Outer ones first, or they would hide the inner."""
    mounts = list(around.mounts)
    if around.init:
        mounts.append(Bound(INIT_INSIDE, around.init, read_only=True))
    return sorted(mounts, key=lambda bound: bound.target.rstrip("/").count("/"))


def _mount(bound: Bound) -> dict[str, Any]:
    access = "ro" if bound.read_only else "rw"
    if bound.kind == "tmpfs":
        return _plain_mount(bound.target, "tmpfs", ["noexec", "nosuid", "nodev", *bound.options, access])
    return {
        "destination": bound.target,
        "type": "bind",
        "source": bound.source,
        "options": ["rbind", "rprivate", access, *bound.options],
    }


def _node(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _resources(spec: ContainerSpec, around: Surroundings) -> dict[str, Any]:
    limits = spec.limits
    rules: list[dict[str, Any]] = [{"allow": spec.privileged, "access": "rwm"}]
    if not spec.privileged:
        rules += [
            {"allow": True, "type": d.kind, "major": d.major, "minor": d.minor, "access": "rwm"}
            for d in around.devices
        ]
    resources: dict[str, Any] = {"devices": rules}
    memory: dict[str, int] = {}
    if limits.memory_mib:
        memory["limit"] = limits.memory_mib * _MIB
        if around.swap:
            memory["swap"] = limits.memory_mib * _MIB
    if limits.reserve_mib:
        memory["reservation"] = limits.reserve_mib * _MIB
    cpu: dict[str, int] = {}
    if limits.vcpus:
        cpu |= {"quota": quota_us(limits.vcpus, around.pod.vcpus), "period": PERIOD_US}
    if limits.cpu_shares:
        cpu["shares"] = max(2, limits.cpu_shares)
    if memory:
        resources["memory"] = memory
    if cpu:
        resources["cpu"] = cpu
    if limits.pids_max:
        resources["pids"] = {"limit": limits.pids_max}
    return resources


def quota_us(vcpus: float, vcpus_max: float = 0.0) -> int:
    """Processor time in each period.  A group may not be given more than the one above it has."""
    wanted = min(vcpus, vcpus_max) if vcpus_max else vcpus
    return max(_QUOTA_US_MIN, round(wanted * PERIOD_US))


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
