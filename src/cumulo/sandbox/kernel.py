"""The system calls that Python does not offer, by ctypes.

Only the standard library and as little of it as possible: the warden and every cell carry these pages.
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

ATTR_RDONLY = 1
ATTR_NOSUID = 2
ATTR_NODEV = 4
ATTR_NOEXEC = 8

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_SECBITS_ROOT_IS_NOBODY_SPECIAL = 1 | 2 | 64 | 128  # NOROOT and NO_CAP_AMBIENT_RAISE, both locked

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH = 4

_X86 = os.uname().machine == "x86_64"
_SYS_PIVOT_ROOT = 155 if _X86 else 41
_SYS_CAPSET = 126 if _X86 else 91
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_CLOSE_RANGE = 436
_SYS_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(what: str, number: int, *arguments: object) -> int:
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), what)


def _prctl(what: str, option: int, *arguments: object) -> int:
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    return _checked(_libc.prctl(option, *words), what)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def syncfs(path: str) -> None:
    """Write everything of the file system that a folder is on."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.syncfs(fd), "syncfs")
    finally:
        os.close(fd)


def setns(fd: int, kind: int) -> None:
    """Enter a namespace."""
    _checked(_libc.setns(fd, kind), "setns")


def sethostname(name: str) -> None:
    """Name the machine, as this UTS namespace sees it."""
    raw = name.encode()
    _checked(_libc.sethostname(raw, len(raw)), "sethostname")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount by path."""
    result = _libc.mount(
        source.encode() or None,
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _checked(result, f"mount {kind or source} at {target}")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Take a mount away."""
    _checked(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root_here() -> None:
    """Make the current folder, which is a mount, the root and let go of everything else."""
    _syscall("pivot_root", _SYS_PIVOT_ROOT, b".", b".")
    umount(".")
    os.chdir("/")


def open_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at `path`, as a descriptor."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _syscall(f"open_tree {path}", _SYS_OPEN_TREE, _AT_FDCWD, path.encode(), flags)


def open_tree_at(place: int) -> int:
    """The same of the folder that a descriptor is of, without what is mounted below it."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_EMPTY_PATH
    return _syscall("open_tree of a descriptor", _SYS_OPEN_TREE, place, b"", flags)


def move_mount(fd: int, target: str) -> None:
    """Attach a detached mount."""
    _syscall(
        f"move_mount {target}",
        _SYS_MOVE_MOUNT,
        fd,
        b"",
        _AT_FDCWD,
        target.encode(),
        _MOVE_MOUNT_F_EMPTY_PATH,
    )


def mount_setattr(fd: int, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes to a mount and cut it off from others' mount events.  Linux 5.12."""
    what = _MountAttr(attributes, 0, MS_PRIVATE, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _syscall("mount_setattr", _SYS_MOUNT_SETATTR, fd, b"", flags, ctypes.byref(what), ctypes.sizeof(what))


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    try:
        _syscall("close_range", _SYS_CLOSE_RANGE, first, 0x7FFFFFFF, 0)
    except OSError:
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, 9)


def hide_memory() -> None:
    """Let nobody without privileges trace this process or read its memory and environment."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    """Make set-user-id programs and file capabilities powerless from here on."""
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)


def bound_capabilities() -> None:
    """Empty the bounding and ambient sets and take user id 0's magic away, for good."""
    for capability in range(64):
        try:
            _prctl("PR_CAPBSET_DROP", _PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EINVAL: beyond the last one this kernel knows
    _prctl("PR_CAP_AMBIENT", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _prctl("PR_SET_SECUREBITS", _PR_SET_SECUREBITS, _SECBITS_ROOT_IS_NOBODY_SPECIAL)


def drop_capabilities() -> None:
    """Give up every capability: effective, permitted and inheritable."""
    header = _CapHeader(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _syscall("capset", _SYS_CAPSET, ctypes.byref(header), ctypes.byref(nothing))


def load_seccomp(program: bytes) -> None:
    """Filter this process's system calls, and its children's, by a raw BPF program."""
    if program:
        what = _SockFprog(len(program) // 8, program)
        _prctl("PR_SET_SECCOMP", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(what))
