"""Connections without sockets: transports that remember, a front that connects to them, a backend that echoes."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import httptools

from cumulo.base.clock import VirtualClock
from cumulo.net.client import Client
from cumulo.net.front import HttpFront
from cumulo.net.limits import Limits
from cumulo.net.listening import Listening
from cumulo.net.messages import Decision, Forward, RequestHead
from cumulo.net.pool import Backend, Pool
from cumulo.net.upstream import Upstream


class Wire(asyncio.Transport):
    """A transport whose peer is the test.  `sent` is what was written to it; closing tells the protocol soon."""

    def __init__(self, protocol: asyncio.Protocol, on_write: Callable[[bytes], None] | None = None) -> None:
        super().__init__()
        self.protocol = protocol
        self.on_write = on_write
        self.sent = bytearray()
        self.writes = 0
        self.paused = False
        self.eof = False
        self.closed = False
        self.aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.7", 4321), "sockname": ("198.51.100.1", 80)}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        assert not self.eof, "nothing follows an end"
        if self.closed:
            return
        self.writes += 1
        self.sent += data
        if self.on_write is not None:
            self.on_write(bytes(data))

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.closed
        self.paused = True

    def resume_reading(self) -> None:
        assert not self.closed
        self.paused = False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = self.aborted or not self.closed
        self.close()

    def lose(self, exc: Exception | None = None) -> None:
        """The peer resets the connection."""
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(exc or ConnectionResetError())


class Echo:
    """A backend on one wire: answers each request with what it got, in pieces that `cut` makes."""

    def __init__(self, wire: Wire, cut: Callable[[bytes], Sequence[bytes]] = lambda data: [data]) -> None:
        self.wire = wire
        self.cut = cut
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.choked: Exception | None = None
        self._parser = httptools.HttpRequestParser(self)
        wire.on_write = self.hear

    def hear(self, data: bytes) -> None:
        """Read what the front sends; `choked` when it is no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # none of its business
            self.wire.on_write = None
        except httptools.HttpParserError as fault:
            self.choked = fault

    def on_message_begin(self) -> None:
        self._url = self._body = b""
        self._headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        self.requests.append((method, self._url.decode(), self._headers, self._body))
        told = f"{method} {self._url.decode()} {len(self._body)} {hash(self._body) & 0xFFFF}".encode()
        asyncio.get_running_loop().call_soon(self.speak, self.answer(method, self._url, told))

    def answer(self, method: str, url: bytes, told: bytes) -> bytes:
        """Chunked for odd lengths of the path, with a Content-Length otherwise."""
        if len(url) % 2:
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: chunked\r\n\r\n"
            body = b"%x;note=1\r\n%b\r\n3\r\nend\r\n0\r\nX-Trailer: t\r\n\r\n" % (len(told), told)
        else:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n" % len(told)
            body = told
        return head if method == "HEAD" else head + body

    def speak(self, data: bytes) -> None:
        """Send it to the front."""
        for piece in self.cut(data):
            if piece and not self.wire.closed:
                self.wire.protocol.data_received(piece)


class WiredFront(HttpFront):
    """A front whose backends are wires; `wired` is told of each new one."""

    def __init__(self, route: Any = None, wired: Callable[[Wire], object] = Echo, **limits: Any) -> None:
        self.virtual = VirtualClock()
        self.pool = Pool(random=random.Random(1), now=self.virtual.monotonic)
        self.pool.add(Backend("10.0.0.1", 80))
        self.ended: list[tuple[RequestHead | None, Decision | None, int, Backend | None]] = []
        super().__init__(
            route or (lambda head, body: Forward(pool=self.pool)),
            clock=self.virtual,
            done=lambda head, decision, status, seconds, backend: self.ended.append(
                (head, decision, status, backend)
            ),
            limits=Limits(**limits),
        )
        self._wired = wired
        self.wires: list[Wire] = []
        self.failures: list[Exception] = []

    async def connect(self, backend: Backend) -> Upstream:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        upstream = Upstream(self, backend)
        wire = Wire(upstream)
        self._wired(wire)
        self.wires.append(wire)
        upstream.connection_made(wire)
        return upstream

    def come(self) -> Wire:
        """A client connects."""
        client = Client(self, Listening())
        wire = Wire(client)
        client.connection_made(wire)
        return wire

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass, and sweep."""
        self.virtual.advance(seconds)
        self._sweep()


async def settle(turns: int = 30) -> None:
    """Let everything that can happen happen."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Answers:
    """Takes a stream of answers apart, independently of ours."""

    def __init__(self, methods: Sequence[str] = ()) -> None:
        self.complete: list[tuple[int, bytes]] = []
        self._methods = list(methods)
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.headers: list[dict[str, str]] = []

    def on_message_begin(self) -> None:
        self._body = b""
        self.headers.append({})

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[-1][name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.complete.append((self._parser.get_status_code(), self._body))

    def feed(self, data: bytes) -> "Answers":
        self._parser.feed_data(data)
        return self


def cuts(data: bytes, points: Sequence[int]) -> list[bytes]:
    """Data cut at some points."""
    at = sorted({point % (len(data) + 1) for point in points})
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True) if a < b]
