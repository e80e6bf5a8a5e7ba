"""The clouds that run on this machine: a small file for each, written by `cumulo up`.

    $XDG_RUNTIME_DIR or /tmp / cumulo-<uid> / <port>.json

The folder belongs to one user and nobody else may write there; a folder that does not is not believed, since
/tmp is everybody's.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A cloud that runs, or ran until it was killed.

    `born` is the process's start in the kernel's ticks, so that another process with the same id is not taken
    for it; 0 where the system does not tell.
    """

    port: int
    pid: int
    endpoint: str
    data: str
    started_at: float
    version: str
    born: int = 0

    def write(self, folder: Path) -> None:
        """Say that this cloud runs; the file is there whole or not at all."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _ours(folder):
            raise PermissionError(f"{folder} belongs to somebody else, or others may write to it")
        content = msgspec.json.encode(msgspec.structs.replace(self, born=_born(self.pid)))
        temporary = folder / f".{secrets.token_hex(8)}"
        temporary.write_bytes(content)
        temporary.replace(_path(folder, self.port))

    def remove(self, folder: Path) -> None:
        """Say that this cloud has ended, unless another took its port meanwhile."""
        there = self.read(folder, self.port)
        if there is not None and there.pid == self.pid:
            _path(folder, self.port).unlink(missing_ok=True)

    def alive(self) -> bool:
        """Whether the process still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return self.born in (0, _born(self.pid))

    @staticmethod
    def read(folder: Path, port: int) -> "Running | None":
        """What is known of the cloud on a port, alive or not."""
        if not _ours(folder):
            return None
        try:
            return msgspec.json.decode(_path(folder, port).read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None

    @staticmethod
    def list(folder: Path) -> "list[Running]":
        """The clouds that are alive, the youngest first; files of dead ones are removed."""
        if not _ours(folder):
            return []
        alive: list[Running] = []
        for path in folder.glob("*.json"):
            found = Running.read(folder, int(path.stem)) if path.stem.isdecimal() else None
            if found is not None and found.alive():
                alive.append(found)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        return sorted(alive, key=lambda found: -found.started_at)


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the files are."""
    return Path(environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"cumulo-{os.getuid()}"


def _path(folder: Path, port: int) -> Path:
    return folder / f"{port}.json"


def _ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _born(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field is the program's name in parentheses, and may hold anything; the 22nd is the start.
    return int(text.rpartition(")")[2].split()[19])
