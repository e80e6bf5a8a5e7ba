"""Chooses and opens the launcher for this machine, and clears away what killed servers left.

Every running instance holds the lock of a file in a folder of the machine, and so does its warden: a file
whose lock can be had belongs to nobody any more, and what bears its name may be removed.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from cumulo.sandbox import cgroups, filters, network
from cumulo.sandbox.birth import UNPRIVILEGED_UID
from cumulo.sandbox.contract import Isolation, Launcher
from cumulo.sandbox.launcher import CellLauncher, Limits
from cumulo.sandbox.plain import PlainLauncher
from cumulo.sandbox.probe import CGROUPS, Report, probe, tool
from cumulo.sandbox.stock import UIDS
from cumulo.sandbox.wardship import Wardship, connect

_UID_FIRST = 0x70000000  # far above what distributions, containers and systemd give out
_UID_BLOCKS = 16_384
END_ATTEMPTS_MAX = 3
LOCK_SECONDS_MAX = 8.0


class InstanceRuns(Exception):
    """Another server of this instance, or its warden, is still alive."""


async def open_launcher(
    *,
    data: Path,
    instance: str,
    cloud_port: int,
    kind: str = "auto",
    spare_cells: int = 3,
    early_spares: int = 3,
    spare_tmp_mib: int = 512,
    limits: Limits | None = None,
    report: Report | None = None,
    registry: Path | None = None,
) -> Launcher:
    """Open the best launcher that this machine allows.

    data        the cloud's folder; /tmp volumes and scratch live in its `volatile/sandbox`, which is emptied
    instance    a name that no other running server has; [a-z0-9-]
    cloud_port  where the cloud is inside sandboxes: 127.0.0.1:<cloud_port>
    kind        auto, namespaces (nothing less, OSError), or plain
    spare_cells how many sandboxes are kept prepared
    early_spares  how many of each expected runtime are kept started
    """
    found: Report = report if report is not None else await asyncio.to_thread(probe)
    if kind == "plain" or (kind == "auto" and found.isolation == Isolation.NONE):
        return PlainLauncher()
    if found.isolation == Isolation.NONE:
        raise OSError("; ".join(finding.detail for finding in found.findings if not finding.ok))
    return await asyncio.to_thread(
        _open_cells,
        data,
        instance,
        cloud_port,
        {"spares": spare_cells, "early_spares": early_spares, "spare_tmp_mib": spare_tmp_mib},
        limits or Limits(),
        found,
        registry,
    )


def _open_cells(
    data: Path,
    instance: str,
    cloud_port: int,
    spares: dict[str, int],
    limits: Limits,
    report: Report,
    registry: Path | None,
) -> CellLauncher:
    folder = registry or registry_folder()
    lock = claim(folder, instance)
    reap(folder)
    volatile = data.absolute() / "volatile" / "sandbox"
    shutil.rmtree(volatile, ignore_errors=True)
    (volatile / "scratch").mkdir(parents=True)
    program, isolation = _filter(report)
    config = _config(volatile, instance, report) | spares | {"cloud_port": cloud_port}
    generation = 0

    async def connect_warden() -> Wardship:
        nonlocal generation
        generation += 1
        return await connect(config | {"images": str(volatile / f"images-{generation}")}, program, lock)

    def clean() -> None:
        shutil.rmtree(volatile, ignore_errors=True)
        remove_leftovers(instance)
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{instance}.lock").unlink()
        os.close(lock)

    return CellLauncher(
        connect=connect_warden,
        cloud_port=cloud_port,
        isolation=isolation,
        limits=limits,
        reap=clean,
    )


def _config(volatile: Path, instance: str, report: Report) -> dict[str, Any]:
    """What a warden must know of this machine and instance."""
    return {
        "instance": instance,
        "privileged": report.privileged,
        "cgroups": str(CGROUPS),
        "scratch": str(volatile / "scratch"),
        "nft": tool("nft") if report.privileged else "",
        "mkfs": tool("mkfs.ext4") if report.ok("tmp") else "",
        "uid_base": _uid_base(instance) if report.privileged else UNPRIVILEGED_UID,
        "uid_count": UIDS if report.privileged else 1,
    }


def _filter(report: Report) -> tuple[bytes, Isolation]:
    """The filter of system calls; without one, isolation is partial at best."""
    try:
        return (filters.build() if report.ok("seccomp") else b""), report.isolation
    except filters.FilterError:
        return b"", Isolation.PARTIAL


def _uid_base(instance: str) -> int:
    """The first of the user ids of an instance: a block of its own, as far as chance allows."""
    return _UID_FIRST + zlib.crc32(instance.encode()) % _UID_BLOCKS * UIDS


def registry_folder() -> Path:
    """Where the locks of this machine's instances are, as far as this user is concerned."""
    if os.geteuid() == 0:
        return Path("/run/cumulo")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "cumulo" if runtime else Path(tempfile.gettempdir()) / f"cumulo-{os.geteuid()}"


def claim(registry: Path, instance: str, seconds_max: float = LOCK_SECONDS_MAX) -> int:
    """Lock an instance's name, waiting for the warden of a killed server to finish; the locked descriptor."""
    registry.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + seconds_max
    while True:
        fd = _try_lock(registry / f"{instance}.lock")
        if fd is not None:
            return fd
        if time.monotonic() > deadline:
            raise InstanceRuns(f"an instance named {instance} is running")
        time.sleep(0.05)


def reap(registry: Path) -> list[str]:
    """Remove what instances left that no longer run; their names."""
    reaped = []
    for path in sorted(registry.glob("*.lock")):
        fd = _try_lock(path, create=False)
        if fd is None:
            continue
        try:
            if remove_leftovers(path.stem):
                path.unlink(missing_ok=True)
                reaped.append(path.stem)
        finally:
            os.close(fd)
    return reaped


def remove_leftovers(instance: str) -> bool:
    """End what still runs in an instance's control groups and remove groups, bridge and rules; True when all went.

    Mounts, loop devices and namespaces go with the last process.
    """
    root = str(CGROUPS)
    parent = cgroups.PREFIX + instance
    gone = True
    if any(os.path.isdir(f"{base}/{parent}") for base in (root, *(f"{root}/{k}" for k in cgroups.V1_KINDS))):  # noqa: PTH112
        groups = cgroups.open_groups(root, instance)
        for _ in range(
            END_ATTEMPTS_MAX
        ):  # one that forked while it was being killed is met by the next round
            left = groups.cells()
            for name in left:
                cgroups.end(groups, name)
            gone = cgroups.remove_all(groups, left, time.monotonic() + 1.0)
            if gone:
                break
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            network.remove(instance, tool("nft"))
    return gone


def _try_lock(path: Path, *, create: bool = True) -> int | None:
    """Lock a file that is still the one of this name."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == path.stat().st_ino:
            return fd
    except OSError:
        pass
    os.close(fd)
    return None
