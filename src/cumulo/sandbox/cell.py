# ruff: noqa: PTH123, PTH208
# (pathlib would cost the warden and every cell a megabyte)
"""A cell: the process that becomes a sandbox.

    warden --fork--> cell, pid 1 of its own pid namespace
                       prepare   join the limits, leave all namespaces, listen, enter the root   ~15 ms
                       ......    wait for an assignment (a pool of these is kept)
                       assign    mount code, /tmp, layers; fork the main process                 ~1 ms
                         |--fork--> main process: sheds every privilege, becomes the command
                       init      sheds every privilege too, reaps, reports how the main process ended

What the main process becomes is handed in (`Become`), so that a warmed interpreter can be a cell as well.
"""

import errno
import fcntl
import os
import resource
import signal
import socket
import struct
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel, messages, rootfs
from cumulo.sandbox.netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cumulo.sandbox.cgroups import Groups

    Become = Callable[[dict[str, Any]], None]

RUNTIME_PORT = 9001
TELEMETRY_FD = 3
_ERROR_FD = 4
_CONTROL_FD = 9
_BACKLOG = 128
_WATCH_SECONDS = 0.2
_STATUS = "<iiBB"  # code, signal, out of memory, entrypoint failed
_MEMLOCK_BYTES = 64 * 1024
_PROCESSES_MAX = 4096  # of all sandboxes together, where no control group bounds each
_OOM_SCORE_MAIN = "200"  # if the machine itself runs out, sandboxes go before anything else

READY = b"R"
ASSIGNED = b"A"
FAILED = b"F"
EXITED = b"X"


class CellPlan:
    """What a cell needs to know before it has a job."""

    def __init__(
        self,
        *,
        name: str,
        root: str,
        groups: "Groups | None",
        cloud_port: int,
        seccomp: bytes,
        privileged: bool,
        link: "tuple[str, int, str, int, str] | None",
    ) -> None:
        self.name = name
        self.root = root
        self.groups = groups
        self.cloud_port = cloud_port
        self.seccomp = seccomp
        self.privileged = privileged
        self.link = link  # host's end, bridge's index, address, prefix, gateway


def run(plan: CellPlan, control: socket.socket, become: "Become") -> None:
    """Live the life of a cell; never returns."""
    try:
        control = _alone_with(control)
        runtime, cloud = prepare(plan)
        messages.send(control, READY, (runtime.fileno(), cloud.fileno()))
        runtime.close()
        cloud.close()
        raw, fds = messages.receive(control)
        if not raw:
            os._exit(0)
        _assigned(plan, control, messages.decode(raw), fds, become)
    except BaseException as error:  # noqa: BLE001 - the one place where a cell's failures end
        _report(control, FAILED + f"{type(error).__name__}: {error}".encode()[:2000])
    os._exit(1)


def prepare(plan: CellPlan) -> tuple[socket.socket, socket.socket]:
    """Everything that can be done before the job is known; returns the two listening sockets."""
    os.umask(0o022)
    if plan.groups is not None:
        plan.groups.join(plan.name)
    outside = Netlink() if plan.link else None
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )
    kernel.sethostname("sandbox")
    _network(plan, outside)
    sockets = _listener(RUNTIME_PORT), _listener(plan.cloud_port)
    rootfs.enter(plan.root)
    kernel.bound_capabilities()  # what is held stays until it is shed, but nothing can be gained again
    kernel.hide_memory()
    return sockets


def _network(plan: CellPlan, outside: Netlink | None) -> None:
    for scope in ("all", "default"):
        _write_if_there(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "1")
    inside = Netlink()
    inside.loopback_up()
    if plan.link and outside:
        host_end, bridge, address, prefix, gateway = plan.link
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        outside.make_veth(host_end, bridge, "eth0", here)
        os.close(here)
        outside.close()
        index = socket.if_nametoindex("eth0")
        inside.add_address(index, address, prefix)
        inside.link_up(index)
        inside.default_route(index, gateway)
    inside.close()


def _assigned(
    plan: CellPlan, control: socket.socket, job: "dict[str, Any]", fds: list[int], become: "Become"
) -> None:
    count = len(job["targets"])
    for fd, target in zip(fds[:count], job["targets"], strict=True):
        kernel.move_mount(fd, target)
        os.close(fd)
    output, telemetry, *watched = fds[count:]
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2))
    failure_read, failure_write = os.pipe2(os.O_CLOEXEC)
    _write_if_there("/proc/self/oom_score_adj", "-1000")
    main = os.fork()
    if main == 0:
        _main_process(plan, job, (output, telemetry, failure_write), become)
    for fd in (output, telemetry, failure_write):
        os.close(fd)
    messages.send(control, ASSIGNED)
    _shed(plan, uid=None)
    kernel.die_with_parent()
    failure = os.read(failure_read, 4)
    os.close(failure_read)
    _init(control, main, failure, watched, job["memory_bytes"])


