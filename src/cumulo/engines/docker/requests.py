"""A pod in Docker's words: the bodies that create its containers.  Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.engines.docker import names
from cumulo.engines.engine import (
    ContainerSpec,
    EngineError,
    ExecSpec,
    Limits,
    Mount,
    MountKind,
    NetworkMode,
    PodSpec,
    Unsupported,
)
from cumulo.engines.images import Config

_MIB = 1024 * 1024
_PERIOD_US = 100_000
_LOG_FILES = 2


def check(spec: PodSpec) -> None:
    """What Docker cannot do is refused before anything is made.  EngineError, Unsupported."""
    if not spec.containers:
        raise EngineError(f"the pod {spec.name} has no containers")
    if spec.ports and spec.network is not NetworkMode.BRIDGE:
        raise EngineError(f"the pod {spec.name} maps ports, which only a pod on the bridge can")
    if spec.slice:
        raise no_slices(f"the pod {spec.name} cannot live in the slice {spec.slice}")
    if spec.limits != Limits() and len(spec.containers) > 1:
        raise Unsupported(
            f"limits for the pod {spec.name} as a whole (pod-limits): Docker has none for several containers; "
            "give limits to each, or use the local engine"
        )


def no_slices(what: str) -> Unsupported:
    """Docker has nothing that several pods could share the limits of."""
    return Unsupported(f"{what} (slices): Docker has none; use the local engine")


def infra_body(instance: str, spec: PodSpec, image: str) -> dict[str, Any]:
    """What holds the pod's network namespace, and its record; never started for a pod on the host's network."""
    bridge = spec.network is NetworkMode.BRIDGE
    network = names.network(instance)
    body: dict[str, Any] = {
        "Image": image,
        "Entrypoint": ["/pause"],
        "StopSignal": "SIGKILL",  # it is pid 1 and hears nothing else; a daemon that stops need not wait
        "Labels": {
            names.INSTANCE: instance,
            names.POD: spec.name,
            names.OWNER: spec.owner,
            names.SPEC: msgspec.json.encode(spec).decode(),
        },
        "HostConfig": {
            "NetworkMode": network if bridge else spec.network.value,
            "RestartPolicy": {
                "Name": "unless-stopped"
            },  # back with the daemon, and the pod's network with it
            "LogConfig": {"Type": "none"},
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
        },
    }
    _name(body, spec)
    if bridge:
        body["ExposedPorts"] = {f"{port.container}/{port.protocol}": {} for port in spec.ports}
        body["HostConfig"]["PortBindings"] = _bindings(spec)
        body["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": [spec.name, *spec.names]}}}
    return body


def _name(body: dict[str, Any], spec: PodSpec) -> None:
    """Who the pod is to itself; its containers take it from the infra container."""
    body["Hostname"] = spec.hostname or spec.name
    body["HostConfig"]["ExtraHosts"] = [f"{name}:{address}" for name, address in spec.hosts.items()]
    body["HostConfig"]["Dns"] = list(spec.dns)


def _bindings(spec: PodSpec) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in spec.ports:
        binding = {"HostIp": port.address, "HostPort": str(port.host or "")}
        found.setdefault(f"{port.container}/{port.protocol}", []).append(binding)
    return found


def argv_of(spec: ContainerSpec, image: Config) -> tuple[str, ...]:
    """Entrypoint and command by Docker's rules, spelled out: an empty list of the API's would mean the image's."""
    if spec.entrypoint is not None:
        return (*spec.entrypoint, *(spec.command or ()))
    return (*image.entrypoint, *(image.command if spec.command is None else spec.command))


def container_body(
    instance: str, pod: PodSpec, spec: ContainerSpec, image: Config, *, log_driver: str
) -> dict[str, Any]:
    """One container of a pod."""
    argv = argv_of(spec, image)
    if not argv:
        raise EngineError(f"{pod.name}/{spec.name}: neither it nor its image says what to run")
    body: dict[str, Any] = {
        "Image": spec.image,
        "Entrypoint": [argv[0]],
        "Cmd": list(argv[1:]),
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Labels": {
            **spec.labels,
            names.INSTANCE: instance,
            names.POD: pod.name,
            names.OWNER: pod.owner,
            names.CONTAINER: spec.name,
        },
        "Tty": spec.terminal,
        "HostConfig": _host_config(instance, pod, spec, log_driver),
    }
    given = {"WorkingDir": spec.cwd, "User": spec.user, "StopSignal": spec.stop_signal}
    body |= {key: value for key, value in given.items() if value}
    if pod.network is NetworkMode.HOST:
        body["HostConfig"]["NetworkMode"] = "host"
        _name(body, pod)
    else:
        body["HostConfig"]["NetworkMode"] = f"container:{names.infra(instance, pod.name)}"
    return body


