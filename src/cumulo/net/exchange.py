"""From a request's head to its decision, and to the backend that was chosen.

route ──Answer──▶ written here ─────────────────────────────────────────┐
  ├──Awaitable──▶ decided later ──▶ as the others                       ├──▶ finished
  └──Forward──▶ an idle connection, or a new one ──▶ asked ──▶ answered ┘
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

from cumulo.net.answering import BODY, BUSY, LINGER, Answering
from cumulo.net.chunks import Chunks
from cumulo.net.heads import request_for
from cumulo.net.limits import REPLAY_BYTES_MAX
from cumulo.net.messages import CHUNKED, Answer, BodyCutShort, BodyTooLong, Decision, Forward
from cumulo.net.pool import Backend
from cumulo.net.upstream import Upstream

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger(__name__)


class Exchange(Answering):
    """What happens to one request after the other."""

    __slots__ = ()

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
            self.answer_here(decision)
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
        self.let_backend_go()
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
        """The backend's connection ended before its answer did.

        One that was used before, and says nothing, was closed because it waited: the request goes out once more,
        on a new connection, where a second failure is one.  Not what might have been done already.
        """
        self.upstream = None
        head, forward = self.head, self.decision
        assert head is not None
        assert isinstance(forward, Forward)
        stale = upstream.reused and not upstream.heard and not self.status
        if stale and self._sent is not None and head.method in IDEMPOTENT:
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
