"""How many jobs each queue has in each state, counted along: a listener of the shelf of jobs.

What counts is what runs: single jobs, children (not their arrays), multi-node jobs (not their nodes).  An array stands
for those of its children that have no record of their own.
"""

from collections.abc import Iterator

from cumulo.services.batch.model import Job, JobStatus


class Tally:
    """The counts.  `heard` is told of every record, before and after each change."""

    def __init__(self) -> None:
        """Nothing is there."""
        self._counts: dict[str, dict[JobStatus, int]] = {}

    def heard(self, before: Job | None, after: Job | None) -> None:
        """A record is another now."""
        was, is_ = _part(before), _part(after)
        if was == is_:
            return
        if was is not None:
            self._add(was[0], was[1], -was[2])
        if is_ is not None:
            self._add(*is_)

    def of(self, queue: str) -> dict[str, int]:
        """The jobs of a queue (its ARN) by state; every state is there."""
        counts = self._counts.get(queue, {})
        return {status.value: counts.get(status, 0) for status in JobStatus}

    def __iter__(self) -> Iterator[str]:
        """The queues (ARNs) that have jobs."""
        return iter(self._counts)

    def _add(self, queue: str, status: JobStatus, count: int) -> None:
        counts = self._counts.setdefault(queue, {})
        counts[status] = counts.get(status, 0) + count
        if not counts[status]:
            del counts[status]
            if not counts:
                del self._counts[queue]


def _part(job: Job | None) -> tuple[str, JobStatus, int] | None:
    """What a record counts for."""
    if job is None or job.is_node:
        return None
    if job.array_size:
        return job.queue, job.rest, job.array_size - job.made
    return job.queue, job.status, 1
