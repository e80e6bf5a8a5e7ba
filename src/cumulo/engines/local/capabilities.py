"""Capabilities of containers, relative to Docker's default set.  Names are without CAP_."""

from collections.abc import Collection

DEFAULT = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
        "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip

_IN_ORDER = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip  # the kernel's numbers

KNOWN = frozenset(_IN_ORDER)


class BadCapability(Exception):
    """There is no such capability, or this machine's root does not have it to give."""


def names_of(mask: int) -> frozenset[str]:
    """What a mask of /proc/<pid>/status means."""
    return frozenset(name for bit, name in enumerate(_IN_ORDER) if mask >> bit & 1)


def granted(
    add: Collection[str], drop: Collection[str], *, privileged: bool, held: Collection[str]
) -> frozenset[str]:
    """What a container gets of what this machine's root holds.  BadCapability for a wish that cannot be met.

    ALL and `privileged` mean all that is held; a default that is not held is left out.
    """
    added, dropped = {_plain(name) for name in add}, {_plain(name) for name in drop}
    for name in sorted((added | dropped) - KNOWN - {"ALL"}):
        raise BadCapability(f"there is no capability {name}")
    for name in sorted(added - {"ALL"} - set(held)):
        raise BadCapability(f"the capability {name} cannot be added: root does not have it on this machine")
    if privileged:
        return frozenset(held)
    base = frozenset() if "ALL" in dropped else DEFAULT & frozenset(held)
    if "ALL" in added:
        base = frozenset(held)
    return (base | (added - {"ALL"})) - (dropped - {"ALL"})


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")
