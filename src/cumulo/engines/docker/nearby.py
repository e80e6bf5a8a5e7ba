"""What only works when the daemon's kernel is ours: its processes are seen in our /proc."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cumulo.engines.docker.api import Api
from cumulo.engines.engine import EngineError, Unsupported

BACKLOG = 128


async def is_near(api: Api, info: dict[str, Any]) -> bool:
    """Whether the daemon runs on this kernel and we may enter its namespaces."""
    if not api.by_socket or os.geteuid() != 0 or sys.platform != "linux":
        return False
    kernel = os.uname()
    same = info.get("KernelVersion") == kernel.release and info.get("Name") == kernel.nodename
    return same and await asyncio.to_thread(Path(str(info.get("DockerRootDir", "/nowhere"))).is_dir)


def belongs(pid: int, container_id: str) -> bool:
    """Whether a process of ours to see is that container's; ids in the paths of its cgroups say so."""
    with contextlib.suppress(OSError):
        return container_id in Path(f"/proc/{pid}/cgroup").read_text()
    return False


def _is_shim(pid: int, container_id: str) -> bool:
    """Whether a process is what containerd runs beside that container (`containerd-shim-runc-v2 ... -id ID ...`)."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        shim = words[0].rpartition(b"/")[2].startswith(b"containerd-shim")
        return shim and container_id.encode() in words
    return False


def kill(pid: int, container_id: str, *, shim: bool = False) -> bool:
    """SIGKILL to a process of a container and to nothing else, even when the number has been given anew.

    shim   also when it is the container's shim
    """
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not belongs(pid, container_id) and not (shim and _is_shim(pid, container_id)):
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(held)


def kill_all(container_ids: Collection[str]) -> None:
    """SIGKILL to every process of these containers, and to their shims, whose end makes containerd forget them.

    Blocks; reads all of /proc.
    """
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdigit():
                continue
            said = (entry / "cgroup").read_text() + (entry / "cmdline").read_text(errors="replace")
            for id_ in container_ids:
                if id_ in said:
                    kill(int(entry.name), id_, shim=True)


def listen_inside(pid: int, container_id: str, port: int, address: str) -> socket.socket:
    """A listening socket in the network namespace of a process.  Blocks; EngineError."""
    from cumulo.engines.local.listeners import open_listener
    from cumulo.engines.local.namespaces import add_to_loopback
    from cumulo.sandbox.kernel import CLONE_NEWNET, setns

    found: list[socket.socket] = []
    failed: list[OSError] = []

    def enter() -> None:
        # In a thread that ends: a namespace is a thread's own, and no other must find itself in it.
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not belongs(pid, container_id):
                    raise ProcessLookupError("its process is gone")
                setns(namespace, CLONE_NEWNET)
            finally:
                os.close(namespace)
            if not address.startswith("127."):
                add_to_loopback(address)
            found.append(open_listener(address, port))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter, name="listen-inside")
    thread.start()
    thread.join()
    if failed:
        raise EngineError(f"no socket at port {port} inside the pod: {failed[0]}")
    return found[0]


def listen_here(pod: str, port: int, address: str) -> socket.socket:
    """The same for a pod with the machine's network, which is ours.  EngineError."""
    if not address.startswith("127."):
        raise Unsupported(f"{pod} has the machine's network, which is not given the address {address}")
    try:
        return socket.create_server((address, port), backlog=BACKLOG)
    except OSError as error:
        raise EngineError(f"no socket at port {port} of {address}: {error}") from error


def far() -> Unsupported:
    """Why a daemon elsewhere cannot."""
    return Unsupported(
        "listening inside a pod (listen-inside) needs root on the daemon's machine; the local engine can, too"
    )
