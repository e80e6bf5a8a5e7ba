"""The asking half of a client's connection: finds where requests begin and end, and keeps clients within bounds.

    HEAD ──head complete──▶ BODY ──complete──▶ BUSY ──answered──▶ HEAD
                              BUSY ──101──▶ TUNNEL
    any ──refused, or answered for good──▶ LINGER ──▶ CLOSED

One request at a time: what a client sends ahead waits as bytes, so answers keep their order by themselves.
"""

import asyncio
from typing import TYPE_CHECKING

from cumulo.net.answering import BODY, BUSY, CLOSED, HEAD, LINGER, TUNNEL
from cumulo.net.chunks import Chunks
from cumulo.net.exchange import Exchange
from cumulo.net.heads import END, AnswerHead, HeadProbe
from cumulo.net.limits import KNOWN_BYTES_MAX, REPLAY_BYTES_MAX
from cumulo.net.link import link_of
from cumulo.net.messages import CHUNKED, Forward, Refused, RequestHead

if TYPE_CHECKING:
    from cumulo.net.front import HttpFront
    from cumulo.net.listening import Listening


class Client(Exchange):
    """A client that is connected."""

    __slots__ = (
        "_advancing",
        "_ahead",
        "_chunks",
        "_ended",
        "_held",
        "_known",
        "_known_raw",
        "_left",
        "_lingered",
        "_origin",
        "_probe",
        "_upstream_ended",
    )

    def __init__(self, front: "HttpFront", origin: "Listening") -> None:
        super().__init__(front)
        self._origin = origin
        self._held = bytearray()  # of a head that is not complete
        self._probe: HeadProbe | None = None
        self._ahead = b""
        self._advancing = False
        self._ended = False  # the client has closed its side
        self._upstream_ended = False
        self._left = 0
        self._chunks: Chunks | None = None
        self._known_raw = b""
        self._known: RequestHead | None = None
        self._lingered = 0

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.set_up(transport)
        self.link = link_of(transport, self._origin.port)
        admitted = self.front.admit(self)
        self.since = self.front.tick
        if not admitted:
            self.phase = BODY  # so that the connection is closed
            self.page(503)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        phase = self.phase
        if phase == HEAD:
            if self._held:
                self._more_of_head(data)
            elif self._ahead or self._advancing:
                self._hold(data)
            else:
                self._advance(data)
        elif phase == BODY:
            self.since = self.front.tick
            self._body(data)
        elif phase == BUSY:
            self._hold(data)
        elif phase == TUNNEL:
            self.since = self.front.tick
            if self.upstream is not None:
                self.upstream.transport.write(data)
        elif phase == LINGER:
            self._lingered += len(data)
            if self._lingered > self.front.limits.linger_bytes_max:
                self.transport.abort()

    def eof_received(self) -> bool:
        """The client has closed its side: it has gone, or it still waits for its answer."""
        self._ended = True
        if self.phase == BUSY or (self.phase == HEAD and self._ahead):
            self.since = self.front.tick
            return True
        if self.phase == TUNNEL and self.upstream is not None:
            upstream = self.upstream.transport
            if self._upstream_ended or not upstream.can_write_eof():
                return False
            upstream.write_eof()
            return True
        if self.phase == BODY:
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End everything that was going on for this client."""
        was = self.phase
        self.phase = CLOSED
        self.wake_reader()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            if was == TUNNEL and exc is None:
                upstream.client = None
                upstream.transport.close()
            else:
                upstream.close()
        if self.head is not None:
            self.account()
        self._forget_head()
        self._ahead = b""
        self.front.forget(self)

    # Heads

    def _more_of_head(self, data: bytes) -> None:
        before = len(self._held)
        self._held += data
        if self._held.find(END, max(0, before - 3)) < 0:
            self._look_at_part(data)
            return
        data = bytes(self._held)
        self._forget_head()
        self._advance(data)

    def next_request(self) -> None:
        """Begin with what the client sent ahead, or wait."""
        if self.input_held:
            self.let_input()
        if self._advancing or self.write_paused:
            return
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self.let_input()
            self._advance(data)
        elif self._ended:
            self.close_gently()

    def _advance(self, data: bytes) -> None:
        """Begin as many requests as `data` has, each when the one before is answered."""
        self._advancing = True
        at, size = 0, len(data)
        while at < size and self.phase == HEAD and not self.write_paused:
            if data[at] == 13 and data.startswith(b"\r\n", at):
                at += 2  # an empty line before a request line is forgiven
                continue
            end = data.find(END, at)
            if end < 0:
                self.since = self.front.tick
                rest = data[at:] if at else data
                self._held += rest
                self._look_at_part(rest)
                at = size
                break
            at = self._begin(data, at, end + 4)
        self._advancing = False
        if at < size and self.phase <= BUSY:
            self._hold(data[at:])
        elif self._ended and self.phase == HEAD:
            self.close_gently()

    def _look_at_part(self, data: bytes) -> None:
        if len(self._held) > self.front.limits.head_bytes_max:
            self._refuse(431 if b"\r\n" in self._held else 414)
            return
        if self.front.held_bytes + len(data) > self.front.limits.held_bytes_max:
            self._refuse(503)
            return
        self.front.held_bytes += len(data)
        self._counted += len(data)
        if self._probe is None:
            self._probe = HeadProbe()
        try:
            self._probe.feed(data)
        except Refused as refused:
            self._refuse(refused.status)

    def _begin(self, data: bytes, at: int, end: int) -> int:
        """Begin the request whose head is data[at:end]; gives where the next one begins."""
        size = len(data)
        raw = data[at:end]  # no copy when it is all
        if raw == self._known_raw and self._known is not None:
            head = self._known
        else:
            try:
                if end - at > self.front.limits.head_bytes_max:
                    raise Refused(431, "The request's headers are too long")
                head = self.front.heads.request(raw, self.link)
            except Refused as refused:
                self._refuse(refused.status)
                return size
            if end - at <= KNOWN_BYTES_MAX:
                self._known_raw, self._known = raw, head
        self.head = head
        length = head.length
        if length == 0:
            self.phase = BUSY
            self.start()
            return end
        if 0 < length <= size - end:
            self._pending = [data[end : end + length]]
            self._pending_bytes = length
            self.phase = BUSY
            self.start()
            return end + length
        self.phase = BODY
        self.since = self.front.tick
        self._left = length
        self._chunks = Chunks() if length == CHUNKED else None
        if end < size:
            self._body(data[end:])
            if self.phase == LINGER:
                return size
        ahead, self._ahead = self._ahead, b""  # what follows a chunked body that is here whole
        self.start()
        return size - len(ahead)

    def _forget_head(self) -> None:
        self._held.clear()
        self._probe = None
        self.front.held_bytes -= self._counted
        self._counted = 0

    def _refuse(self, status: int) -> None:
        """Answer what cannot be understood, and close."""
        self._forget_head()
        self.phase = BODY
        self.closing = True
        self.page(status)

    # Bodies

    def _body(self, data: bytes) -> None:
        chunks, rest = self._chunks, b""
        if chunks is not None:
            try:
                data = chunks.feed(data)
            except Refused as refused:
                self._broken_body(refused.status)
                return
            done, rest = chunks.done, chunks.rest
        else:
            if len(data) > self._left:
                data, rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            done = not self._left
        if done:
            self.phase = BUSY
            self._chunks = None
        upstream = self.upstream
        if upstream is not None and data:
            self.keep_sent([data], len(data))
            upstream.transport.write(data)
        elif data:
            self._pending.append(data)
            self._pending_bytes += len(data)
            self._bound_pending()
        self.wake_reader()
        if rest:
            self._hold(rest)

    def _bound_pending(self) -> None:
        if self._collect_max:
            grown = self._pending_bytes - self._counted
            if self.front.held_bytes + grown > self.front.limits.held_bytes_max:
                self._broken_body(503)
                return
            self.front.held_bytes += grown
            self._counted += grown
        if self._pending_bytes > max(REPLAY_BYTES_MAX, self._collect_max):
            self.hold_input()

    def _broken_body(self, status: int) -> None:
        """The rest of the body cannot be understood: the backend must not take it for complete."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.phase = BODY
        self.closing = True
        if self.status:
            self.transport.abort()
        else:
            self.page(status)

    def _hold(self, data: bytes) -> None:
        """Keep what the client sent ahead."""
        self._ahead = self._ahead + data if self._ahead else data
        if len(self._ahead) > self.front.limits.ahead_bytes_max:
            self.hold_input()

    def let_input(self) -> None:
        """Read on, unless somebody is behind."""
        if not self.input_held or self.transport.is_closing():
            return
        upstream = self.upstream
        behind = (
            (upstream is not None and upstream.write_paused)
            or len(self._ahead) > self.front.limits.ahead_bytes_max
            or self._pending_bytes > max(REPLAY_BYTES_MAX, self._collect_max)
        )
        if not behind:
            self.input_held = False
            self.transport.resume_reading()

    # Tunnels

    def switch(self, head: AnswerHead, rest: bytes) -> None:
        """The backend has switched protocols: from now on, bytes go both ways."""
        forward = self.decision
        assert isinstance(forward, Forward)
        self.phase = TUNNEL
        self.status = 101
        self.from_backend = True
        lines = b"%bConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (head.kept, head.upgrade)
        self.transport.write(lines + rest)
        ahead, self._ahead = self._ahead, b""
        if ahead and self.upstream is not None:
            self.upstream.transport.write(ahead)
        self.let_input()

    def half_close(self) -> None:
        """The backend has ended its side of the tunnel."""
        self._upstream_ended = True
        if self._ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def tunnel_lost(self, exc: Exception | None) -> None:
        """The backend's side of the tunnel is gone."""
        self.upstream = None
        if exc is None:
            self.transport.close()
        else:
            self.transport.abort()

    # Ending

    def close_gently(self) -> None:
        """Close, without tearing the answer away from a client that still sends."""
        if self.phase >= LINGER:
            return
        unread = self.phase == BODY or self._ahead
        self._ahead = b""
        self._pending = []
        self.since = self.front.tick
        self.phase = LINGER
        if not unread or self._ended or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        if self.input_held and not self.transport.is_closing():
            self.input_held = False
            self.transport.resume_reading()

    def close_idle(self) -> None:
        """Close if nothing is going on; otherwise after the answer."""
        self.closing = True
        if self.phase == HEAD:
            self.transport.close()

    def abort(self) -> None:
        """Drop it."""
        self.transport.abort()

    def check(self, tick: float) -> None:
        """Look whether somebody keeps it waiting for too long."""
        limits = self.front.limits
        waited = tick - self.since
        phase = self.phase
        if phase == HEAD:
            if self._held:
                if waited > limits.head_seconds_max:
                    self._refuse(408)
            elif waited > limits.idle_seconds_max:
                self.transport.abort() if self.write_paused else self.transport.close()
        elif phase == LINGER:
            if waited > limits.linger_seconds_max:
                self.transport.abort()
        elif phase == BODY and not self.input_held and waited > limits.body_stall_seconds_max:
            self._broken_body(408)
        elif phase < LINGER:
            self._check_answer(waited)

    def _check_answer(self, waited: float) -> None:
        if not isinstance(self.decision, Forward):
            return
        if self._ended and self.phase == BUSY and waited > self.front.limits.half_closed_seconds_max:
            self.transport.abort()
        elif waited > self.decision.idle_seconds and self.upstream is not None:
            self._give_up()

    def _give_up(self) -> None:
        """The backend says nothing, or one of the two takes nothing."""
        upstream = self.upstream
        if self.phase == TUNNEL or self.write_paused or upstream is None:
            self.transport.abort()
            return
        upstream.close()
        self.backend_failed(504)
