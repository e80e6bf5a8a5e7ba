"""The states of jobs, as tables.

    SUBMITTED ──▶ PENDING ──▶ RUNNABLE ──▶ STARTING ──▶ RUNNING ──▶ SUCCEEDED
                                  ▲            │           │
                                  └── retried ─┴───────────┴──▶ FAILED
An array's parent is PENDING while its children run.  The nodes of a multi-node job run once for every attempt of it.
"""

from enum import StrEnum

from cumulo.base.machine import Machine
from cumulo.services.batch.model import JobStatus as S


class Move(StrEnum):
    """What befalls a job."""

    HELD = "held"  # it waits for others: its dependencies, or its children
    RELEASED = "released"  # it waits for nobody any more
    STARTED = "started"  # the scheduler has found a place
    REFUSED = "refused"  # there was no room after all
    RAN = "ran"  # its container runs
    RETRIED = "retried"  # an attempt failed, and there is another
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # for whatever reason: its exit code, a client's wish, a dependency
    RESET = "reset"  # the multi-node job that it belongs to is tried again


JOB = Machine(
    name="Batch job",
    start=S.SUBMITTED,
    moves={
        (S.SUBMITTED, Move.HELD):     S.PENDING,
        (S.SUBMITTED, Move.RELEASED): S.RUNNABLE,
        (S.SUBMITTED, Move.FAILED):   S.FAILED,
        (S.PENDING, Move.RELEASED):   S.RUNNABLE,
        (S.PENDING, Move.FAILED):     S.FAILED,
        (S.RUNNABLE, Move.STARTED):   S.STARTING,
        (S.RUNNABLE, Move.FAILED):    S.FAILED,
        (S.STARTING, Move.REFUSED):   S.RUNNABLE,
        (S.STARTING, Move.RAN):       S.RUNNING,
        (S.STARTING, Move.RETRIED):   S.RUNNABLE,
        (S.STARTING, Move.SUCCEEDED): S.SUCCEEDED,
        (S.STARTING, Move.FAILED):    S.FAILED,
        (S.RUNNING, Move.RETRIED):    S.RUNNABLE,
        (S.RUNNING, Move.SUCCEEDED):  S.SUCCEEDED,
        (S.RUNNING, Move.FAILED):     S.FAILED,
    },
)  # fmt: skip

ARRAY = Machine(
    name="Batch array job",
    start=S.SUBMITTED,
    moves={
        (S.SUBMITTED, Move.HELD):    S.PENDING,
        (S.PENDING, Move.SUCCEEDED): S.SUCCEEDED,
        (S.PENDING, Move.FAILED):    S.FAILED,
    },
)  # fmt: skip

NODE = Machine(
    name="node of a Batch job",
    start=S.RUNNABLE,
    moves={
        (S.RUNNABLE, Move.STARTED):   S.STARTING,
        (S.RUNNABLE, Move.FAILED):    S.FAILED,
        (S.STARTING, Move.REFUSED):   S.RUNNABLE,
        (S.STARTING, Move.RAN):       S.RUNNING,
        (S.STARTING, Move.SUCCEEDED): S.SUCCEEDED,
        (S.STARTING, Move.FAILED):    S.FAILED,
        (S.RUNNING, Move.SUCCEEDED):  S.SUCCEEDED,
        (S.RUNNING, Move.FAILED):     S.FAILED,
        (S.SUCCEEDED, Move.RESET):    S.RUNNABLE,
        (S.FAILED, Move.RESET):       S.RUNNABLE,
    },
)  # fmt: skip
