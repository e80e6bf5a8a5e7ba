"""Pods whose data folder was deleted, with nobody left to remove them: ended by whichever engine comes next.

Every instance notes in its folder below /run where its data are.  Containers of a server that does not run are
left alone as long as their data are there, for they outlive it on purpose.  Blocking.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from cumulo.engines.engine import EngineError
from cumulo.engines.local.files import delete_folder, write_whole
from cumulo.engines.local.groups import open_groups
from cumulo.engines.local.runtime import Runtime, Tools

LOCK = "lock"
_NOTE = "data"


def note(run: Path, data: Path) -> None:
    """Say whose this folder below /run is."""
    write_whole(run / _NOTE, str(data).encode())


def end(parent: Path, cgroups: Path) -> list[str]:
    """End the pods of instances whose data are gone and that no server has open; their names."""
    ended = []
    for run in sorted(parent.iterdir()):
        try:
            data = (run / _NOTE).read_text()
            lock = os.open(run / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if data and not Path(data).exists():
                _end_one(run, cgroups)
                ended.append(run.name)
        except (OSError, EngineError):
            continue  # somebody has it, or something does not die: the next engine may try again
        finally:
            os.close(lock)
    return ended


def remove_folder(run: Path) -> None:
    """Remove what an instance has below /run, by whoever holds its lock: that file is the last to go."""
    with contextlib.suppress(OSError, EngineError):
        for entry in run.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                delete_folder(entry)
            else:
                entry.unlink()
        (run / LOCK).unlink()
        run.rmdir()


def _end_one(run: Path, cgroups: Path) -> None:
    runtime = Runtime(Tools("", ""), run / "runtime", run / "sockets")
    groups = open_groups(cgroups, run.name)
    for one in runtime.runs():
        runtime.clear(one)
    for pod in groups.names():
        groups.kill(pod)
    for one in runtime.runs():
        runtime.clear(one)
    for pod in groups.names():
        groups.remove(pod)
    with contextlib.suppress(OSError):
        groups.remove_parent()
    remove_folder(run)
