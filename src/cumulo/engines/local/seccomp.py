"""Which system calls a container may make: an allow-list in OCI's form, as Docker's default profile has it.

What is not listed fails with EPERM.  Some calls come with a capability: whoever may do it may also call it.  What a
filter can see of the arguments decides for clone, personality and socket; clone3's flags are in memory, where no
filter can look, and ENOSYS makes libraries use clone.
"""

from collections.abc import Collection
from typing import Any

from cumulo.sandbox.syscalls import ALLOWED

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"
_EPERM, _ENOSYS = 1, 38
_NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW* flags of clone(2)
_AF_VSOCK, _AF_ALG = 40, 38
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)

# Beyond what sandboxes of functions may do: what images of servers, databases and shells call.
_FURTHER_TEXT = """
_llseek _newselect chown32 fchown32 lchown32 clock_adjtime64 clock_getres_time64 clock_gettime64
clock_nanosleep_time64 fadvise64_64 arm_fadvise64_64 arm_sync_file_range sync_file_range2 fcntl64 fstat64
fstatat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32
getuid32 io_pgetevents_time64 ipc lstat64 mmap2 mq_timedreceive_time64 mq_timedsend_time64 name_to_handle_at
ppoll_time64 process_mrelease pselect6_time64 recv recvmmsg_time64 rt_sigtimedwait_time64 sched_rr_get_interval_time64
seccomp semtimedop_time64 send sendfile64 setfsgid32 setfsuid32 setgid32 setgroups32 setregid32 setresgid32
setresuid32 setreuid32 setuid32 sigaction signal sigpending sigprocmask sigreturn sigsuspend socketcall stat64
statfs64 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit utimensat_time64
waitpid memfd_secret ioctl socketpair adjtimex process_vm_readv process_vm_writev ptrace mremap
modify_ldt arch_prctl breakpoint cacheflush set_tls
"""
_FURTHER = tuple(_FURTHER_TEXT.split())

_BY_CAPABILITY = {
    "DAC_READ_SEARCH": ("open_by_handle_at",),
    "SYS_ADMIN": (
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
        "mount", "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd",
        "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare", "listmount", "statmount",
    ),
    "SYS_BOOT": ("reboot",),
    "SYS_CHROOT": ("chroot",),
    "SYS_MODULE": ("delete_module", "init_module", "finit_module"),
    "SYS_PACCT": ("acct",),
    "SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"),
    "SYS_RAWIO": ("iopl", "ioperm"),
    "SYS_TIME": ("settimeofday", "stime", "clock_settime", "clock_settime64"),
    "SYS_TTY_CONFIG": ("vhangup",),
    "SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node", "move_pages", "migrate_pages"),
    "SYSLOG": ("syslog",),
    "BPF": ("bpf",),
    "PERFMON": ("perf_event_open",),
}  # fmt: skip

# These come with a capability only, although functions may call them: they are about the processors' memory.
_ONLY_BY_CAPABILITY = frozenset({"mbind", "set_mempolicy", "set_mempolicy_home_node", "get_mempolicy"})

# Only what an image's programs are for: each costs the runtime some 8 ms at every start, and widens the kernel's door.
_ARCHITECTURES = {
    "amd64": ["SCMP_ARCH_X86_64"],
    "386": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "arm64": ["SCMP_ARCH_AARCH64"],
    "arm": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}


def profile(capabilities: Collection[str], architecture: str) -> dict[str, Any]:
    """The `linux.seccomp` of a container with these capabilities (without CAP_) and an image for that architecture."""
    names = {name for name in (*ALLOWED, *_FURTHER) if name not in _ONLY_BY_CAPABILITY}
    for capability in capabilities:
        names.update(_BY_CAPABILITY.get(capability, ()))
    rules: list[dict[str, Any]] = [{"names": sorted(names), "action": _ALLOW}]
    rules += [
        _rule("personality", _ALLOW, 0, value, "SCMP_CMP_EQ") for value in _PERSONALITIES
    ]  # any other could switch off protections
    rules += [
        _rule("socket", _ALLOW, 0, _AF_ALG, "SCMP_CMP_LT"),
        _rule("socket", _ALLOW, 0, _AF_ALG + 1, "SCMP_CMP_EQ"),
        _rule("socket", _ALLOW, 0, _AF_VSOCK, "SCMP_CMP_GT"),
    ]  # not AF_VSOCK, which would talk to the hypervisor, and not AF_ALG
    if "SYS_ADMIN" not in capabilities:
        masked = _rule("clone", _ALLOW, 0, _NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ")
        masked["args"][0]["valueTwo"] = 0
        rules += [masked, {"names": ["clone3"], "action": _ERRNO, "errnoRet": _ENOSYS}]
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": _EPERM,
        "architectures": _ARCHITECTURES.get(architecture, []),
        "syscalls": rules,
    }


def _rule(name: str, action: str, index: int, value: int, operator: str) -> dict[str, Any]:
    return {"names": [name], "action": action, "args": [{"index": index, "value": value, "op": operator}]}
