"""A server on a free port, and a client that speaks raw bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop

from cumulo.base.clock import SystemClock
from cumulo.wire.http import Request, Response
from cumulo.wire.server import Server

RUNNERS = [asyncio.run, uvloop.run]


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        lines = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines[1:]]
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def answer(self, *, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if method == "HEAD" or status in {100, 204, 304}:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self.chunked()
        if "content-length" in headers:
            wanted = int(headers["content-length"])
            return status, headers, await asyncio.wait_for(self.reader.readexactly(wanted), 10)
        return status, headers, await self.rest()

    async def chunked(self) -> bytes:
        whole = b""
        while True:
            size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 10), 16)
            piece = await asyncio.wait_for(self.reader.readexactly(size + 2), 10)
            assert piece.endswith(b"\r\n")
            if not size:
                return whole
            whole += piece[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)

    async def ask(self, data: bytes, *, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        await self.send(data)
        return await self.answer(method=method)

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Door:
    """A server that is listening."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self._clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes, *, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Send bytes on a connection of their own, and read one answer."""
        return await (await self.client()).ask(data, method=method)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@contextlib.asynccontextmanager
async def door(
    handler: Callable[[Request], Awaitable[Response]] | None = None, **options: Any
) -> AsyncIterator[Door]:
    server = Server(handler or mirror, **{"clock": SystemClock(), **options})
    port = await server.listen("127.0.0.1", 0)
    opened = Door(server, port)
    try:
        yield opened
    finally:
        await opened.close()
        await server.stop(0.2)
        assert server.budget.used == 0, "memory of bodies was not given back"
        assert not server.connections


async def mirror(request: Request) -> Response:
    """Say what was asked."""
    body = await request.body.read(100_000_000)
    return Response(200, [("X-Path", request.path), ("X-Method", request.method)], body)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the loop run until something holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.005)
