"""Forgets stopped tasks: an hour after their end, and the oldest sooner where a cluster has very many."""

import asyncio
import contextlib
from typing import Final

from cumulo.base.clock import Clock
from cumulo.services.ecs.model import Task
from cumulo.services.ecs.records import Records
from cumulo.state.store import StoreError

KEPT_SECONDS: Final = 3600.0
KEPT_MAX: Final = 10_000  # of one cluster: a service that cannot start must not fill the memory
EVERY_SECONDS: Final = 60.0


class TaskSweep:
    """Run `run` beside the service."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            with contextlib.suppress(StoreError):  # the disk refuses: tried again
                await self.sweep()
            await asyncio.sleep(EVERY_SECONDS)

    async def sweep(self) -> None:
        """Forget what is due."""
        await self._records.store.ready()
        for cluster in self._records.tasks.values("stopped"):
            for task in self._due(self._records.tasks.by("stopped", cluster)):
                self._records.tasks.delete(task)
        await self._records.store.commit()

    def _due(self, stopped: list[Task]) -> list[Task]:
        oldest_first = sorted(stopped, key=lambda task: task.stopped_at)
        too_many = max(0, len(oldest_first) - KEPT_MAX)
        old = self._clock.now() - KEPT_SECONDS
        return [task for at, task in enumerate(oldest_first) if at < too_many or task.stopped_at <= old]
