"""The control group that a container's main process is in, found by its pid: whatever engine made it.

Engines bound the processor once and for all, and tell usage when asked; a function has more processor while it
initialises, and its memory is read after every call.  Both are done at the files of the kernel.
"""

import os
from pathlib import Path

from cumulo.sandbox import cgroups

ROOT = "/sys/fs/cgroup"


class ProcessGroup:
    """Where a process is limited and counted; `close` gives the descriptors back."""

    def __init__(self, *, memory: str, cpu: str, version: int) -> None:
        self._kind = cgroups.KINDS[version]
        self._cpu = cpu
        self._version = version
        self._peak_bytes = 0
        self._fds: list[int] = []
        for name in _PEAK_FILES[version]:
            if os.path.exists(f"{memory}/{name}"):  # noqa: PTH110 - strings all the way
                self._fds = [_open(f"{memory}/{name}"), _open(f"{memory}/memory.stat")]
                return
        raise FileNotFoundError(f"{memory} does not count memory")

    @classmethod
    def of(cls, pid: int, root: str = ROOT) -> "ProcessGroup | None":
        """The group of a process of this machine; None when it has none of its own, or may not be looked at."""
        if pid <= 0:
            return None
        try:
            theirs, ours = _paths(f"/proc/{pid}/cgroup"), _paths("/proc/self/cgroup")
            found: dict[str, str] = {}
            version = 2 if os.path.exists(f"{root}/cgroup.controllers") else 1  # noqa: PTH110
            for kind in ("memory", "cpu"):
                name = kind if version == 1 else ""
                path = theirs.get(name, "/")
                if path == "/" or path == ours.get(name) or ".." in path.split("/"):
                    return None  # it is not the container's alone
                found[kind] = f"{root}/{name}{path}" if name else f"{root}{path}"
            return cls(memory=found["memory"], cpu=found["cpu"], version=version)
        except OSError:
            return None

    def limit(self, vcpus: float) -> None:
        """Bound processor time from now on.  OSError."""
        quota, period = cgroups.quota_us(vcpus), cgroups.PERIOD_US
        if self._version == 2:
            Path(self._cpu, "cpu.max").write_text(f"{quota} {period}")
            return
        # The quota first: the share of the period that there still is, usually a longer one, may not grow meanwhile.
        Path(self._cpu, "cpu.cfs_quota_us").write_text(str(quota))
        Path(self._cpu, "cpu.cfs_period_us").write_text(str(period))

    def peak_bytes(self) -> int:
        """The most memory used so far, without the cache of files; the last known figure when it has ended."""
        try:
            peak, stat = (os.pread(fd, 8192, 0).decode() for fd in self._fds)
            self._peak_bytes = max(self._peak_bytes, cgroups.used_bytes(self._kind, peak, stat))
        except (OSError, ValueError):
            pass
        return self._peak_bytes

    def close(self) -> None:
        """Look no more."""
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


_PEAK_FILES = {1: ("memory.max_usage_in_bytes",), 2: ("memory.peak", "memory.current")}


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _paths(file: str) -> dict[str, str]:
    """By controller; the unified hierarchy's is the empty name."""
    found: dict[str, str] = {}
    for line in Path(file).read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            found[name] = path
    return found
