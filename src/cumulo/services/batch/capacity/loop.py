"""The loop of capacity: settles what is to be settled, and carries out launches and terminations, a few at once.

A launch may wait for seconds (until a machine has room again), so it never holds up the decisions of the scheduler.
"""

import asyncio
import contextlib
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.services.batch.capacity.keeper import Keeper
from cumulo.services.batch.scheduling.facts import Launch, Terminate
from cumulo.state.store import StoreError

HANDS: Final = 4

_log = Log("batch")


class CapacityLoop:
    """`run` beside the server; `keeper` is given before anything else is called."""

    keeper: Keeper

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = asyncio.Event()
        self._actions: asyncio.Queue[Launch | Terminate] = (
            asyncio.Queue()
        )  # the scheduler asks for nothing twice

    def wake(self) -> None:
        """There is something to settle."""
        self._wake.set()

    def carry(self, action: Launch | Terminate) -> None:
        """Begin to carry out what the scheduler has decided."""
        self._actions.put_nowait(action)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(self._hand())
            group.create_task(self._settle())

    def clear(self) -> None:
        """Forget what was to be done."""
        while not self._actions.empty():
            self._actions.get_nowait()

    async def _hand(self) -> None:
        while True:
            action = await self._actions.get()
            try:
                await self.keeper.carry(action)
            except (AwsError, StoreError) as error:
                _log.warning(
                    "capacity could not be changed", environment=action.environment, error=str(error)
                )

    async def _settle(self) -> None:
        while True:
            due_at = self.keeper.due_at()
            pause = None if due_at is None else max(0.0, due_at - self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            await self.keeper.settle()
