"""Files inside a container's root, looked at from outside: no link, however hostile, leads out of it.  Linux 5.6."""

import ctypes
import errno
import os
import stat

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_TEXT_BYTES_MAX = 4 * 1024 * 1024
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Inside:
    """A folder that is taken for `/`.  Paths are as the container sees them."""

    def __init__(self, root: str) -> None:
        self._fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> "Inside":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def open(self, path: str, flags: int) -> int:
        """A descriptor.  OSError as of the system call."""
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        result = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(self._fd),
            os.fsencode(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(result)

    def text(self, path: str) -> str:
        """A small file; empty when it is not there or no plain file."""
        try:
            fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return ""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            return _read_all(fd).decode("utf-8", "replace")
        finally:
            os.close(fd)

    def folder(self, path: str) -> int | None:
        """A descriptor of a folder; None when there is none."""
        try:
            return self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise


def _read_all(fd: int) -> bytes:
    pieces = []
    left = _TEXT_BYTES_MAX
    while left and (piece := os.read(fd, min(left, 65536))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
