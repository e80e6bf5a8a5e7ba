"""How answers are written to a client: a backend's as it comes, the front's own, and what comes after."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from cumulo.net.heads import AnswerHead, lines, status_line, without
from cumulo.net.limits import WRITE_BYTES_HIGH
from cumulo.net.messages import UNTIL_CLOSE, Answer, Decision, Forward, Link, RequestHead
from cumulo.net.pool import Backend, Mark
from cumulo.net.upstream import Upstream

if TYPE_CHECKING:
    from cumulo.net.front import HttpFront

HEAD: Final = 0  # waits for a request, or for the rest of its head
BODY: Final = 1  # the request's body is still arriving
BUSY: Final = 2  # the request is here, its answer is not complete
TUNNEL: Final = 3
LINGER: Final = 4  # answered for good; reads on, so that the answer is not torn away
CLOSED: Final = 5

JOIN_BYTES_MAX: Final = 16 * 1024  # of a body that is written together with its head, in one piece
_CHUNKED_NAMES: Final = frozenset({b"transfer-encoding", b"trailer"})
_LENGTH_NAMES: Final = frozenset({b"transfer-encoding", b"content-length"})
_OWN_NAMES: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"date"})

_log = logging.getLogger(__name__)


class Answering(asyncio.Protocol):
    """What is known of the request that is being answered, and how its answer is written."""

    __slots__ = (
        "_collect_max",
        "_counted",
        "_pending",
        "_pending_bytes",
        "_ready",
        "_sent",
        "_sent_bytes",
        "_task",
        "_tried",
        "_until_close",
        "backend",
        "began",
        "closing",
        "decision",
        "from_backend",
        "front",
        "head",
        "input_held",
        "link",
        "phase",
        "read_held",
        "since",
        "status",
        "transport",
        "upstream",
        "write_paused",
    )

    transport: asyncio.Transport
    link: Link

    def __init__(self, front: "HttpFront") -> None:
        self.front = front
        self.phase = HEAD
        self.since = front.tick  # of the last byte, to a sweep
        self.began = 0.0
        self.head: RequestHead | None = None
        self.decision: Decision | None = None
        self.backend: Backend | None = None
        self.upstream: Upstream | None = None
        self.status = 0
        self.from_backend = False
        self.closing = False
        self.write_paused = False
        self.read_held = False  # the backend's connection, because the client is slow
        self.input_held = False  # the client's
        self._task: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []  # of the body, raw, not sent to anybody
        self._pending_bytes = 0
        self._counted = 0  # of those, in the front's budget
        self._sent: list[bytes] | None = []  # of the body; None: too much to be sent again
        self._sent_bytes = 0
        self._collect_max = 0
        self._ready: asyncio.Future[None] | None = None
        self._tried: tuple[Backend, ...] = ()
        self._until_close = False

    # What the client's half provides

    def next_request(self) -> None:
        """Begin with what the client sent ahead, or wait."""
        raise NotImplementedError

    def let_input(self) -> None:
        """Read on, unless somebody is behind."""
        raise NotImplementedError

    def hold_input(self) -> None:
        """Read no more for now."""
        if not self.input_held and not self.transport.is_closing():
            self.input_held = True
            self.transport.pause_reading()

    def close_gently(self) -> None:
        """Close, without tearing the answer away from a client that still sends."""
        raise NotImplementedError

    def switch(self, head: AnswerHead, rest: bytes) -> None:
        """The backend has switched protocols: from now on, bytes go both ways."""
        raise NotImplementedError

    def backend_lost(self, upstream: Upstream) -> None:
        """The backend's connection ended before its answer did."""
        raise NotImplementedError

    def backend_failed(self, status: int) -> None:
        """There will be no answer, or no more of it."""
        raise NotImplementedError

    def half_close(self) -> None:
        """The backend has ended its side of the tunnel."""
        raise NotImplementedError

    def tunnel_lost(self, exc: Exception | None) -> None:
        """The backend's side of the tunnel is gone."""
        raise NotImplementedError

    # Answering

    @property
    def sent_all(self) -> bool:
        """Whether the request has gone to the backend entirely."""
        return self.phase == BUSY and not self._pending

    @property
    def takes_chunks(self) -> bool:
        """Whether the client understands the chunked coding."""
        return self.head is not None and not self.head.http10

    def informed(self, head: AnswerHead) -> None:
        """Pass a 1xx on."""
        if self.takes_chunks:
            self.transport.write(head.kept + b"\r\n")

    def answer(self, head: AnswerHead, body: bytes, length: int) -> None:
        """Send the head of a backend's answer, and what is here of its body."""
        request, forward = self.head, self.decision
        assert request is not None
        assert isinstance(forward, Forward)
        self.status = head.status
        self.from_backend = True
        kept = head.kept if not forward.answer_remove else without(head.kept, forward.answer_remove)
        extra = b"" if forward.on_backend is None else self._extra(forward)
        if length < 0:
            self._until_close = length == UNTIL_CLOSE
            if request.http10:
                kept = without(kept, _CHUNKED_NAMES)
                self.closing = True
            elif self._until_close:
                extra += b"Transfer-Encoding: chunked\r\n"
        elif head.status == 204 and head.length != UNTIL_CLOSE:
            kept = without(kept, _LENGTH_NAMES)
        if self.closing or self.phase == BODY or self.front.stopping or not request.keep_alive:
            self.closing = True
            extra += b"Connection: close\r\n"
        elif request.http10:
            extra += b"Connection: keep-alive\r\n"
        if len(body) <= JOIN_BYTES_MAX:
            self.transport.write(b"".join((kept, extra, b"\r\n", body)))
        else:
            self.transport.writelines((b"".join((kept, extra, b"\r\n")), body))

    def _extra(self, forward: Forward) -> bytes:
        """What the caller adds to the answer of this backend."""
        assert forward.on_backend is not None
        assert self.backend is not None
        try:
            return lines(forward.on_backend(self.backend))
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no headers for an answer")
            return b""

    def page(self, status: int) -> None:
        """Answer with one of the front's own pages."""
        try:
            headers, body = self.front.page(status)
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no page for %d", status)
            headers, body = (), b""
        self.answer_here(Answer(status, headers, body))

    def answer_here(self, answer: Answer) -> None:
        """Answer without a backend."""
        if self.phase >= TUNNEL or self.transport.is_closing():
            return
        request = self.head
        self.status = answer.status
        self.from_backend = False
        if (
            answer.close
            or self.phase != BUSY
            or self.front.stopping
            or request is None
            or not request.keep_alive
        ):
            self.closing = True
        body = answer.body
        try:
            block = lines([pair for pair in answer.headers if pair[0].lower() not in _OWN_NAMES])
        except ValueError:
            _log.exception("an answer that cannot be written")
            self.status, block, body = 500, b"", b""
        parts = [status_line(self.status), b"Date: ", self.front.date, b"\r\n", block]
        if self.status >= 200 and self.status not in {204, 304}:
            parts.append(b"Content-Length: %d\r\n" % len(body))
            if request is None or request.method != "HEAD":
                parts += (self._connection_line(request), b"\r\n", body)
                self.transport.write(b"".join(parts))
                self.finish()
                return
        parts += (self._connection_line(request), b"\r\n")
        self.transport.write(b"".join(parts))
        self.finish()

    def _connection_line(self, request: RequestHead | None) -> bytes:
        if self.closing:
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if request is not None and request.http10 else b""

    def answer_ended(self, upstream: Upstream, *, keep: bool) -> None:
        """The backend's answer is complete, and sent."""
        self.upstream = None
        if self._until_close and self.takes_chunks:
            self.transport.write(b"0\r\n\r\n")
        backend = upstream.backend
        if keep and backend.mark is not Mark.DRAINING and not self.front.stopping:
            upstream.reused = True
            upstream.since = self.front.tick
            backend.idle.append(upstream)
            if len(backend.idle) > self.front.limits.backend_idle_max:
                backend.idle.pop(0).close()
        else:
            upstream.close()
        self.finish()

    # Ending

    def let_backend_go(self) -> None:
        """The backend has nothing to do with this request any more."""
        backend, self.backend = self.backend, None
        if backend is not None:
            assert isinstance(self.decision, Forward)
            self.decision.pool.end(backend)

    def account(self) -> None:
        """A request has ended, one way or another: tell it, and forget it."""
        front, head, decision, backend = self.front, self.head, self.decision, self.backend
        if backend is not None:
            self.let_backend_go()
        if self._counted:
            front.held_bytes -= self._counted
            self._counted = 0
        self.head = self.decision = None
        if front.done is not None and (head is not None or self.status):
            seconds = front.clock.monotonic() - self.began if head is not None else 0.0
            try:
                front.done(head, decision, self.status, seconds, backend if self.from_backend else None)
            except Exception:  # noqa: BLE001 - the caller's code
                _log.exception("a request could not be counted")
        self.status = 0
        self.from_backend = self._until_close = False
        if self._pending_bytes or self._sent_bytes or self._sent is None:
            self._pending, self._pending_bytes = [], 0
            self._sent, self._sent_bytes = [], 0
        if self._tried:
            self._tried = ()
        self._collect_max = 0

    def finish(self) -> None:
        """An answer is out: next, please."""
        self.account()
        if self.closing or self.phase != BUSY:
            self.close_gently()
            return
        self.phase = HEAD
        self.since = self.front.tick
        self.next_request()

    # Back-pressure

    def pause_writing(self) -> None:
        """The client is slower than the backend: hold the backend."""
        self.write_paused = True
        upstream = self.upstream
        if upstream is not None and not upstream.transport.is_closing():
            self.read_held = True
            upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        self.since = self.front.tick
        upstream = self.upstream
        if self.read_held:
            self.read_held = False
            if upstream is not None and not upstream.transport.is_closing():
                upstream.transport.resume_reading()
        elif upstream is None and self.phase == HEAD:
            self.next_request()

    def set_up(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
