"""Time comes from a Clock that is handed in, so tests can hold it still."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where everybody gets the time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for durations and deadlines."""
        ...


class SystemClock:
    """The machine's time; its own functions, for a call looks at them a dozen times."""

    now = staticmethod(time.time)  # noqa: TID251 - the one place that may
    monotonic = staticmethod(time.monotonic)


class VirtualClock:
    """Time that moves only when a test says so."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        assert seconds >= 0, "time does not go back"
        self._now += seconds


def millis(clock: Clock) -> int:
    """Milliseconds since the epoch, AWS Logs' unit."""
    return int(clock.now() * 1000)


def iso_millis(seconds: float) -> str:
    """Lambda's LastModified form: 2024-01-01T00:00:00.000+0000."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
