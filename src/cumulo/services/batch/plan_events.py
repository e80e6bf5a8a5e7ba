"""What can befall jobs, and what must be done about it: the planner's words.

    Event ──▶ plan(event, book, now) ──▶ Outcome: jobs to write, Actions to carry out, Changes to tell

An event that comes too late (the job has ended, the run is not its run any more) changes nothing.
"""

import msgspec

from cumulo.services.batch.model import Attempt, AttemptContainer, Job, JobStatus


class Submitted(msgspec.Struct, frozen=True):
    """A client has submitted this job: SUBMITTED, with nothing known of its dependencies."""

    job: Job


class Started(msgspec.Struct, frozen=True):
    """The scheduler has found a place: RUNNABLE ──▶ STARTING.  `instances` are those of its tasks, one for each node."""

    job: str
    environment: str
    instances: tuple[str, ...] = ("",)


class Refused(msgspec.Struct, frozen=True):
    """There was no room for the task after all: STARTING ──▶ RUNNABLE; it is no attempt."""

    job: str
    token: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the task of a run; `running` when its containers run (or have run)."""

    job: str
    token: str
    task: str = ""
    instance: str = ""
    containers: tuple[AttemptContainer, ...] = ()
    interfaces: tuple[dict[str, str], ...] = ()
    running: bool = False
    started_at: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a run has stopped, or could not be ordered.

    essential   names of the containers that decide; empty: all
    """

    job: str
    token: str
    attempt: Attempt
    essential: tuple[str, ...] = ()


class Cancelled(msgspec.Struct, frozen=True):
    """CancelJob: what has not started ends; `reason` is the client's."""

    job: str
    reason: str


class Terminated(msgspec.Struct, frozen=True):
    """TerminateJob: it ends, wherever it is."""

    job: str
    reason: str


class TimedOut(msgspec.Struct, frozen=True):
    """An attempt has lasted longer than its timeout."""

    job: str
    token: str


class Expired(msgspec.Struct, frozen=True):
    """It was RUNNABLE for longer than its queue allows: `action` is CANCEL or TERMINATE."""

    job: str
    action: str
    reason: str


class Stuck(msgspec.Struct, frozen=True):
    """Why it cannot start, as it stands at the head of its queue; empty: it can again."""

    job: str
    reason: str


Event = Submitted | Started | Refused | Seen | Ended | Cancelled | Terminated | TimedOut | Expired | Stuck


class Submit(msgspec.Struct, frozen=True):
    """Scheduler: this job is RUNNABLE."""

    job: str


class SubmitArray(msgspec.Struct, frozen=True):
    """Scheduler: the children 0 to `size` - 1 of this array are RUNNABLE."""

    job: str
    size: int


class Withdraw(msgspec.Struct, frozen=True):
    """Scheduler: this job is not to be started any more."""

    job: str


class Free(msgspec.Struct, frozen=True):
    """Scheduler: what was started for this job holds nothing any more."""

    job: str


class Return(msgspec.Struct, frozen=True):
    """Scheduler: there was no room for this job after all (`Scheduler.refused`); it is RUNNABLE as before."""

    job: str
    environment: str


class Order(msgspec.Struct, frozen=True):
    """Runner: order the task of this job (or node); all about it is in the job's `run`."""

    job: str


class Stop(msgspec.Struct, frozen=True):
    """Runner: stop the task of this job (or node), whose order has this token."""

    job: str
    token: str
    task: str
    reason: str


Action = Submit | SubmitArray | Withdraw | Free | Return | Order | Stop


class Change(msgspec.Struct, frozen=True):
    """A job (with what it has from its parent) has come into another state; `before` None: it is new.

    Children without a record of their own change together, and only once: `rest` of them, with their parent as `job`.
    """

    job: Job
    before: JobStatus | None
    rest: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What an event makes of things."""

    jobs: tuple[Job, ...] = ()
    actions: tuple[Action, ...] = ()
    changes: tuple[Change, ...] = ()
