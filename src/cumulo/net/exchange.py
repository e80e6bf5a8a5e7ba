"""The answering half of a client's connection: from a request's head to the end of its answer.

route ──Answer──▶ written here ─────────────────────────────────────────┐
  ├──Awaitable──▶ decided later ──▶ as the others                       ├──▶ finished
  └──Forward──▶ an idle connection, or a new one ──▶ asked ──▶ answered ┘
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

from cumulo.net.chunks import Chunks
from cumulo.net.heads import AnswerHead, lines, request_for, status_line, without
from cumulo.net.limits import REPLAY_BYTES_MAX, WRITE_BYTES_HIGH
from cumulo.net.messages import (
    CHUNKED,
    UNTIL_CLOSE,
    Answer,
    BodyCutShort,
    BodyTooLong,
    Decision,
    Forward,
    Link,
    RequestHead,
)
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

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
JOIN_BYTES_MAX: Final = 16 * 1024  # of a body that is written together with its head, in one piece
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED_NAMES: Final = frozenset({b"transfer-encoding", b"trailer"})
_LENGTH_NAMES: Final = frozenset({b"transfer-encoding", b"content-length"})
_OWN_NAMES: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"date"})

_log = logging.getLogger(__name__)


class Exchange(asyncio.Protocol):
    """What happens to one request after the other."""

    __slots__ = (
        "_again",
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
        self._again = False
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

    def half_close(self) -> None:
        """The backend has ended its side of the tunnel."""
        raise NotImplementedError

    def tunnel_lost(self, exc: Exception | None) -> None:
        """The backend's side of the tunnel is gone."""
        raise NotImplementedError

    # Deciding

    def start(self) -> None:
        """A head is here: ask what to do."""
        front, head = self.front, self.head
        assert head is not None, "a head was read"
        self.began = front.clock.monotonic()
        try:
            decision = front.route(head, self.read_body)
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no decision for %s %s", head.method, head.path)
            self.page(500)
            return
        kind = decision.__class__
        if kind is Forward or kind is Answer:
            self._decided(decision)  # type: ignore[arg-type]
        else:
            self._task = front.start(self._decide(decision))  # type: ignore[arg-type]

    async def _decide(self, waiting: Awaitable[Decision]) -> None:
        head = self.head
        assert head is not None
        try:
            decision = await waiting
        except BodyTooLong:
            self._task = None
            self.page(413)
        except BodyCutShort:
            self._task = None
            self.transport.abort()
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no decision for %s %s", head.method, head.path)
            self._task = None
            self.page(500)
        else:
            self._task = None
            if self.phase < LINGER:
                self._decided(decision)

    def _decided(self, decision: Decision) -> None:
        self.decision = decision
        if isinstance(decision, Answer):
            self._answer_here(decision)
            return
        backend = decision.pool.pick(decision.preferred)
        if backend is None:
            self.page(503)
        else:
            self._take(backend, decision)

    async def read_body(self, bytes_max: int) -> bytes:
        """The whole body; see ReadBody.  A chunked one may have twice the bytes, and 64 KiB, with its framing."""
        head = self.head
        assert head is not None, "there is a request"
        if head.length > bytes_max:
            raise BodyTooLong
        chunked = head.length == CHUNKED
        self._collect_max = 2 * bytes_max + 64 * 1024 if chunked else bytes_max
        if head.expects and self.phase == BODY and not self._pending:
            self.transport.write(CONTINUE)
        while self.phase == BODY:
            if self._pending_bytes > self._collect_max:
                raise BodyTooLong
            self.let_input()
            self._ready = asyncio.get_running_loop().create_future()
            await self._ready
            self._ready = None
        if self.phase != BUSY:
            raise BodyCutShort
        body = b"".join(self._pending)
        self._pending = [body] if body else []
        if chunked:
            body = Chunks(raw=False).feed(body)
        if len(body) > bytes_max:
            raise BodyTooLong
        return body

    def wake_reader(self) -> None:
        """Some of the body came, or no more will."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    # Forwarding

    def _take(self, backend: Backend, forward: Forward) -> None:
        """A backend is chosen: use a connection that waits, or make one."""
        self.backend = backend
        forward.pool.begin(backend)
        front, head = self.front, self.head
        assert head is not None
        idle = backend.idle
        while idle:
            upstream = idle.pop()
            fresh = front.tick - upstream.since <= front.limits.replay_idle_seconds
            if upstream.usable and (fresh or head.method in IDEMPOTENT):
                if upstream.front is not front:
                    front.adopt(upstream)
                self._use(upstream)
                return
            upstream.close()
        self._task = front.start(self._connect(backend, forward))

    async def _connect(self, backend: Backend, forward: Forward) -> None:
        failure = 502
        try:
            async with asyncio.timeout(forward.connect_seconds):
                upstream = await self.front.connect(backend)
        except TimeoutError:
            failure = 504
        except OSError as fault:
            _log.debug("%s cannot be connected to: %s", backend, fault)
        else:
            self._task = None
            self._use(upstream)
            return
        self._task = None
        backend.failures += 1
        self._let_backend_go()
        self._tried += (backend,)
        if len(self._tried) < forward.tries:
            other = forward.pool.pick(exclude=self._tried)
            if other is not None:
                self._take(other, forward)
                return
        self.page(failure)

    def _use(self, upstream: Upstream) -> None:
        """Send the head, and what is here of the body, in one write."""
        head, forward = self.head, self.decision
        assert head is not None
        assert isinstance(forward, Forward)
        try:
            data = request_for(head, forward, upstream.backend)
        except ValueError:
            _log.exception("a request that cannot be written")
            upstream.close()
            self.page(500)
            return
        self.upstream = upstream
        upstream.ask(self)
        self.since = self.front.tick
        pending = self._pending
        if not pending:
            upstream.transport.write(data)
            return
        self._pending, size, self._pending_bytes = [], self._pending_bytes, 0
        upstream.transport.writelines([data, *pending])
        self.keep_sent(pending, size)
        self.let_input()

    def keep_sent(self, pieces: list[bytes], size: int) -> None:
        """Remember what was sent of the body, while it is little and might have to be sent again."""
        self._sent_bytes += size
        if self._sent is not None:
            if self._sent_bytes > REPLAY_BYTES_MAX:
                self._sent = None
            else:
                self._sent += pieces

    def backend_lost(self, upstream: Upstream) -> None:
        """The backend's connection ended before its answer did."""
        self.upstream = None
        head, forward = self.head, self.decision
        assert head is not None
        assert isinstance(forward, Forward)
        stale = upstream.reused and not upstream.heard and not self.status
        if stale and not self._again and self._sent is not None and head.method in IDEMPOTENT:
            self._again = True
            self._pending = self._sent + self._pending
            self._pending_bytes += self._sent_bytes
            self._sent, self._sent_bytes = [], 0
            self._task = self.front.start(self._connect(upstream.backend, forward))
            return
        self.backend_failed(502)

    def backend_failed(self, status: int) -> None:
        """There will be no answer, or no more of it: a page, or a body that is visibly broken."""
        self.upstream = None
        if self.backend is not None:
            self.backend.failures += 1
        if self.status:
            self.transport.abort()
        else:
            self.page(status)

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

    def page(self, status: int) -> None:
        """Answer with one of the front's own pages."""
        headers, body = self.front.page(status)
        self._answer_here(Answer(status, headers, body, close=status in {400, 408, 413, 414, 431, 503}))

    def _answer_here(self, answer: Answer) -> None:
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

    # Ending

    def _let_backend_go(self) -> None:
        backend, self.backend = self.backend, None
        if backend is not None:
            assert isinstance(self.decision, Forward)
            self.decision.pool.end(backend)

    def account(self) -> None:
        """A request has ended, one way or another: tell it, and forget it."""
        front, head, decision, backend = self.front, self.head, self.decision, self.backend
        if backend is not None:
            self._let_backend_go()
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
        self.from_backend = self._again = self._until_close = False
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
