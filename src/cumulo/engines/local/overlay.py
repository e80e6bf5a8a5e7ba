"""The root file system of a container: its image's layers, and what it writes on top."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cumulo.engines.local.hands import mounted_below
from cumulo.sandbox import kernel


def mount(lowers: Sequence[Path], folder: Path) -> Path:
    """Mount at <folder>/rootfs, with <folder>/upper and work; returns where.  OSError.  Harmless when mounted.

    lowers  lowest first

    Layers are given to the kernel as descriptors: its list of options holds 4096 bytes, and a path may have commas
    and colons in it.
    """
    target = folder / "rootfs"
    if mounted_below(target):
        return target
    for path in (target, folder / "upper", folder / "work"):
        path.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:

        def name(path: Path) -> str:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            return f"/proc/thread-self/fd/{fd}"

        lower = ":".join(name(path) for path in reversed(lowers)) if lowers else _nothing(folder, name)
        options = f"lowerdir={lower},upperdir={name(folder / 'upper')},workdir={name(folder / 'work')}"
        # The index would refuse an upper folder that a namespace of an earlier server still has mounted.
        kernel.mount("overlay", str(target), "overlay", 0, f"{options},index=off")
    return target


def _nothing(folder: Path, name: Callable[[Path], str]) -> str:
    """An empty layer, for an image that has none."""
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    return name(empty)
