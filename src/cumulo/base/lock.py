"""One owner for a folder at a time."""

import fcntl
import os
from pathlib import Path


class Locked(Exception):
    """Somebody else owns the folder."""


class FolderLock:
    """Holds `folder/lock` while it lives; the kernel lets go of it when the process dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise Locked(f"another Cumulo is using {folder}") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go."""
        os.close(self._fd)
