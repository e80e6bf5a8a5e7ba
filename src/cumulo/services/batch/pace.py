"""How many jobs of each queue came, started and ended in the last minute: a listener of the Desk's outcomes, in memory."""

from typing import Final

from cumulo.base.clock import Clock
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan_events import Outcome

SECONDS: Final = 60
WORDS: Final = ("submitted", "started", "succeeded", "failed")
_WORD_OF: Final = {
    JobStatus.RUNNING: "started",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
}


class Pace:
    """Counts by second, of as many seconds as a minute has."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has happened."""
        self._clock = clock
        self._seconds: dict[int, dict[tuple[str, str], int]] = {}

    def heard(self, outcome: Outcome) -> None:
        """What has changed; children without a record of their own come together."""
        for change in outcome.changes:
            if change.before is None:
                self._add(change.job.queue, "submitted", change.job.array_size or 1)
            word = _WORD_OF.get(change.job.rest if change.rest else change.job.status)
            if word is not None and (change.rest or _runs(change.job)):
                self._add(change.job.queue, word, change.rest or 1)

    def of(self, queue: str) -> dict[str, int]:
        """What of a queue (its ARN) was submitted, started, succeeded and failed in the last minute."""
        self._forget(int(self._clock.monotonic()))
        counted = self._seconds.values()
        return {word: sum(second.get((queue, word), 0) for second in counted) for word in WORDS}

    def clear(self) -> None:
        """Forget everything."""
        self._seconds.clear()

    def _add(self, queue: str, word: str, count: int) -> None:
        second = int(self._clock.monotonic())
        if second not in self._seconds:
            self._forget(second)
            self._seconds[second] = {}
        counts = self._seconds[second]
        counts[queue, word] = counts.get((queue, word), 0) + count

    def _forget(self, now: int) -> None:
        for second in [one for one in self._seconds if one <= now - SECONDS]:
            del self._seconds[second]


def _runs(job: Job) -> bool:
    """Whether it counts: an array does by its children, a node by its job."""
    return not job.array_size and not job.is_node
