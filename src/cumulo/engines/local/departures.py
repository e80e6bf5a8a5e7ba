"""Links that go: a link ends when the kernel has taken its namespace apart, some ten milliseconds after the last
who used that is gone.  Until then nobody gets its address; when it takes too long, it is removed.
"""

import asyncio
import contextlib
import time

from cumulo.engines.local import addresses, bridge
from cumulo.engines.local.addresses import Addresses

_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 3.0
_CLOSE_SECONDS = 1.0


class Departures:
    """Waits for links to be gone, and gives their addresses back.

    patience   seconds until one is removed
    """

    def __init__(self, instance: str, used: Addresses, patience: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._instance = instance
        self._used = used
        self._since: dict[int, float] = {}  # of each serial number: monotonic seconds
        self._task: asyncio.Task[None] | None = None

    def watch(self, serial: int) -> None:
        """The link of a serial number goes."""
        self._since[serial] = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._wait())

    async def close(self) -> None:
        """See all of them gone, soon."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._since:
            await self._look(0.0 if time.monotonic() > deadline else _CLOSE_SECONDS)
            if self._since:
                await asyncio.sleep(0.01)

    async def _wait(self) -> None:
        while self._since:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look(self._patience)

    async def _look(self, patience: float) -> None:
        """Note which are gone, and remove those that have been going for longer than `patience`, in seconds."""
        for serial, since in list(self._since.items()):
            link = addresses.link_name(self._instance, serial)
            if bridge.is_there(link):
                if time.monotonic() - since < patience:
                    continue
                with contextlib.suppress(OSError):  # then it is a stray for the next sweep
                    await asyncio.to_thread(bridge.remove_link, link)
            self._since.pop(serial, None)
            self._used.give_back(serial)
