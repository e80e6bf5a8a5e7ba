"""What runs containers, for everybody who uses one.  Nothing here knows AWS.

The unit is a *pod*: one or more containers that share a network namespace, an address and volumes, with limits for
each and for the whole.

    create(pod) ─▶ CREATED ──start──▶ RUNNING ◀──pause/resume──▶ PAUSED
                                         │ exits, or is signalled
                                         ▼
                                      EXITED ──start──▶ RUNNING   (the same files, a new process)
    remove(pod): from any state, to nothing

Containers live without the control plane: a pod is found again by its name after a restart (`pods`, and `create` of
a name that exists), with the exit codes and the logs of what ended meanwhile.  Every verb is idempotent.
"""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from cumulo.engines.images import Images

NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,62}"  # of pods and of containers


class Capability(StrEnum):
    """What an engine may or may not be able to do; asked for, never guessed."""

    ADDRESS = "address"  # a pod on the bridge has an address of its own
    PORTS = "ports"  # ports of the host can be mapped into a pod
    NAMES = "names"  # pods find each other by name
    LIMITS = "limits"  # memory, processor and processes are limited, for containers
    POD_LIMITS = "pod-limits"  # ... and for the pod as a whole
    PAUSE = "pause"
    TERMINAL = "terminal"  # exec with a terminal
    USAGE = "usage"
    OUTPUT = "output"  # `start` can connect a pipe instead of the log
    LISTEN_INSIDE = "listen-inside"  # `listen_inside`
    SLICES = "slices"  # pods can share the limits of a slice
    HOST_ADDRESSES = "host-addresses"  # `host_address`
    PUBLISH = "publish"  # `publish`
    SURVIVES = "survives"  # containers outlive the control plane


class NetworkMode(StrEnum):
    """Which network a pod has."""

    BRIDGE = "bridge"  # a namespace of its own with an address, a way out, names and mapped ports
    HOST = "host"  # the machine's
    NONE = "none"  # a namespace of its own with nothing but loopback


class MountKind(StrEnum):
    """What is mounted."""

    BIND = "bind"  # a file or folder of the host: `source` is its path
    VOLUME = "volume"  # a folder of the engine's: `source` is its name; made when missing, kept until `remove_volume`
    POD = "pod"  # a folder of the pod's: `source` is its name; shared by its containers, gone with the pod
    TMPFS = "tmpfs"  # memory: `source` is empty


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a container sees at `target`.  `size_mib` (0: no bound) and `options` are for tmpfs.

    below   of BIND: a folder that holds `source`, on the way from which to it no link is followed
    """

    target: str
    kind: MountKind
    source: str = ""
    read_only: bool = False
    size_mib: int = 0
    below: str = ""
    options: tuple[str, ...] = ()  # of tmpfs: noexec, nosuid, mode=1777, ...


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the host that leads into the pod.  `host` 0 in a PodSpec takes a free one; a PodStatus has the real one."""

    container: int
    host: int = 0
    protocol: str = "tcp"  # or udp
    address: str = "0.0.0.0"  # noqa: S104 - of the host; 127.0.0.1 for this machine alone


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a container or a pod; 0 is no bound.

    vcpus       processor time per time, a hard limit
    cpu_shares  weight against others when the processor is busy (1024 is normal)
    memory_mib  a hard limit, with swap; beyond it the kernel kills, and `out_of_memory` is set
    reserve_mib what is left to it when memory is scarce
    """

    vcpus: float = 0.0
    cpu_shares: int = 0
    memory_mib: int = 0
    reserve_mib: int = 0
    pids_max: int = 0


class Ulimit(msgspec.Struct, frozen=True):
    """A resource limit of the processes, by its name without RLIMIT_ (`nofile`)."""

    name: str
    soft: int
    hard: int


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container.

    image              id of an image that `Images.pull` or `load` gave
    entrypoint, command  None: the image's (an entrypoint that is given drops the image's command, as in Docker)
    env                added to the image's
    cwd, user          empty: the image's.  `user` is name, uid, name:group or uid:gid, looked up in the image
    read_only          the root file system; mounts are as they say
    init               a small init as pid 1 that reaps orphans and forwards signals
    add, drop          capabilities without CAP_, or ALL, relative to Docker's default set
    stop_signal        empty: the image's, or SIGTERM; what `stop` of others sends first
    log_bytes_max      what is kept of the log
    """

    name: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = {}
    cwd: str = ""
    user: str = ""
    terminal: bool = False
    read_only: bool = False
    init: bool = False
    privileged: bool = False
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] = {}
    devices: tuple[str, ...] = ()  # paths of the host's, seen at the same path
    shm_mib: int = 64
    stop_signal: str = ""
    labels: Mapping[str, str] = {}
    log_bytes_max: int = 64 * 1024 * 1024


class PodSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One pod.

    name      unique in the engine; NAME_PATTERN
    owner     who asked for it (`lambda`, `ecs`): what `pods` can be filtered by
    hostname  empty: the name
    names     under which other pods on the bridge find it, beside `name`
    hosts     further lines of /etc/hosts: name to address
    slice     the slice it lives in; it must exist.  Empty: none
    """

    name: str
    owner: str
    containers: tuple[ContainerSpec, ...]
    labels: Mapping[str, str] = {}
    network: NetworkMode = NetworkMode.BRIDGE
    hostname: str = ""
    names: tuple[str, ...] = ()
    hosts: Mapping[str, str] = {}
    dns: tuple[str, ...] = ()  # name servers instead of the engine's
    ports: tuple[Port, ...] = ()
    limits: Limits = Limits()
    slice: str = ""


class ContainerState(StrEnum):
    """Where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


class Exit(msgspec.Struct, frozen=True):
    """How a container's process ended.  `code` is 128 + number for one that a signal killed, as in a shell.

    out_of_memory   the kernel killed a process of the container for memory
    finished_at     seconds since the epoch
    error           why it could not even be started (code 126 to 128), or why nobody knows how it ended (137)
    """

    code: int
    out_of_memory: bool = False
    finished_at: float = 0.0
    error: str = ""


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a container.  `id` is the engine's own and long; `pid` 0 when nothing runs."""

    name: str
    id: str
    image: str
    state: ContainerState
    pid: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    exit: Exit | None = None


class PodStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a pod.  `address` is empty where it has none of its own."""

    name: str
    owner: str
    labels: Mapping[str, str]
    address: str = ""
    ports: tuple[Port, ...] = ()
    containers: Mapping[str, ContainerStatus] = {}


class LogLine(msgspec.Struct, frozen=True):
    """A line of output, without its end; `partial` when it was too long (16 KiB) and goes on in the next.

    `cursor` given to `logs` continues after this line, also after a restart of the control plane.
    """

    stream: str  # stdout or stderr
    time_ns: int
    text: bytes
    partial: bool
    cursor: str


class Usage(msgspec.Struct, frozen=True):
    """What a container has used since it was started, and uses now."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    memory_limit_bytes: int = 0
    pids: int = 0
    received_bytes: int = 0  # of the pod's network
    sent_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class ExecSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A further process in a running container."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    cwd: str = ""
    user: str = ""
    terminal: bool = False
    rows: int = 24
    columns: int = 80


class ExecSession(Protocol):
    """A process that was started by `exec`.  It ends with the control plane at the latest."""

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece of output with its stream (`stdout` for all with a terminal); None at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input."""
        ...

    def end_input(self) -> None:
        """Close its input."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal."""
        ...

    async def wait(self) -> int:
        """Its exit code."""
        ...

    async def close(self) -> None:
        """Kill it if it runs, and let go."""
        ...


class EngineError(Exception):
    """The engine could not do it; the message says what and why, for a person."""


class NoSuchPod(EngineError):
    """There is no pod, or no container in it, of that name."""


class StartFailed(EngineError):
    """The container could not be started.  `kind` is `entrypoint` (no such command, not executable: the image's or
    the caller's fault), `mount`, `user`, `port` (taken) or `engine`.  The container is EXITED with code 127, 126 or 128.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Unsupported(EngineError):
    """This engine lacks a capability; the message names it and what has it."""


class Busy(EngineError):
    """The state forbids it (exec in a container that does not run, resume of one that is not paused)."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that `probe` looked at: is it well, what does that mean, and which command mends it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


class Probe(msgspec.Struct, frozen=True):
    """Whether an engine can run here at all, and how well."""

    usable: bool
    findings: Sequence[Finding] = ()


