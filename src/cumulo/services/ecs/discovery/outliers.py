"""Backends that fail are left alone for a while.  Pure: time is handed in.

Five failures within half a minute eject one; for half a minute the first time, and half a minute more each further
time, five minutes at the most.
"""

from collections import deque

FAILURES = 5
WITHIN_SECONDS = 30.0
EJECT_SECONDS = 30.0
EJECT_SECONDS_MAX = 300.0


class Outlier:
    """One backend's record."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._ejections = 0
        self._until = 0.0

    def failed(self, now: float) -> float:
        """It failed; for how many seconds it is ejected from now on (0: it is not)."""
        self._failures.append(now)
        if now < self._until or len(self._failures) < FAILURES or now - self._failures[0] > WITHIN_SECONDS:
            return 0.0
        self._failures.clear()
        self._ejections += 1
        seconds = min(EJECT_SECONDS_MAX, EJECT_SECONDS * self._ejections)
        self._until = now + seconds
        return seconds

    def answered(self) -> None:
        """It did well: the next ejection is as short as the first."""
        if self._failures:
            self._failures.clear()
        self._ejections = 0
