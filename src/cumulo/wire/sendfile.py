"""Sends a part of a file from the page cache to the socket, past this process's memory.

Neither event loop that we run on does this by itself, so we do it on a duplicate of the transport's descriptor, once
what the transport holds has left:

    a thread: sendfile until the socket is full ──▶ the loop waits until there is room ──▶ a thread ...

A thread, because a file that is not in the page cache would stop the loop; and only while there is something to do, so
that slow clients hold none.
"""

import asyncio
import fcntl
import os
import select
import sys
import termios
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, Final, Protocol

STEP_BYTES_MAX: Final = 16 * 1024 * 1024  # then others get their turn
CALL_BYTES_MAX: Final = 1024 * 1024
ROOM_MS_MAX: Final = 2  # a quick client makes room at once; waiting for it here saves two switches


class FileBody:
    """`count` bytes of a file from `offset` on, as the body of an answer.  The server closes the file."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: BinaryIO, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The same piece by piece, for who is no socket."""
        at, end = self.offset, self.offset + self.count
        while at < end:
            size = min(end - at, CALL_BYTES_MAX)
            piece = await asyncio.to_thread(os.pread, self.file.fileno(), size, at)
            if not piece:
                raise EOFError("the file is shorter than it was")
            at += len(piece)
            yield piece

    async def aclose(self) -> None:
        """Let go of the file."""
        self.file.close()


class Stalled(Exception):
    """The client reads nothing any more."""


class Threads(Protocol):
    """Runs what may block; who is cancelled waits for it first."""

    async def __call__(self, work: Callable[[], bool], /) -> bool:
        """Do it in a thread."""
        ...


async def send_file(
    transport: asyncio.Transport,
    body: FileBody,
    *,
    threads: Threads,
    wanted: Callable[[], bool],
    stall_seconds_max: float,
) -> bool:
    """Send it all; False when it is not `wanted` any more, or the client has gone, or the file is too short.

    The transport must hold nothing that is still to be written.  Stalled when the client stops reading.
    """
    sender = _Sender(os.dup(transport.get_extra_info("socket").fileno()), body)
    try:
        while sender.left:
            try:
                full = await threads(sender.step)
            except OSError:
                return False
            if not wanted():
                return False
            if full:
                await _room(sender.fd, stall_seconds_max)
                if not wanted():
                    return False
        return True
    except EOFError:
        return False
    finally:
        os.close(sender.fd)


class _Sender:
    """How far it has come."""

    __slots__ = ("_at", "_file", "_poll", "fd", "left")

    def __init__(self, fd: int, body: FileBody) -> None:
        self.fd = fd
        self.left = body.count
        self._at = body.offset
        self._file = body.file.fileno()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def step(self) -> bool:
        """Send what goes; True when the socket is full.  Called in a thread."""
        budget = STEP_BYTES_MAX
        while self.left and budget > 0:
            try:
                sent = os.sendfile(self.fd, self._file, self._at, min(self.left, CALL_BYTES_MAX))
            except BlockingIOError:
                if not self._poll.poll(ROOM_MS_MAX):
                    return True
                continue
            if not sent:
                raise EOFError("the file is shorter than it was")
            self._at += sent
            self.left -= sent
            budget -= sent
        return False


async def _room(fd: int, seconds_max: float) -> None:
    """Wait until the socket takes more, for as long as the client reads at all: a slow one may need minutes."""
    loop = asyncio.get_running_loop()
    room: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _wake, room)
    try:
        unread = _unread(fd)
        while True:
            await asyncio.wait([room], timeout=seconds_max)
            if room.done():
                return
            before, unread = unread, _unread(fd)
            if unread >= before:
                raise Stalled
    finally:
        loop.remove_writer(fd)


def _unread(fd: int) -> int:
    """How many bytes of what was sent the client's side has not taken yet."""
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)


def _wake(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
