"""Jobs as they are kept: by id, and by how they are looked for.

place      the queue and the state of what was submitted to it (not of children and nodes)
state      the state of whatever has a record and has not ended
parent     the children, and nodes, that have a record
ended_in   the hour in which what was submitted ended, to be forgotten in time
waiting    who names a job among its dependencies, and has not been RUNNABLE yet
"""

from collections.abc import Collection, Iterator

from cumulo.services.batch.family import bare, born, split_id, whole
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.tally import Tally
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store

KEPT_MS = 7 * 24 * 3600 * 1000  # as AWS promises
FORGOTTEN_AT_ONCE_MAX = 1000
_HOUR_MS = 3600 * 1000
_WAITING = (JobStatus.SUBMITTED, JobStatus.PENDING)


class JobRecords:
    """A Book for the planner, and more for those who show jobs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shelf: Shelf[Job] = Shelf(
            store,
            "batch_jobs",
            Job,
            lambda job: job.id,
            place=_place,
            state=lambda job: "" if job.has_ended else job.status,
            parent=lambda job: job.parent,
            ended_in=_ended_in,
        )
        self.tally = Tally()
        self._waiting: dict[str, dict[str, None]] = {}
        for job in self._shelf.all():
            self._heard(None, job)
        self._shelf.listeners.append(self._heard)

    # -- the planner's side ----------------------------------------------------------------------------------

    def record(self, job_id: str) -> Job | None:
        """See draft.Book."""
        kept = self._shelf.get(job_id)
        if kept is None or not kept.parent:
            return kept
        parent = self._shelf.get(kept.parent)
        return whole(kept, parent) if parent is not None else kept

    def members(self, parent: str) -> Collection[str]:
        """See draft.Book."""
        return self._shelf.keys("parent", parent)

    def waiting(self, job_id: str) -> Collection[str]:
        """See draft.Book."""
        return self._waiting.get(job_id, {}).keys()

    def put(self, job: Job) -> None:
        """Write a job; durable after the store's next commit."""
        self._shelf.put(bare(job))

    # -- everybody's side ------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job | None:
        """A job, a child or a node, whether it has a record of its own or not; with all that it has from its parent."""
        found = self.record(job_id)
        if found is not None:
            return found
        name = split_id(job_id)
        parent = self._shelf.get(name[0]) if name else None
        return born(parent, name[1], name[2]) if name and parent else None

    def submitted_to(self, queue: str, status: JobStatus) -> list[Job]:
        """What was submitted to a queue (its ARN) and is in this state; in no order."""
        return self._shelf.by("place", _at(queue, status))

    def count(self, queue: str, status: JobStatus) -> int:
        """How many `submitted_to` would give."""
        return self._shelf.count("place", _at(queue, status))

    def live(self, status: JobStatus) -> Iterator[Job]:
        """Every record in a state that is no end, children and nodes too."""
        for job in self._shelf.by("state", status):
            full = self.record(job.id)
            if full is not None:
                yield full

    def forget(self, now: int, most: int = FORGOTTEN_AT_ONCE_MAX) -> int:
        """Forget so many jobs that ended long enough ago, children and nodes counted; how many there were.

        `now` in milliseconds since the epoch.  As long as it is not 0 there may be more.
        """
        last = (now - KEPT_MS) // _HOUR_MS - 1
        forgotten = 0
        for hour in sorted(self._shelf.values("ended_in"), key=int):
            if int(hour) > last:
                break
            for job in self._shelf.by("ended_in", hour):
                forgotten += self._forget(job, most - forgotten)
                if forgotten >= most:
                    return forgotten
        return forgotten

    def clear(self) -> None:
        """Forget everything."""
        self._shelf.clear()

    def __len__(self) -> int:
        return len(self._shelf)

    # -- small things ----------------------------------------------------------------------------------------

    def _forget(self, job: Job, most: int) -> int:
        """Members first: who is left without them is still there to be forgotten."""
        members = self._shelf.by("parent", job.id)[:most]
        for member in members:
            self._shelf.delete(member)
        if len(members) == most:
            return most
        self._shelf.delete(job)
        return len(members) + 1

    def _heard(self, before: Job | None, after: Job | None) -> None:
        self.tally.heard(before, after)
        was, is_ = _names(before), _names(after)
        if was == is_:
            return
        job = after or before
        assert job is not None
        for name in was:
            held = self._waiting.get(name, {})
            held.pop(job.id, None)
            if not held:
                self._waiting.pop(name, None)
        for name in is_:
            self._waiting.setdefault(name, {})[job.id] = None


def _names(job: Job | None) -> tuple[str, ...]:
    """The jobs that this one waits for."""
    if job is None or job.status not in _WAITING:
        return ()
    return tuple(one.job_id for one in job.depends if one.job_id)


def _place(job: Job) -> str:
    return "" if job.parent else _at(job.queue, job.status)


def _at(queue: str, status: JobStatus) -> str:
    return f"{queue} {status}"


def _ended_in(job: Job) -> str:
    return str(job.stopped_at // _HOUR_MS) if job.has_ended and not job.parent else ""
