"""Work that many may want at once is done once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

from cumulo.base.tasks import cancel_all

T = TypeVar("T")


class Flights(Generic[T]):
    """What is under way, by key.  It is given up when nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._waiters: dict[asyncio.Task[T], int] = {}
        self._ending: set[asyncio.Task[T]] = set()  # given up, and cleaning up

    def has(self, key: Hashable) -> bool:
        """Whether it is under way."""
        return key in self._tasks

    async def join(self, key: Hashable, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """The outcome of `work`, or of the same work that somebody began before."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(work())
            self._waiters[task] = 0
            task.add_done_callback(lambda done: self._forget(key, done))
        self._waiters[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiters[task] = self._waiters.get(task, 1) - 1
            if self._waiters[task] <= 0:
                del self._waiters[task]
                if not task.done():
                    task.cancel()
                    self._ending.add(task)
                    task.add_done_callback(self._ending.discard)
                    self._forget(key, task)

    def _forget(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if task.done() and not task.cancelled():
            task.exception()  # whoever waits has it; with nobody left it is of no interest

    async def close(self) -> None:
        """Give up everything, and wait until it is cleaned up."""
        await cancel_all(self._tasks.values())
        await asyncio.gather(*self._ending, return_exceptions=True)
