"""A client for HTTP/1.1: asks backends by URL, over connections that are kept; streams both ways within bounds.

send ─▶ Origin (scheme, host, port) ─▶ a connection that waits, or a new one ─▶ head ─▶ body, whole or as a stream

Nothing waits for ever: connecting and the head have the caller's seconds, a body that stalls is given up by one
sweep for all connections, and what waits too long for its next request is closed by the same.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.net.heads import AnswerHead, HeadReader
from cumulo.net.http_connection import BODY, HttpConnection, HttpFailed
from cumulo.net.listening import connect
from cumulo.net.pool import Backend

ONE_WRITE_BYTES_MAX: Final = 64 * 1024

Pairs = Sequence[tuple[str, str]]
Permits = Callable[[str, int], bool]

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class ClientLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one client.  Seconds of waiting connections are looked at once a `sweep_seconds`.

    per_origin_max       connections to one origin; beyond: HttpFailed
    connections_max      to all of them
    idle_per_origin_max  that wait for their next request
    idle_seconds         that they wait at the most
    replay_idle_seconds  a connection that waited longer gets nothing that could not be sent again
    stall_seconds_max    between two pieces of an answer, or for a reader that takes none
    """

    per_origin_max: int = 512
    connections_max: int = 2048
    origins_max: int = 1024
    idle_per_origin_max: int = 64
    idle_seconds: float = 55.0
    replay_idle_seconds: float = 1.0
    stall_seconds_max: float = 60.0
    headers_count_max: int = 200
    sweep_seconds: float = 5.0


class Answered(msgspec.Struct, kw_only=True):
    """An answer; the body is an iterator when it was asked for as a stream and is not all here."""

    status: int
    headers: list[tuple[str, str]]
    body: "bytes | StreamedBody"


class Origin:
    """One place that is asked: its connections that wait, newest last, and how many there are."""

    __slots__ = ("address", "count", "host", "idle", "port", "server_name", "tls")

    def __init__(self, scheme: str, authority: str, *, tls: ssl.SSLContext | None, server_name: str) -> None:
        self.host = authority
        self.address, self.port = _address(authority, 443 if scheme == "https" else 80)
        self.tls = tls
        self.server_name = server_name
        self.idle: list[HttpConnection] = []
        self.count = 0


