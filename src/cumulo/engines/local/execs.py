"""Further processes in running containers: the runtime's `exec` as our child, its output on pipes or a terminal."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import struct
import subprocess
import termios
from pathlib import Path

import msgspec

from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import EngineError, ExecSpec, StartFailed
from cumulo.engines.local import processes
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.runtime import Runtime, failure, said

_START_SECONDS_MAX = 30.0
_LOOK_SECONDS = 0.002
_PIECE_BYTES = 64 * 1024
_QUEUE_MAX = 16
_CLOSE_SECONDS_MAX = 10.0


class Started(msgspec.Struct, frozen=True):
    """The runtime's process, and the ends that are ours."""

    child: "subprocess.Popen[bytes]"
    folder: Path
    token: str
    input: int
    outputs: tuple[tuple[str, int], ...]
    terminal: int = -1


class Execs:
    """Starts them."""

    def __init__(self, hands: Hands, runtime: Runtime, sockets: Path) -> None:
        self._hands = hands
        self._runtime = runtime
        self._sockets = sockets

    async def start(self, run: str, folder: Path, process: bytes, asked: ExecSpec) -> "Session":
        """Start one.  `process` is OCI's.  StartFailed."""
        spawning = asyncio.ensure_future(self._hands.do(lambda: self._spawn(run, folder, process, asked)))
        try:
            started = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # The thread goes on (a health check waited too long for it), and what it starts would be nobody's.
            with contextlib.suppress(StartFailed):
                await Session(self._hands, await spawning).close()
            raise
        session = Session(self._hands, started)
        try:
            await session.started()
        except BaseException:
            await session.close()
            raise
        return session

    def _spawn(self, run: str, folder: Path, process: bytes, asked: ExecSpec) -> Started:
        folder.mkdir(exist_ok=True)
        token = secrets.token_hex(8)
        (folder / f"{token}.json").write_bytes(process)
        console = self._sockets / f"x-{token}" if asked.terminal and self._runtime.sends_terminals else None
        argv = self._runtime.exec_argv(
            run, folder / f"{token}.json", folder / f"{token}.pid", folder / f"{token}.log", console
        )
        try:
            if console is not None:
                return _with_console(argv, console, folder, token, asked)
            if asked.terminal:
                return _with_terminal(argv, folder, token, asked)
            return _with_pipes(argv, folder, token)
        except OSError as error:
            raise StartFailed("engine", f"the runtime could not be run: {error}") from error


def _with_pipes(argv: list[str], folder: Path, token: str) -> Started:
    child = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    ends = [os.dup(pipe.fileno()) for pipe in (child.stdin, child.stdout, child.stderr)]
    for pipe in (child.stdin, child.stdout, child.stderr):
        pipe.close()
    return Started(child, folder, token, ends[0], (("stdout", ends[1]), ("stderr", ends[2])))


def _with_terminal(argv: list[str], folder: Path, token: str, asked: ExecSpec) -> Started:
    """For runc, which makes the terminal inside and copies between it and the one that we give it."""
    master, slave = os.openpty()
    try:
        _resize(master, asked.rows, asked.columns)
        child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    except OSError:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return Started(child, folder, token, master, (("stdout", master),), master)


def _with_console(argv: list[str], console: Path, folder: Path, token: str, asked: ExecSpec) -> Started:
    """For crun, which sends us the terminal's other end; a terminal of ours it would not resize."""
    nothing = subprocess.DEVNULL
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(console))
        listener.listen(1)
        listener.settimeout(_LOOK_SECONDS)
        child = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        try:
            master = _receive_terminal(listener, child)
        except OSError:
            child.kill()
            child.wait()
            raise
        finally:
            console.unlink(missing_ok=True)
    if master < 0:
        return Started(child, folder, token, -1, ())
    _resize(master, asked.rows, asked.columns)
    return Started(child, folder, token, master, (("stdout", master),), master)


def _receive_terminal(listener: socket.socket, child: "subprocess.Popen[bytes]") -> int:
    """What the runtime sends; -1 when it ended before."""
    for _ in range(int(_START_SECONDS_MAX / _LOOK_SECONDS)):
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if child.poll() is not None:
                return -1
            continue
        with connection:
            connection.settimeout(_START_SECONDS_MAX)
            _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
            return fds[0] if fds else -1
    return -1


