"""Writing a file so that it is either the old or the new one, and deleting folders so that no mount is entered."""

import os
import shutil
from pathlib import Path

from cumulo.engines.engine import EngineError
from cumulo.engines.local.hands import unmount_below


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file by renaming a finished one.  A kill leaves the old one; no power failure is withstood, for no
    container withstands one.
    """
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    temporary.rename(path)


def delete_folder(folder: Path) -> None:
    """Delete a folder with all that is in it, after taking away what is mounted there.  EngineError."""
    try:
        unmount_below(folder)
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise EngineError(f"{folder} could not be deleted: {error}") from error