class HttpClient:
    """Asks.  `close` when it is of no more use.  `permits`: which addresses and ports may be asked; None: all."""

    def __init__(
        self,
        *,
        clock: Clock,
        limits: ClientLimits = ClientLimits(),  # noqa: B008 - frozen
        permits: Permits | None = None,
    ) -> None:
        self.limits = limits
        self.heads = HeadReader(headers_count_max=limits.headers_count_max)
        self._clock = clock
        self._permits = permits
        self._origins: dict[tuple[str, str, bool, str], Origin] = {}
        self._where: dict[HttpConnection, Origin] = {}
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._senders: dict[HttpConnection, asyncio.Task[None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(
        self,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        seconds: float,
        verify: bool = True,
        server_name: str = "",
        stream: bool = False,
        bytes_max: int = 0,
    ) -> Answered:
        """Ask, and give the answer; see gateway/tools.py's HttpCalls.  HttpFailed; what `body` raises is raised on."""
        origin, target = self._origin(url, verify=verify, server_name=server_name)
        framed = _framed(headers, body)
        head = _head(method, target, origin.host, framed)
        try:
            async with asyncio.timeout(seconds):
                if isinstance(body, bytes):
                    connection = await self._asked(origin, method, head, body)
                else:
                    chunked = framed[-1][0] == "transfer-encoding"
                    connection = await self._sent(origin, method, head, body, chunked=chunked)
                return await self._answer(connection, stream=stream, bytes_max=bytes_max)
        except TimeoutError:
            raise HttpFailed("the backend did not answer in time", timed_out=True) from None

    def close(self) -> None:
        """Drop all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._where):
            connection.abort("the client was closed")
        self._origins.clear()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._where)

    # The connections' side

    def ended(self, connection: HttpConnection) -> None:
        """An answer was taken whole: keep the connection, or close it."""
        self._stop_sending(connection)
        origin = self._where.get(connection)
        if origin is None:
            return
        if not connection.usable or len(origin.idle) >= self.limits.idle_per_origin_max:
            connection.transport.abort()
            return
        connection.since = self._clock.monotonic()
        origin.idle.append(connection)

    def lost(self, connection: HttpConnection) -> None:
        """A connection is gone."""
        self._stop_sending(connection)
        origin = self._where.pop(connection, None)
        if origin is not None:
            origin.count -= 1
            if connection in origin.idle:
                origin.idle.remove(connection)

    def _stop_sending(self, connection: HttpConnection) -> None:
        sender = self._senders.pop(connection, None)
        if sender is not None and not sender.done() and sender is not asyncio.current_task():
            sender.cancel()

    # Asking

    async def _asked(self, origin: Origin, method: str, head: bytes, body: bytes) -> HttpConnection:
        """A connection whose answer's head is here.  A kept one may have died meanwhile: then another is asked."""
        connection = self._kept(origin, method)
        fresh = connection is None
        if connection is None:
            connection = await self._open(origin)
        try:
            return await self._one(connection, method, head, body)
        except HttpFailed:
            if fresh or connection.heard or method not in _IDEMPOTENT:
                raise
        return await self._one(await self._open(origin), method, head, body)

    async def _one(self, connection: HttpConnection, method: str, head: bytes, body: bytes) -> HttpConnection:
        small = len(body) <= ONE_WRITE_BYTES_MAX
        connection.ask(method, head + body if small else head, sent=True)
        try:
            if not small:
                connection.transport.write(body)
            await connection.wait_head()
        except BaseException:
            connection.abort("given up")
            raise
        return connection

    async def _sent(
        self, origin: Origin, method: str, head: bytes, body: AsyncIterator[bytes], *, chunked: bool
    ) -> HttpConnection:
        """As above, for a body that comes in pieces; what is left of it goes on while the answer comes."""
        connection = self._kept(origin, method) or await self._open(origin)
        connection.ask(method, head, sent=False)
        sender = asyncio.get_running_loop().create_task(_pour(connection, body, chunked=chunked))
        self._senders[connection] = sender
        sender.add_done_callback(_settle)
        waiter = asyncio.ensure_future(connection.wait_head())
        try:
            await asyncio.wait({sender, waiter}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and not connection.sent and connection.head is None:
                fault = sender.exception()
                if fault is not None and not isinstance(fault, HttpFailed):
                    raise fault
            await waiter
        except BaseException:
            waiter.cancel()
            connection.abort("given up")
            raise
        return connection

    async def _answer(self, connection: HttpConnection, *, stream: bool, bytes_max: int) -> Answered:
        head = connection.head
        assert head is not None
        headers = _texts(head)
        body: bytes | StreamedBody | None = connection.take_whole()
        if body is None:
            body = StreamedBody(connection, self._clock)
            if not stream:
                body = await _whole(body, bytes_max or 10 * 1024 * 1024)
        elif isinstance(body, bytes) and bytes_max and len(body) > bytes_max:
            raise HttpFailed("the answer is too long")
        return Answered(status=head.status, headers=headers, body=body)

    def _kept(self, origin: Origin, method: str) -> HttpConnection | None:
        while origin.idle:
            connection = origin.idle.pop()
            waited = self._clock.monotonic() - connection.since
            if connection.usable and (method in _IDEMPOTENT or waited <= self.limits.replay_idle_seconds):
                connection.since += waited
                return connection
            connection.abort("it waited for too long")
        return None

    async def _open(self, origin: Origin) -> HttpConnection:
        if origin.count >= self.limits.per_origin_max or len(self._where) >= self.limits.connections_max:
            raise HttpFailed("there are too many connections to backends")
        connection = HttpConnection(self)
        self._where[connection] = origin
        origin.count += 1
        connection.since = self._clock.monotonic()
        try:
            address = (
                origin.address if self._permits is None else await self._permitted(origin, self._permits)
            )
            await self._connect(connection, origin, address)
        except (OSError, ValueError) as fault:  # names that cannot be looked up are ValueErrors
            connection.abandon()
            raise HttpFailed(f"cannot connect: {fault}") from fault
        except BaseException:
            connection.abandon()
            raise
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self.limits.sweep_seconds, self._sweep)
        return connection

    async def _connect(self, connection: HttpConnection, origin: Origin, address: str) -> None:
        if origin.tls is None:
            await connect(Backend(address, origin.port), connection)
            return
        loop = asyncio.get_running_loop()
        name = origin.server_name or origin.address
        options: dict[str, Any] = {"ssl": origin.tls, "server_hostname": name}
        try:
            await loop.create_connection(lambda: connection, address, origin.port, **options)
        except BaseException:
            connection.abandon()
            raise

    async def _permitted(self, origin: Origin, permits: Permits) -> str:
        """The first of a name's addresses that may be asked.  Looked up once, so that no second answer counts."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(origin.address, origin.port, type=socket.SOCK_STREAM)
        for _, _, _, _, where in found:
            if permits(str(where[0]), origin.port):
                return str(where[0])
        raise HttpFailed("the backend is at an address that must not be asked from here")

    def _origin(self, url: str, *, verify: bool, server_name: str) -> tuple[Origin, str]:
        scheme, mark, rest = url.partition("://")
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        authority, target = rest[:cut], rest[cut:]
        if not mark or scheme not in {"http", "https"} or not authority:
            raise HttpFailed("the URL is none of http or https")
        if not target.startswith("/"):
            target = "/" + target
        if not target.isascii() or not target.isprintable() or " " in target or "#" in target:
            raise HttpFailed("the URL has characters that must be percent-encoded")
        key = (scheme, authority, verify, server_name)
        origin = self._origins.get(key)
        if origin is None:
            tls = self._context(verify) if scheme == "https" else None
            origin = Origin(scheme, authority, tls=tls, server_name=server_name)
            self._forget_some()
            self._origins[key] = origin
        return origin, target

    def _forget_some(self) -> None:
        """Origins are many only when URLs are made from requests: forget those that have no connection."""
        if len(self._origins) >= self.limits.origins_max:
            self._origins = {key: origin for key, origin in self._origins.items() if origin.count}

    def _context(self, verify: bool) -> ssl.SSLContext:
        context = self._contexts.get(verify)
        if context is None:
            context = ssl.create_default_context()
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[verify] = context
        return context

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        for connection, origin in tuple(self._where.items()):
            waited = now - connection.since
            if connection in origin.idle:
                if waited > self.limits.idle_seconds:
                    origin.idle.remove(connection)
                    connection.abort("it waited for too long")
            elif connection.phase == BODY and waited > self.limits.stall_seconds_max:
                connection.abort("the answer stalled")
        loop = asyncio.get_running_loop()
        again = bool(self._where)
        self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep) if again else None


class StreamedBody:
    """An answer's body as it comes; `aclose` gives up what is left of it."""

    __slots__ = ("_clock", "_connection", "_done")

    def __init__(self, connection: HttpConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._done = False
        connection.since = clock.monotonic()

    def __aiter__(self) -> "StreamedBody":
        return self

    async def __anext__(self) -> bytes:
        if self._done:
            raise StopAsyncIteration
        try:
            piece = await self._connection.read()
        except BaseException:
            await self.aclose()
            raise
        if not piece:
            self._done = True
            raise StopAsyncIteration
        self._connection.since = self._clock.monotonic()
        return piece

    async def aclose(self) -> None:
        """Give up the rest; harmless when there is none."""
        if not self._done:
            self._done = True
            self._connection.abort("the rest was not wanted")


async def _whole(body: StreamedBody, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in body:
            size += len(piece)
            if size > bytes_max:
                raise HttpFailed("the answer is too long")
            pieces.append(piece)
    finally:
        await body.aclose()
    return b"".join(pieces)


async def _pour(connection: HttpConnection, body: AsyncIterator[bytes], *, chunked: bool) -> None:
    try:
        async for piece in body:
            if piece:
                await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            await connection.write(b"0\r\n\r\n")
        connection.sent = True
    except HttpFailed:
        return  # who waits for the answer is told; there may be one all the same
    except BaseException:
        connection.abort("the request's body broke off")
        raise


def _settle(sender: "asyncio.Task[None]") -> None:
    """Nobody else may look at what became of it."""
    if not sender.cancelled():
        sender.exception()


def _framed(headers: Pairs, body: bytes | AsyncIterator[bytes]) -> list[tuple[str, str]]:
    """Headers with the body's framing last: its length, or that it comes in chunks."""
    framed: list[tuple[str, str]] = []
    length = ""
    for name, value in headers:
        lower = name.lower()
        if lower == "content-length":
            length = value
        elif lower != "transfer-encoding":
            framed.append((name, value))
    if isinstance(body, bytes):
        framed.append(("content-length", str(len(body))))
    elif length:
        framed.append(("content-length", length))
    else:
        framed.append(("transfer-encoding", "chunked"))
    return framed


def _head(method: str, target: str, host: str, headers: Pairs) -> bytes:
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"host: {host}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise HttpFailed("a header has a line end in it")
    try:
        return text.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        return text.encode() + b"\r\n"


def _texts(head: AnswerHead) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]


def _address(authority: str, port: int) -> tuple[str, int]:
    host = authority.rpartition("@")[2]
    name, colon, given = host.rpartition(":")
    if colon and given.isdigit() and not name.endswith(":"):
        host, port = name, int(given)
    if not 0 < port < 65536:
        raise HttpFailed("the URL's port is none")
    return host.strip("[]"), port
