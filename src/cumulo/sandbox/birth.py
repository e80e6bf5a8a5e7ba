# ruff: noqa: PTH123
# (pathlib would cost the warden and every cell a megabyte)
"""How a warden comes to be: the programs that the server executes."""

import os
import socket
import sys

from cumulo.sandbox import kernel, messages
from cumulo.sandbox.warden import Warden

UNPRIVILEGED_UID = 1051


def main() -> None:
    """Enter where the warden lives, and serve.  The server's socket is descriptor 3, the instance's lock 4."""
    os.umask(0o022)
    server = socket.socket(fileno=3)
    os.set_inheritable(3, False)
    os.set_inheritable(4, False)
    raw, fds = messages.receive(server)
    if not raw:
        return
    config = messages.decode(raw)
    with open(fds[0], "rb") as file:
        seccomp = file.read()
    try:
        if not config["privileged"]:
            _enter_user_namespace()
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
        warden = Warden(server, config, seccomp)
    except (OSError, ValueError) as error:
        messages.send(server, messages.encode({"t": "failed", "why": str(error)}))
        sys.exit(1)
    warden.run()


def _enter_user_namespace() -> None:
    """Become somebody in a user namespace, as pid 1 of a pid namespace that belongs to it.

    Cells need a pid namespace each, and only the owner of the one we live in may return to it between them.
    """
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{UNPRIVILEGED_UID} {uid} 1"),
        ("gid_map", f"{UNPRIVILEGED_UID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    child = os.fork()
    if child == 0:
        kernel.die_with_parent()
        return
    os.closerange(3, 1024)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def trial(*, privileged: bool) -> None:
    """Find out whether one may do here what cells need; print why not."""
    try:
        if not privileged:
            _enter_user_namespace()
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", "/mnt", "tmpfs")
        kernel.mount("proc", "/proc", "proc")
    except OSError as error:
        print(error, flush=True)  # noqa: T201 - the answer to whoever started this
        os._exit(1)
    os._exit(0)
