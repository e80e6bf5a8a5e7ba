"""/var/runtime folders: made once under a name that says what is in them, then never changed.

Many can make the same one at once: each fills a folder of its own, and the first to rename it wins.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path

FOLDER_MODE = 0o755  # functions run as any user
FILE_MODE = 0o644


class Homes:
    """The folder of /var/runtime folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, name: str, contents: Iterable[str | bytes], fill: Callable[[Path], None]) -> Path:
        """Return the folder for these contents; `fill` is called with a new one when there is none yet."""
        digest = hashlib.sha256()
        for part in contents:
            digest.update((part.encode() if isinstance(part, str) else part) + b"\0")
        home = self.root / f"{name}-{digest.hexdigest()[:16]}"
        if home.is_dir():
            return home
        self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=self.root, prefix=".new-"))
        try:
            fill(new)
            open_up(new)
            new.rename(home)
        except OSError:
            if not home.is_dir():  # else somebody else was quicker, with the same contents
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return home

    def empty(self) -> Path:
        """Return a folder with nothing in it, to hide others behind."""
        return self.make("empty", (), lambda _: None)


def shipped(folder: str, *, suffixes: tuple[str, ...]) -> Mapping[str, bytes]:
    """Return the files of ours in `folder` (python, node, java) by name, sorted."""
    place = resources.files("cumulo.sandbox.runtimes").joinpath(folder)
    files = {entry.name: entry for entry in place.iterdir() if entry.name.endswith(suffixes)}
    return {name: files[name].read_bytes() for name in sorted(files)}


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files of ours."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def link(source: Path, target: Path) -> None:
    """Put `source` at `target`, without copying where the file system and its mode allow."""
    if not target.parent.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_mode & 0o004:
        try:
            os.link(source.resolve() if source.is_symlink() else source, target)
        except OSError:
            pass  # another file system, or not ours to link
        else:
            return
    shutil.copy2(source, target)
    target.chmod(FILE_MODE)


def open_up(folder: Path) -> None:
    """Let every user read what is in `folder`."""
    folder.chmod(FOLDER_MODE)
    for place, folders, files in os.walk(folder):
        for name in folders:
            os.chmod(os.path.join(place, name), FOLDER_MODE)  # noqa: PTH101, PTH118 - thousands of them
        for name in files:
            path = os.path.join(place, name)  # noqa: PTH118
            mode = os.stat(path).st_mode  # noqa: PTH116
            if not mode & 0o004:
                os.chmod(path, FILE_MODE | mode & 0o111)  # noqa: PTH101
