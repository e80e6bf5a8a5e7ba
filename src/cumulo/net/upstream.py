"""A connection to a backend: one answer at a time, and the wait for the next.

IDLE ──asked──▶ HEAD ──head complete──▶ BODY ──ended──▶ IDLE        (1xx: HEAD again)
                  └─────101─────▶ TUNNEL
any ──lost, or not to be kept──▶ CLOSED
"""

import asyncio
from typing import TYPE_CHECKING, Final, cast

from cumulo.net.chunks import Chunks
from cumulo.net.heads import END, AnswerHead, hopeless
from cumulo.net.limits import KNOWN_BYTES_MAX, WRITE_BYTES_HIGH
from cumulo.net.messages import CHUNKED, UNTIL_CLOSE, Refused
from cumulo.net.pool import Backend

if TYPE_CHECKING:
    from cumulo.net.answering import Answering
    from cumulo.net.front import HttpFront

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
TUNNEL: Final = 3
CLOSED: Final = 4


class Upstream(asyncio.Protocol):
    """One connection to one backend."""

    __slots__ = (
        "_chunks",
        "_head",
        "_held",
        "_known",
        "_known_raw",
        "_left",
        "_phase",
        "backend",
        "client",
        "front",
        "heard",
        "reused",
        "since",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport  # once it is connected

    def __init__(self, front: "HttpFront", backend: Backend) -> None:
        self.front = front
        self.backend = backend
        self.client: Answering | None = None
        self.reused = False  # it has answered before
        self.heard = False  # a byte of the answer that is due
        self.since = 0.0  # when it began to wait
        self.write_paused = False
        self._phase = IDLE
        self._held = b""
        self._head: AnswerHead | None = None
        self._known_raw = b""
        self._known: AnswerHead | None = None
        self._left = 0
        self._chunks: Chunks | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return self._phase == IDLE and not self.transport.is_closing()

    def ask(self, client: "Answering") -> None:
        """From now on it belongs to a client's request, which the caller writes to `transport`."""
        self.client = client
        self.heard = False
        self._phase = HEAD

    def close(self) -> None:
        """Close it; nobody is told."""
        self._phase = CLOSED
        self.client = None
        self.transport.abort()

    def abandon(self) -> None:
        """Nobody waits for it any more: close it, even if it is only made after this."""
        self._phase = CLOSED
        self.front.upstreams.discard(self)  # the loop may have closed it without a word
        if hasattr(self, "transport"):
            self.transport.abort()

    def forgo(self) -> None:
        """Close it, and let nobody find it."""
        if self in self.backend.idle:
            self.backend.idle.remove(self)
        self.front.upstreams.discard(self)
        self.close()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
        self.since = self.front.tick
        if self._phase == CLOSED:
            self.transport.abort()
        else:
            self.front.upstreams.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what the backend sent."""
        client = self.client
        if client is None:  # it speaks without being asked
            self.close()
            return
        client.since = self.front.tick
        if self._phase == BODY:
            self._body(client, data)
        elif self._phase == HEAD:
            self.heard = True
            self._heads(client, data)
        elif self._phase == TUNNEL:
            client.transport.write(data)

    def eof_received(self) -> bool:
        """The backend has closed its side."""
        client = self.client
        if self._phase == TUNNEL and client is not None:
            client.half_close()
            return True
        if self._phase == BODY and client is not None and self._left == UNTIL_CLOSE:
            self._phase = CLOSED
            self.client = None
            client.answer_ended(self, keep=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the client, if one was waiting."""
        phase, self._phase = self._phase, CLOSED
        self.front.upstreams.discard(self)
        client, self.client = self.client, None
        if client is not None:
            if phase == TUNNEL:
                client.tunnel_lost(exc)
            else:
                client.backend_lost(self)
        elif phase == IDLE and self in self.backend.idle:
            self.backend.idle.remove(self)

    def pause_writing(self) -> None:
        """The backend is slower than the client: hold the client."""
        self.write_paused = True
        if self.client is not None:
            self.client.hold_input()

    def resume_writing(self) -> None:
        """The backend has caught up."""
        self.write_paused = False
        if self.client is not None:
            self.client.since = self.front.tick
            self.client.let_input()

    # Answers

    def _heads(self, client: "Answering", data: bytes) -> None:
        """Read heads until the one that is no 1xx."""
        if self._held:
            data, self._held = self._held + data, b""
        while self._phase == HEAD:
            end = data.find(END) + 4
            if end < 4:
                self._held = data
                if len(data) > self.front.limits.answer_head_bytes_max or hopeless(data):
                    self._malformed(client)
                return
            try:
                head = self._read(data[:end])
            except Refused:
                self._malformed(client)
                return
            if head.status >= 200:
                self._begin(client, head, data, end)
                return
            if head.status == 101:
                self._switch(client, head, data[end:])
                return
            client.informed(head)
            data = data[end:]
            if not data:
                return

    def _read(self, raw: bytes) -> AnswerHead:
        """A head; backends often send the same one again, for as long as its date is the same."""
        if raw == self._known_raw and self._known is not None:
            return self._known
        head = self.front.heads.answer(raw)
        if len(raw) <= KNOWN_BYTES_MAX:
            self._known_raw, self._known = raw, head
        return head

    def _begin(self, client: "Answering", head: AnswerHead, data: bytes, end: int) -> None:
        """The answer begins; most are here whole."""
        self._head = head
        request = client.head
        assert request is not None, "an answer belongs to a request"
        length = head.length
        if request.method == "HEAD" or head.status in {204, 304}:
            length = 0
        here = len(data) - end
        if length == here:
            client.answer(head, data[end:] if here else b"", length)
            self._complete(client, surplus=False)
        elif 0 <= length < here:
            client.answer(head, data[end : end + length], length)
            self._complete(client, surplus=True)
        else:
            self._phase = BODY
            self._left = length
            if length >= 0:
                self._left -= here
                client.answer(head, data[end:] if here else b"", length)
            elif length == CHUNKED:
                self._begin_chunked(client, head, data[end:])
            else:
                piece = data[end:]
                if piece and client.takes_chunks:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                client.answer(head, piece, length)

    def _begin_chunked(self, client: "Answering", head: AnswerHead, data: bytes) -> None:
        chunks = self._chunks = Chunks(raw=client.takes_chunks)
        try:
            piece = chunks.feed(data)
        except Refused:
            self._malformed(client)
            return
        client.answer(head, piece, CHUNKED)
        if chunks.done:
            self._complete(client, surplus=bool(chunks.rest))

    def _body(self, client: "Answering", data: bytes) -> None:
        left = self._left
        if left >= 0:
            size = len(data)
            if size < left:
                self._left = left - size
                client.transport.write(data)
                return
            client.transport.write(data if size == left else data[:left])
            self._complete(client, surplus=size > left)
        elif left == CHUNKED:
            assert self._chunks is not None
            try:
                piece = self._chunks.feed(data)
            except Refused:
                self._malformed(client)
                return
            if piece:
                client.transport.write(piece)
            if self._chunks.done:
                self._complete(client, surplus=bool(self._chunks.rest))
        elif client.takes_chunks:
            client.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            client.transport.write(data)

    def _complete(self, client: "Answering", *, surplus: bool) -> None:
        """The answer has ended: wait for the next request, or close."""
        head = self._head
        assert head is not None
        self._head = self._chunks = None
        self.client = None
        if client.read_held:
            client.read_held = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
        keep = head.keep_alive and not surplus and client.sent_all and not self.transport.is_closing()
        self._phase = IDLE
        client.answer_ended(self, keep=keep)

    def _malformed(self, client: "Answering") -> None:
        """What came is no answer."""
        self.close()
        client.backend_failed(502)

    def _switch(self, client: "Answering", head: AnswerHead, rest: bytes) -> None:
        request = client.head
        assert request is not None
        if not request.upgrade or head.upgrade.lower() != request.upgrade.lower():
            self._malformed(client)
            return
        self._phase = TUNNEL
        client.switch(head, rest)
