"""Files of control groups: to read, to write, to remove; and what their texts say."""

import os
from pathlib import Path

from cumulo.sandbox.cgroups import counter


def weight(shares: int) -> int:
    """Version 2's weight (1 to 10000) for version 1's shares (2 to 262144), as runtimes convert it."""
    return 1 + (min(262_144, max(2, shares)) - 2) * 9_999 // 262_142


def without_cache(used_bytes: int, folder: Path, word: str) -> int:
    """What is used, without the files that the kernel would drop at any time: as `docker stats` counts."""
    return max(0, used_bytes - counter(text_of(folder / "memory.stat"), word))


def lower_below(folder: Path, quota: int) -> None:
    """Give no group below more processor time than this, in microseconds of each period."""
    for below, _, _ in os.walk(folder, topdown=False):
        file = Path(below) / "cpu.cfs_quota_us"
        if Path(below) != folder and number_of(file) > quota:
            write_if_there(file, str(quota))


def blkio_bytes(text: str) -> tuple[int, int]:
    """Bytes read and written, of lines like `8:0 Read 4096`."""
    sums = {"Read": 0, "Write": 0}
    for words in (line.split() for line in text.splitlines()):
        if len(words) == 3 and words[1] in sums:
            sums[words[1]] += int(words[2])
    return sums["Read"], sums["Write"]


def io_bytes(text: str) -> tuple[int, int]:
    """Bytes read and written, of lines like `8:0 rbytes=1 wbytes=2 ...`."""
    sums = {"rbytes": 0, "wbytes": 0}
    for pair in text.split():
        key, _, value = pair.partition("=")
        if key in sums:
            sums[key] += int(value)
    return sums["rbytes"], sums["wbytes"]


def text_of(path: Path) -> str:
    """What a file says; empty when it is not there."""
    try:
        return path.read_text()
    except OSError:
        return ""


def number_of(path: Path) -> int:
    """The number that a file says, or 0."""
    text = text_of(path).strip()
    return int(text) if text.isdecimal() else 0


def write(path: Path, value: str) -> None:
    """Say something to the kernel.  OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def write_if_there(path: Path, value: str) -> None:
    """The same, where there is such a file and the kernel will have it."""
    try:
        write(path, value)
    except OSError:
        return


def folders(path: Path) -> list["os.DirEntry[str]"]:
    """The folders in a folder; none when it is not there."""
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def remove_tree(path: Path) -> bool:
    """Remove a group and those below; False when somebody is in one."""
    left = [entry for entry in folders(path) if not remove_tree(Path(entry.path))]
    return not left and rmdir(path)


def rmdir(path: Path) -> bool:
    """Remove a group; False when it is not empty."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
