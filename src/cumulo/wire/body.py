"""A request's body while it arrives: held within bounds, taken whole or piece by piece."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

from cumulo.base.errors import AwsError
from cumulo.wire.http import HeaderList

HIGH_WATER_BYTES: Final = 256 * 1024
LOW_WATER_BYTES: Final = 64 * 1024


class Budget:
    """The memory that all bodies of a server may hold together."""

    __slots__ = ("bytes_max", "used")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    def take(self, count: int) -> bool:
        """Count bytes in; False, and nothing counted, when they would be too many."""
        if self.used + count > self.bytes_max:
            return False
        self.used += count
        return True

    def give(self, count: int) -> None:
        """Count bytes out."""
        self.used -= count
        assert self.used >= 0, "more given back than taken"


class Source(Protocol):
    """Where a body comes from: the connection."""

    def pause_body(self) -> None:
        """Stop reading from the client."""
        ...

    def resume_body(self) -> None:
        """Read on."""
        ...

    def ask_for_body(self) -> None:
        """Send `100 Continue` if the client waits for it."""
        ...


class StreamBody:
    """The body of one request; fed by the connection, read by the handler."""

    __slots__ = (
        "_budget",
        "_counted",
        "_error",
        "_limit",
        "_paused",
        "_pieces",
        "_size",
        "_source",
        "_waiter",
        "ended",
        "length",
        "trailers",
    )

    def __init__(self, source: Source, budget: Budget, length: int) -> None:
        self._source = source
        self._budget = budget
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._counted = 0
        self._limit = -1  # of a `read` that is waiting; -1 when pieces are taken one by one
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.length = length
        self.ended = False
        self.trailers: HeaderList = []

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        if not data or self._error is not None:
            return
        if not self._budget.take(len(data)):
            self.fail(AwsError("SlowDown", "Please reduce your request rate.", status=503))
            return
        self._counted += len(data)
        self._size += len(data)
        self._pieces.append(data)
        if self._limit < 0:
            if self._size > HIGH_WATER_BYTES and not self._paused:
                self._pause()
            self._wake()
        elif self._size > self._limit:
            self._wake()

    def end(self, trailers: HeaderList) -> None:
        """Say that all of it has arrived."""
        if self._error is not None:
            return  # some of it was not taken
        self.trailers = trailers
        self.ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Say that the rest will never arrive, or is not wanted."""
        if self._error is None and not self.ended:
            self._error = error
            self._pause()
            self._wake()

    def dispose(self) -> None:
        """Forget what is held; the request has been answered."""
        self._pieces.clear()
        self._size = 0
        self._give(self._counted)

    async def read(self, bytes_max: int) -> bytes:
        """All of it.  AwsError RequestEntityTooLargeException beyond `bytes_max`; BodyCutShort when it ends early."""
        if self.length > bytes_max:
            raise _too_large(bytes_max)
        self._source.ask_for_body()
        self._limit = bytes_max
        try:
            while not self.ended and self._size <= bytes_max:
                if self._error is not None:
                    raise self._error
                self._resume()
                await self._wait()
        finally:
            self._limit = -1
        if self._size > bytes_max:
            self.fail(_too_large(bytes_max))
            raise _too_large(bytes_max)
        whole = b"".join(self._pieces)
        self._pieces = deque((whole,))
        return whole

    async def chunks(self) -> AsyncIterator[bytes]:
        """Piece by piece, with back-pressure on the client."""
        self._source.ask_for_body()
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                self._give(len(piece))
                if self._size <= LOW_WATER_BYTES:
                    self._resume()
                yield piece
            if self._error is not None:
                raise self._error
            if self.ended:
                return
            await self._wait()

    async def _wait(self) -> None:
        assert self._waiter is None, "a body has one reader"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        self._paused = True
        self._source.pause_body()

    def _resume(self) -> None:
        if self._paused and self._error is None:
            self._paused = False
            self._source.resume_body()

    def _give(self, count: int) -> None:
        count = min(count, self._counted)
        self._counted -= count
        self._budget.give(count)


def _too_large(bytes_max: int) -> AwsError:
    return AwsError(
        "RequestEntityTooLargeException", f"Request must be smaller than {bytes_max} bytes", status=413
    )
