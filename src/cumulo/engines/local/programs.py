"""Whether the kernel can execute a program of an image, known before it is tried.

A runtime checks the program itself and not what it needs.  When that is missing, the container is there already, ends at
once, and the reason is only a line of its output: it would look like the program's own failure.

program ──▶ #! line ──▶ its interpreter, again a program
        └─▶ ELF ──▶ the dynamic linker that it names

Looked at from outside, so whatever is mounted into the container only later is not judged, and neither is what handlers
of foreign formats (binfmt_misc) may take.
"""

import errno
import os
import posixpath
import stat
from collections import deque
from collections.abc import Collection
from pathlib import Path

import msgspec

from cumulo.engines.engine import StartFailed
from cumulo.engines.local.inside import Inside
from cumulo.engines.local.users import User

_LINKS_MAX = 40  # the kernel's
_SCRIPTS_MAX = 4  # scripts whose interpreter is a script; the kernel allows one more
_HEAD_BYTES = 256  # what the kernel looks at
_PATH_BYTES_MAX = 4096
_SEGMENTS_MAX = 64
_ACL = "system.posix_acl_access"
_HANDLERS = Path("/proc/sys/fs/binfmt_misc")
_NO_HANDLERS = {"register", "status"}
_PT_INTERP = 3


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who executes it, and where: `path` is the variable PATH."""

    cwd: str
    path: str
    user: User
    capabilities: Collection[str]


class _Untold(Exception):
    """Only trying will tell."""


def check(inside: Inside, program: str, caller: Caller, covered: Collection[str]) -> None:
    """StartFailed `entrypoint` when the program is sure to fail, in the kernel's words.

    covered  where something will be mounted
    """
    try:
        look = _Look(inside, caller, covered)
        found = look.find(program)
    except _Untold:
        return
    if found is None:
        return  # the runtime looks it up once more, and says so
    try:
        look.load(found)
    except _Untold:
        return
    except OSError as error:
        needed = f" ({error.filename} is needed for it)" if error.filename != found else ""
        text = f"exec {found}: {os.strerror(error.errno or 0).lower()}{needed}"
        raise StartFailed("entrypoint", text) from error


class _Look:
    """Looks at one root as one caller."""

    def __init__(self, inside: Inside, caller: Caller, covered: Collection[str]) -> None:
        self._inside = inside
        self._caller = caller
        self._covered: set[str] = set()
        self._covered = {self._mounted(target) for target in covered}

    def find(self, program: str) -> str | None:
        """The path of a program, looked up as execvp does; None when there is none in PATH."""
        if "/" in program:
            return posixpath.join(self._caller.cwd, program)
        for folder in self._caller.path.split(":") if program and self._caller.path else ():
            path = posixpath.join(self._caller.cwd, folder, program)
            try:
                self._executable(path)
            except OSError:
                continue
            return path
        return None

    def load(self, path: str, depth: int = 0) -> None:
        """OSError with the name of what fails."""
        real = self._executable(path)
        try:
            fd = self._inside.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise _Untold from error
        try:
            head = _read(fd, _HEAD_BYTES, 0)
            if head.startswith(b"#!"):
                if depth >= _SCRIPTS_MAX:
                    raise _Untold
                self.load(posixpath.join(self._caller.cwd, _interpreter(head, path)), depth + 1)
            elif head.startswith(b"\x7fELF"):
                linker = _linker(fd, head)
                if linker:
                    self._executable(posixpath.join(self._caller.cwd, linker))
            elif b"\0" in head or _has_handlers():
                raise _Untold
            else:
                raise OSError(errno.ENOEXEC, "", path)
        finally:
            os.close(fd)

    def _executable(self, path: str) -> str:
        """Where it really is.  OSError when it may not be executed."""
        try:
            real, mode = self._follow(path)
        except OSError as error:
            raise OSError(error.errno, "", path) from error
        if not stat.S_ISREG(mode):
            raise OSError(errno.EACCES, "", path)
        return real

    def _follow(self, path: str, *, as_root: bool = False) -> tuple[str, int]:
        """Where a path leads, step by step as the kernel goes, and the mode of what is there.  OSError."""
        left, at, links = deque(["", *_parts(path)]), "", 0
        mode = 0
        while left:
            part = left.popleft()
            if part == "..":
                at = posixpath.dirname(at).rstrip("/")
                mode = stat.S_IFDIR
                continue
            there = f"{at}/{part}" if part else "/"
            if there in self._covered:
                raise _Untold
            fd = self._open(there)
            try:
                about = os.fstat(fd)
                if stat.S_ISLNK(about.st_mode):
                    links += 1
                    target = os.readlink("", dir_fd=fd)
                    if links > _LINKS_MAX or len(left) > _PATH_BYTES_MAX:
                        raise OSError(errno.ELOOP, "")
                    at = "" if target.startswith("/") else at
                    left.extendleft(reversed(_parts(target)))
                    continue
                if left and not stat.S_ISDIR(about.st_mode):
                    raise OSError(errno.ENOTDIR, "")
                if not as_root:
                    self._permit(fd, about)
            finally:
                os.close(fd)
            at, mode = there.rstrip("/"), about.st_mode
        return at, mode

    def _open(self, path: str) -> int:
        try:
            return self._inside.open(path, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            if any(
                target.startswith(f"{path}/") for target in self._covered
            ):  # it is made for what is mounted in it
                raise _Untold from None
            raise

    def _permit(self, fd: int, about: os.stat_result) -> None:
        """OSError when the caller may not execute a file, or pass through a folder."""
        folder, held = stat.S_ISDIR(about.st_mode), self._caller.capabilities
        if "DAC_OVERRIDE" in held:
            allowed = folder or bool(about.st_mode & 0o111)
        elif folder and "DAC_READ_SEARCH" in held:
            allowed = True
        else:
            user = self._caller.user
            shift = 6 if about.st_uid == user.uid else 3 if about.st_gid in {user.gid, *user.groups} else 0
            allowed = bool(about.st_mode >> shift & 1)
            if not allowed and _has_acl(fd):
                raise _Untold
        if not allowed:
            raise OSError(errno.EACCES, "")

    def _mounted(self, target: str) -> str:
        """Where a mount at a target really is: links are followed as far as there is anything."""
        parts = _parts(target)
        for count in range(len(parts), 0, -1):
            try:
                real, _ = self._follow("/" + "/".join(parts[:count]), as_root=True)
            except OSError:
                continue
            return posixpath.normpath("/".join([real, *parts[count:]]))
        return posixpath.normpath(target)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _interpreter(head: bytes, path: str) -> str:
    """The program of a #! line."""
    line, end, _ = head[2:].partition(b"\n")
    words = line.split(b"\0")[0].split(None, 1)
    if not words:
        raise OSError(errno.ENOEXEC, "", path)
    if not end and len(words) == 1 and len(head) == _HEAD_BYTES:
        raise _Untold  # cut off
    return os.fsdecode(words[0])


