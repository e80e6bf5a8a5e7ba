"""One connection to a backend, seen by who asks: a request goes out, an answer comes in, then the next.

IDLE ──ask──▶ HEAD ──head complete──▶ BODY ──ended──▶ IDLE          (1xx: HEAD again)
any ──lost, malformed, or not to be kept──▶ CLOSED

Everything is callbacks; who asks waits on one future.  The body is held within bounds: when its reader is slow, the
backend is.
"""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from cumulo.net.chunks import Chunks
from cumulo.net.heads import END, AnswerHead, HeadReader, hopeless
from cumulo.net.limits import KNOWN_BYTES_MAX, WRITE_BYTES_HIGH
from cumulo.net.messages import CHUNKED, UNTIL_CLOSE, Refused

HEAD_BYTES_MAX: Final = 64 * 1024
HELD_BYTES_HIGH: Final = 256 * 1024  # of a body that waits for its reader
HELD_BYTES_LOW: Final = 64 * 1024
INTERIM_MAX: Final = 100  # of one answer

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
ENDED: Final = 3  # the answer is here, and not yet taken
CLOSED: Final = 4


class HttpFailed(Exception):
    """Nobody answered, or what came was no answer."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Owner(Protocol):
    """Who keeps connections."""

    heads: HeadReader

    def ended(self, connection: "HttpConnection") -> None:
        """The answer has been taken whole; the connection may be asked again if it is `reusable`."""
        ...

    def lost(self, connection: "HttpConnection") -> None:
        """The connection is gone."""
        ...


class HttpConnection(asyncio.Protocol):
    """A connection.

    heard   whether a byte of the answer that is due has come
    since   when something last happened, of the owner's clock
    """

    __slots__ = ("_chunks", "_drained", "_held", "_interim", "_known", "_known_raw", "_left", "_method", "_paused", "_pieces",
                 "_size", "_waiter", "fault", "head", "heard", "owner", "phase", "sent", "since", "transport", "used")  # fmt: skip

    transport: asyncio.Transport  # once it is connected

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.phase = IDLE
        self.used = 0
        self.since = 0.0
        self.heard = False
        self.sent = True
        self.head: AnswerHead | None = None
        self.fault: str = ""
        self._method = ""
        self._interim = 0
        self._held = b""
        self._left = 0
        self._chunks: Chunks | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._known_raw = b""
        self._known: AnswerHead | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return self.phase == IDLE and not self.transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether it can be asked again after this answer."""
        head = self.head
        return (
            head is not None
            and head.keep_alive
            and self.sent
            and not self.fault
            and not self.transport.is_closing()
        )

    # Asking

    def ask(self, method: str, data: bytes, *, sent: bool) -> None:
        """Send a request's head, with its body when that is short; `sent`: this is all of it."""
        self.phase = HEAD
        self.used += 1
        self.heard = False
        self.head = None
        self.fault = ""
        self.sent = sent
        self._method = method
        self._interim = 0
        self.transport.write(data)

    async def write(self, data: bytes) -> None:
        """Send more of the request's body; waits while the backend takes nothing.  HttpFailed."""
        if self.phase == CLOSED:
            raise HttpFailed(self.fault or "the backend closed the connection")
        self.transport.write(data)
        if self._drained is not None:
            await self._drained

    async def wait_head(self) -> AnswerHead:
        """The answer's head.  HttpFailed."""
        while self.head is None and self.phase != CLOSED:
            await self._wait()
        if self.head is None:
            raise HttpFailed(self.fault or "the backend closed the connection")
        return self.head

    async def read(self) -> bytes:
        """The next piece of the answer's body; empty: that was all of it.  HttpFailed when it breaks off."""
        while not self._pieces and self.phase == BODY:
            await self._wait()
        if self._pieces:
            piece = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._resume()
            return piece
        if self.fault or self.phase == CLOSED:
            raise HttpFailed(self.fault or "the answer broke off")
        self._take_end()
        return b""

    def take_whole(self) -> bytes | None:
        """The whole body when it is here, which ends the exchange; else None."""
        if self.phase != ENDED:
            return None
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._take_end()
        return body

    def abort(self, reason: str = "") -> None:
        """Drop it; who waits is told why."""
        if self.phase == CLOSED:
            return
        self._fail(reason)
        if hasattr(self, "transport"):
            self.transport.abort()

    def abandon(self) -> None:
        """Nobody waits for it any more: close it, even if it is only made after this."""
        self.abort("given up")
        self.owner.lost(self)

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
        if self.phase == CLOSED:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what the backend sent."""
        if self.phase == BODY:
            self._body(data)
        elif self.phase == HEAD:
            self.heard = True
            self._heads(data)
        else:  # it speaks without being asked
            self.abort("the backend said more than it was asked")

    def eof_received(self) -> bool:
        """The backend has closed its side."""
        if self.phase == BODY and self._left == UNTIL_CLOSE:
            self._end(keep=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self.phase == BODY and self._left == UNTIL_CLOSE and exc is None:
            self._end(keep=False)
        elif self.phase == ENDED:
            self.fault = ""  # it came in time; `transport.is_closing()` says that it is not to be kept
        else:
            self._fail(f"the connection was lost: {exc}" if exc else "the backend closed the connection")
        self._wake_writer()
        self.owner.lost(self)

    def pause_writing(self) -> None:
        """The backend is slower than the request's body."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._wake_writer()

    # Answers

    def _heads(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        while self.phase == HEAD:
            end = data.find(END) + 4
            if end < 4:
                self._held = data
                if len(data) > HEAD_BYTES_MAX or hopeless(data):
                    self.abort("the answer is not HTTP")
                return
            try:
                head = self._read_head(data[:end])
            except Refused as refused:
                self.abort(refused.message)
                return
            if head.status >= 200:
                self._begin(head, data[end:])
                return
            if head.status == 101:
                self.abort("the backend switched protocols")
                return
            self._interim += 1
            if self._interim > INTERIM_MAX:
                self.abort("the backend sends interim answers without an end")
                return
            data = data[end:]
            if not data:
                return

    def _read_head(self, raw: bytes) -> AnswerHead:
        """A head; backends often send the same one again, for as long as its date is the same."""
        if raw == self._known_raw and self._known is not None:
            return self._known
        head = self.owner.heads.answer(raw)
        if len(raw) <= KNOWN_BYTES_MAX:
            self._known_raw, self._known = raw, head
        return head

    def _begin(self, head: AnswerHead, data: bytes) -> None:
        self.head = head
        bodiless = self._method == "HEAD" or head.status in {204, 304}
        self._left = 0 if bodiless else head.length
        self.phase = BODY
        if self._left == CHUNKED:
            self._chunks = Chunks(raw=False)
        if data or self._left == 0:
            self._body(data)
        self._wake()

    def _body(self, data: bytes) -> None:
        if self._left == CHUNKED:
            self._chunked(data)
        elif self._left == UNTIL_CLOSE:
            self._take(data)
        else:
            surplus = len(data) > self._left
            if surplus:
                data = data[: self._left]
            self._left -= len(data)
            self._take(data)
            if not self._left:
                self._end(keep=not surplus)

    def _chunked(self, data: bytes) -> None:
        assert self._chunks is not None
        try:
            piece = self._chunks.feed(data)
        except Refused as refused:
            self.abort(refused.message)
            return
        self._take(piece)
        if self._chunks.done:
            self._end(keep=not self._chunks.rest)

    def _take(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > HELD_BYTES_HIGH and not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def _resume(self) -> None:
        if self._paused and self._size <= HELD_BYTES_LOW:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _end(self, *, keep: bool) -> None:
        self.phase = ENDED
        self._chunks = None
        if not keep:
            self.sent = False  # so that it is not kept
        self._wake()

    def _take_end(self) -> None:
        self.phase = IDLE if self.reusable else CLOSED
        self._resume()
        self.owner.ended(self)

    def _fail(self, reason: str) -> None:
        self.fault = self.fault or reason
        self.phase = CLOSED
        self._pieces.clear()
        self._wake()
        self._wake_writer()

    async def _wait(self) -> None:
        assert self._waiter is None, "an answer has one reader"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wake_writer(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
