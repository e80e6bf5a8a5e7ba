"""Bodies on their way to clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from cumulo.gateway.tools import CallFailed

BYTES_MAX: Final = 10 * 1024 * 1024


class TooLong(Exception):
    """An answer is longer than API Gateway lets through: what was sent of it is all that the client gets."""


class TimelyBody:
    """A body that its backend may keep us waiting for so many seconds in all; how long its reader takes is not counted."""

    __slots__ = ("_body", "_seconds")

    def __init__(self, body: AsyncIterator[bytes], seconds: float) -> None:
        self._body = body
        self._seconds = seconds

    def __aiter__(self) -> "TimelyBody":
        return self

    async def __anext__(self) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(max(0.0, self._seconds)):
                piece = await anext(self._body)
        except TimeoutError:
            await self.aclose()
            raise CallFailed("the backend did not answer in time", timed_out=True) from None
        self._seconds -= loop.time() - began
        return piece

    async def aclose(self) -> None:
        """Give up the rest; harmless when there is none."""
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()


class CountedBody:
    """A body that is counted, and bounded; `done` is told the bytes once, when it has ended however it ends.

    bytes_max   0: as many as come
    """

    __slots__ = ("_body", "_bytes_max", "_done", "_ended", "_size")

    def __init__(
        self, body: AsyncIterator[bytes], done: Callable[[int], None], *, bytes_max: int = BYTES_MAX
    ) -> None:
        self._body = body
        self._done = done
        self._bytes_max = bytes_max
        self._size = 0
        self._ended = False

    def __aiter__(self) -> "CountedBody":
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._body)
        except BaseException:
            self._end()
            raise
        self._size += len(piece)
        if self._bytes_max and self._size > self._bytes_max:
            await self.aclose()
            raise TooLong(f"more than {self._bytes_max} bytes")
        return piece

    async def aclose(self) -> None:
        """Give up the rest; harmless when there is none."""
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._done(self._size)