def _resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Session:
    """A process that was started by `exec`."""

    def __init__(self, hands: Hands, started: Started) -> None:
        self._hands = hands
        self._started = started
        self._queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(_QUEUE_MAX)
        self._readers: list[asyncio.Task[None]] = []
        self._over = 0
        self._input = started.input
        self._terminal = started.terminal
        self._code: int | None = None
        self._born = 0  # when the process inside started: another may get its number
        self.closed = False
        for fd in {started.input, *(fd for _, fd in started.outputs)} - {-1}:
            os.set_blocking(fd, False)

    async def started(self) -> None:
        """Wait until it runs.  StartFailed when it cannot."""
        child, pid_file = self._started.child, self._file("pid")
        for _ in range(int(_START_SECONDS_MAX / _LOOK_SECONDS)):
            if pid_file.exists():
                self._born = processes.born(_number(pid_file))
                break
            if child.poll() is not None and not pid_file.exists():
                raise await self._hands.do(self._failure)
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            raise StartFailed("engine", f"exec did not start within {_START_SECONDS_MAX} s")
        self._readers = [
            asyncio.get_running_loop().create_task(self._read_all(stream, fd))
            for stream, fd in self._started.outputs
        ]

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece of output with its stream; None at the end."""
        if self._over == len(self._readers) and self._queue.empty():
            return None
        return await self._queue.get()

    async def write(self, data: bytes) -> None:
        """Give it input.  EngineError when it takes none any more."""
        view = memoryview(data)
        while view:
            if self._input < 0:
                raise EngineError("the input is closed")
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await processes.ready(self._input, write=True)
            except OSError as error:
                raise EngineError(f"it takes no input: {error.strerror}") from error

    def end_input(self) -> None:
        """Close its input.  With a terminal: send it the end-of-file character."""
        if self._terminal >= 0:
            os.write(self._terminal, b"\x04")
        elif self._input >= 0:
            os.close(self._input)
            self._input = -1

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal."""
        if self._terminal >= 0:
            _resize(self._terminal, rows, columns)
            if self._started.child.poll() is None:
                self._started.child.send_signal(signal.SIGWINCH)

    async def wait(self) -> int:
        """Its exit code."""
        while self._code is None:
            code = self._started.child.poll()
            if code is not None:
                self._code = code if code >= 0 else 128 - code
                break
            try:
                fd = os.pidfd_open(self._started.child.pid)
            except ProcessLookupError:
                continue
            try:
                await processes.ended(fd)
            finally:
                os.close(fd)
        return self._code

    async def close(self) -> None:
        """Kill it if it runs, and let go."""
        if self.closed:
            return
        self.closed = True
        await self._inside_known()
        if self._started.child.poll() is None:
            self._kill()
            try:
                await asyncio.wait_for(self.wait(), _CLOSE_SECONDS_MAX)
            except TimeoutError:
                self._started.child.kill()
                await asyncio.to_thread(self._started.child.wait)
        await cancel_all(self._readers)
        for fd in {self._input, *(fd for _, fd in self._started.outputs)} - {-1}:
            os.close(fd)
        self._input = self._terminal = -1
        self._started = msgspec.structs.replace(self._started, outputs=())
        for kind in ("json", "pid", "log"):
            self._file(kind).unlink(missing_ok=True)

    async def _inside_known(self) -> None:
        """Wait until the runtime says which process is inside: one that is killed before would leave it there."""
        for _ in range(int(_CLOSE_SECONDS_MAX / _LOOK_SECONDS)):
            if self._born or self._started.child.poll() is not None:
                return
            self._born = processes.born(_number(self._file("pid")))
            if not self._born:
                await asyncio.sleep(_LOOK_SECONDS)

    def _kill(self) -> None:
        """End the process inside, and with it the runtime that waits for it; or the runtime, when there is none yet."""
        fd = processes.open_process(_number(self._file("pid")), self._born) if self._born else None
        if fd is None:
            self._started.child.kill()
            return
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has just ended; the runtime follows
        finally:
            os.close(fd)

    def _file(self, kind: str) -> Path:
        return self._started.folder / f"{self._started.token}.{kind}"

    def _failure(self) -> StartFailed:
        errors = said(self._file("log"))
        if not errors:
            errors = " ".join(_printed(fd) for name, fd in self._started.outputs if name == "stderr")
        return failure(errors)

    async def _read_all(self, stream: str, fd: int) -> None:
        try:
            while True:
                try:
                    data = os.read(fd, _PIECE_BYTES)
                except BlockingIOError:
                    await processes.ready(fd)
                    continue
                except OSError:
                    break  # EIO: the last process has let go of the terminal
                if not data:
                    break
                await self._queue.put((stream, data))
        finally:
            self._over += 1
        if self._over == len(self._readers):
            await self._queue.put(None)


def _printed(fd: int) -> str:
    try:
        return os.read(fd, 4096).decode("utf-8", "replace")
    except BlockingIOError:  # nothing; somebody whom the runtime has left still holds the other end
        return ""


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
