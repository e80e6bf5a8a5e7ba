"""An open WebSocket on the server's side, as callbacks: no task, no timer and no buffer while nothing happens.

    OPEN ──close(), or the client broke the rules──▶ CLOSING ──client's farewell, or patience ends──▶ CLOSED
      └───────────────client says goodbye, or goes away──────────────────────────────────────────────▶

Who derives from it takes what arrives, may ask the client to wait (`hold`), and looks after it now and then (`check`).
"""

import asyncio
from abc import abstractmethod
from typing import ClassVar, Final, cast

from cumulo.wire.websocket_frames import Broken, FrameReader, Kind, Said, close_frame, close_of, frames_of

CLOSE_SECONDS_MAX: Final = 5.0  # for the client's farewell
STALL_SECONDS_MAX: Final = 60.0  # in which a client must read something of what waits for it

OPEN: Final = 0
CLOSING: Final = 1
CLOSED: Final = 2


class MessageSocket(asyncio.Protocol):
    """One connection.  Give it to the server in a `Switching`."""

    __slots__ = (
        "_deaf",
        "_ending",
        "_frame_bytes_max",
        "_held",
        "_paused",
        "_reader",
        "_send_bytes_max",
        "_since",
        "_state",
        "_transport",
        "_unread",
        "_write_size",
    )
    broken_seconds: ClassVar = 1.0  # in which a client that broke the rules may still read why

    def __init__(self, *, frame_bytes_max: int, message_bytes_max: int, send_bytes_max: int) -> None:
        self._reader = FrameReader(frame_bytes_max=frame_bytes_max, message_bytes_max=message_bytes_max)
        self._frame_bytes_max = frame_bytes_max
        self._send_bytes_max = send_bytes_max
        self._state = OPEN
        self._ending: tuple[int, str] = (1006, "")
        self._held = False  # by who derives from this
        self._paused = False  # by the transport, which has too much to write
        self._unread = False  # reading is paused
        self._deaf = False
        self._since = 0.0  # when closing began, or writing stalled
        self._write_size = 0
        self._transport: asyncio.Transport | None = None

    # -- for who derives from it ---------------------------------------------------------------------------

    @abstractmethod
    def opened(self) -> None:
        """The client may be written to."""

    @abstractmethod
    def arrived(self, kind: Kind, data: bytes) -> None:
        """A whole message; the bytes of a text are UTF-8."""

    @abstractmethod
    def ended(self, code: int, reason: str) -> None:
        """It is over, and why: called once, also for one that never was opened."""

    @property
    def is_open(self) -> bool:
        """Whether messages can go out."""
        return self._state == OPEN and self._transport is not None

    @property
    def unheard(self) -> int:
        """Bytes that have come and are no whole message yet, or wait while it holds."""
        return self._reader.held

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, kind: Kind, data: bytes) -> bool:
        """Send a message; False, and nothing is sent, while too much waits for a client that reads too slowly."""
        transport = self._transport
        if self._state != OPEN or transport is None:
            return True
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + len(data) > self._send_bytes_max:
            return False
        transport.write(frames_of(kind, data, self._frame_bytes_max))
        return True

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; harmless when that was said before.  `check` sees to it that it ends."""
        transport = self._transport
        if self._state != OPEN or transport is None:
            return
        self._state = CLOSING
        self._ending = (code, reason)
        self._since = 0.0
        transport.write(close_frame(code, reason))
        self._read_or_not()
        self._pump()

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()

    def hold(self, held: bool) -> None:
        """Let the client wait, or let it go on."""
        if self._held == held:
            return
        self._held = held
        self._read_or_not()
        if not held:
            self._pump()

    def check(self, now: float) -> None:
        """End what has lasted too long; call it every few seconds."""
        transport = self._transport
        if transport is None or self._state == CLOSED:
            return
        if self._state == CLOSING:
            self._since = self._since or now
            if now - self._since > CLOSE_SECONDS_MAX:
                transport.abort()
        elif self._paused:
            size = transport.get_write_buffer_size()
            if size != self._write_size:
                self._write_size, self._since = size, now
            elif now - self._since > STALL_SECONDS_MAX:
                transport.abort()

    # -- the transport's side ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the handshake has been answered."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self.opened()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._deaf:
            return
        self._reader.feed(data)
        self._pump()

    def pause_writing(self) -> None:
        """The client is behind; what it sends (pings above all) would make us write more."""
        self._paused = True
        self._since = 0.0
        self._write_size = -1
        self._read_or_not()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        self._read_or_not()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It is over."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self._transport = None
        self.ended(*self._ending)

    def _read_or_not(self) -> None:
        """Read on when there is room for more; a farewell is always waited for."""
        unread = self._state == OPEN and (self._held or self._paused)
        if unread == self._unread or self._transport is None or self._transport.is_closing():
            return
        self._unread = unread
        if unread:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _pump(self) -> None:
        """Take one after the other, as long as nobody holds."""
        while self._state != CLOSED and not self._deaf:
            if self._state == OPEN and (self._held or self._paused):
                return
            try:
                said = self._reader.next()
                if said is None:
                    return
                self._hear(said)
            except Broken as broken:
                self.break_off(broken.code, broken.reason)

    def _hear(self, said: Said) -> None:
        assert self._transport is not None, "who has gone says nothing"
        if said.kind is Kind.CLOSE:
            code, reason = close_of(said.data)
            if self._state == OPEN:
                self._ending = (code, reason)
                self._state = CLOSING
                self._transport.write(close_frame(code, ""))
            self._deaf = True  # whatever comes after a farewell is of no interest
            self._transport.close()
        elif said.kind is Kind.PING:
            if self._state == OPEN:
                self._transport.write(frames_of(Kind.PONG, said.data, self._frame_bytes_max))
        elif said.kind is not Kind.PONG and self._state == OPEN:
            self.arrived(said.kind, said.data)

    def break_off(self, code: int, reason: str) -> None:
        """Say why, hear no more, and leave the client a moment to read it: closing at once would destroy the words."""
        self.close(code, reason)
        self._deaf = True
        self._reader.drop()
        if self._transport is not None:
            asyncio.get_running_loop().call_later(self.broken_seconds, self._transport.close)
