"""The one place where jobs change: an event comes in, the planner says what it makes of jobs, they are written.

note(event) ──▶ plan ──▶ records ──▶ listeners hear the Outcome, within the change's own transaction
                                     they gather, commit, and carry its actions out: nothing is done before it is kept
"""

from collections.abc import Callable

from cumulo.base.clock import Clock, millis
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan import plan
from cumulo.services.batch.plan_events import Action, Event, Order, Outcome, Stop, Submit, SubmitArray
from cumulo.services.batch.plan_nodes import MAIN_ENDED
from cumulo.services.batch.plan_outcomes import TIMED_OUT, TIMEOUT

Heard = Callable[[Outcome], None]


class Desk:
    """See above.  Listeners must not await, or raise."""

    def __init__(self, records: JobRecords, clock: Clock) -> None:
        self.records = records
        self._clock = clock
        self.listeners: list[Heard] = []

    def note(self, *events: Event) -> list[Outcome]:
        """What these events make of jobs, written at once and durable after the store's next commit."""
        return [self._note(event) for event in events]

    async def happened(self, *events: Event) -> list[Outcome]:
        """The same; durable when this returns."""
        outcomes = self.note(*events)
        await self.records.store.commit()
        return outcomes

    def unfinished(self) -> list[Action]:
        """After a restart: the actions of whatever has not ended.  They may have been carried out before.

        Who runs already (STARTING, RUNNING) is told to the scheduler first; RUNNABLE jobs come in the order of their coming.
        """
        actions: list[Action] = []
        runnable = [job for job in self.records.live(JobStatus.RUNNABLE) if not job.is_node]
        arrays = [
            job
            for job in self.records.live(JobStatus.PENDING)
            if job.array_size and job.rest == JobStatus.RUNNABLE
        ]
        for job in sorted([*runnable, *arrays], key=lambda one: (one.runnable_at, one.id)):
            actions += self._again(job) if job.array_size else [Submit(job.id)]
        for status in (JobStatus.STARTING, JobStatus.RUNNING):
            for job in self.records.live(status):
                actions += self._carried_on(job)
        return actions

    async def forget(self) -> int:
        """Forget some of the jobs that ended a week ago; how many, 0 when there are none left."""
        forgotten = self.records.forget(millis(self._clock))
        if forgotten:
            await self.records.store.commit()
        return forgotten

    def _note(self, event: Event) -> Outcome:
        outcome = plan(event, self.records, millis(self._clock))
        for job in outcome.jobs:
            self.records.put(job)
        if outcome.jobs:
            for heard in self.listeners:
                heard(outcome)
        return outcome

    def _again(self, parent: Job) -> list[Action]:
        if not parent.made:
            return [SubmitArray(parent.id, parent.array_size)]
        made = self.records.members(parent.id)
        names = (f"{parent.id}:{index}" for index in range(parent.array_size))
        return [Submit(name) for name in names if name not in made]

    def _carried_on(self, job: Job) -> list[Action]:
        """The task of a job that runs; a multi-node job has none of its own."""
        if job.nodes or job.run is None:
            return []
        reason = self._unwanted(job)
        if reason is not None:
            return [Stop(job.id, job.run.token, job.run.task, reason)]
        return [Order(job.id)] if job.status == JobStatus.STARTING else []

    def _unwanted(self, job: Job) -> str | None:
        """Why what runs was told to stop; None when it was not."""
        parent = self.records.get(job.parent) if job.is_node else None
        for one in (job, parent):
            if one is not None and one.run is not None and one.run.asked:
                return TIMED_OUT if one.run.asked == TIMEOUT else one.reason_asked
        main = self.records.get(f"{parent.id}#{parent.main_node}") if parent else None
        return MAIN_ENDED if main is not None and main.has_ended else None
