# ruff: noqa: PTH123, PTH208
# (pathlib would cost the warden and every cell a megabyte)
"""A cell: the process that becomes a sandbox.

    warden --fork--> cell, pid 1 of its own pid namespace
                       prepare   join the limits, leave all namespaces, listen, enter the root   ~15 ms
                       ......    wait for an assignment (a pool of these is kept)
                       assign    mount code, /tmp, layers; fork the main process                 ~1 ms
                         |--fork--> main process (main_process.py): sheds every privilege, becomes the command
                       init      sheds every privilege too, reaps, reports how the main process ended

For runtimes that allow it, the main process is forked while the cell is a spare (`_early`): it sheds its
privileges, becomes the runtime and waits for a second job, which brings the function.

What the main process becomes is handed in (`Become`), so that a warmed interpreter can be a cell as well.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel, main_process, messages, rootfs
from cumulo.sandbox.netlink import Netlink

if TYPE_CHECKING:
    from typing import Any

    from cumulo.sandbox.cgroups import Groups
    from cumulo.sandbox.main_process import Become

RUNTIME_PORT = 9001
SECURE_PORT = 443
SOCKETS = 3  # that listen: the Runtime API's, the cloud's, and the cloud's by TLS
EARLY_VARIABLE = "_CUMULO_EARLY_FD"
_CONTROL_FD = 9
_BACKLOG = 128
_WATCH_SECONDS = 0.2
_STATUS = "<iiBB"  # code, signal, out of memory, entrypoint failed

READY = b"R"
WARM = b"W"
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
        sockets = prepare(plan)
        messages.send(control, READY, [sock.fileno() for sock in sockets])
        for sock in sockets:
            sock.close()
        job, fds = _next_job(control)
        if "early" in job:
            _early(plan, control, job, fds, become)
        _assigned(plan, control, job, fds, become)
    except BaseException as error:  # noqa: BLE001 - the one place where a cell's failures end
        _report(control, FAILED + f"{type(error).__name__}: {error}".encode()[:2000])
    os._exit(1)


def prepare(plan: CellPlan) -> tuple[socket.socket, socket.socket, socket.socket]:
    """Everything that can be done before the job is known; returns the listening sockets."""
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
    sockets = _listener(RUNTIME_PORT), _listener(plan.cloud_port), _listener(SECURE_PORT)
    rootfs.enter(plan.root)
    kernel.bound_capabilities()  # what is held stays until it is shed, but nothing can be gained again
    kernel.hide_memory()
    return sockets


def _network(plan: CellPlan, outside: Netlink | None) -> None:
    for scope in ("all", "default"):
        main_process.write_if_there(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "1")
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


def _next_job(control: socket.socket) -> "tuple[dict[str, Any], list[int]]":
    raw, fds = messages.receive(control)
    if not raw:
        os._exit(0)
    return messages.decode(raw), fds


def _assigned(
    plan: CellPlan, control: socket.socket, job: "dict[str, Any]", fds: list[int], become: "Become"
) -> None:
    output, telemetry, *watched = _attach(job["targets"], fds)
    main, failure_read = _fork_main(plan, job, (output, telemetry), become)
    messages.send(control, ASSIGNED)
    _give_up_privileges(plan)
    failure = os.read(failure_read, 4)
    os.close(failure_read)
    _init(control, main, failure, watched, job["memory_bytes"])


def _early(
    plan: CellPlan, control: socket.socket, first: "dict[str, Any]", fds: list[int], become: "Become"
) -> None:
    """Start the main process before its function is known, and give it its assignment when there is one.

    Nothing of a function is in here while it waits: the process has shed its privileges and sees empty folders.
    """
    output, telemetry = _attach(first["targets"], fds)
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    first["env"][EARLY_VARIABLE] = str(main_process.EARLY_FD)
    main, failure_read = _fork_main(plan, first, (output, telemetry), become, theirs.fileno())
    theirs.close()
    if failure := os.read(failure_read, 4):
        raise OSError(struct.unpack("i", failure)[0], f"{first['argv'][0]} could not be executed")
    os.close(failure_read)
    _await_job(control, channel)
    job, fds = _next_job(control)
    for place in rootfs.PLACEHOLDERS:
        kernel.umount(place)
    watched = _attach(job["targets"], fds)
    messages.send(control, ASSIGNED)
    if plan.privileged:
        os.setpriority(os.PRIO_PROCESS, main, 0)
    _give_up_privileges(plan)
    with contextlib.suppress(OSError):  # it has just died, which is for init to say
        channel.sendall(job["assignment"].encode())
    channel.close()
    _init(control, main, b"", watched, job["memory_bytes"])


def _await_job(control: socket.socket, channel: socket.socket) -> None:
    """Return when there is a job; pass on that the main process has nothing more to prepare; end when it dies."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while True:
        readable = [fd for fd, _ in poll.poll()]
        if control.fileno() in readable:
            return
        if not channel.recv(1):
            raise ChildProcessError("the runtime ended while it waited for its function")
        messages.send(control, WARM)


def _attach(targets: list[str], fds: list[int]) -> list[int]:
    """Mount what was sent; returns the descriptors that are no mounts."""
    count = len(targets)
    for fd, target in zip(fds[:count], targets, strict=True):
        kernel.move_mount(fd, target)
        os.close(fd)
    return fds[count:]


def _fork_main(
    plan: CellPlan, job: "dict[str, Any]", fds: tuple[int, int], become: "Become", *channel: int
) -> tuple[int, int]:
    """Fork the main process; its pid, and the descriptor that tells why it could not become the command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2))
    failure_read, failure_write = os.pipe2(os.O_CLOEXEC)
    main_process.write_if_there("/proc/self/oom_score_adj", "-1000")
    main = os.fork()
    if main == 0:
        main_process.run(
            job,
            (*fds, failure_write, *channel),
            become,
            seccomp=plan.seccomp,
            privileged=plan.privileged,
            limited=plan.groups is not None,
        )
    for fd in (*fds, failure_write):
        os.close(fd)
    return main, failure_read


def _give_up_privileges(plan: CellPlan) -> None:
    main_process.shed(plan.seccomp, privileged=plan.privileged, uid=None)
    kernel.die_with_parent()


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


def parse_exit(raw: bytes) -> tuple[int, int, bool, int]:
    """Code, signal, out of memory and the errno of a failed exec, from what pid 1 said last."""
    code, number, oom, failed = struct.unpack(_STATUS, raw[1:])
    return code, number, bool(oom), failed


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