class Engine(Protocol):
    """Runs pods.  Every verb has a deadline of its own and raises EngineError, also for a dead engine."""

    name: str  # local, docker, fake
    capabilities: frozenset[Capability]
    images: Images

    async def create(self, spec: PodSpec) -> PodStatus:
        """Make a pod with its network and its containers, none of them started.  One of that name is adopted as it is.

        EngineError when anything could not be made; then nothing is left.
        """
        ...

    async def start(self, pod: str, container: str, *, output: int | None = None) -> ContainerStatus:
        """Start a container, or start it again; harmless while it runs.  StartFailed.

        output   the write end of a pipe that takes stdout and stderr in place of the log (Capability.OUTPUT);
                 the caller keeps and closes its own copy
        """
        ...

    async def pause(self, pod: str, container: str) -> None:
        """Stop its processes from running.  Harmless when paused; Busy when it does not run."""
        ...

    async def resume(self, pod: str, container: str) -> None:
        """Let them run on.  Harmless when running."""
        ...

    async def signal(self, pod: str, container: str, signal: str) -> None:
        """Send a signal (`SIGTERM`) to its main process; SIGKILL ends every process.  Harmless when it has ended."""
        ...

    async def wait(self, pod: str, container: str) -> Exit:
        """How it ended, once it has; at once when it ended before.  Busy when it was never started.  Many may wait."""
        ...

    async def remove(self, pod: str) -> None:
        """Kill what runs and give everything back but images and volumes.  Harmless when there is none."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Delete a volume; Busy while a container has it mounted; harmless when there is none."""
        ...

    async def exec(self, pod: str, container: str, spec: ExecSpec) -> ExecSession:
        """Start a further process.  Busy when the container does not run, StartFailed for a command that is not there."""
        ...

    def logs(
        self, pod: str, container: str, *, after: str = "", follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What it printed, after a cursor; with `follow` until it has ended and all is read.  NoSuchPod."""
        ...

    async def usage(self, pod: str) -> Mapping[str, Usage]:
        """By container; what has ended shows its last known figures or nothing."""
        ...

    async def inspect(self, pod: str) -> PodStatus:
        """What is known of a pod.  NoSuchPod."""
        ...

    async def pods(self, owner: str = "") -> list[PodStatus]:
        """All pods, or one owner's; also those that an earlier control plane made."""
        ...

    async def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A listening TCP socket at address:port inside the pod's network namespace (Capability.LISTEN_INSIDE).

        The pod must exist; nothing needs to be started.  Its own containers can reach it, and nobody else.  `address`
        is of 127.0.0.0/8, or any other (169.254.170.2): then the pod's loopback interface gets it.  Unsupported for
        other addresses in a pod with the host's network.
        """
        ...

    async def make_slice(self, name: str, limits: Limits) -> None:
        """A part of the machine that pods can live in and whose limits they share (Capability.SLICES).

        Harmless when there is one; then its limits become these.  It outlives the control plane.  NAME_PATTERN.
        """
        ...

    async def remove_slice(self, name: str) -> None:
        """Give a slice back; Busy while pods live in it; harmless when there is none."""
        ...

    async def slices(self) -> list[str]:
        """The names of all slices, also those that an earlier control plane made."""
        ...

    async def host_address(self, name: str) -> str:
        """An address of the machine's own, for this name alone (Capability.HOST_ADDRESSES).

        The machine and all pods on the bridge reach what listens there (any port), and ports of pods can be mapped to
        it (Port.address).  The same name has the same address until `free_host_address`, also after a restart of the
        control plane (not of the machine).  NAME_PATTERN.
        """
        ...

    async def free_host_address(self, name: str) -> None:
        """Give the address back; harmless when there is none."""
        ...

    async def host_addresses(self) -> Mapping[str, str]:
        """All of them by name, also those that an earlier control plane made."""
        ...

    async def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """Names that pods on the bridge resolve (Capability.PUBLISH): each to one or more IPv4 addresses.

        The whole table of `owner`: it takes the place of what `owner` published before.  Answers change their order.  A
        name without addresses exists, without any.  Not kept: to be published again after a restart.
        """
        ...

    async def close(self) -> None:
        """Let go; pods live on."""
        ...
