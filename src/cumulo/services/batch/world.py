"""What jobs need of the rest of Batch: the queues that they are submitted to."""

from typing import Protocol

from cumulo.services.batch.model import JobQueue


class Queues(Protocol):
    """Job queues, as those who submit and list jobs see them."""

    def find(self, account: str, region: str, text: str) -> JobQueue | None:
        """The queue with this name or ARN; None when there is none in this account and region."""
        ...

    def platforms(self, queue: JobQueue) -> frozenset[str]:
        """What its compute environments run: EC2 or FARGATE."""
        ...
