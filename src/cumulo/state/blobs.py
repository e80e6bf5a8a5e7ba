"""Blobs: files named by the sha256 of their bytes.

Written to a temporary name, synced, renamed: a blob that can be found is whole.
"""

import hashlib
import os
import secrets
from pathlib import Path


class Blobs:
    """A folder of content-addressed files; `incoming` holds what is not finished and is emptied at start."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be; `digest` is 64 hexadecimal digits."""
        assert len(digest) == 64, "a sha256 in hexadecimal"
        return self._root / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the blob is here, whole."""
        return self.path(digest).exists()

    def put(self, data: bytes) -> str:
        """Keep bytes; returns their digest.  Blocks for the disk: call it in a thread when they are many."""
        digest = hashlib.sha256(data).hexdigest()
        if self.has(digest):
            return digest
        temporary = self._incoming / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            target = self.path(digest)
            target.parent.mkdir(exist_ok=True)
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """The blob's bytes; FileNotFoundError when it is not here."""
        return self.path(digest).read_bytes()

    def delete(self, digest: str) -> None:
        """Forget a blob; nothing happens when it is not here."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> list[str]:
        """Every blob that is here."""
        return [
            file.name for folder in self._root.iterdir() if len(folder.name) == 2 for file in folder.iterdir()
        ]


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