def _linker(fd: int, head: bytes) -> str:
    """The interpreter that an ELF file of this machine names; empty when it is static."""
    with Path("/proc/self/exe").open("rb") as mine:
        own = mine.read(20)
    if head[4:6] != own[4:6] or head[18:20] != own[18:20] or own[4:6] != b"\x02\x01":
        raise _Untold  # another machine's, or of 32 bits
    table, size, count = (_number(head, at, length) for at, length in ((32, 8), (54, 2), (56, 2)))
    if count > _SEGMENTS_MAX or table > 1 << 40:
        raise _Untold
    for number in range(count):
        segment = _read(fd, 56, table + size * number)
        if _number(segment, 0, 4) == _PT_INTERP:
            length = min(_number(segment, 32, 8), _PATH_BYTES_MAX)
            name, end, _ = _read(fd, length, min(_number(segment, 8, 8), 1 << 40)).partition(b"\0")
            if not name or not end:
                raise _Untold
            return os.fsdecode(name)
    return ""


def _read(fd: int, length: int, at: int) -> bytes:
    try:
        return os.pread(fd, length, at)
    except OSError as error:
        raise _Untold from error


def _number(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


def _has_handlers() -> bool:
    try:
        return any(entry.name not in _NO_HANDLERS for entry in _HANDLERS.iterdir())
    except OSError:
        return False


def _has_acl(fd: int) -> bool:
    try:
        os.getxattr(f"/proc/self/fd/{fd}", _ACL)
    except OSError as error:
        return error.errno not in {errno.ENODATA, errno.ENOTSUP}
    return True
