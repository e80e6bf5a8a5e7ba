"""The pods that an engine has in memory: one change of each at a time, and a watcher for each run."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from cumulo.base.killing import kill_those
from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import EngineError, NoSuchPod
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.live import Live
from cumulo.engines.local.places import RunRecord
from cumulo.engines.local.processes import is_there
from cumulo.engines.local.starting import Starter
from cumulo.engines.local.watching import watch

T = TypeVar("T")

_VERB_SECONDS_MAX = (
    300.0  # longer than all that a thread may take for it: what is going on is never let go of
)
_MONITOR_SECONDS_MAX = 2.0
_SETTLE_SECONDS_MAX = 30.0


class Keeper:
    """Keeps pods."""

    def __init__(self, hands: Hands, starter: Starter) -> None:
        self.pods: dict[str, Live] = {}
        self._hands = hands
        self._starter = starter
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def live(self, pod: str) -> Live:
        """NoSuchPod."""
        live = self.pods.get(pod)
        if live is None:
            raise NoSuchPod(f"there is no pod {pod}")
        return live

    def watch_run(self, live: Live, container: str, run: RunRecord) -> None:
        """See a run to its end."""

        async def kill_all() -> None:
            with contextlib.suppress(EngineError):  # it does not die now; it will be waited for
                await self._hands.do(self._starter.kill, live.name, container)

        async def until_settled() -> None:
            await watch(run, kill_all)
            settled = await self._hands.do(self._starter.settle, live.name, container, run)
            live.runs[container] = settled

        task = asyncio.get_running_loop().create_task(until_settled())
        live.watchers[container] = task

    async def settled(self, live: Live) -> None:
        """Wait for the watchers of a pod that was killed, and end monitors that do not notice."""
        for seconds_max in (_MONITOR_SECONDS_MAX, _SETTLE_SECONDS_MAX):
            going = [task for task in live.watchers.values() if not task.done()]
            if not going:
                return
            await asyncio.wait(going, timeout=seconds_max)
            for run in live.runs.values():
                if run.exit is None and is_there(run.monitor, run.monitor_born):
                    kill_those((run.monitor,), partial(_if_there, run.monitor, run.monitor_born))

    async def alone(self, pod: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do it when nobody else changes the pod, and to its end, also when the caller is cancelled."""
        if self._closed:
            raise EngineError("the engine is closed")
        lock = self._locks.setdefault(pod, asyncio.Lock())

        async def locked() -> T:
            async with lock, asyncio.timeout(_VERB_SECONDS_MAX):
                return await work()

        task = asyncio.get_running_loop().create_task(locked())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except TimeoutError as error:
            raise EngineError(f"it took longer than {_VERB_SECONDS_MAX} s") from error

    def close_later(self, fd: int) -> None:
        """Close when no verb can be using it any more: at once, unless the caller was cancelled."""
        busy = list(self._tasks)
        if not busy:
            os.close(fd)
            return

        async def close_after() -> None:
            await asyncio.wait(busy)
            os.close(fd)

        task = asyncio.get_running_loop().create_task(close_after())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> bool:
        """Let what is going on come to its end, and stop watching; False when that was done before."""
        if self._closed:
            return False
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_VERB_SECONDS_MAX)
        await cancel_all(task for live in self.pods.values() for task in live.watchers.values())
        return True

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that was cancelled does not ask


def _if_there(pid: int, born: int) -> tuple[int, ...]:
    return (pid,) if is_there(pid, born) else ()
