"""Attempts that may not last longer than so many seconds: a heap of deadlines, looked at when they are due.  Pure."""

import heapq

from cumulo.services.batch.model import Job, JobStatus


class Timeouts:
    """Times are milliseconds since the epoch.  A deadline of a run that has ended is dropped when it is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []

    def watch(self, job: Job) -> None:
        """A job has begun to run."""
        if job.timeout and job.run is not None and not job.is_node:
            deadline = (job.run.started_at or job.started_at) + job.timeout * 1000
            heapq.heappush(self._heap, (deadline, job.id, job.run.token))

    def due(self, now: int) -> list[tuple[str, str]]:
        """Job and token of every run whose time is over; told once."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            _, job, token = heapq.heappop(self._heap)
            found.append((job, token))
        return found

    def next_at(self) -> int | None:
        """When the next one is due; None: there is none."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()


def is_timed(job: Job) -> bool:
    """Whether a job is one that has a deadline now."""
    return job.status == JobStatus.RUNNING and job.timeout > 0 and not job.is_node
