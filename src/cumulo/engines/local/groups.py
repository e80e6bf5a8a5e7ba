"""The control groups of pods: `cumulopods-<instance>[/slice.<slice>]/<pod>/<container>`, version 1 and 2 behind one set
of verbs.

The runtime makes those of containers; we make those of slices and pods, read figures, freeze, kill and remove.
"""

import errno
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

import msgspec

from cumulo.base.killing import kill_those
from cumulo.engines.engine import EngineError, Limits
from cumulo.engines.local.bundle import PERIOD_US, quota_us
from cumulo.engines.local.group_files import (
    blkio_bytes,
    folders,
    io_bytes,
    lower_below,
    number_of,
    remove_tree,
    rmdir,
    text_of,
    weight,
    without_cache,
    write,
    write_if_there,
)
from cumulo.sandbox.cgroups import counter

PREFIX = "cumulopods-"  # not the one that groups of sandboxes have, whose sweep knows nothing of pods
_MIB = 1024 * 1024
_SHARES = 1024  # the kernel's, for who says nothing
MONITORS = "_monitors"  # no name of a pod
SLICE = "slice."  # and so is what begins with this
_FREEZE_SECONDS_MAX = 5.0
_PARENT_SECONDS_MAX = 4.0
_MONITOR_SECONDS_MAX = 1.0
_UNLIMITED_BYTES = 1 << 60  # what the kernel says for no limit is beyond this


class Figures(msgspec.Struct, frozen=True):
    """What a group has used, and uses."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    memory_limit_bytes: int = 0
    pids: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class _Groups(ABC):
    """What both versions have in common.  `name` is <pod> or <pod>/<container>."""

    def __init__(self, root: Path, instance: str) -> None:
        self.root = root
        self.parent = PREFIX + instance
        self._slice_of: dict[str, str] = {}  # of each pod that lives in one

    def path(self, name: str) -> str:
        """As the runtime wants it."""
        return f"/{self.parent}/{self._place(name)}"

    def _place(self, name: str) -> str:
        """Where a pod or a container of it is below our parent."""
        slice_ = self._slice_of.get(name.partition("/")[0])
        return f"{SLICE}{slice_}/{name}" if slice_ else name

    @abstractmethod
    def bases(self) -> list[Path]:
        """Where our parent is, in each hierarchy."""

    @abstractmethod
    def _freezing(self, name: str) -> tuple[Path, str, str]: ...

    def _hold(self, name: str) -> None:  # noqa: B027 - nothing, unless a version needs it
        """Keep processes from seeing one another die, and from going on with that; where a kill is not one for all."""

    @abstractmethod
    def frozen(self, name: str) -> bool:
        """Whether its processes are held."""

    def names(self) -> set[str]:
        """The pods that have groups."""
        found = set()
        for base in self.bases():
            for entry in folders(base):
                if not entry.name.startswith(SLICE):
                    found.add(entry.name)
                    continue
                for pod in folders(Path(entry.path)):
                    found.add(pod.name)
                    self._slice_of.setdefault(pod.name, entry.name.removeprefix(SLICE))
        return found - {MONITORS}

    def slices(self) -> set[str]:
        """The slices that have groups."""
        found = {entry.name for base in self.bases() for entry in folders(base)}
        return {name.removeprefix(SLICE) for name in found if name.startswith(SLICE)}

    def remove_slice(self, name: str) -> bool:
        """Remove a slice's group; False when a pod has one in it.  Harmless when there is none."""
        return all([rmdir(base / f"{SLICE}{name}") for base in self.bases()])  # noqa: C419 - of all, not until one

    def containers(self, pod: str) -> set[str]:
        """The containers of a pod that have groups."""
        return {entry.name for base in self.bases() for entry in folders(base / self._place(pod))}

    def processes(self, name: str) -> set[int]:
        """Everybody in a group and those below."""
        found: set[int] = set()
        for base in self.bases():
            for folder, _, _ in os.walk(base / self._place(name)):
                found.update(int(word) for word in text_of(Path(folder) / "cgroup.procs").split())
        return found - {0}

    def freeze(self, name: str) -> None:
        """Hold every process; EngineError when the kernel does not manage to."""
        file, frozen, thawed = self._freezing(name)
        deadline = time.monotonic() + _FREEZE_SECONDS_MAX
        write(file, frozen)
        while not self.frozen(name):
            if time.monotonic() > deadline:
                write_if_there(file, thawed)
                raise EngineError(f"{name} could not be paused")
            time.sleep(0.001)
            write(file, frozen)  # version 1 gives up when a process is being born

    def thaw(self, name: str) -> None:
        """Let them go on."""
        file, _, thawed = self._freezing(name)
        write_if_there(file, thawed)

    def kill(self, name: str, seconds_max: float = 10.0) -> None:
        """End everybody, also who forks meanwhile; EngineError when somebody remains."""
        deadline = time.monotonic() + seconds_max
        pause = 0.0005
        while left := self.processes(name):
            self._hold(name)
            for base in self.bases():
                write_if_there(base / self._place(name) / "cgroup.kill", "1")
            kill_those(left, lambda: self.processes(name))
            for below in [name, *(f"{name}/{one}" for one in self.containers(name))]:
                self.thaw(below)
            if time.monotonic() > deadline:
                raise EngineError(f"processes of {name} do not die: {sorted(left)[:5]}")
            time.sleep(pause)
            pause = min(0.05, pause * 2)

    def remove(self, name: str, seconds_max: float = 5.0) -> bool:
        """Remove a group and those below; False when somebody is in one."""
        deadline = time.monotonic() + seconds_max
        while [base for base in self.bases() if not remove_tree(base / self._place(name))]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        self._slice_of.pop(name, None)
        return True

    @abstractmethod
    def _where_monitors_live(self) -> Path | None: ...

    def take_monitor(self, pid: int) -> None:
        """Put a monitor where a service manager that stops the server does not stop it, too."""
        base = self._where_monitors_live()
        if base is not None and pid > 0:  # 0 would mean the server itself, which is no monitor
            try:
                (base / MONITORS).mkdir(parents=True, exist_ok=True)
                write(base / MONITORS / "cgroup.procs", str(pid))
            except OSError:
                return  # it has ended, or this machine does not allow it

    def remove_parent(self) -> None:
        """Remove our parent and its slices, when there are no pods; a monitor may take a moment to end, and no longer."""
        began = time.monotonic()
        for name in self.slices():
            self.remove_slice(name)
        while [base for base in self.bases() if not (rmdir(base / MONITORS) and rmdir(base))]:
            passed = time.monotonic() - began
            if passed > _PARENT_SECONDS_MAX:
                return
            if passed > _MONITOR_SECONDS_MAX:
                kill_those(self.processes(MONITORS) - {os.getpid()}, lambda: self.processes(MONITORS))
            time.sleep(0.005)


