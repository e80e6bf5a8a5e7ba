"""A small HTTP/1.1 client that passes requests on: streaming both ways, connections kept, memory bounded."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from cumulo.wire.http import BytesBody, Request, Response

PIECE_BYTES: Final = 64 * 1024
HEAD_BYTES_MAX: Final = 1024 * 1024
IDLE_CONNECTIONS_MAX: Final = 16
ANSWER_SECONDS_MAX: Final = 900.0  # until the head of an answer is here
STALL_SECONDS_MAX: Final = 120.0  # between two pieces of its body

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NOT_PASSED: Final = _HOP_BY_HOP | {"content-length", "expect"}
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
Pairs = Sequence[tuple[str, str]]


class UpstreamError(Exception):
    """The other side could not be reached, or did not speak HTTP."""


class _Answer:
    """The head of an answer, and what it says of the body."""

    def __init__(self, raw: bytes, method: str) -> None:
        lines = raw[:-4].split(b"\r\n")
        line = _STATUS_LINE.fullmatch(lines[0])
        if line is None:
            raise UpstreamError("the answer is not HTTP")
        self.status = int(line[1])
        self.headers: list[tuple[str, str]] = []
        self.length: int | None = None
        self.chunked = False
        self.keep_alive = lines[0].startswith(b"HTTP/1.1")
        for raw_line in lines[1:]:
            name, _, value = raw_line.decode("latin-1").partition(":")
            self._header(name, value.strip())
        if method == "HEAD" or self.status in {204, 304}:
            self.length, self.chunked = 0, False

    def _header(self, name: str, value: str) -> None:
        lower = name.lower()
        if lower == "transfer-encoding":
            self.chunked = value.lower() == "chunked"
        elif lower == "connection":
            self.keep_alive = value.lower() != "close"
        elif lower == "content-length" and value.isdigit():
            self.length = int(value)
        if lower not in _HOP_BY_HOP:
            self.headers.append((name, value))


class Upstream:
    """One place that requests are passed on to."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: list[Streams] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def send(self, request: Request, extra: Pairs, strip: frozenset[str]) -> Response:
        """Pass a request on with `extra` headers and without those in `strip`.  UpstreamError."""
        if isinstance(request.body, BytesBody):
            kept = self._kept()
            if kept is not None:
                with contextlib.suppress(UpstreamError):  # it may have died meanwhile: then a fresh one
                    return await self._send(kept, request, extra, strip)
        return await self._send(await self._open(), request, extra, strip)

    def close(self) -> None:
        """Close all connections."""
        self._idle.clear()
        for writer in tuple(self._writers):
            self._drop(writer)

    async def _send(
        self, streams: Streams, request: Request, extra: Pairs, strip: frozenset[str]
    ) -> Response:
        reader, writer = streams
        sender = asyncio.create_task(_write_request(writer, request, extra, strip))
        try:
            answer = await self._head(reader, sender, request.method)
        except BaseException:
            sender.cancel()
            self._drop(writer)
            raise
        if not answer.chunked and answer.length is not None and answer.length <= PIECE_BYTES:
            body = await self._small(reader, writer, answer)
            self._done(reader, writer, sender, keep=answer.keep_alive)
            return Response(answer.status, answer.headers, body)
        return Response(answer.status, answer.headers, self._body(reader, writer, sender, answer))

    def _kept(self) -> Streams | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            self._drop(writer)
        return None

    async def _open(self) -> Streams:
        try:
            reader, writer = await self._connect()
        except OSError as fault:
            raise UpstreamError(f"cannot connect: {fault}") from fault
        self._writers.add(writer)
        return reader, writer

    async def _head(self, reader: asyncio.StreamReader, sender: "asyncio.Task[None]", method: str) -> _Answer:
        reading = asyncio.ensure_future(_read_head(reader, method))
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await asyncio.wait({reading, sender}, return_when=asyncio.FIRST_COMPLETED)
                if sender.done() and not reading.done():
                    fault = sender.exception()
                    if fault is not None and not isinstance(fault, ConnectionError):
                        raise fault
                return await reading
        except TimeoutError as fault:
            raise UpstreamError("no answer in time") from fault
        finally:
            reading.cancel()

    async def _small(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: _Answer
    ) -> bytes:
        try:
            async with asyncio.timeout(STALL_SECONDS_MAX):
                return await reader.readexactly(answer.length or 0)
        except (OSError, EOFError, TimeoutError) as fault:
            self._drop(writer)
            raise UpstreamError("the answer broke off") from fault

    async def _body(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sender: "asyncio.Task[None]",
        answer: _Answer,
    ) -> AsyncIterator[bytes]:
        complete = False
        try:
            async for piece in _pieces(reader, answer):
                yield piece
            complete = True
        except (OSError, EOFError, TimeoutError, ValueError) as fault:
            raise UpstreamError("the answer broke off") from fault
        finally:
            known = answer.chunked or answer.length is not None
            self._done(reader, writer, sender, keep=complete and known and answer.keep_alive)

    def _done(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sender: "asyncio.Task[None]",
        *,
        keep: bool,
    ) -> None:
        sent = sender.done() and not sender.cancelled() and sender.exception() is None
        sender.cancel()
        if keep and sent and len(self._idle) < IDLE_CONNECTIONS_MAX:
            self._idle.append((reader, writer))
        else:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()


async def _write_request(
    writer: asyncio.StreamWriter, request: Request, extra: Pairs, strip: frozenset[str]
) -> None:
    target = f"{request.path}?{request.query}" if request.query else request.path
    lines = [f"{request.method} {target} HTTP/1.1"]
    lines += [
        f"{name}: {value}"
        for name, value in request.headers.items()
        if name not in _NOT_PASSED and name not in strip  # names come in small letters
    ]
    lines += [f"{name}: {value}" for name, value in extra]
    length = request.headers.get("content-length")
    chunked = "transfer-encoding" in request.headers
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif length:
        lines.append(f"Content-Length: {length}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or lines[0].count(" ") != 2:
        raise UpstreamError("a line of the head is none")
    if not (chunked or length):
        writer.write(head)
        return
    if isinstance(request.body, BytesBody):
        whole = await request.body.read(HEAD_BYTES_MAX + len(head) + (1 << 30))
        writer.write(head + (_chunk(whole) + b"0\r\n\r\n" if chunked else whole))
        await writer.drain()
        return
    writer.write(head)
    async for piece in request.body.chunks():
        writer.write(_chunk(piece) if chunked else piece)
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


async def _read_head(reader: asyncio.StreamReader, method: str) -> _Answer:
    try:
        while True:
            answer = _Answer(await reader.readuntil(b"\r\n\r\n"), method)
            if answer.status >= 200:
                return answer
    except (OSError, EOFError, asyncio.LimitOverrunError) as fault:
        raise UpstreamError("no answer") from fault


async def _pieces(reader: asyncio.StreamReader, answer: _Answer) -> AsyncIterator[bytes]:
    if not answer.chunked:
        left = answer.length
        while left is None or left > 0:
            piece = await _read(reader, PIECE_BYTES if left is None else min(left, PIECE_BYTES))
            if not piece:
                if left is None:
                    return
                raise EOFError
            if left is not None:
                left -= len(piece)
            yield piece
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        left = size
        while left:
            piece = await _read(reader, min(left, PIECE_BYTES))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


async def _read(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(STALL_SECONDS_MAX):
        return await reader.read(count)
