"""What this machine allows, found without changing anything: for `cumulo doctor` and for choosing a launcher."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from cumulo.sandbox import network, rootfs
from cumulo.sandbox.contract import Isolation

CGROUPS = Path("/sys/fs/cgroup")
_SYS_OPEN_TREE = 428
_CAP_SYS_ADMIN = 21
_SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TRIAL_SECONDS_MAX = 5.0
_TRIAL = "import sys; sys.path.insert(0, {root!r}); from cumulo.sandbox.birth import trial; trial(privileged={privileged})"


class Finding(msgspec.Struct, frozen=True):
    """One thing that a sandbox needs: whether it is here, what that means, and the command that fixes it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


class Report(msgspec.Struct, frozen=True):
    """What sandboxes on this machine can be."""

    isolation: Isolation
    privileged: bool
    findings: tuple[Finding, ...]

    def ok(self, name: str) -> bool:
        """Whether the finding of this name is good."""
        return all(finding.ok for finding in self.findings if finding.name == name)


def probe(*, cgroups: Path = CGROUPS) -> Report:
    """Look at the machine.  Takes milliseconds; as an ordinary user, a tenth of a second."""
    privileged = os.geteuid() == 0 and _has_sys_admin()
    findings = [_namespaces(privileged)]
    if findings[0].ok:
        findings += [
            _users(privileged),
            _limits(cgroups, privileged),
            _seccomp(),
            _volumes(privileged),
            _outside(privileged),
            _names(),
        ]
    return Report(judge(findings), privileged, tuple(findings))


def judge(findings: list[Finding]) -> Isolation:
    """The level that these findings amount to."""
    good = {finding.name for finding in findings if finding.ok}
    if "namespaces" not in good:
        return Isolation.NONE
    return Isolation.FULL if {"users", "limits", "seccomp"} <= good else Isolation.PARTIAL


def tool(name: str) -> str:
    """Where a program of the system is; empty when it is not."""
    return shutil.which(name, path=_SEARCH) or ""


def _namespaces(privileged: bool) -> Finding:
    name = "namespaces"
    if sys.platform != "linux":
        return Finding(name, ok=False, detail="only Linux has them", fix="run Cumulo on Linux, or in a VM")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_SYS_OPEN_TREE, -1, None, 0)
    if ctypes.get_errno() == errno.ENOSYS:
        return Finding(
            name, ok=False, detail=f"Linux {os.uname().release} is older than 5.2", fix="update the kernel"
        )
    if privileged:
        problem = _try(privileged=True) if _in_container() else ""
        fix = "in a container: --privileged, or --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
        detail = f"refused: {problem}" if problem else "mount, pid, net, ipc, uts and cgroup"
        return Finding(name, ok=not problem, detail=detail, fix=fix if problem else "")
    problem = _try(privileged=False)
    if problem:
        fix = "run as root, or: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
        if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
            fix = "run as root, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        return Finding(name, ok=False, detail=f"not for this user: {problem}", fix=fix)
    return Finding(name, ok=True, detail="mount, pid, net, ipc, uts and cgroup, in a user namespace")


def _users(privileged: bool) -> Finding:
    if privileged:
        return Finding("users", ok=True, detail="every sandbox has a user id of its own")
    return Finding("users", ok=False, detail="all sandboxes run as this user", fix="run as root")


def _limits(cgroups: Path, privileged: bool) -> Finding:
    name = "limits"
    version_2 = (cgroups / "cgroup.controllers").exists()
    if not privileged:
        detail = "memory is bounded by looking five times a second, processor time not at all"
        return Finding(name, ok=False, detail=detail, fix="run as root")
    folders = (
        (cgroups,) if version_2 else tuple(cgroups / kind for kind in ("memory", "cpu", "pids", "freezer"))
    )
    missing = [str(folder) for folder in folders if not os.access(folder, os.W_OK)]
    if version_2:
        have = (cgroups / "cgroup.controllers").read_text().split()
        missing += [kind for kind in ("memory", "cpu", "pids") if kind not in have]
    if missing:
        fix = "mount the control groups writable (in a container: --privileged --cgroupns=private)"
        return Finding(name, ok=False, detail=f"not here: {', '.join(missing)}", fix=fix)
    return Finding(name, ok=True, detail=f"control groups version {2 if version_2 else 1}")


def _seccomp() -> Finding:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return Finding("seccomp", ok=False, detail="no libseccomp", fix="apt-get install libseccomp2")
    return Finding("seccomp", ok=True, detail="an allow-list of system calls")


def _volumes(privileged: bool) -> Finding:
    name = "tmp"
    counted = "what is in /tmp counts as the function's memory"
    if not privileged:
        return Finding(name, ok=False, detail="what is in /tmp is kept in memory", fix="run as root")
    if not tool("mkfs.ext4"):
        return Finding(name, ok=False, detail=f"no mkfs.ext4: {counted}", fix="apt-get install e2fsprogs")
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return Finding(name, ok=False, detail=f"no loop devices: {counted}", fix="modprobe loop")
    return Finding(name, ok=True, detail="/tmp is a volume of its own")


def _outside(privileged: bool) -> Finding:
    name = "network"
    if not privileged:
        return Finding(name, ok=False, detail="functions reach the cloud and nothing else", fix="run as root")
    if not tool("nft"):
        detail = "no nft: functions reach the cloud and nothing else"
        return Finding(name, ok=False, detail=detail, fix="apt-get install nftables")
    blocker = network.forward_blocker(tool("nft"))
    if blocker:
        fix = f"iptables -I {blocker} -i cu+ -j ACCEPT; iptables -I {blocker} -o cu+ -j ACCEPT"
        return Finding(name, ok=False, detail="the host's firewall drops forwarded packets", fix=fix)
    return Finding(name, ok=True, detail="functions reach the network, but not this host or one another")


def _names() -> Finding:
    if "nameserver" in rootfs.resolver_text():
        return Finding("names", ok=True, detail="functions use the host's name servers")
    detail = "the host's name server listens on loopback only, where functions cannot reach it"
    return Finding(
        "names", ok=False, detail=detail, fix="put a name server of the network into /etc/resolv.conf"
    )


def _has_sys_admin() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def _in_container() -> bool:
    """Whether this machine may be a container, whose root is not almighty."""
    return any(
        Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
    )


def _try(*, privileged: bool) -> str:
    """What stops this user from making namespaces, tried by a process that then ends."""
    program = _TRIAL.format(root=str(Path(__file__).parents[2]), privileged=privileged)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            capture_output=True,
            timeout=_TRIAL_SECONDS_MAX,
            text=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stdout.strip()[-300:] or "the trial failed"