class GroupsV1(_Groups):
    """One tree for each kind: /sys/fs/cgroup/memory, cpu, pids, freezer, ..."""

    version = 1

    def __init__(self, root: Path, instance: str) -> None:
        super().__init__(root, instance)
        found = {folder.resolve(): folder for folder in root.iterdir() if (folder / "cgroup.procs").exists()}
        self._bases = [folder / self.parent for folder in found]
        self.swap = (root / "memory" / "memory.memsw.limit_in_bytes").exists()

    def bases(self) -> list[Path]:
        """Where our parent is, in each hierarchy."""
        return self._bases

    def _where_monitors_live(self) -> Path | None:
        systemd = self.root / "systemd"
        return systemd / self.parent if (systemd / "cgroup.procs").exists() else None

    def _in(self, kind: str, name: str) -> Path:
        return self.root / kind / self.parent / self._place(name)

    def make_pod(self, pod: str, limits: Limits, slice_: str = "") -> None:
        """Make the group of a pod, with limits for the whole of it."""
        if slice_:
            self._slice_of[pod] = slice_
        memory, cpu, pids = (self._in(kind, pod) for kind in ("memory", "cpu", "pids"))
        self._above(pod)
        for folder in (memory, cpu, pids, self._in("freezer", pod)):
            folder.mkdir(parents=True, exist_ok=True)
        write_if_there(memory / "memory.use_hierarchy", "1")
        if limits.memory_mib:
            write(memory / "memory.limit_in_bytes", str(limits.memory_mib * _MIB))
            if self.swap:
                write(memory / "memory.memsw.limit_in_bytes", str(limits.memory_mib * _MIB))
        if limits.reserve_mib:
            write(memory / "memory.soft_limit_in_bytes", str(limits.reserve_mib * _MIB))
        if limits.vcpus:
            write(cpu / "cpu.cfs_period_us", str(PERIOD_US))
            write(cpu / "cpu.cfs_quota_us", str(quota_us(limits.vcpus)))
        if limits.cpu_shares:
            write(cpu / "cpu.shares", str(max(2, limits.cpu_shares)))
        if limits.pids_max:
            write(pids / "pids.max", str(limits.pids_max))

    def _above(self, name: str) -> None:
        """What is above a group in the tree of memory counts for all below it: kernels before 5.11 are to be told."""
        folder = self._in("memory", "")
        for part in ("", *Path(self._place(name)).parent.parts):
            folder /= part
            folder.mkdir(exist_ok=True)
            write_if_there(folder / "memory.use_hierarchy", "1")

    def make_slice(self, name: str, limits: Limits) -> None:
        """Make the group of a slice; one that is there has these limits from now on.  OSError."""
        place = f"{SLICE}{name}"
        memory, cpu, pids = (self._in(kind, place) for kind in ("memory", "cpu", "pids"))
        self._above(place)
        for folder in (memory, cpu, pids, self._in("freezer", place)):
            folder.mkdir(parents=True, exist_ok=True)
        write_if_there(memory / "memory.use_hierarchy", "1")
        self._bound_memory(memory, limits.memory_mib * _MIB if limits.memory_mib else -1)
        write(memory / "memory.soft_limit_in_bytes", str(limits.reserve_mib * _MIB or -1))
        write(cpu / "cpu.cfs_period_us", str(PERIOD_US))
        if limits.vcpus:
            quota = quota_us(limits.vcpus)
            lower_below(cpu, quota)  # nobody may have more than the group above
            write(cpu / "cpu.cfs_quota_us", str(quota))
        else:
            write(cpu / "cpu.cfs_quota_us", "-1")
        write(cpu / "cpu.shares", str(max(2, limits.cpu_shares or _SHARES)))
        write(pids / "pids.max", str(limits.pids_max or "max"))

    def _bound_memory(self, folder: Path, limit: int) -> None:
        """The limit with swap may never be below that without: which of the two goes first depends on the old ones."""
        files = [folder / "memory.limit_in_bytes"]
        if self.swap:
            files.append(folder / "memory.memsw.limit_in_bytes")
        try:
            for file in files:
                write(file, str(limit))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            for file in reversed(files):
                write(file, str(limit))

    def _hold(self, name: str) -> None:
        file, frozen, _ = self._freezing(name)
        write_if_there(file, frozen)

    def _freezing(self, name: str) -> tuple[Path, str, str]:
        return self._in("freezer", name) / "freezer.state", "FROZEN", "THAWED"

    def frozen(self, name: str) -> bool:
        """Whether its processes are held."""
        return text_of(self._in("freezer", name) / "freezer.state").strip() == "FROZEN"

    def out_of_memory(self, name: str) -> bool:
        """Whether the kernel killed for memory inside."""
        return counter(text_of(self._in("memory", name) / "memory.oom_control"), "oom_kill") > 0

    def figures(self, name: str) -> Figures:
        """What it uses; zeros when it is gone."""
        memory = self._in("memory", name)
        limit = number_of(memory / "memory.limit_in_bytes")
        read, written = blkio_bytes(text_of(self._in("blkio", name) / "blkio.throttle.io_service_bytes"))
        return Figures(
            cpu_seconds=number_of(self._in("cpuacct", name) / "cpuacct.usage") / 1e9,
            memory_bytes=without_cache(
                number_of(memory / "memory.usage_in_bytes"), memory, "total_inactive_file"
            ),
            memory_peak_bytes=number_of(memory / "memory.max_usage_in_bytes"),
            memory_limit_bytes=limit if limit < _UNLIMITED_BYTES else 0,
            pids=number_of(self._in("pids", name) / "pids.current"),
            read_bytes=read,
            written_bytes=written,
        )


