# ruff: noqa: PTH102, PTH103, PTH106, PTH110
# (pathlib would cost the warden and every cell a megabyte)
"""Limits, freezing and accounting by control groups, version 1 and 2 behind one set of verbs.

Every sandbox has a group `cumulo-<instance>/<cell>`; on version 1 one in each hierarchy.
"""

import os
import time

PERIOD_US = 20_000  # short, so that a small function's short call is not held back for a tenth of a second
QUOTA_US_MIN = 1_000
PREFIX = "cumulo-"
DYING_VCPUS = 4.0
V1_KINDS = ("memory", "cpu", "pids", "freezer")
ICE = "ice"


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _write_if_there(path: str, value: str) -> None:
    try:
        _write(path, value)
    except OSError:
        return


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def counter(text: str, name: str) -> int:
    """The number beside `name` in a file of `name number` lines."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def quota_us(vcpus: float) -> int:
    """Microseconds of processor time in each period."""
    return max(QUOTA_US_MIN, round(vcpus * PERIOD_US))


class GroupsV1:
    """Hierarchies mounted apart: /sys/fs/cgroup/memory, cpu, pids, freezer."""

    version = 1
    frozen_word = b"FROZEN"
    thawed_word = b"THAWED"
    cache_word = "total_inactive_file"
    cache_word_too = "total_active_file"

    def __init__(self, root: str, parent: str) -> None:
        self.bases = {kind: f"{root}/{kind}/{parent}" for kind in V1_KINDS}
        for base in self.bases.values():
            os.makedirs(base, exist_ok=True)

    def keep_one_frozen(self) -> None:
        """Keep an empty frozen group.

        The first frozen group of a machine makes the kernel patch its own code, and the last thawed one undoes
        that: 100 us each, instead of 3 for those between.
        """
        ice = f"{self.bases['freezer']}/{ICE}"
        os.makedirs(ice, exist_ok=True)
        _write_if_there(f"{ice}/freezer.state", "FROZEN")

    def make(self, cell: str, pids_max: int) -> None:
        """Make the groups of a cell."""
        for base in self.bases.values():
            os.mkdir(f"{base}/{cell}")
        _write(f"{self.bases['pids']}/{cell}/pids.max", str(pids_max))

    def join(self, cell: str) -> None:
        """Move the calling process in.  The kernel takes about 10 ms for the first move after a pause."""
        for base in self.bases.values():
            _write(f"{base}/{cell}/cgroup.procs", "0")

    def limit(self, cell: str, memory_bytes: int, pids_max: int) -> None:
        """Bound memory, without swap, and processes."""
        base = f"{self.bases['memory']}/{cell}"
        _write(f"{base}/memory.limit_in_bytes", str(memory_bytes))
        _write_if_there(f"{base}/memory.memsw.limit_in_bytes", str(memory_bytes))
        _write(f"{self.bases['pids']}/{cell}/pids.max", str(pids_max))

    def cpu(self, cell: str, vcpus: float) -> None:
        """Bound processor time."""
        base = f"{self.bases['cpu']}/{cell}"
        _write(f"{base}/cpu.cfs_period_us", str(PERIOD_US))
        _write(f"{base}/cpu.cfs_quota_us", str(quota_us(vcpus)))

    def open_freezer(self, cell: str) -> int:
        """A descriptor that takes `frozen_word` and `thawed_word`."""
        return os.open(f"{self.bases['freezer']}/{cell}/freezer.state", os.O_RDWR | os.O_CLOEXEC)

    def open_peak(self, cell: str) -> int:
        """A descriptor that reads the most memory used."""
        return os.open(f"{self.bases['memory']}/{cell}/memory.max_usage_in_bytes", os.O_RDONLY | os.O_CLOEXEC)

    def open_stat(self, cell: str) -> int:
        """A descriptor that reads what the memory is used for."""
        return os.open(f"{self.bases['memory']}/{cell}/memory.stat", os.O_RDONLY | os.O_CLOEXEC)

    def out_of_memory(self, cell: str) -> bool:
        """Whether the kernel killed for memory inside."""
        try:
            return counter(_read(f"{self.bases['memory']}/{cell}/memory.oom_control"), "oom_kill") > 0
        except OSError:
            return False

    def processes(self, cell: str) -> list[int]:
        """Who is in there, by the pid this process sees."""
        found: set[int] = set()
        for base in self.bases.values():
            try:
                found.update(int(word) for word in _read(f"{base}/{cell}/cgroup.procs").split())
            except OSError:
                continue
        return sorted(found)

    def thaw(self, cell: str) -> None:
        """Let everything inside run, above all into a pending SIGKILL."""
        _write_if_there(f"{self.bases['freezer']}/{cell}/freezer.state", "THAWED")

    def remove(self, cell: str) -> bool:
        """Remove the groups; False while something is still in one."""
        return not [base for base in self.bases.values() if not _rmdir(f"{base}/{cell}")]

    def cells(self) -> list[str]:
        """The groups that are there."""
        return sorted({name for base in self.bases.values() for name in _folders(base)} - {ICE})

    def remove_parent(self) -> bool:
        """Remove the parent, when it is empty."""
        _rmdir(f"{self.bases['freezer']}/{ICE}")
        return not [base for base in self.bases.values() if not _rmdir(base)]


class GroupsV2:
    """The one unified hierarchy."""

    version = 2
    frozen_word = b"1"
    thawed_word = b"0"
    cache_word = "inactive_file"
    cache_word_too = "active_file"

    def __init__(self, root: str, parent: str) -> None:
        self.base = f"{root}/{parent}"
        for folder in (root, self.base):
            os.makedirs(folder, exist_ok=True)
            have = _read(f"{folder}/cgroup.subtree_control").split()
            wanted = [f"+{kind}" for kind in ("memory", "cpu", "pids") if kind not in have]
            if wanted:
                _write(f"{folder}/cgroup.subtree_control", " ".join(wanted))

    def keep_one_frozen(self) -> None:
        """Nothing is gained by it here."""

    def make(self, cell: str, pids_max: int) -> None:
        """Make the group of a cell."""
        os.mkdir(f"{self.base}/{cell}")
        _write(f"{self.base}/{cell}/pids.max", str(pids_max))

    def join(self, cell: str) -> None:
        """Move the calling process in."""
        _write(f"{self.base}/{cell}/cgroup.procs", "0")

    def limit(self, cell: str, memory_bytes: int, pids_max: int) -> None:
        """Bound memory, without swap, and processes; an overrun ends the whole group."""
        base = f"{self.base}/{cell}"
        _write(f"{base}/memory.max", str(memory_bytes))
        _write_if_there(f"{base}/memory.swap.max", "0")
        _write_if_there(f"{base}/memory.oom.group", "1")
        _write(f"{base}/pids.max", str(pids_max))

    def cpu(self, cell: str, vcpus: float) -> None:
        """Bound processor time."""
        _write(f"{self.base}/{cell}/cpu.max", f"{quota_us(vcpus)} {PERIOD_US}")

    def open_freezer(self, cell: str) -> int:
        """A descriptor that takes `frozen_word` and `thawed_word`."""
        return os.open(f"{self.base}/{cell}/cgroup.freeze", os.O_RDWR | os.O_CLOEXEC)

    def open_peak(self, cell: str) -> int:
        """A descriptor that reads the most memory used, or what is used now before Linux 5.19."""
        for name in ("memory.peak", "memory.current"):
            try:
                return os.open(f"{self.base}/{cell}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        raise FileNotFoundError(f"{self.base}/{cell} has no memory controller")

    def open_stat(self, cell: str) -> int:
        """A descriptor that reads what the memory is used for."""
        return os.open(f"{self.base}/{cell}/memory.stat", os.O_RDONLY | os.O_CLOEXEC)

    def out_of_memory(self, cell: str) -> bool:
        """Whether the kernel killed for memory inside."""
        try:
            return counter(_read(f"{self.base}/{cell}/memory.events"), "oom_kill") > 0
        except OSError:
            return False

    def processes(self, cell: str) -> list[int]:
        """Who is in there, by the pid this process sees."""
        try:
            return [int(word) for word in _read(f"{self.base}/{cell}/cgroup.procs").split()]
        except OSError:
            return []

    def thaw(self, cell: str) -> None:
        """Let everything inside run."""
        _write_if_there(f"{self.base}/{cell}/cgroup.freeze", "0")

    def remove(self, cell: str) -> bool:
        """Remove the group; False while something is still in it."""
        return _rmdir(f"{self.base}/{cell}")

    def cells(self) -> list[str]:
        """The groups that are there."""
        return _folders(self.base)

    def remove_parent(self) -> bool:
        """Remove the parent, when it is empty."""
        return _rmdir(self.base)


Groups = GroupsV1 | GroupsV2
KINDS: dict[int, type[GroupsV1] | type[GroupsV2]] = {1: GroupsV1, 2: GroupsV2}


def open_groups(root: str, instance: str) -> Groups:
    """The groups of an instance on this machine; OSError when there is nothing to limit with."""
    parent = PREFIX + instance
    if os.path.exists(f"{root}/cgroup.controllers"):
        return GroupsV2(root, parent)
    return GroupsV1(root, parent)


def _rmdir(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _folders(path: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def used_bytes(groups: Groups | type[GroupsV1] | type[GroupsV2], peak: str, stat: str) -> int:
    """The most memory used, without the cache of files that the kernel would give up at any time."""
    cache = counter(stat, groups.cache_word) + counter(stat, groups.cache_word_too)
    return max(0, int(peak) - cache)


def peak_of(groups: Groups, cell: str) -> int:
    """The most memory that a cell used; 0 when it cannot be known."""
    fds: list[int] = []
    try:
        fds += [groups.open_peak(cell), groups.open_stat(cell)]
        peak, stat = (os.read(fd, 65536).decode() for fd in fds)
        return used_bytes(groups, peak, stat)
    except (OSError, ValueError):
        return 0
    finally:
        for fd in fds:
            os.close(fd)


def hurry(groups: "Groups | None", cell: str) -> None:
    """Give the dying processor time: a thousand processes on a small share take minutes to be cleared away."""
    if groups is not None:
        try:
            groups.cpu(cell, DYING_VCPUS)
        except OSError:
            return  # it is dead already


def end(groups: Groups, cell: str) -> None:
    """Kill whatever is left in a cell that nobody looks after any more."""
    hurry(groups, cell)
    from cumulo.base.killing import kill_those  # cells and their warden do without it as long as they can

    kill_those(groups.processes(cell), lambda: groups.processes(cell))
    groups.thaw(cell)


def remove_all(groups: Groups, cells: list[str], deadline: float) -> bool:
    """Remove the groups of dead cells and their parent, waiting for the kernel until `deadline` (monotonic)."""
    while [cell for cell in cells if not groups.remove(cell)] or not groups.remove_parent():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
