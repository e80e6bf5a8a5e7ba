"""Who is to be looked at, and when: each key waits at most once, and is in work at most once."""

import asyncio
import contextlib
import heapq

from cumulo.base.clock import Clock

STALE_MOST = 64  # alarms that were set anew since, before they are thrown out


class Wakes:
    """A queue of keys without doubles, and alarms."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, None] = {}
        self._in_work: set[str] = set()
        self._at: dict[str, float] = {}  # the alarm of each key; entries of the heap that differ are stale
        self._heap: list[tuple[float, str]] = []
        self._some = asyncio.Event()
        self._earlier = asyncio.Event()

    def wake(self, key: str) -> None:
        """Look at this soon."""
        self._due[key] = None
        self._some.set()

    def forget(self, key: str) -> None:
        """Do not look at this any more."""
        self._due.pop(key, None)
        self._at.pop(key, None)

    def done(self, key: str, at: float) -> None:
        """It was looked at; look again at `at` (seconds since the epoch, inf: only when it is woken)."""
        self._in_work.discard(key)
        if at <= self._clock.now():
            self._due[key] = None
        elif at != float("inf"):
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))
            if len(self._heap) > STALE_MOST + 2 * len(self._at):
                self._heap = [(moment, name) for name, moment in self._at.items()]
                heapq.heapify(self._heap)
            self._earlier.set()
        else:
            self._at.pop(key, None)
        if self._due:
            self._some.set()

    def due(self) -> str | None:
        """Take the next key that is due; None when there is none.  To be given back with `done`."""
        self._ring()
        for key in self._due:
            if key not in self._in_work:
                del self._due[key]
                self._at.pop(key, None)
                self._in_work.add(key)
                return key
        return None

    async def next(self) -> str:
        """The same, but wait for one."""
        while True:
            key = self.due()
            if key is not None:
                return key
            self._some.clear()
            await self._some.wait()

    async def ring(self) -> None:
        """Wake keys when their moment comes, for ever."""
        while True:
            self._earlier.clear()
            self._ring()
            seconds = self._heap[0][0] - self._clock.now() if self._heap else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._earlier.wait(), seconds)

    def _ring(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                self.wake(key)

    def next_alarm(self) -> float | None:
        """When the next alarm rings; None when there is none."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