class GroupsV2(_Groups):
    """The one unified tree."""

    version = 2
    swap = True  # the runtime passes over what the kernel lacks

    def bases(self) -> list[Path]:
        """Where our parent is."""
        return [self.root / self.parent]

    def _where_monitors_live(self) -> Path | None:
        return self.root / self.parent

    def _at(self, name: str) -> Path:
        return self.root / self.parent / self._place(name)

    def _make(self, folder: Path) -> None:
        """Make a group, with every controller for it and those below."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = folder.relative_to(self.root).parts
        for at in (self.root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)):
            have = text_of(at / "cgroup.subtree_control").split()
            for kind in text_of(at / "cgroup.controllers").split():
                if kind not in have:
                    write_if_there(at / "cgroup.subtree_control", f"+{kind}")

    def make_slice(self, name: str, limits: Limits) -> None:
        """Make the group of a slice; one that is there has these limits from now on.  OSError."""
        folder = self._at(f"{SLICE}{name}")
        self._make(folder)
        write(folder / "memory.max", str(limits.memory_mib * _MIB) if limits.memory_mib else "max")
        write_if_there(folder / "memory.swap.max", "0" if limits.memory_mib else "max")
        write(folder / "memory.low", str(limits.reserve_mib * _MIB))
        write(folder / "cpu.max", f"{quota_us(limits.vcpus) if limits.vcpus else 'max'} {PERIOD_US}")
        write(folder / "cpu.weight", str(weight(limits.cpu_shares or _SHARES)))
        write(folder / "pids.max", str(limits.pids_max or "max"))

    def make_pod(self, pod: str, limits: Limits, slice_: str = "") -> None:
        """Make the group of a pod, with limits for the whole of it."""
        if slice_:
            self._slice_of[pod] = slice_
        folder = self._at(pod)
        self._make(folder)
        if limits.memory_mib:
            write(folder / "memory.max", str(limits.memory_mib * _MIB))
            write_if_there(folder / "memory.swap.max", "0")
        if limits.reserve_mib:
            write(folder / "memory.low", str(limits.reserve_mib * _MIB))
        if limits.vcpus:
            write(folder / "cpu.max", f"{quota_us(limits.vcpus)} {PERIOD_US}")
        if limits.cpu_shares:
            write(folder / "cpu.weight", str(weight(limits.cpu_shares)))
        if limits.pids_max:
            write(folder / "pids.max", str(limits.pids_max))

    def _freezing(self, name: str) -> tuple[Path, str, str]:
        return self._at(name) / "cgroup.freeze", "1", "0"

    def frozen(self, name: str) -> bool:
        """Whether its processes are held."""
        return counter(text_of(self._at(name) / "cgroup.events"), "frozen") == 1

    def out_of_memory(self, name: str) -> bool:
        """Whether the kernel killed for memory inside."""
        return counter(text_of(self._at(name) / "memory.events"), "oom_kill") > 0

    def figures(self, name: str) -> Figures:
        """What it uses; zeros when it is gone."""
        folder = self._at(name)
        read, written = io_bytes(text_of(folder / "io.stat"))
        now = number_of(folder / "memory.current")
        return Figures(
            cpu_seconds=counter(text_of(folder / "cpu.stat"), "usage_usec") / 1e6,
            memory_bytes=without_cache(now, folder, "inactive_file"),
            memory_peak_bytes=number_of(folder / "memory.peak") or now,  # Linux 5.19 and later
            memory_limit_bytes=number_of(folder / "memory.max"),
            pids=number_of(folder / "pids.current"),
            read_bytes=read,
            written_bytes=written,
        )


Groups = GroupsV1 | GroupsV2


def open_groups(root: Path, instance: str) -> Groups:
    """The groups of an instance on this machine; EngineError when there are none."""
    if (root / "cgroup.controllers").exists():
        return _seen(GroupsV2(root, instance))
    if (root / "memory" / "cgroup.procs").exists():
        return _seen(GroupsV1(root, instance))
    raise EngineError(f"there are no control groups at {root}")


_G = TypeVar("_G", bound=_Groups)


def _seen(groups: _G) -> _G:
    """Groups that know which pods live in which slice."""
    groups.names()
    return groups
