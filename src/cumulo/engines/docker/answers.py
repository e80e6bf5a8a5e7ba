"""What Docker says of a pod, in the contract's words.  Pure."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.engines.docker import names
from cumulo.engines.docker.api import DockerError
from cumulo.engines.engine import (
    ContainerState,
    ContainerStatus,
    EngineError,
    Exit,
    NetworkMode,
    PodSpec,
    PodStatus,
    Port,
    StartFailed,
    Usage,
)
from cumulo.engines.oci.manifests import moment

_STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
    "paused": ContainerState.PAUSED,
    "removing": ContainerState.EXITED,
    "exited": ContainerState.EXITED,
    "stopped": ContainerState.EXITED,  # Podman's word
    "dead": ContainerState.EXITED,
}
# What daemons say when a start fails, most telling first.
_FAULTS = (
    ("port", re.compile(r"port is already allocated|address already in use|Bind for .* failed", re.IGNORECASE)),
    ("user", re.compile(r"unable to find (user|group)|no matching entries in (passwd|group)", re.IGNORECASE)),
    ("mount", re.compile(r"bind source path|invalid mount|error mounting|mounting \S+ to rootfs|no such volume|not a shared mount", re.IGNORECASE)),
    ("entrypoint", re.compile(r"executable file not found|exec: |exec format error|no such file or directory|permission denied|is a directory", re.IGNORECASE)),
)  # fmt: skip


def spec_of(infra: Mapping[str, Any]) -> PodSpec:
    """The PodSpec that an infra container carries.  EngineError for what is none of ours."""
    raw = (infra.get("Config") or {}).get("Labels") or {}
    try:
        return msgspec.json.decode(raw[names.SPEC], type=PodSpec)
    except (KeyError, msgspec.DecodeError) as error:
        raise EngineError(f"the container {infra.get('Name')} is no pod of ours: {error}") from None


def is_whole(infra: Mapping[str, Any], spec: PodSpec) -> bool:
    """Whether the pod's making came to its last step: the start of what holds its network."""
    return spec.network is NetworkMode.HOST or infra["State"]["Status"] != "created"


def container_status(name: str, said: Mapping[str, Any]) -> ContainerStatus:
    """One container, from its inspection."""
    state = said["State"]
    found = _STATES.get(state["Status"], ContainerState.EXITED)
    error = str(state.get("Error") or "")
    failed = found is ContainerState.CREATED and bool(error or state.get("ExitCode"))
    if failed:  # the start failed; Docker calls it created still
        found = ContainerState.EXITED
    return ContainerStatus(
        name=name,
        id=said["Id"],
        image=said["Image"],
        state=found,
        pid=int(state.get("Pid") or 0),
        created_at=moment(said["Created"]),
        started_at=moment(state.get("StartedAt")),
        exit=_exit(state, error, moment(said["Created"])) if found is ContainerState.EXITED else None,
    )


def _exit(state: Mapping[str, Any], error: str, created_at: float) -> Exit:
    return Exit(
        code=start_code(error, int(state["ExitCode"])) if error else int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        finished_at=moment(state.get("FinishedAt")) or created_at,
        error=error,
    )


def start_code(message: str, said: int) -> int:
    """127 for no such command, 126 for one that cannot be executed, 128 for all else that keeps a start from happening."""
    if said in {126, 127}:
        return said
    if fault_of(message) != "entrypoint":
        return 128
    missing = re.search(r"executable file not found|no such file or directory", message, re.IGNORECASE)
    return 127 if missing else 126


def fault_of(message: str) -> str:
    """Whose fault a failed start is: StartFailed's kinds."""
    return next((kind for kind, words in _FAULTS if words.search(message)), "engine")


def start_failed(error: DockerError) -> StartFailed:
    """A refused start, told by its kind."""
    return StartFailed(fault_of(error.said), str(error))


def pod_status(
    instance: str, infra: Mapping[str, Any], spec: PodSpec, containers: Mapping[str, ContainerStatus]
) -> PodStatus:
    """The pod as a whole."""
    settings = infra.get("NetworkSettings") or {}
    mine = (settings.get("Networks") or {}).get(names.network(instance)) or {}
    return PodStatus(
        name=spec.name,
        owner=spec.owner,
        labels=spec.labels,
        address=str(mine.get("IPAddress") or ""),
        ports=_ports(spec, settings.get("Ports") or {}),
        containers=containers,
    )


def _ports(spec: PodSpec, said: Mapping[str, Any]) -> tuple[Port, ...]:
    """The ports that were asked for, with the host's real ones; each binding is used once."""
    left = {key: list(bindings or ()) for key, bindings in said.items()}
    found = []
    for port in sorted(spec.ports, key=lambda p: p.host == 0):
        offered = left.get(f"{port.container}/{port.protocol}", [])
        for binding in offered:
            host = int(binding["HostPort"])
            if (binding.get("HostIp") or "0.0.0.0") == port.address and port.host in {0, host}:  # noqa: S104
                offered.remove(binding)
                found.append(msgspec.structs.replace(port, host=host))
                break
        else:
            found.append(port)
    order = [(p.container, p.protocol) for p in spec.ports]
    return tuple(sorted(found, key=lambda p: order.index((p.container, p.protocol))))


def usage_of(said: Mapping[str, Any], network: Mapping[str, Any]) -> Usage:
    """One container's figures; `network` is the statistics of what holds the pod's network."""
    memory = said.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cached = int(details.get("total_inactive_file", details.get("inactive_file", 0)))
    used = max(0, int(memory.get("usage", 0)) - cached)
    links = (network.get("networks") or {}).values()
    blocks = (said.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return Usage(
        cpu_seconds=int(said["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9,
        memory_bytes=used,
        memory_peak_bytes=int(memory.get("max_usage", used)),
        memory_limit_bytes=int(memory.get("limit", 0)),
        pids=int((said.get("pids_stats") or {}).get("current", 0)),
        received_bytes=sum(int(link["rx_bytes"]) for link in links),
        sent_bytes=sum(int(link["tx_bytes"]) for link in links),
        read_bytes=sum(int(b["value"]) for b in blocks if b["op"].lower() == "read"),
        written_bytes=sum(int(b["value"]) for b in blocks if b["op"].lower() == "write"),
    )
