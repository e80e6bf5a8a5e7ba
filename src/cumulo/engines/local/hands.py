"""Threads that live in a mount namespace of their own, where all blocking work of the engine is done.

Root file systems of containers are mounted there and nowhere else, so that the machine never sees them: when the
last process of the namespace ends (this process, and the monitors that were started from here), they are gone, even
after kill -9.  Without the mount of cgroup version 2 that a hybrid machine has, crun works too.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cumulo.sandbox import kernel

T = TypeVar("T")

_CLONE_FS = 0x200
_THREADS_MAX = 8
_HYBRID = Path("/sys/fs/cgroup/unified")


class Hands:
    """Runs functions in its threads.  Everything they start lives in the namespace, too."""

    def __init__(self, threads_max: int = _THREADS_MAX) -> None:
        self._pool = ThreadPoolExecutor(threads_max, "pods", self._enter)
        self._lock = threading.Lock()
        self._namespace = -1

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run it there."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def do_now(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run it there, and wait for it."""
        return self._pool.submit(work, *arguments).result()

    def close(self) -> None:
        """End the threads, after what they are doing."""
        self._pool.shutdown(wait=True)
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1

    def _enter(self) -> None:
        with self._lock:
            if self._namespace < 0:
                self._make()
            else:
                kernel.unshare(_CLONE_FS)  # who shares his working directory may not change namespaces
                kernel.setns(self._namespace, kernel.CLONE_NEWNS)

    def _make(self) -> None:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        if _HYBRID.is_dir():
            with contextlib.suppress(OSError):
                kernel.umount(str(_HYBRID))
        self._namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def mounted_below(folder: Path) -> list[str]:
    """The mount points at and below a folder, innermost first, as the calling thread's namespace has them."""
    found = []
    prefix = str(folder)
    with Path("/proc/thread-self/mountinfo").open() as lines:
        for line in lines:
            target = _unescaped(line.split(" ", 5)[4])
            if target == prefix or target.startswith(prefix + "/"):
                found.append(target)
    return found[::-1]


def unmount_below(folder: Path) -> None:
    """Take away every mount at and below a folder.  OSError when one remains."""
    for _ in range(3):  # something may be mounted under something
        for target in mounted_below(folder):
            with contextlib.suppress(FileNotFoundError):
                kernel.umount(target)
        if not mounted_below(folder):
            return
    raise OSError(f"mounts remain below {folder}")


def _unescaped(text: str) -> str:
    r"""The kernel writes space, tab, newline and backslash as \040 and so on."""
    if "\\" not in text:
        return text
    return text.encode().decode("unicode_escape").encode("latin-1").decode()
