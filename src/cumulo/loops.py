"""The loops that run beside the server, each with a name.

A loop that dies of a bug ends the cloud: going on without it would lose things quietly.  Stopping is honest, and a
restart takes everything up again.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from cumulo.base.log import Log

_log = Log("app")


class Loops:
    """Starts and ends them; `stopping` is set when one has died, and `died` says so."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.died = False
        self._stopping = stopping
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a loop from now on."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    async def end(self, name: str) -> None:
        """End a loop, and wait until it has let go.  Harmless when it never began."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a loop died; stopping", loop=task.get_name(), error=repr(error))
            self.died = True
            self._stopping.set()