def _host_config(instance: str, pod: PodSpec, spec: ContainerSpec, log_driver: str) -> dict[str, Any]:
    size = max(spec.log_bytes_max // _LOG_FILES, 64 * 1024)
    log = {"max-size": str(size), "max-file": str(_LOG_FILES)}
    return {
        "Mounts": [_mount(instance, pod.name, m) for m in spec.mounts if m.kind is not MountKind.TMPFS],
        "Tmpfs": {m.target: _tmpfs(m) for m in spec.mounts if m.kind is MountKind.TMPFS},
        "ReadonlyRootfs": spec.read_only,
        "Init": spec.init,
        "Privileged": spec.privileged,
        "CapAdd": list(spec.add),
        "CapDrop": list(spec.drop),
        "SecurityOpt": ["no-new-privileges"] if spec.no_new_privileges else [],
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in spec.ulimits],
        "Sysctls": dict(spec.sysctls),
        "Devices": [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in spec.devices
        ],
        "ShmSize": spec.shm_mib * _MIB,
        "LogConfig": {"Type": log_driver, "Config": log},
        **limits_of(narrower(spec.limits, pod.limits)),
    }


def narrower(one: Limits, other: Limits) -> Limits:
    """Both bounds at once: for the only container of a pod, the pod's are its own."""

    def least(a: float, b: float) -> float:
        return min(x for x in (a, b) if x) if a or b else 0

    return Limits(
        vcpus=least(one.vcpus, other.vcpus),
        cpu_shares=one.cpu_shares or other.cpu_shares,
        memory_mib=int(least(one.memory_mib, other.memory_mib)),
        reserve_mib=one.reserve_mib or other.reserve_mib,
        pids_max=int(least(one.pids_max, other.pids_max)),
    )


def limits_of(limits: Limits) -> dict[str, int]:
    """In Docker's units.  Quota and period and not NanoCpus, which may not be more than the machine has."""
    found: dict[str, int] = {}
    if limits.vcpus:
        found |= {"CpuPeriod": _PERIOD_US, "CpuQuota": max(1000, round(limits.vcpus * _PERIOD_US))}
    if limits.cpu_shares:
        found["CpuShares"] = limits.cpu_shares
    if limits.memory_mib:
        found |= {"Memory": limits.memory_mib * _MIB, "MemorySwap": limits.memory_mib * _MIB}
    if limits.reserve_mib:
        found["MemoryReservation"] = limits.reserve_mib * _MIB
    if limits.pids_max:
        found["PidsLimit"] = limits.pids_max
    return found


def _mount(instance: str, pod: str, mount: Mount) -> dict[str, Any]:
    source = {
        MountKind.BIND: mount.source,
        MountKind.VOLUME: names.volume(instance, mount.source),
        MountKind.POD: names.pod_folder(instance, pod, mount.source),
    }[mount.kind]
    kind = "bind" if mount.kind is MountKind.BIND else "volume"
    return {"Type": kind, "Source": source, "Target": mount.target, "ReadOnly": mount.read_only}


def _tmpfs(mount: Mount) -> str:
    size = (f"size={mount.size_mib}m",) if mount.size_mib else ()
    return ",".join((*mount.options, *size, *(("ro",) if mount.read_only else ())))


def volumes(instance: str, spec: PodSpec) -> list[dict[str, Any]]:
    """The bodies that make the volumes a pod needs; making one that exists changes nothing."""
    found: dict[str, Mapping[str, str]] = {}
    for mount in (m for c in spec.containers for m in c.mounts):
        if mount.kind is MountKind.VOLUME:
            labels = {names.INSTANCE: instance, names.VOLUME: mount.source}
            found[names.volume(instance, mount.source)] = labels
        elif mount.kind is MountKind.POD:
            labels = {names.INSTANCE: instance, names.POD: spec.name}
            found[names.pod_folder(instance, spec.name, mount.source)] = labels
    return [{"Name": name, "Labels": labels} for name, labels in found.items()]


def exec_body(spec: ExecSpec) -> dict[str, Any]:
    """A further process."""
    body: dict[str, Any] = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": spec.terminal,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Cmd": list(spec.argv),
    }
    if spec.cwd:
        body["WorkingDir"] = spec.cwd
    if spec.user:
        body["User"] = spec.user
    return body
