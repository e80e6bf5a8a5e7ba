"""When each target is checked next.  Pure: the time is handed in.

A target is checked at once when it is new, and then once an interval.  One that is still initial is looked at every
second, so that it need not wait for a whole interval after its first answer; what it fails then counts once an interval
alone, as if there had been one check.
"""

from collections.abc import Iterable
from typing import Final

EAGER_SECONDS: Final = 1.0


class Schedule:
    """Due times by target.  Seconds are those of a monotonic clock."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._counts_from: dict[str, float] = {}

    def want(self, keys: Iterable[str], now: float) -> None:
        """From now on these are checked, and no others; new ones at once."""
        wanted = set(keys)
        for key in self._due.keys() - wanted:
            del self._due[key]
            self._counts_from.pop(key, None)
        for key in wanted - self._due.keys():
            self._due[key] = now

    def take_due(self, now: float, most: int) -> list[str]:
        """Up to `most` targets whose time has come, the longest waiting first; they wait until `done`."""
        due = sorted((at, key) for key, at in self._due.items() if at <= now)[:most]
        for _, key in due:
            self._due[key] = float("inf")
        return [key for _, key in due]

    def done(self, key: str, *, began: float, interval: float, initial: bool) -> None:
        """A check that began then has ended; `initial`: the target is, after it."""
        if key in self._due:
            self._due[key] = began + (min(EAGER_SECONDS, interval) if initial else interval)

    def counts(self, key: str, *, began: float, interval: float) -> bool:
        """Whether a failure of an initial target counts; when it does, the next does after an interval."""
        if began < self._counts_from.get(key, float("-inf")):
            return False
        self._counts_from[key] = began + interval
        return True

    def next_at(self) -> float:
        """When the next is due; infinite when nothing is."""
        return min(self._due.values(), default=float("inf"))

    def __len__(self) -> int:
        return len(self._due)
