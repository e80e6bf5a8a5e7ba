"""What an execution environment can be, as a table.

An environment keeps its name, its log stream and its /tmp when its process dies (AWS "resets" it): the next
call initialises it again, inside that call's timeout.
"""

from enum import StrEnum

from cumulo.base.machine import Machine


class Phase(StrEnum):
    """Where an environment is in its life."""

    __hash__ = str.__hash__  # Enum's own is written in Python; these are looked up several times a call

    STARTING = "starting"  # its process is started and initialises
    IDLE = "idle"  # its runtime waits for a call
    FROZEN = "frozen"  # the same, and nothing inside runs
    BUSY = "busy"  # a call is inside
    SETTLING = "settling"  # it answered, and has not asked for the next call yet
    RESETTING = "resetting"  # something failed; its process is being ended
    RESET = "reset"  # no process; the next call starts one
    REVIVING = "reviving"  # a process initialises inside a call
    STOPPING = "stopping"  # to be ended for good
    STOPPED = "stopped"  # nothing is left


class Event(StrEnum):
    """What can happen to it."""

    __hash__ = str.__hash__  # Enum's own is written in Python; these are looked up several times a call

    POLL = "poll"  # the runtime asks for a call
    INVOKE = "invoke"  # it gets one
    ANSWER = "answer"  # it answered
    LOST = "lost"  # the connection that waited for a call is gone
    FREEZE = "freeze"  # it was idle for a while
    FAIL = "fail"  # crash, timeout, failed initialisation
    GONE = "gone"  # the process has ended and is cleaned up
    STOP = "stop"  # nobody needs it any more


P = Phase
E = Event

ENVIRONMENT = Machine(
    name="environment",
    start=P.STARTING,
    moves={
        (P.STARTING, E.POLL): P.IDLE,
        (P.STARTING, E.FAIL): P.RESETTING,
        (P.STARTING, E.STOP): P.STOPPING,
        (P.IDLE, E.INVOKE): P.BUSY,
        (P.IDLE, E.FREEZE): P.FROZEN,
        (P.IDLE, E.LOST): P.SETTLING,
        (P.IDLE, E.FAIL): P.RESETTING,
        (P.IDLE, E.STOP): P.STOPPING,
        (P.FROZEN, E.INVOKE): P.BUSY,
        (P.FROZEN, E.LOST): P.SETTLING,
        (P.FROZEN, E.FAIL): P.RESETTING,
        (P.FROZEN, E.STOP): P.STOPPING,
        (P.BUSY, E.ANSWER): P.SETTLING,
        (P.BUSY, E.FAIL): P.RESETTING,
        (P.BUSY, E.STOP): P.STOPPING,
        (P.SETTLING, E.POLL): P.IDLE,
        (P.SETTLING, E.FAIL): P.RESETTING,
        (P.SETTLING, E.STOP): P.STOPPING,
        (P.RESETTING, E.GONE): P.RESET,
        (P.RESETTING, E.STOP): P.STOPPING,
        (P.RESET, E.INVOKE): P.REVIVING,
        (P.RESET, E.STOP): P.STOPPING,
        (P.REVIVING, E.POLL): P.BUSY,
        (P.REVIVING, E.FAIL): P.RESETTING,
        (P.REVIVING, E.STOP): P.STOPPING,
        (P.STOPPING, E.GONE): P.STOPPED,
    },
)