def _init(control: socket.socket, main: int, failure: bytes, watched: list[int], memory_max: int) -> None:
    """Be pid 1: reap, and say how the main process ended.  With it, everything in here ends.

    Where the kernel keeps no limits (`watched` is a descriptor for the peak), pid 1 bounds memory by looking,
    and stops and continues everything when it is told to by a signal.
    """
    os.chdir("/")
    waiting = {signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2}
    peak = 0
    while True:
        status = _reap_until(main)
        if status is not None:
            _exit_with(control, status, failure)
        if not watched:
            signal.sigwait(waiting)
            continue
        told = signal.sigtimedwait(waiting, _WATCH_SECONDS)
        if told is not None and told.si_signo != signal.SIGCHLD:
            _signal_all(signal.SIGSTOP if told.si_signo == signal.SIGUSR1 else signal.SIGCONT)
        now = _resident_bytes()
        if now > peak:
            peak = now
            os.pwrite(watched[0], b"%d\n" % peak, 0)
        if now > memory_max:
            _report(control, EXITED + struct.pack(_STATUS, 0, signal.SIGKILL, 1, 0))
            os._exit(0)


def _reap_until(main: int) -> int | None:
    """Reap whatever has ended; the status of the main process when it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == main:
            found = status


def _exit_with(control: socket.socket, status: int, failure: bytes) -> None:
    code, number, failed = 0, 0, 0
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
    else:
        code = os.WEXITSTATUS(status)
    if len(failure) == 4:
        failed = struct.unpack("i", failure)[0]
        code, number = 127 if failed == errno.ENOENT else 126, 0
    _report(control, EXITED + struct.pack(_STATUS, code, number, 0, min(failed, 255)))
    os._exit(0)


def _main_process(plan: CellPlan, job: "dict[str, Any]", fds: tuple[int, int, int], become: "Become") -> None:
    """Shed everything and become the command; never returns."""
    try:
        os.setsid()
        # First out of the way of the numbers that are given out below.
        spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CONTROL_FD) for fd in fds]
        null = os.open("/dev/null", os.O_RDONLY)
        for source, number in zip((null, spare[0], spare[0], spare[1], spare[2]), range(5), strict=True):
            os.dup2(source, number, inheritable=number != _ERROR_FD)
        kernel.close_from(_ERROR_FD + 1)
        _write_if_there("/proc/self/oom_score_adj", _OOM_SCORE_MAIN)
        _bound_resources(job["files_max"], processes=plan.groups is None)
        os.chdir("/var/task")
        _default_signals()
        _shed(plan, uid=job["uid"])
        become(job)
    except OSError as error:
        os.write(_ERROR_FD, struct.pack("i", error.errno or errno.EIO))
    except BaseException:  # noqa: BLE001 - nothing may climb out of a forked process
        os.write(_ERROR_FD, struct.pack("i", errno.EIO))
    os._exit(126)


def become_command(job: "dict[str, Any]") -> None:
    """Execute the command, looked for in its own PATH like execvp."""
    argv, env = job["argv"], job["env"]
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)  # noqa: S606 - what a cell is for
    problem = FileNotFoundError(errno.ENOENT, "not found in PATH")
    for folder in env.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":"):
        try:
            os.execve(f"{folder or '.'}/{argv[0]}", argv, env)  # noqa: S606
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            problem = error  # type: ignore[assignment]
    raise problem


def parse_exit(raw: bytes) -> tuple[int, int, bool, int]:
    """Code, signal, out of memory and the errno of a failed exec, from what pid 1 said last."""
    code, number, oom, failed = struct.unpack(_STATUS, raw[1:])
    return code, number, bool(oom), failed


def _shed(plan: CellPlan, *, uid: int | None) -> None:
    """Give up every privilege for good; and the user id, if another is given."""
    if plan.privileged:
        os.setgroups([])
        if uid is not None:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    kernel.drop_capabilities()
    kernel.no_new_privileges()
    kernel.load_seccomp(plan.seccomp)


def _bound_resources(files_max: int, *, processes: bool) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = files_max if hard == resource.RLIM_INFINITY else min(files_max, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if processes:
        known = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        most = _PROCESSES_MAX if known == resource.RLIM_INFINITY else min(_PROCESSES_MAX, known)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    bound = _MEMLOCK_BYTES if locked == resource.RLIM_INFINITY else min(_MEMLOCK_BYTES, locked)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (bound, bound))


def _default_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # Python changes these
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _resident_bytes() -> int:
    """The memory of everything in here but pid 1."""
    pages = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/statm", "rb") as file:
                    pages += int(file.read(256).split()[1])
            except OSError:
                continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def _signal_all(number: signal.Signals) -> None:
    try:
        os.kill(-1, number)  # everything in this pid namespace but pid 1
    except ProcessLookupError:
        return


def _alone_with(control: socket.socket) -> socket.socket:
    """Keep only standard streams and the control socket of all that was inherited from the warden."""
    os.setsid()
    kernel.die_with_parent()
    number = control.detach()
    if number != _CONTROL_FD:
        os.dup2(number, _CONTROL_FD, inheritable=False)
    os.closerange(3, _CONTROL_FD)
    kernel.close_from(_CONTROL_FD + 1)
    return socket.socket(fileno=_CONTROL_FD)


def _listener(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", port))
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock


def _report(control: socket.socket, raw: bytes) -> None:
    try:
        messages.send(control, raw)
    except OSError:
        return  # the warden has gone; so shall we


def _write_if_there(path: str, value: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, value.encode())
    except OSError:
        return
    finally:
        os.close(fd)
