"""A root file system of Debian with Python and the real awslambdaric, for an image as people make them.

Debian's part is made by debootstrap once, and kept in the user's cache folder.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = "bookworm"
PYTHON = (3, 11)  # Debian 12's
HANDLER = "def handler(event, context):\n    return {'ok': True}\n"
OWN_START = ("/usr/bin/python3", "-c", "import awslambdaric.bootstrap")
ENV = {"PYTHONPATH": "/var/runtime"}
_PACKAGES = ("awslambdaric", "simplejson", "snapshot-restore-py")
_SECONDS_MAX = 600


class NotHere(Exception):
    """It cannot be made; the message says why."""


def root(folder: Path) -> Path:
    """The root file system in a new folder.  NotHere."""
    if sys.version_info[:2] != PYTHON:
        raise NotHere("Debian 12's Python is 3.11, and awslambdaric is compiled for this one")
    shutil.copytree(_debian(), folder, symlinks=True)
    for name in _PACKAGES:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts:
                target = folder / "var" / "runtime" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    (folder / "var" / "task").mkdir()
    (folder / "var" / "task" / "app.py").write_text(HANDLER)
    _run("chroot", str(folder), "/usr/bin/python3", "-m", "compileall", "-q", "/var/runtime", "/var/task")
    _run("chroot", str(folder), "/usr/bin/env", "PYTHONPATH=/var/runtime", *OWN_START)
    return folder


def _debian() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cumulo" / "bench"
    made = cache / f"{SUITE}-python"
    if made.is_dir():
        return made
    if shutil.which("debootstrap") is None:
        raise NotHere("no debootstrap: apt-get install debootstrap")
    cache.mkdir(parents=True, exist_ok=True)
    temporary = cache / f".{made.name}-{os.getpid()}"
    try:
        _run("debootstrap", "--variant=minbase", "--include=python3", SUITE, str(temporary))
        for name in ("dev", "proc", "sys", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(temporary / name, ignore_errors=True)
        for name in ("dev", "proc", "sys"):
            (temporary / name).mkdir()
        temporary.rename(made)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return made


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{argv[0]} took longer than {_SECONDS_MAX} s") from error
    if done.returncode != 0:
        raise NotHere(f"{argv[0]} failed: {(done.stderr or done.stdout)[-300:]}")
