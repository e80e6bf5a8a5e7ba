"""A Docker daemon of the benchmarks' and the tests' own: in a temporary folder, one at a time on the machine, gone without a trace.

with dockerd(tmp) as daemon:
    daemon.socket          # /tmp/.../docker.sock
    daemon.kill(); daemon.start()
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tools import until

LOCK = Path(tempfile.gettempdir()) / "cumulo-tests-dockerd.lock"
LOCK_SECONDS = 600


def why_not() -> str:
    """Why no daemon can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "dockerd needs root"
    missing = [p for p in ("dockerd", "containerd", "iptables") if not shutil.which(p)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def lives(pid: int) -> bool:
    """Whether a process runs; one that is dead and not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


class Daemon:
    """dockerd as a process that can be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.log = folder / "dockerd.log"
        self.options = options
        self.child: subprocess.Popen[bytes] | None = None
        self.bridges: set[str] = set()
        self._containerd = folder / "exec" / "containerd" / "containerd.pid"
        self.cgroup = f"cumulo-tests-{os.getpid()}"

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        argv = [
            "dockerd",
            *("--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "pid")),
            *("--host", self.address),
            *("--bridge", "none"),  # each test brings its network; docker0 would stay behind
            *("--cgroup-parent", f"/{self.cgroup}"),
            "--ip-forward=false",  # else it may set the policy of FORWARD to DROP
            "--shutdown-timeout=3",
            *self.options,
        ]
        for file in (self.folder / "pid", self._containerd):
            # An init that reaps late keeps the numbers of the dead, and dockerd takes those for the living.
            if file.exists() and not lives(int(file.read_text() or 0)):
                file.unlink()
        env = os.environ | {"DOCKER_RAMDISK": "1"}  # no pivot_root, which an initramfs root forbids
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True
            )
        until(self._answers, f"dockerd answers; its log: {self.log.read_text()[-3000:]}", 60)

    def _answers(self) -> bool:
        assert self.child is not None
        if self.child.poll() is not None:
            raise AssertionError(f"dockerd ended:\n{self.log.read_text()[-3000:]}")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            link.connect(str(self.socket))
            link.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in link.recv(64)
        return False

    def kill(self) -> None:
        """kill -9; its containers run on until it is started again."""
        assert self.child is not None
        file = self._containerd
        containerd = int(file.read_text() or 0) if file.exists() else 0
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        until(lambda: not lives(containerd), "its containerd has died with it")

    def hang(self) -> None:
        """Neither dead nor answering."""
        assert self.child is not None
        self.child.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.child.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] in "Tt", "dockerd has stopped")

    def go_on(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """As an init system would."""
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGCONT)
        self.bridges |= self._bridges()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def clean(self) -> None:
        """What a killed one left: containerd, shims, mounts, cgroups."""
        for process in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for bridge in self.bridges:
            subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)
        for mount in reversed(self._mounts()):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        deadline = time.monotonic() + 3
        for root in (*Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}"), Path("/sys/fs/cgroup") / self.cgroup):
            for path in sorted((p for p in root.glob("**/") if p.is_dir()), reverse=True):
                while path.exists() and time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        path.rmdir()

    def _bridges(self) -> set[str]:
        """Links of the networks that are there still; a daemon that stops leaves them."""
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.socket))
            link.sendall(b"GET /networks HTTP/1.0\r\n\r\n")
            with link.makefile("rb") as answer:
                said = json.loads(answer.read().partition(b"\r\n\r\n")[2])
            return {f"br-{network['Id'][:12]}" for network in said if network["Driver"] == "bridge"}
        return set()

    def _processes(self) -> list[int]:
        """This daemon's and no other's: our folder is in their command line, or our cgroup is theirs."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdigit() or not lives(int(entry.name)):
                    continue
                daemon = (entry / "comm").read_text().startswith(("containerd", "docker"))
                words = (entry / "cmdline").read_text(errors="replace")
                if (daemon and str(self.folder) in words) or self.cgroup in (entry / "cgroup").read_text():
                    found.append(int(entry.name))
        return found

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[1].startswith(str(self.folder))]


@contextlib.contextmanager
def dockerd(folder: Path, *options: str) -> Iterator[Daemon]:
    """A daemon with its data in a new folder below `folder`; AssertionError when another has the machine too long."""
    assert not why_not(), why_not()
    with LOCK.open("a") as lock:
        until(lambda: _locked(lock), "another test's dockerd has ended", LOCK_SECONDS)
        place = Path(tempfile.mkdtemp(prefix="dockerd-", dir=folder))
        had_rules = bool(_rules("filter"))
        daemon = Daemon(place, *options)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
            daemon.clean()
            if not had_rules:
                _drop_rules()
            shutil.rmtree(place, ignore_errors=True)


def _locked(lock: object) -> bool:
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
        return True
    return False


def _rules(table: str) -> list[str]:
    listed = subprocess.run(
        ["iptables", "-w", "5", "-t", table, "-S"], capture_output=True, text=True, check=False
    ).stdout
    return [line for line in listed.splitlines() if "DOCKER" in line]


def _drop_rules() -> None:
    """The chains that dockerd leaves behind, when it was the one that made them."""
    for table in ("filter", "nat"):
        rules = _rules(table)
        command = ["iptables", "-w", "5", "-t", table]
        for rule in rules:
            words = rule.replace('"', "").split()
            if words[0] == "-A" and not words[1].startswith("DOCKER"):
                subprocess.run([*command, "-D", *words[1:]], check=False, capture_output=True)
        chains = [rule.split()[1] for rule in rules if rule.startswith("-N")]
        for option in ("-F", "-X"):
            for chain in chains:
                subprocess.run([*command, option, chain], check=False, capture_output=True)
