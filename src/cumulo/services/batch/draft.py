"""The working copy of the jobs that one event touches.  Pure: it reads through a Book and writes nothing.

get ──▶ step(job, Move, ...) ──▶ put ──▶ Outcome
        └── a child's move is counted at its parent; an end is noted, for others wait for it
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import msgspec

from cumulo.base.machine import Machine
from cumulo.services.batch.family import born, split_id
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.plan_events import Action, Change, Free, Outcome, Return, Withdraw
from cumulo.services.batch.states import ARRAY, JOB, NODE, Move

ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED)
_STARTED = (JobStatus.STARTING, JobStatus.RUNNING)


class Book(Protocol):
    """The jobs as they are kept."""

    def record(self, job_id: str) -> Job | None:
        """A job that has a record of its own, with what it has from its parent."""
        ...

    def members(self, parent: str) -> Collection[str]:
        """The ids of the children, or nodes, that have a record of their own."""
        ...

    def waiting(self, job_id: str) -> Collection[str]:
        """The ids of the jobs that have not been RUNNABLE yet, and that name this one among their dependencies."""
        ...


class Draft:
    """See above.  `now` is in milliseconds since the epoch."""

    def __init__(self, book: Book, now: int) -> None:
        self.book = book
        self.now = now
        self.actions: list[Action] = []
        self.ended: deque[str] = deque()  # jobs that have ended, whose consequences are still to be drawn
        self.rests: deque[str] = deque()  # arrays whose remaining children have ended together
        self._jobs: dict[str, Job] = {}
        self._changes: list[Change] = []

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job | None:
        """A job as it is now, whether it has a record or not."""
        found = self.kept(job_id)
        if found is not None:
            return found
        name = split_id(job_id)
        parent = self.kept(name[0]) if name else None
        return born(parent, name[1], name[2]) if name and parent else None

    def kept(self, job_id: str) -> Job | None:
        """A job that has a record."""
        return self._jobs.get(job_id) or self.book.record(job_id)

    def members(self, parent: Job) -> list[Job]:
        """The children or nodes of a parent that have a record, in no order."""
        written = [one for one in self._jobs.values() if one.parent == parent.id]
        names = {one.id for one in written}
        kept = [self.book.record(one) for one in self.book.members(parent.id) if one not in names]
        return [*written, *(one for one in kept if one is not None)]

    def has_record(self, parent: str, job_id: str) -> bool:
        """Whether a member has a record of its own."""
        return job_id in self._jobs or job_id in self.book.members(parent)

    # -- changing --------------------------------------------------------------------------------------------

    def put(self, job: Job) -> Job:
        """Write a job; a child that had no record has one from now on, and its parent knows."""
        if job.is_child and not self.has_record(job.parent, job.id):
            parent = self._parent(job)
            self._jobs[parent.id] = msgspec.structs.replace(parent, made=parent.made + 1)
        self._jobs[job.id] = job
        return job

    def step(self, job: Job, move: Move, **members: Any) -> Job:
        """Move a job by its table; IllegalMove for a move that the table does not have."""
        status = table_of(job).step(job.status, move)
        self._leave(job, move, status)
        if status in ENDED:
            members = {"stopped_at": self.now, "reason_asked": "", "run": None, **members}
            self.ended.append(job.id)
        changed = self.put(msgspec.structs.replace(job, status=status, **members))
        if job.is_child:
            self._count(job, {job.status: -1, status: 1})
        self._changes.append(Change(changed, job.status))
        return changed

    def step_rest(self, parent: Job, status: JobStatus, reason: str = "") -> Job:
        """Move the children that have no record of their own, all at once; the parent as it is then."""
        parent = self._jobs.get(parent.id, parent)
        count = parent.array_size - parent.made
        if not count or parent.rest in ENDED:
            return parent
        if parent.rest == JobStatus.RUNNABLE:
            self.actions += [Withdraw(name) for name in self.unmade(parent)]
        self._count_at(parent, {parent.rest: -count, status: count})
        before = parent.rest
        has_ended = status in ENDED
        runnable = self.now if status == JobStatus.RUNNABLE else parent.runnable_at
        parent = self.put(
            msgspec.structs.replace(
                self._jobs[parent.id],
                rest=status,
                rest_reason=reason,
                rest_stopped_at=self.now if has_ended else 0,
                runnable_at=runnable,
            )
        )
        if has_ended:
            self.rests.append(parent.id)
        self._changes.append(Change(parent, before, count))
        return parent

    def begin(self, job: Job) -> Job:
        """A job that is new."""
        self._changes.append(Change(job, None))
        return self.put(job)

    def unmade(self, parent: Job) -> list[str]:
        """The ids of the children that have no record of their own."""
        names = (f"{parent.id}:{index}" for index in range(parent.array_size))
        if not parent.made:
            return list(names)
        return [name for name in names if not self.has_record(parent.id, name)]

    def outcome(self) -> Outcome:
        """What all of it comes to."""
        return Outcome(tuple(self._jobs.values()), tuple(self.actions), tuple(self._changes))

    # -- small things ----------------------------------------------------------------------------------------

    def _leave(self, job: Job, move: Move, status: JobStatus) -> None:
        """Tell the scheduler of a job that it knows, and that it is to know no more (or anew)."""
        if job.is_node or job.array_size:
            return  # it knows the multi-node job, and the children
        if job.status == JobStatus.RUNNABLE and status in ENDED:
            self.actions.append(Withdraw(job.id))
        elif move == Move.REFUSED and job.run is not None:
            self.actions.append(Return(job.id, job.run.environment))
        elif job.status in _STARTED and status not in _STARTED:
            self.actions.append(Free(job.id))

    def _count(self, child: Job, by: Mapping[JobStatus, int]) -> None:
        self._count_at(self._parent(child), by)

    def _count_at(self, parent: Job, by: Mapping[JobStatus, int]) -> None:
        counts = dict(parent.counts)
        for status, more in by.items():
            counts[status] = counts.get(status, 0) + more
            assert counts[status] >= 0, f"{parent.id}: {counts[status]} children {status}"
        kept = {status: count for status, count in counts.items() if count}
        self._jobs[parent.id] = msgspec.structs.replace(parent, counts=kept, counted_at=self.now)

    def _parent(self, member: Job) -> Job:
        parent = self.kept(member.parent)
        assert parent is not None, f"{member.id} has lost its parent"
        return parent


def table_of(job: Job) -> Machine[JobStatus, Move]:
    """The table that a job moves by."""
    if job.array_size:
        return ARRAY
    return NODE if job.is_node else JOB
