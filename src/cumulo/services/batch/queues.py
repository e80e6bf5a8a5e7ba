"""The jobs of a queue, for who deletes it."""

from cumulo.services.batch.desk import Desk
from cumulo.services.batch.model import JobStatus
from cumulo.services.batch.plan_events import Terminated

QUEUE_DELETED = "The job queue was deleted"
ENDED_AT_ONCE_MAX = 500
_LIVE = tuple(one for one in JobStatus if one not in (JobStatus.SUCCEEDED, JobStatus.FAILED))


class JobsOfQueues:
    """See `capacity.world.Jobs`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def end_queue(self, queue: str) -> bool:
        """Have the jobs of a queue end, some at a time, as on AWS; whether there are none any more."""
        live = [job for status in _LIVE for job in self._desk.records.submitted_to(queue, status)]
        asked = [job for job in live if not job.is_terminated][:ENDED_AT_ONCE_MAX]
        if asked:
            await self._desk.happened(*(Terminated(job.id, QUEUE_DELETED) for job in asked))
        return not live
