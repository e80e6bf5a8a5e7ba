"""What a sandbox is, for everybody who uses one.  Nothing here knows AWS.

A launcher starts processes that are shut in, each with listening sockets that exist only inside:

    runtime_socket   the Runtime API, at the address in the process's AWS_LAMBDA_RUNTIME_API
    cloud_socket     the cloud itself, at the address in the process's AWS_ENDPOINT_URL
    secure_socket    the cloud by TLS, at port 443, under the names of Reach; None where that cannot be had

The server accepts on all; the socket itself says which sandbox is calling, and no other sandbox can reach it.
"""

import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

FILES_MAX = 1024
BUNDLE_INSIDE = "/etc/cumulo/trust.pem"  # where a Reach's files are
CA_INSIDE = "/etc/cumulo/ca.pem"


class Bind(msgspec.Struct, frozen=True):
    """A file or folder of the host that the sandbox sees, read-only, at `target`."""

    source: Path
    target: str


class Early(msgspec.Struct, frozen=True, kw_only=True):
    """What can be started before its function is known: a runtime that then waits for its assignment.

    argv, env, binds   as in SandboxSpec; the function's own environment replaces `env` at the assignment

    The process finds the number of a descriptor in `_CUMULO_EARLY_FD`.  It writes one byte to it when it has nothing
    more to prepare, reads its assignment (JSON: env) to the end, closes it, and goes on as if just started.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    binds: tuple[Bind, ...] = ()


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What the cloud answers to by name, and whom to trust there.

    names   host names that lead a sandbox to its own 127.0.0.1
    bundle  a file with the certificates of all authorities that are trusted, in PEM: the machine's, and the cloud's own
    ca      a file with the cloud's own alone
    """

    names: tuple[str, ...]
    bundle: Path
    ca: Path


def trusting(bundle: str, ca: str) -> dict[str, str]:
    """The variables by which programs are told whom to trust: AWS's tools, OpenSSL's users, Python's requests, Node."""
    return {
        "AWS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "NODE_EXTRA_CA_CERTS": ca,
    }


