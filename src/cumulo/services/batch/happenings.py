"""Tells EventBridge of jobs: a listener of the Desk's outcomes.

Every change of state is an event, but a job's coming, as on AWS; so is a job that blocks its queue.  Where EventBridge
was never told anything nobody can listen, and nothing is written.

Children that change all at once are told of at once if they are few; if they are many, one after another beside everything
else, and only if somebody listens.  A kill may lose these, and these alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports import EventBus
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.family import born
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.job_views import job_view
from cumulo.services.batch.model import Job
from cumulo.services.batch.plan_events import Change, Outcome
from cumulo.state.outbox import WAITING_MAX, Outbox
from cumulo.state.store import StoreBroken, StoreError

SOURCE: Final = "aws.batch"
STATE_CHANGE: Final = "Batch Job State Change"
BLOCKED: Final = "Batch Job Queue Blocked"
FEW: Final = 100
PAUSE_SECONDS: Final = 0.05
CHANGES_MAX: Final = 1000  # of many children, that wait to be told
_log = Log("batch")


class Happenings:
    """Durable with the commit of the change that is told of.  `heard` is for the Desk's listeners.

    may_listen   whether EventBridge knows anything at all
    """

    def __init__(
        self,
        records: JobRecords,
        definitions: DefinitionRecords,
        clock: Clock,
        bus: EventBus,
        *,
        may_listen: Callable[[], bool],
    ) -> None:
        self._records = records
        self._definitions = definitions
        self._bus = bus
        self._may_listen = may_listen
        self._many: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._wake = asyncio.Event()
        self.outbox = Outbox(records.store, clock, bus, source=SOURCE, table="batch_outbox")

    def heard(self, outcome: Outcome) -> None:
        """Tell of what has changed."""
        if not outcome.changes or not self._may_listen():
            return
        for change in outcome.changes:
            if change.rest > FEW:
                self._many.append(change)
                self._wake.set()
            elif change.before is not None:
                for job in self._those(change):
                    self._send(STATE_CHANGE, job, (job.arn,))

    def blocked(self, job: Job) -> None:
        """A job cannot start, and holds up those behind it; its statusReason says why."""
        if self._may_listen():
            self._send(BLOCKED, job, (job.arn, job.queue))

    async def run(self) -> None:
        """Deliver, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.outbox.run())
            group.create_task(self._tell_of_many())

    def clear(self) -> None:
        """Forget what was not delivered."""
        self.outbox.clear()
        self._many.clear()

    async def _tell_of_many(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._many:
                change = self._many.popleft()
                try:
                    await self._tell_slowly(change)
                except StoreBroken:
                    raise
                except (AwsError, StoreError) as error:
                    _log.warning("events of an array were not told", job=change.job.id, error=str(error))

    async def _tell_slowly(self, change: Change) -> None:
        if change.before is None or not await self._bus.listens(change.job.account, change.job.region):
            return
        for number, job in enumerate(list(self._those(change))):
            while len(self.outbox) > WAITING_MAX // 2:  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(PAUSE_SECONDS)
            self._send(STATE_CHANGE, job, (job.arn,))
            if number % FEW == FEW - 1:
                await self._records.store.commit()

    def _those(self, change: Change) -> Iterator[Job]:
        """The job itself; or the children that have no record of their own, which all change at once."""
        if not change.rest:
            yield change.job
            return
        own = set(self._records.members(change.job.id))
        for number in range(change.job.array_size):
            child = born(change.job, ":", number)
            if child is not None and child.id not in own:
                yield child

    def _send(self, kind: str, job: Job, resources: tuple[str, ...]) -> None:
        detail = job_view(job, self._definitions.by_arn(job.definition))
        self.outbox.send((job.account, job.region), kind, detail, resources, lane=job.id)
