"""The transport's side of a connection: back-pressure both ways, and ways to end that lose no answer."""

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from cumulo.wire.server import Server


class Phase(IntEnum):
    """What the next byte from the client is."""

    HEAD = 0
    BUSY = 1
    COLLECT = 2
    STREAM = 3
    LINGER = 4
    CLOSED = 5


# Plain integers: looking a member up costs more than the comparison it is for.
HEAD: Final = int(Phase.HEAD)
BUSY: Final = int(Phase.BUSY)
COLLECT: Final = int(Phase.COLLECT)
STREAM: Final = int(Phase.STREAM)
LINGER: Final = int(Phase.LINGER)
CLOSED: Final = int(Phase.CLOSED)

END: Final = b"\r\n\r\n"  # of a head


class Link(asyncio.Protocol):
    """A connected client, before anything is known of what it says."""

    __slots__ = (
        "_ahead",
        "_at",
        "_drain",
        "_held",
        "_held_counted",
        "_lingered",
        "_phase",
        "_read_paused",
        "_since",
        "_write_size",
        "ended",
        "server",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.ended = False  # the client will send no more
        self.write_paused = False
        self._phase = HEAD
        self._since = server.tick
        self._held = bytearray()  # a head that is not complete
        self._held_counted = 0
        self._ahead = b""  # what the client sent ahead, from `_at` on
        self._at = 0
        self._read_paused = False
        self._drain: asyncio.Future[None] | None = None
        self._write_size = -1
        self._lingered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from asyncio's

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.write_paused = True
        self._write_size = -1

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_paused = False
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has caught up."""
        if self.write_paused and self._phase != CLOSED:
            self._drain = asyncio.get_running_loop().create_future()
            try:
                await self._drain
            finally:
                self._drain = None

    async def emptied(self) -> None:
        """Wait until everything that was written has left."""
        self.transport.set_write_buffer_limits(high=0)
        await self.drained()
        if not self.transport.is_closing():
            self.transport.set_write_buffer_limits()

    def pause_body(self) -> None:
        """Stop reading from the client."""
        if not self._read_paused and not self.ended and self._phase < LINGER:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """Read on."""
        self._since = self.server.tick
        if len(self._ahead) - self._at <= self.server.limits.ahead_bytes_max:
            self._unpause()

    def _unpause(self) -> None:
        if self._read_paused:
            self._read_paused = False
            if not self.ended and not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()

    def _forget_head(self) -> None:
        """Let go of a head that is complete, or will never be."""
        if self._held:
            self.server.budget.give(self._held_counted)
            self._held_counted = 0
            self._held.clear()

    def _discard(self, data: bytes) -> None:
        """Read past what a client still sends after its last answer."""
        self._lingered += len(data)
        if self._lingered > self.server.limits.linger_bytes_max:
            self.abort()

    def _write_stalled(self, now: float) -> bool:
        """Whether the client has read nothing of what is waiting for it for too long."""
        size = self.transport.get_write_buffer_size()
        if size != self._write_size:
            self._write_size = size
            self._since = now
        return now - self._since > self.server.limits.body_stall_seconds_max

    def _close(self, *, linger: bool) -> None:
        """Close; with input unread, first let the client read its answer, which a reset would destroy.

        TLS cannot close one side alone; its own farewell reads on until the client has said it too.
        """
        if self._phase >= LINGER:
            return
        self._forget_head()
        self._ahead, self._at = b"", 0
        self._phase = LINGER
        self._since = self.server.tick
        if linger and not self.ended and not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
            self._unpause()
        else:
            self.transport.close()
