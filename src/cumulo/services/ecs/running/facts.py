"""What the loop of a task knows beside its record: what the engine says, and what this process has done so far.

Nothing of it is kept: after a restart the engine is asked again, and every verb is harmless when repeated.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from cumulo.services.ecs.model import Document


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A container as the engine has it.

    state    created, running or exited
    error    why it could not be started
    """

    state: str
    started_at: float = 0.0
    finished_at: float = 0.0
    code: int = 0
    out_of_memory: bool = False
    error: str = ""


class Pulled(msgspec.Struct, frozen=True):
    """An image that is ready: `id` is the engine's, `digest` the registry's."""

    id: str
    digest: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A container that was made."""

    pod: str
    id: str
    created_at: float
    bindings: tuple[Document, ...] = ()
    interfaces: tuple[Document, ...] = ()


class Interface(msgspec.Struct, frozen=True):
    """The network interface of an awsvpc task."""

    address: str
    eni: str
    mac: str
    attachment_id: str


class Failure(msgspec.Struct, frozen=True):
    """Why the task cannot be brought up.  `container` is empty when it is none's fault."""

    reason: str
    container: str = ""
    task_reason: str = "Task failed to start"


class Checked(msgspec.Struct, frozen=True):
    """What the health checks of a container have come to since it was started."""

    at: float = 0.0  # the end of the last one
    failures: int = 0  # in a row, those in the start period not counted
    healthy: bool = False  # whether one has succeeded since it was started
    unhealthy: bool = False


class Verb(StrEnum):
    """What can be done."""

    LOOK = "look"  # ask the engine which pods there are
    PULL = "pull"
    CREATE = "create"
    PREPARE = "prepare"  # listen inside, let others listen inside
    START = "start"
    WATCH = "watch"  # wait for the end of a container
    PROBE = "probe"
    ATTACH = "attach"
    DETACH = "detach"
    SIGNAL = "signal"
    KILL = "kill"
    REMOVE = "remove"


class Action(msgspec.Struct, frozen=True):
    """One thing to do; the same one is never done twice at the same time."""

    verb: Verb
    container: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision may look at.

    looked    whether the engine was asked since this process began with the task
    doing     what is being done now
    seen, pulled, made, checked    by container
    lost      containers whose pod is not there although it should be
    host_gone a machine that carried it is there no more: nobody is asked to end, nobody tells how it ended
    termed, killed    when containers were sent their stop signal and SIGKILL
    """

    looked: bool = False
    doing: frozenset[Action] = frozenset()
    seen: Mapping[str, Seen] = {}
    pulled: Mapping[str, Pulled] = {}
    made: Mapping[str, Made] = {}
    interface: Interface | None = None
    lost: frozenset[str] = frozenset()
    prepared: bool = False
    attached: bool = False
    detached: bool = False
    removed: bool = False
    host_gone: bool = False
    failure: Failure | None = None
    termed: Mapping[str, float] = {}
    killed: Mapping[str, float] = {}
    checked: Mapping[str, Checked] = {}
