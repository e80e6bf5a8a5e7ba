"""Network namespaces that nothing runs in: each is kept by a bind mount of itself on a file.

A thread may be in another network namespace than its process.  Whatever happens inside one happens in a thread of
its own that ends right after, so that no thread is ever left in the wrong place.
"""

import _thread
import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cumulo.engines.local.listeners import bound, open_listener
from cumulo.sandbox import kernel
from cumulo.sandbox.netlink import Netlink

_Result = TypeVar("_Result")
_LOOPBACK = 1  # the number of the first link of each namespace
_MOUNTS_MAX = 8  # on one file: more than one only when somebody else meddled

# Before eth0 exists: it takes the defaults, while lo keeps ::1.  Ports below 1024 and ping are for every user,
# as with other container engines.
_SETTINGS = (
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
)


class _Thread(threading.Thread):
    """Does one thing, and keeps what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(name="namespace", daemon=True)
        self._work = work
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.error = error


def in_thread(work: Callable[[], _Result]) -> _Result:
    """Do something in a thread of its own, and wait."""
    thread = _Thread(work)
    thread.start()
    thread.join()
    if thread.error is not None:
        raise thread.error
    result: _Result = thread.result
    return result


async def in_thread_async(work: Callable[[], _Result]) -> _Result:
    """Do something in a thread of its own, and let others run meanwhile."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[_Result] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if ended.done():
            return  # who waited was cancelled
        if error is None:
            ended.set_result(result)
        else:
            ended.set_exception(error)

    def run() -> None:
        result: Any = None
        failed: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish, result, failed)

    # Not Thread.start(), which holds up the whole loop until the new thread has had its turn.
    _thread.start_new_thread(run, ())
    return await ended


def make(path: Path) -> None:
    """A new namespace on the file at `path` with `lo` up; this thread, which must be of its own, is in it after."""
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    kernel.unshare(kernel.CLONE_NEWNET)
    kernel.mount("/proc/thread-self/ns/net", str(path), "", kernel.MS_BIND)
    netlink = Netlink()
    try:
        netlink.loopback_up()
    finally:
        netlink.close()
    for name, value in _SETTINGS:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            put_setting(name, value)


def put_setting(name: str, value: str) -> None:
    """Write a sysctl of this thread's network namespace."""
    fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def is_there(path: Path) -> bool:
    """Whether a namespace is mounted on the file."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def remove(path: Path) -> None:
    """Let go of a namespace and remove its file.  Harmless at any stage of its making."""
    for _ in range(_MOUNTS_MAX):
        try:
            kernel.umount(str(path))
        except OSError:
            break  # not mounted, or not there
    path.unlink(missing_ok=True)


def add_to_loopback(address: str) -> None:
    """Give loopback of this thread's namespace a further address; harmless when it has it.  OSError."""
    netlink = Netlink()
    try:
        netlink.add_address(_LOOPBACK, address, 32)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    finally:
        netlink.close()


def listen(path: Path | None, port: int, address: str = "127.0.0.1") -> socket.socket:
    """A socket that listens at address:port in a namespace (None: this one's).  OSError.

    Loopback inside gets the address, unless it is of 127.0.0.0/8.  Containers may listen at the same port, unless the
    address is 127.0.0.1 (listeners.py).
    """

    def work() -> socket.socket:
        if path is None:
            return bound(address, port)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.setns(fd, kernel.CLONE_NEWNET)
        finally:
            os.close(fd)
        if not address.startswith("127."):
            add_to_loopback(address)
        return open_listener(address, port)

    return in_thread(work)
