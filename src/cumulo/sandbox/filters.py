"""The filter of system calls: an allow-list, compiled by libseccomp to the BPF program that cells load.

Known calls that no language runtime needs fail with EPERM.  What is not known at all, being newer than this
list, fails with ENOSYS, at which programs fall back to what they did before.  Another architecture's calls
(i386, x32) end the process.
"""

import contextlib
import ctypes
import errno
import os

from cumulo.sandbox import syscalls

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ATTRIBUTE_BAD_ARCHITECTURE = 2
_ATTRIBUTE_OPTIMIZE = 8
_BY_BINARY_TREE = 2
_MASKED_EQ = 7
_UNKNOWN_CALL = -1

_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag that clone(2) takes
_TIOCSTI = 0x5412
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_WORD = 0xFFFFFFFF

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_STREAM, _DGRAM, _RAW, _SEQPACKET = 1, 2, 3, 5
_TYPE_MASK = 0xF
_SOCKETS = (
    (_AF_UNIX, _STREAM, 0),
    (_AF_UNIX, _DGRAM, 0),
    (_AF_UNIX, _SEQPACKET, 0),
    *((family, _STREAM, protocol) for family in (_AF_INET, _AF_INET6) for protocol in (0, 6, 262)),
    *((family, _DGRAM, protocol) for family in (_AF_INET, _AF_INET6) for protocol in (0, 17)),
    (_AF_NETLINK, _RAW, 0),  # NETLINK_ROUTE: how getaddrinfo and runtimes learn the addresses
    (_AF_NETLINK, _DGRAM, 0),
)


class FilterError(Exception):
    """There is no libseccomp here, or it refused."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def _masked(argument: int, mask: int, value: int) -> _Comparison:
    return _Comparison(argument, _MASKED_EQ, mask, value)


class _Builder:
    """One filter under construction."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL("libseccomp.so.2")
        except OSError as error:
            raise FilterError("libseccomp.so.2 is not installed") from error
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._lib.seccomp_init(ctypes.c_uint32(_ERRNO | errno.ENOSYS)))
        if not self._context:
            raise FilterError("seccomp_init failed")
        self._set(_ATTRIBUTE_BAD_ARCHITECTURE, _KILL_PROCESS)

    def add(self, action: int, name: str, *comparisons: _Comparison) -> None:
        """Add a rule; a name that this architecture or library does not know is passed over."""
        number = self._lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (_Comparison * max(1, len(comparisons)))(*comparisons)
        result = self._lib.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if result < 0:
            raise FilterError(f"seccomp_rule_add {name}: {os.strerror(-result)}")

    def export(self) -> bytes:
        """The program."""
        with contextlib.suppress(FilterError):  # libseccomp before 2.5 has no such choice
            self._set(_ATTRIBUTE_OPTIMIZE, _BY_BINARY_TREE)
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            if self._lib.seccomp_export_bpf(self._context, fd) < 0:
                raise FilterError("seccomp_export_bpf failed")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def release(self) -> None:
        """Free it."""
        self._lib.seccomp_release(self._context)

    def _set(self, attribute: int, value: int) -> None:
        if self._lib.seccomp_attr_set(self._context, attribute, ctypes.c_uint32(value)) < 0:
            raise FilterError(f"seccomp_attr_set {attribute} failed")


def build() -> bytes:
    """The BPF program for this machine; FilterError when there is no libseccomp."""
    builder = _Builder()
    try:
        for name in syscalls.ALLOWED:
            builder.add(_ALLOW, name)
        for name in syscalls.REFUSED:
            builder.add(_ERRNO | errno.EPERM, name)
        builder.add(_ALLOW, "clone", _masked(0, _NAMESPACES, 0))
        for bit in (1 << number for number in range(32)):
            if bit & _NAMESPACES:
                builder.add(_ERRNO | errno.EPERM, "clone", _masked(0, bit, bit))
        for family, kind, protocol in _SOCKETS:
            builder.add(
                _ALLOW,
                "socket",
                _masked(0, _WORD, family),
                _masked(1, _TYPE_MASK, kind),
                _masked(2, _WORD, protocol),
            )
        for kind in (_STREAM, _DGRAM, _SEQPACKET):
            builder.add(_ALLOW, "socketpair", _masked(0, _WORD, _AF_UNIX), _masked(1, _TYPE_MASK, kind))
        for persona in _PERSONALITIES:
            builder.add(_ALLOW, "personality", _masked(0, _WORD, persona))
        for bit in range(32):  # any request that differs from TIOCSTI in some bit; the upper half is ignored
            mask = 1 << bit
            builder.add(_ALLOW, "ioctl", _masked(1, mask, ~_TIOCSTI & mask))
        return builder.export()
    finally:
        builder.release()
