"""Publishes names to pods, the whole table each time: many changes at once are one publication."""

import asyncio
from collections.abc import Awaitable, Callable

from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import EngineError
from cumulo.services.ecs.discovery.names import Table

Publish = Callable[[Table], Awaitable[None]]


class Publisher:
    """Publishes what `table` gives."""

    def __init__(self, table: Callable[[], Table], publish: Publish) -> None:
        self._table = table
        self._publish = publish
        self._published: Table = {}
        self._lock = asyncio.Lock()
        self._asked = 0
        self._done = 0
        self._task: asyncio.Task[None] | None = None
        self._log = Log("ecs")

    async def now(self) -> None:
        """Returns when pods are told of everything that was so before."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._done >= mine:
                return
            covered, table = self._asked, self._table()
            if table != self._published:
                try:
                    await self._publish(table)
                    self._published = table
                except (
                    EngineError
                ) as error:  # one without names for pods: calls of the API find tasks all the same
                    self._log.warning("names are not published", error=str(error))
            self._done = covered

    def soon(self) -> None:
        """The same, without waiting for it."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.now())
        else:
            self._task.add_done_callback(lambda _: self._again())
            self._asked += 1

    def _again(self) -> None:
        if self._done < self._asked:
            self.soon()

    async def close(self) -> None:
        """Publish no more."""
        self._done = self._asked
        if self._task is not None:
            await cancel_all([self._task])
