"""The server's end of the socket to a warden."""

import asyncio
import collections
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cumulo.sandbox import messages
from cumulo.sandbox.contract import StartError

UNSENT_MAX = 8192
READY_SECONDS_MAX = 10.0
END_SECONDS_MAX = 8.0

_PROGRAM = "import sys; sys.path.insert(0, {root!r}); from cumulo.sandbox.birth import main; main()"


class WardenGone(Exception):
    """The warden ended; another one can be started."""


class Ward(Protocol):
    """What the warden's news is for."""

    def ended(self, message: dict[str, Any]) -> None:
        """Everything inside is dead."""
        ...

    def orphaned(self) -> None:
        """The warden is dead."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


W = TypeVar("W", bound=Ward)


class _Pending:
    """A start that the warden has not answered."""

    def __init__(self, make: Callable[[dict[str, Any], list[int]], Any]) -> None:
        self.make = make
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Wardship:
    """One warden process and the sandboxes it keeps."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", sock: socket.socket, hello: dict[str, Any]
    ) -> None:
        self.problems: dict[str, str] = hello["problems"]  # what it could not have, by name
        self.groups: int = hello["groups"]  # the version of control groups; 0 is none
        self.pid = process.pid
        self.alive = True
        self.sandboxes: dict[int, Any] = {}
        self._process = process
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, _Pending] = {}
        self._unsent: collections.deque[bytes] = collections.deque()
        self._number = 0
        self._loop.add_reader(sock.fileno(), self._readable)

    def next_number(self) -> int:
        """A number for a new sandbox."""
        self._number += 1
        return self._number

    async def start(
        self, number: int, message: dict[str, Any], make: Callable[[dict[str, Any], list[int]], W]
    ) -> W:
        """Ask for a sandbox; `make` builds it from the answer and its descriptors.  StartError, WardenGone."""
        if not self.alive:
            raise WardenGone("the warden has ended")
        try:
            raw = messages.encode(message | {"id": number})
        except ValueError as error:
            raise StartError("Sandbox.Failed", str(error)) from error
        pending = self._pending[number] = _Pending(make)
        self._send(raw)
        try:
            started: W = await pending.answer
        except asyncio.CancelledError:
            pending.make = lambda _, fds: _not_wanted(fds)
            raise
        return started

    def say(self, message: dict[str, Any]) -> None:
        """Tell the warden something that has no answer."""
        if self.alive:
            with contextlib.suppress(StartError):  # a warden so far behind is about to be found dead
                self._send(messages.encode(message))

    def forget(self, number: int) -> None:
        """A sandbox has been closed."""
        self.sandboxes.pop(number, None)

    async def close(self) -> None:
        """Let the warden end everything, and wait for it."""
        self._gone()
        try:
            await asyncio.to_thread(self._process.wait, END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _send(self, raw: bytes) -> None:
        if not self._unsent and self._try(raw):
            return
        if len(self._unsent) >= UNSENT_MAX:
            raise StartError("Sandbox.Failed", "too many messages wait for the warden")
        self._unsent.append(raw)
        self._loop.add_writer(self._socket.fileno(), self._writable)

    def _try(self, raw: bytes) -> bool:
        try:
            messages.send(self._socket, raw)
        except BlockingIOError:
            return False
        except OSError:
            self._gone()
        return True

    def _writable(self) -> None:
        while self._unsent and self._try(self._unsent[0]):
            if self._unsent:
                self._unsent.popleft()
        if not self._unsent and self.alive:
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        while self.alive:
            try:
                raw, fds = messages.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                raw, fds = b"", []
            if not raw:
                self._gone()
                return
            self._take(messages.decode(raw), fds)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        number = message["id"]
        if message["t"] == "exit":
            sandbox = self.sandboxes.get(number)
            if sandbox is not None:
                sandbox.ended(message)
            return
        pending = self._pending.pop(number)
        if message["t"] == "refused":
            if not pending.answer.done():
                pending.answer.set_exception(StartError("Sandbox.Failed", message["why"]))
            return
        if pending.answer.done():  # nobody waits any more
            _not_wanted(fds)
            return
        try:
            sandbox = pending.make(message, fds)
        except OSError as error:  # out of descriptors
            _not_wanted(fds)
            pending.answer.set_exception(StartError("Sandbox.Failed", str(error)))
            return
        self.sandboxes[number] = sandbox
        pending.answer.set_result(sandbox)

    def _gone(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._unsent.clear()
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(WardenGone("the warden ended"))
        self._pending.clear()
        for sandbox in list(self.sandboxes.values()):
            sandbox.orphaned()


async def connect(config: dict[str, Any], seccomp: bytes, lock: int) -> Wardship:
    """Start a warden.  OSError when it cannot do its work here."""
    process, sock, message = await asyncio.to_thread(_spawn, config, seccomp, lock)
    return Wardship(process, sock, message)


def _spawn(
    config: dict[str, Any], seccomp: bytes, lock: int
) -> "tuple[subprocess.Popen[bytes], socket.socket, dict[str, Any]]":
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = _PROGRAM.format(root=str(Path(__file__).parents[2]))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SHUFFLE.format(sock=theirs.fileno(), lock=lock) + program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), lock),
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
    try:
        return process, ours, _introduce(ours, config, seccomp)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise


# The numbers that the two descriptors have here are not free to choose; there, they are 3 and 4.
_SHUFFLE = (
    "import os; s, l = os.dup2(os.dup({sock}), 90), os.dup2(os.dup({lock}), 91); os.closerange(3, 90); "
    "os.dup2(s, 3); os.dup2(l, 4); os.closerange(5, 1024); "
)


def _introduce(sock: socket.socket, config: dict[str, Any], seccomp: bytes) -> dict[str, Any]:
    """Send the configuration; the warden's first message."""
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        os.write(fd, seccomp)
        os.lseek(fd, 0, os.SEEK_SET)
        messages.send(sock, messages.encode(config), (fd,))
    finally:
        os.close(fd)
    sock.settimeout(READY_SECONDS_MAX)
    raw, _ = messages.receive(sock)
    if not raw:
        raise OSError("the warden ended before it was ready")
    message = messages.decode(raw)
    if message["t"] == "failed":
        raise OSError(message["why"])
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
    return message


def _not_wanted(fds: list[int]) -> Any:
    """Let a sandbox die that nobody waits for: its pidfd is the sixth descriptor."""
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(fds[5], signal.SIGKILL)
    messages.close_all(fds)
