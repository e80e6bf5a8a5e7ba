"""One connection of the front door: finds where requests begin and end, and keeps its clients within bounds.

    HEAD ──complete head──▶ BUSY ──answered──▶ HEAD        a body that is still arriving passes through
      │                      ▲                             COLLECT (a lane wants it whole) or
      └──body to come──▶ COLLECT / STREAM                  STREAM (the handler reads it as it comes)
    any ──refused, or closed with input unread──▶ LINGER ──▶ CLOSED

One request at a time: what a client sends ahead waits as bytes, so answers keep their order by themselves.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from cumulo.wire.answers import CONTINUE
from cumulo.wire.body import StreamBody
from cumulo.wire.chunked import ChunkedReader
from cumulo.wire.exchange import Exchange
from cumulo.wire.head import CHUNKED, Head, HeadProbe, Refused
from cumulo.wire.http import BodyCutShort, BytesBody, Lane
from cumulo.wire.link import BUSY, CLOSED, COLLECT, END, HEAD, LINGER, STREAM
from cumulo.wire.secure import secured
from cumulo.wire.turns import Turns

if TYPE_CHECKING:
    from cumulo.wire.server import Adopted, Server

_log = logging.getLogger(__name__)


class Connection(Turns):
    """A client that is connected."""

    __slots__ = (
        "_chunked",
        "_collected",
        "_expects",
        "_lane",
        "_left",
        "_name",
        "_probe",
    )

    def __init__(self, server: "Server", origin: "Adopted", name: str | None = None) -> None:
        """`name`: what a client that speaks TLS asked for; None: this one does not."""
        super().__init__(server, origin)
        self._name = name
        self._probe: HeadProbe | None = None
        self._lane: Lane | None = None
        self._collected: list[bytes] = []
        self._left = 0
        self._chunked: ChunkedReader | None = None
        self._expects = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        if not self._peer:
            peer = transport.get_extra_info("peername")
            self._peer = peer[0] if isinstance(peer, tuple) else ""
        if self._name is not None:
            self._secured = secured(transport, self._name)
        admitted = self.server.admit(self, self._origin)
        self._since = self.server.tick
        if not admitted:
            self._refuse(503, "ServiceUnavailable", "Too many connections")

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        phase = self._phase
        if phase == HEAD:
            if self._held:
                self._more_of_head(data)
            elif self._ahead:
                self._hold(data)
            else:
                self._advance(data, 0)
        elif phase == BUSY:
            self._hold(data)
        elif phase < LINGER:
            self._since = self.server.tick
            self._body(data)
        elif phase == LINGER:
            self._discard(data)

    def eof_received(self) -> bool:
        """The client has closed its side: it has gone, or it still waits for its answer."""
        self.ended = True
        exchange = self.exchange
        if exchange is None or self._phase == LINGER:
            return False
        if self._phase == COLLECT:
            self._refuse(400, "IncompleteBody", "The request's body ended before its announced end")
            return False
        if exchange.body is not None:
            exchange.body.fail(BodyCutShort("the client went away in the middle of its body"))
        self._phase = BUSY
        self._expect_little_patience(exchange)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End everything that was going on for this client."""
        self._phase = CLOSED
        self.ended = True
        self.resume_writing()
        self._forget_head()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            if exchange.body is not None:
                exchange.body.fail(BodyCutShort("the client went away"))
            self._drop(exchange)
        self.server.forget(self, self._origin)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._phase == HEAD and self._ahead and not self._advancing:
            self._next()

    # Heads

    def _more_of_head(self, data: bytes) -> None:
        before = len(self._held)
        self._held += data
        if self._held.find(END, max(0, before - 3)) < 0:
            self._look_at_part(data)
            return
        data = bytes(self._held)
        self._forget_head()
        self._probe = None
        self._advance(data, 0)

    def _next(self) -> None:
        data, at = self._ahead, self._at
        self._ahead, self._at = b"", 0
        self._unpause()
        self._advance(data, at)

    def _advance(self, data: bytes, at: int) -> None:
        """Begin as many requests as data[at:] has, each when the one before is answered."""
        self._advancing = True
        size = len(data)
        while at < size and self._phase == HEAD and not self.write_paused:
            if data[at] == 13 and data.startswith(b"\r\n", at):
                at += 2  # an empty line before a request line is forgiven
                continue
            end = data.find(END, at)
            if end < 0:
                self._since = self.server.tick
                rest = data[at:] if at else data
                self._held += rest
                self._look_at_part(rest)
                at = size
                break
            at = self._begin(data, at, end + 4)
        self._advancing = False
        if at < size and self._phase <= BUSY:
            self._ahead, self._at = data, at
            self._bound_ahead()

    def _look_at_part(self, data: bytes) -> None:
        if len(self._held) > self.server.limits.head_bytes_max:
            if b"\r\n" in self._held:
                self._refuse(431, "RequestHeaderSectionTooLarge", "The request's headers are too long")
            else:
                self._refuse(414, "RequestURITooLong", "The request line is too long")
            return
        if not self.server.budget.take(len(data)):
            self._refuse(503, "SlowDown", "Please reduce your request rate.")
            return
        self._held_counted += len(data)
        if self._probe is None:
            self._probe = HeadProbe()
        try:
            self._probe.feed(data)
        except Refused as refused:
            self._refuse(refused.status, "BadRequest", refused.message)

    def _begin(self, data: bytes, at: int, end: int) -> int:
        """Begin the request whose head is data[at:end]; gives where the next one begins."""
        server = self.server
        size = len(data)
        try:
            if end - at > server.limits.head_bytes_max:
                raise Refused(431, "The request's headers are too long")
            head = server.heads.read(data if end - at == size else data[at:end])
            if head.length == 0:
                body = b""
            elif 0 < head.length <= size - end:
                body = data[end : end + head.length]
                end += head.length
            else:
                return self._begin_with_body(head, data, end)
        except Refused as refused:
            self._refuse(refused.status, "BadRequest", refused.message)
            return size
        if head.upgrade and self._upgraded(head, data[end:]):
            return size
        self._dispatch(head, body)
        return end

    def _begin_with_body(self, head: Head, data: bytes, end: int) -> int:
        """The same for a body that is chunked, or still arriving."""
        size = len(data)
        if head.length != CHUNKED:
            self._open(head, data[end:], None)
            return size
        reader = ChunkedReader()
        body = reader.feed(data[end:])
        if not reader.done:
            self._open(head, body, reader)
            return size
        self._dispatch(head, body)
        return size - len(reader.rest)

    def _dispatch(self, head: Head, body: bytes) -> None:
        """Hand a request whose body is all here to a lane, or to the handler."""
        exchange = self._exchange(head, body)
        server = self.server
        if body:
            if not server.budget.take(len(body)):
                self._refuse(503, "SlowDown", "Please reduce your request rate.")
                return
            exchange.counted = len(body)
        for lane in server.lanes:
            if lane.wants(head.method, head.path, head.headers):
                self._down(lane, exchange, body)
                return
        self._start(exchange)

    def _upgraded(self, head: Head, rest: bytes) -> bool:
        """Hand the connection to whom the upgrade hook names."""
        if self.server.upgrade is None:
            return False
        protocol = self.server.upgrade(self._request(head, b""))
        if protocol is None:
            return False
        self._become(protocol, rest)
        return True

    def hand_over(self, exchange: Exchange, protocol: asyncio.Protocol) -> None:
        """Let another protocol have the connection, in answer to a request."""
        server = self.server
        self._release(exchange)
        if server.on_done is not None:
            server.on_done(exchange.request, 101, server.clock.monotonic() - exchange.started)
        rest = self._ahead[self._at :]
        self._ahead, self._at = b"", 0
        self._unpause()
        self._become(protocol, rest)

    def _become(self, protocol: asyncio.Protocol, rest: bytes) -> None:
        """From now on the transport talks to `protocol`, which gets what the client has sent already."""
        self.exchange = None
        self._phase = CLOSED
        self.server.forget(self, self._origin)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if rest:
            protocol.data_received(rest)
        if self.write_paused:
            protocol.pause_writing()
        if self.ended and not protocol.eof_received():
            self.transport.close()

    # Bodies that are still arriving

    def _open(self, head: Head, data: bytes, reader: ChunkedReader | None) -> None:
        """Begin a request of whose body only `data` is here."""
        server = self.server
        exchange = self._exchange(head, b"")
        self._left = head.length
        self._chunked = reader
        self._expects = head.expects
        self._since = server.tick
        if reader is None and head.length <= server.limits.lane_body_bytes_max:
            lanes = (lane for lane in server.lanes if lane.collects)
            self._lane = next(
                (lane for lane in lanes if lane.wants(head.method, head.path, head.headers)), None
            )
        else:
            self._lane = None
        if self._lane is not None:
            self._phase = COLLECT
            self._collected = []
            self.ask_for_body()
        else:
            self._phase = STREAM
            exchange.body = exchange.request.body = StreamBody(self, server.budget, max(head.length, 0))
            if reader is not None:
                exchange.body.feed(data)
                data = b""
            self._start(exchange)
        if data:
            self._body(data)

    def _body(self, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None, "a body belongs to a request"
        reader = self._chunked
        rest = b""
        if reader is not None:
            try:
                data = reader.feed(data)
            except Refused as refused:
                self._refuse(refused.status, "BadRequest", refused.message)
                return
            done, rest = reader.done, reader.rest
        else:
            if len(data) > self._left:
                data, rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            done = not self._left
        if exchange.body is not None:
            exchange.body.feed(data)
            if done:
                self._phase = BUSY
                self.resume_body()
                exchange.body.end(reader.trailers if reader is not None else [])
        else:
            self._collect(exchange, data, done=done)
        if rest:
            if self._phase == HEAD:
                self._advance(rest, 0)
            elif self._phase == BUSY:
                self._hold(rest)

    def _collect(self, exchange: Exchange, data: bytes, *, done: bool) -> None:
        if not self.server.budget.take(len(data)):
            self._refuse(503, "SlowDown", "Please reduce your request rate.")
            return
        exchange.counted += len(data)
        self._collected.append(data)
        if done:
            body = b"".join(self._collected)
            self._collected = []
            self._phase = BUSY
            exchange.request.body = BytesBody(body)
            assert self._lane is not None
            self._down(self._lane, exchange, body)

    def ask_for_body(self) -> None:
        """Send `100 Continue` if the client waits for it."""
        if self._expects:
            self._expects = False
            if not self.transport.is_closing():
                self.transport.write(CONTINUE)

    def _hold(self, data: bytes) -> None:
        """Keep what the client sent ahead."""
        self._ahead, self._at = self._ahead[self._at :] + data, 0
        self._bound_ahead()

    def _bound_ahead(self) -> None:
        if len(self._ahead) - self._at > self.server.limits.ahead_bytes_max:
            self.pause_body()
