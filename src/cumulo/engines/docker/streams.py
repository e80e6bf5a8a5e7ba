"""Connections that Docker hands over: a further process's (exec), and a container's output into a pipe."""

import asyncio
import contextlib
import os
from typing import Any

from cumulo.engines.docker import nearby
from cumulo.engines.docker.api import Api, DockerError, Unreachable
from cumulo.engines.docker.frames import read_frame
from cumulo.engines.engine import EngineError, StartFailed

START_SECONDS = 30.0
CLOSE_SECONDS = 5.0
_PIECE_BYTES = 64 * 1024


class Link:
    """Both ends of a connection, with frames or, for a terminal, without."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, raw: bool) -> None:
        self.reader = reader
        self.writer = writer
        self._raw = raw

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece; None at the end."""
        if not self._raw:
            return await read_frame(self.reader)
        with contextlib.suppress(ConnectionError):
            data = await self.reader.read(_PIECE_BYTES)
            return ("stdout", data) if data else None
        return None

    def close(self) -> None:
        """Let go."""
        self.writer.close()


class DockerExec:
    """ExecSession over Docker's API."""

    def __init__(self, api: Api, id: str, link: Link, *, container_id: str, near: bool) -> None:  # noqa: A002
        self._api = api
        self._id = id
        self._link = link
        self._container_id = container_id
        self._near = near
        self._tasks: set[asyncio.Task[None]] = set()
        self._code: int | None = None
        self._pid = 0

    async def started(self) -> None:
        """Wait until it runs; StartFailed with what Docker wrote into the stream when it does not."""
        pause = 0.002
        async with asyncio.timeout(START_SECONDS):
            while True:
                said = await self._inspect()
                self._pid = int(said.get("Pid") or 0)
                if self._pid:
                    return
                if not said["Running"] and said.get("ExitCode") is not None:
                    raise StartFailed("entrypoint", await self._complaint())
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.1)

    async def _complaint(self) -> str:
        pieces = []
        with contextlib.suppress(EngineError):  # Docker writes it without a frame
            while data := await self._link.reader.read(_PIECE_BYTES):
                pieces.append(data)
        text = b"".join(pieces).decode(errors="replace").strip(" \r\n\0\1\2")
        return text or "the command could not be started"

    async def _inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._api.call("GET", f"/exec/{self._id}/json")
        return found

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece of output; None at the end."""
        return await self._link.read()

    async def write(self, data: bytes) -> None:
        """Give it input; what has ended takes none and says nothing."""
        with contextlib.suppress(ConnectionError):
            self._link.writer.write(data)
            await self._link.writer.drain()

    def end_input(self) -> None:
        """Close its input."""
        with contextlib.suppress(OSError, RuntimeError):
            if self._link.writer.can_write_eof():
                self._link.writer.write_eof()

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal, as soon as may be."""
        task = asyncio.create_task(self.resize_now(rows, columns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def resize_now(self, rows: int, columns: int) -> None:
        """Tell its terminal; what has ended is not told."""
        with contextlib.suppress(EngineError):
            await self._api.call("POST", f"/exec/{self._id}/resize", h=rows, w=columns)

    async def wait(self) -> int:
        """Its exit code.  Docker tells nobody, so it is asked."""
        pause = 0.005
        while self._code is None:
            said = await self._inspect()
            if not said["Running"] and said.get("ExitCode") is not None:
                self._code = int(said["ExitCode"])
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        return self._code

    async def close(self) -> None:
        """Kill it where its process can be seen; elsewhere its input ends and its output goes nowhere."""
        with contextlib.suppress(EngineError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                said = await self._inspect()
                if said["Running"] and self._near:
                    nearby.kill(int(said.get("Pid") or 0), self._container_id)
                    await self.wait()
        self._link.close()
        for task in tuple(self._tasks):
            task.cancel()


async def pump(link: Link, fd: int) -> None:
    """A container's output into a pipe, until either ends.  Closes both.

    When nobody reads the pipe any more the rest is read and dropped: a container must not stand still for it.
    """
    writer = await _pipe(fd)
    try:
        while (piece := await link.read()) is not None:
            with contextlib.suppress(ConnectionError):
                writer.write(piece[1])
                await writer.drain()
    except EngineError:
        pass  # the stream broke; the log has the output still
    finally:
        link.close()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _pipe(fd: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(fd, "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop), pipe
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def attach(api: Api, container_id: str, *, terminal: bool) -> Link:
    """A container's output from now on."""
    reader, writer = await api.take_over(f"/containers/{container_id}/attach", stream=1, stdout=1, stderr=1)
    return Link(reader, writer, raw=terminal)


async def kill_leftover_execs(api: Api, container_id: str) -> None:
    """Processes that an earlier control plane executed, and that nobody listens to any more."""
    with contextlib.suppress(DockerError, Unreachable):
        said = await api.call("GET", f"/containers/{container_id}/json")
        for id_ in said.get("ExecIDs") or ():
            one = await api.call("GET", f"/exec/{id_}/json")
            if one["Running"] and one.get("Pid"):
                nearby.kill(int(one["Pid"]), container_id)
