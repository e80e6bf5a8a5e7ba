"""Processes of the machine by id, without mistaking one for another that got its number later."""

import asyncio
import os
from pathlib import Path


def boot_id() -> str:
    """Which boot of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def born(pid: int) -> int:
    """When it started, in ticks since the boot; 0 for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    fields = text[text.rindex(b")") + 2 :].split()
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])


def is_there(pid: int, born_at: int) -> bool:
    """Whether that very process is there, and no zombie."""
    return pid > 0 and born_at > 0 and born(pid) == born_at


def open_process(pid: int, born_at: int) -> int | None:
    """A pidfd of that very process; None when it has ended."""
    if pid <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if born_at and born(pid) != born_at:
        os.close(fd)
        return None
    return fd


async def ended(pidfd: int) -> None:
    """Wait until the process of a pidfd has ended."""
    await ready(pidfd)


async def ready(fd: int, *, write: bool = False) -> None:
    """Wait until a descriptor can be read, or written."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, event.set)
    try:
        await event.wait()
    finally:
        remove(fd)


def mentioning(*words: str) -> list[int]:
    """Processes whose command line has all of these words."""
    wanted = {word.encode() for word in words}
    with os.scandir("/proc") as entries:
        pids = [entry.name for entry in entries if entry.name.isdecimal() and int(entry.name) != os.getpid()]
    return [int(pid) for pid in pids if wanted <= set(_command_line(pid))]


def command_line(pid: int) -> list[str]:
    """Its words; none when it has ended."""
    return [word.decode("utf-8", "replace") for word in _command_line(str(pid))]


def _command_line(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
