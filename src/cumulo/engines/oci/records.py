"""Small files that are whole or not there: written aside, synced, renamed."""

import os
import secrets
from pathlib import Path

from cumulo.state.blobs import sync_folder


def write(aside: Path, target: Path, data: bytes) -> None:
    """Put `data` at `target`; `aside` is a folder of the same file system that is swept at start.  Blocks for the disk."""
    temporary = aside / f"record-{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
