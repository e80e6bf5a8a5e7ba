"""Waiting for threads, which cannot be cancelled."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def surely(future: asyncio.Future[T]) -> T:
    """The outcome of what a thread does.  Who is cancelled meanwhile waits for the thread first.

    So nobody lets go of what a thread still uses: a descriptor, a file, a buffer.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()
        raise cancelled
    return future.result()
