"""The main process of a sandbox: sheds every privilege and becomes the command.

Its descriptors: 0 /dev/null, 1 and 2 the output, 3 telemetry; while it becomes the command, 4 tells pid 1 what went
wrong; and of a runtime that is started before its function is known, 5 brings the assignment.
"""

import errno
import fcntl
import os
import resource
import signal
import struct
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Become = Callable[[dict[str, Any]], None]

TELEMETRY_FD = 3
EARLY_FD = 5
_ERROR_FD = 4
_BEYOND_FD = 9
_MEMLOCK_BYTES = 64 * 1024
_PROCESSES_MAX = 4096  # of all sandboxes together, where no control group bounds each
_OOM_SCORE_MAIN = "200"  # if the machine itself runs out, sandboxes go before anything else
_NICE_WAITING = 15  # preparing for functions to come makes way for those that are there


def run(
    job: "dict[str, Any]",
    fds: tuple[int, ...],
    become: "Become",
    *,
    seccomp: bytes,
    privileged: bool,
    limited: bool,
) -> None:
    """Shed everything and become the command; never returns.

    fds       the output, telemetry, where to say what went wrong, and an early one's channel
    limited   a control group bounds the number of processes
    """
    early = len(fds) > _ERROR_FD - 1
    try:
        os.setsid()
        # First out of the way of the numbers that are given out below.
        spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _BEYOND_FD) for fd in fds]
        null = os.open("/dev/null", os.O_RDONLY)
        for number, source in enumerate((null, spare[0], *spare)):
            os.dup2(source, number, inheritable=number != _ERROR_FD)
        kernel.close_from(len(fds) + 2)
        write_if_there("/proc/self/oom_score_adj", _OOM_SCORE_MAIN)
        _bound_resources(job["files_max"], processes=not limited)
        os.chdir("/" if early else "/var/task")
        _default_signals()
        if early and privileged:
            os.setpriority(os.PRIO_PROCESS, 0, _NICE_WAITING)
        shed(seccomp, privileged=privileged, uid=job["uid"])
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


def shed(seccomp: bytes, *, privileged: bool, uid: int | None) -> None:
    """Give up every privilege for good; and the user id, if another is given."""
    if privileged:
        os.setgroups([])
        if uid is not None:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    kernel.drop_capabilities()
    kernel.no_new_privileges()
    kernel.load_seccomp(seccomp)


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


def write_if_there(path: str, value: str) -> None:
    """Write to one of the kernel's files, where the kernel has it and lets us."""
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
