"""Processes of the fake engine: async functions that play programs."""

import asyncio
import contextlib
import re
import signal as signals
from collections.abc import Awaitable, Callable, Mapping

Write = Callable[[str, bytes], None]  # (stream, data)


class FakeProcess:
    """What a program is given: its arguments, its environment, and where to write."""

    def __init__(
        self,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        *,
        cwd: str,
        user: str,
        write: Write,
        reach: Callable[[int, str], tuple[str, int] | None],
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.user = user
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue(64)
        self.running = asyncio.Event()  # clear while it is paused
        self.running.set()
        self._write = write
        self._reach = reach
        self._handlers: dict[str, Callable[[], None]] = {}
        self._task: asyncio.Task[int] | None = None
        self._pending: list[str] = []
        self._killed_by = 0

    async def write(self, data: bytes | str, stream: str = "stdout") -> None:
        """Print; waits while the process is paused."""
        await self.running.wait()
        self._write(stream, data.encode() if isinstance(data, str) else data)

    async def sleep(self, seconds: float) -> None:
        """Real time, and then until it is not paused."""
        await asyncio.sleep(seconds)
        await self.running.wait()

    def on(self, signal: str, do: Callable[[], None]) -> None:
        """Handle a signal (`SIGTERM`) instead of dying of it."""
        self._handlers[signal] = do

    async def connect(
        self, port: int, address: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """address:port of the pod: what `listen_inside` listens at.  ConnectionRefusedError."""
        where = self._reach(port, address)
        if where is None:
            raise ConnectionRefusedError(f"nothing listens at port {port} of the pod")
        return await asyncio.open_connection(*where)

    def start(self, program: "Program") -> asyncio.Task[int]:
        """Run; the task's result is the exit code and it never raises."""
        self._task = asyncio.create_task(self._run(program))
        return self._task

    async def _run(self, program: "Program") -> int:
        try:
            return await program(self) & 0xFF
        except asyncio.CancelledError:
            if not self._killed_by:
                raise
            return 128 + self._killed_by
        except Exception as error:  # noqa: BLE001 - a program that crashes is an exit code, as everywhere
            self._write("stderr", f"{type(error).__name__}: {error}\n".encode())
            return 1

    def code(self, task: "asyncio.Task[int]") -> int:
        """The exit code of the task that `start` gave; also of one that was killed before its first step."""
        return 128 + (self._killed_by or signals.SIGKILL) if task.cancelled() else task.result()

    def signal(self, name: str) -> None:
        """Deliver a signal; to a paused process only SIGKILL gets through, others when it runs on."""
        if self._task is None or self._task.done():
            return
        if not self.running.is_set() and name != "SIGKILL":
            self._pending.append(name)
        elif name in self._handlers and name != "SIGKILL":
            self._handlers[name]()
        elif name not in {"SIGCHLD", "SIGURG", "SIGWINCH", "SIGCONT"}:
            self._killed_by = signals.Signals[name].value
            self._task.cancel()

    def resume(self) -> None:
        """Run on, and take the signals that came meanwhile."""
        self.running.set()
        pending, self._pending = self._pending, []
        for name in pending:
            self.signal(name)


Program = Callable[[FakeProcess], Awaitable[int]]


async def _echo(process: FakeProcess) -> int:
    await process.write(" ".join(process.argv[1:]) + "\n")
    return 0


async def _sleep(process: FakeProcess) -> int:
    await process.sleep(float(process.argv[1]))
    return 0


async def _true(process: FakeProcess) -> int:
    await process.running.wait()
    return 0


async def _false(process: FakeProcess) -> int:
    await process.running.wait()
    return 1


async def _env(process: FakeProcess) -> int:
    for key, value in process.env.items():
        await process.write(f"{key}={value}\n")
    return 0


async def _pwd(process: FakeProcess) -> int:
    await process.write(f"{process.cwd or '/'}\n")
    return 0


async def _cat(process: FakeProcess) -> int:
    while (data := await process.input.get()) is not None:
        await process.write(data)
    return 0


async def _exit(process: FakeProcess) -> int:
    """`sh -c "exit N"`: the one line of shell that is known, for it says what code is wanted."""
    found = re.fullmatch(r"exit (\d+)", process.argv[2] if process.argv[1:2] == ("-c",) else "")
    if found:
        return int(found[1])
    await process.write("sh: the fake engine has no shell; give it a program of your own\n", "stderr")
    return 2


def builtin_programs() -> dict[str, Program]:
    """Programs by name, as a search in PATH would find them."""
    return {
        "echo": _echo,
        "sleep": _sleep,
        "true": _true,
        "false": _false,
        "env": _env,
        "pwd": _pwd,
        "cat": _cat,
        "sh": _exit,
    }


class FakeExec:
    """A further process: an ExecSession."""

    def __init__(self, process: FakeProcess, output: "asyncio.Queue[tuple[str, bytes] | None]") -> None:
        self._process = process
        self._output = output
        self._task: asyncio.Task[int] | None = None
        self._ended = False

    def start(self, program: Program, done: Callable[["FakeExec"], None]) -> None:
        """Let it run, and say when it is done."""
        self._task = self._process.start(program)
        self._task.add_done_callback(lambda _: done(self))
        self._task.add_done_callback(lambda _: self._output.put_nowait(None))

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece; None at the end."""
        if self._ended:
            return None
        piece = await self._output.get()
        self._ended = piece is None
        return piece

    async def write(self, data: bytes) -> None:
        """Give it input."""
        await self._process.input.put(data)

    def end_input(self) -> None:
        """Close its input."""
        with contextlib.suppress(asyncio.QueueFull):
            self._process.input.put_nowait(None)

    def resize(self, rows: int, columns: int) -> None:
        """It has no terminal; there is nothing to tell."""

    def kill(self) -> None:
        """Its container has ended."""
        self._process.signal("SIGKILL")

    async def wait(self) -> int:
        """Its exit code."""
        assert self._task is not None
        await asyncio.wait([self._task])
        return self._process.code(self._task)

    async def close(self) -> None:
        """Kill it, and let go."""
        self.kill()
        if self._task is not None:
            await asyncio.wait([self._task])
