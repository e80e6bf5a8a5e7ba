"""Folders that containers share or keep: the engine's volumes, and those of pods.

A missing one is made with what the image has at that place, as Docker does, once: it gets its name only when it is full.
"""

import os
import re
import secrets
import subprocess
from pathlib import Path

from cumulo.engines.engine import EngineError
from cumulo.engines.local.files import delete_folder
from cumulo.engines.local.inside import Inside

MAKING = ".new-"
GONE = ".gone-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_COPY_SECONDS_MAX = 100.0


def check_name(name: str) -> None:
    """EngineError for one that is no name of a folder."""
    if not _NAME.fullmatch(name):
        raise EngineError(f"{name!r} is no name for a volume: {_NAME.pattern}")


def ensure(folder: Path, inside: Inside, target: str) -> Path:
    """The folder of a volume, made when it is missing.  EngineError."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = folder.with_name(f"{MAKING}{secrets.token_hex(8)}")
    making.mkdir(mode=0o755)
    try:
        source = inside.folder(target)
        if source is not None:
            try:
                _copy(source, making)
            finally:
                os.close(source)
        making.rename(folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        delete_folder(making)
        if not folder.is_dir():  # another was quicker
            raise EngineError(f"the volume {folder.name} could not be made: {error}") from error
    return folder


def remove(folder: Path) -> None:
    """Delete it, and what is in it.  Harmless when there is none."""
    gone = folder.with_name(f"{GONE}{secrets.token_hex(8)}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    delete_folder(gone)


def sweep(parent: Path) -> None:
    """Delete what a killed server was making or deleting."""
    for entry in list(parent.iterdir()) if parent.is_dir() else []:
        if entry.name.startswith((MAKING, GONE)):
            delete_folder(entry)


def _copy(source: int, folder: Path) -> None:
    """Copy what is in a folder with owners, links and attributes; and the folder's own owner and mode."""
    if os.listdir(source):
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", f"/proc/self/fd/{source}/.", str(folder)],
            pass_fds=(source,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COPY_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise OSError(done.stderr.strip()[-500:])
    about = os.fstat(source)
    os.chown(folder, about.st_uid, about.st_gid)
    folder.chmod(about.st_mode & 0o7777)