class ImageRoot(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of an engine's image, which a sandbox has in place of the machine's.

    id      of the image, as the engine knows it
    cwd     the working directory
    code    whether the folder of code is at /var/task (the image of a runtime), or the code is in the image itself
    unfit   why nothing in it can be executed here, in the kernel's words; empty when it can
    """

    id: str
    cwd: str = "/"
    code: bool = False
    unfit: str = ""


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to start.

    name        unique among living sandboxes; [a-z0-9-], 40 characters at most
    argv        the command, as seen inside; cwd is /var/task
    env         its whole environment, to which the launcher adds AWS_LAMBDA_RUNTIME_API, AWS_ENDPOINT_URL and
                _LAMBDA_TELEMETRY_LOG_FD (a pipe that carries framed log records)
    code        the folder at /var/task, read-only
    layers      folders merged at /opt, read-only; later ones win
    binds       what the runtime needs: interpreter, /var/runtime, ...
    memory_mib  limit of memory
    vcpus       limit of processor time, 1769 MiB of a function being 1.0
    tmp_name    the volume at /tmp: the same name gives the same files, until `drop_tmp`
    tmp_mib     its size
    early       what may have been started beforehand in its place; None when it must be started as it is
    image       what it sees instead of the machine's file system; its env is added to the image's, and there is no
                telemetry pipe.  Layers, binds and early are then empty
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    code: Path
    memory_mib: int
    vcpus: float
    tmp_name: str
    tmp_mib: int
    layers: tuple[Path, ...] = ()
    binds: tuple[Bind, ...] = ()
    pids_max: int = 1024
    files_max: int = FILES_MAX
    early: Early | None = None
    image: ImageRoot | None = None


class Exit(msgspec.Struct, frozen=True):
    """How the main process ended: an exit code, or the signal that killed it; whether memory ran out; and
    whether the command could not even be executed (code 126 or 127): Runtime.InvalidEntrypoint.
    """

    code: int = 0
    signal: int = 0
    out_of_memory: bool = False
    entrypoint_failed: bool = False


class StartError(Exception):
    """The sandbox could not be started.  `kind` is a word for errors: Runtime.InvalidEntrypoint, Sandbox.Failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Isolation(StrEnum):
    """How much a launcher shuts in."""

    FULL = "full"  # namespaces, own uid, cgroup limits, seccomp
    PARTIAL = "partial"  # some of these are missing; `doctor` names them
    NONE = "none"  # a plain process


class Sandbox(Protocol):
    """A started sandbox.  Everything but `wait` returns at once."""

    name: str
    runtime_socket: socket.socket  # listening, non-blocking, the server's end
    cloud_socket: socket.socket
    secure_socket: socket.socket | None
    output: int  # non-blocking pipe: stdout and stderr of everything inside
    telemetry: int  # non-blocking pipe: framed log records (awslambdaric, our Node runtime)

    def freeze(self) -> None:
        """Stop every process inside from running."""
        ...

    def thaw(self) -> None:
        """Let them run again."""
        ...

    def kill(self) -> None:
        """End every process inside now; `wait` then returns.  Harmless when it has ended."""
        ...

    def memory_peak_bytes(self) -> int:
        """The most memory used since the start; 0 when it cannot be known."""
        ...

    async def wait(self) -> Exit:
        """How it ended, once it has.  Any number of callers may wait.  Does not clean up: call `close` after."""
        ...

    async def close(self) -> None:
        """Kill it if it lives and give back everything: descriptors, cgroups, mounts.  /tmp stays."""
        ...


class Launcher(Protocol):
    """Starts sandboxes."""

    isolation: Isolation

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start one; returns as soon as its sockets listen, which may be before its command runs.  StartError."""
        ...

    def expect(self, early: Early) -> None:
        """Sandboxes that may start early like this are about to be asked for.  Cheap; may be said often."""
        ...

    def reach(self, reach: Reach) -> None:
        """From now on sandboxes shall find these names; where it can be, those that are there, too."""
        ...

    def drop_tmp(self, tmp_name: str) -> None:
        """Forget a /tmp volume that no living sandbox uses."""
        ...

    async def close(self) -> None:
        """End all sandboxes and helpers."""
        ...


class RuntimeHost(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine runs a Lambda runtime.

    argv, env, binds   go into the SandboxSpec; env has what belongs to the runtime (PATH, LANG, TZ, PYTHONPATH,
                       LD_LIBRARY_PATH, LAMBDA_RUNTIME_DIR, AWS_EXECUTION_ENV), not what belongs to the function
    version            for the INIT_START line, like `python:3.12.v18`; empty for what is no runtime of AWS's
    version_arn        `arn:aws:lambda:<region>::runtime:<64 hex>` with `{region}` left in
    warning            why this is not quite the runtime that was asked for; empty when it is
    early_unless       for runtimes that can be started before their function is known: the variables that count
                       when the process starts, so that the function must leave them as they are in `env`; a
                       trailing * stands for any ending.  Empty: the runtime cannot be started early
    image              the image that it runs in; None: this machine's own file system
    """

    runtime: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    binds: tuple[Bind, ...]
    version: str
    version_arn: str
    warning: str = ""
    early_unless: tuple[str, ...] = ()
    image: ImageRoot | None = None


class RuntimeMissing(Exception):
    """This machine cannot run the runtime at all; the message says what to install."""


class Runtimes(Protocol):
    """The runtimes of this machine."""

    def prepare(self, runtime: str, handler: str, code: Path) -> RuntimeHost:
        """Find or make what `runtime` needs.  May take seconds (it can install packages): call it in a thread.

        RuntimeMissing when this machine has nothing for it.
        """
        ...
