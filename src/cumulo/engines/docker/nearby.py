"""What only works when the daemon's kernel is ours: its processes are seen in our /proc."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
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


def kill(pid: int, container_id: str) -> bool:
    """SIGKILL to a process of a container and to nothing else, even when the number has been given anew."""
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not belongs(pid, container_id):
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(held)


def listen_inside(pid: int, container_id: str, port: int) -> socket.socket:
    """A listening socket in the network namespace of a process.  Blocks; EngineError."""
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
            found.append(socket.create_server(("127.0.0.1", port), backlog=BACKLOG))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter, name="listen-inside")
    thread.start()
    thread.join()
    if failed:
        raise EngineError(f"no socket at port {port} inside the pod: {failed[0]}")
    return found[0]


def far() -> Unsupported:
    """Why a daemon elsewhere cannot."""
    return Unsupported(
        "listening inside a pod (listen-inside) needs root on the daemon's machine; the local engine can, too"
    )
