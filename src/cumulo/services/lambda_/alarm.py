"""A timer that is cheap to move into the future."""

import asyncio
from collections.abc import Callable

from cumulo.base.clock import Clock

_CLOSE = 0.0005


class Alarm:
    """Rings at a moment that may be changed thousands of times a second.

    A moment later than the armed one only moves the goal: when the armed timer fires it looks at the goal and
    is armed again if that is still ahead.  So calls that end in time cost no timer each.
    """

    def __init__(self, clock: Clock, ring: Callable[[float], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._goal = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def at(self, when: float, now: float) -> None:
        """Ring then."""
        self._goal = when
        if self._timer is None or when < self._armed_for - _CLOSE:
            self.cancel()
            self._armed_for = when
            self._timer = self._loop.call_later(max(0.0, when - now), self._fire)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        if now < self._goal - _CLOSE:
            self.at(self._goal, now)
        else:
            self._ring(now)
