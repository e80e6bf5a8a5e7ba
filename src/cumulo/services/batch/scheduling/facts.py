"""What the scheduler is told, and what it says.  Numbers are kept small: there may be a million jobs.

submitted/ended/room/environments ──told──▶ Scheduler ──decide(now)──▶ Start, Launch, Terminate, Stuck, Expire

What jobs hold is the scheduler's own account: a room is told once with all that Batch may use of it, a Start takes
from it at once, `ended` gives it back.  So it does not matter when the caller hears of a task.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Need(msgspec.Struct, frozen=True, gc=False):
    """What one task of a job takes: milli-vCPUs, MiB, GPUs.

    With more than one of `nodes`: so many tasks at once, all or nothing, each with an instance to itself (as AWS has
    it: "only a single job container is run on each instance"), in one on-demand environment.
    """

    vcpus: int
    memory: int
    gpus: int = 0
    nodes: int = 1
    kinds: tuple[str, ...] = ()  # the instance types that it may run on; empty: any


class Kind(msgspec.Struct, frozen=True, gc=False):
    """An instance type: milli-vCPUs and MiB that tasks can have of it, and USD an hour (on demand, Spot)."""

    name: str
    vcpus: int
    memory: int
    price: float = 0.0
    spot_price: float = 0.0
    gpus: int = 0


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A compute environment as the scheduler sees it.  vCPU counts are milli-vCPUs.

    kind       EC2, SPOT, FARGATE, FARGATE_SPOT or UNMANAGED
    open       ENABLED and VALID: jobs may be started there
    invalid    INVALID: nothing is launched either (the minimum of one that is only DISABLED is kept)
    kinds      instance types that may be launched, as the environment's instanceTypes resolve, in their order
    strategy   BEST_FIT, BEST_FIT_PROGRESSIVE, BEST_FIT_PROGRESSIVE_ORDERED, SPOT_CAPACITY_OPTIMIZED,
               SPOT_PRICE_CAPACITY_OPTIMIZED, SPOT_CAPACITY_OPTIMIZED_PRIORITIZED
    desired_vcpus   what a client asked for last; 0: nothing.  Never what `Scheduler.vcpus` told: that would hold it
    """

    arn: str
    kind: str
    open: bool = True
    invalid: bool = False
    kinds: tuple[Kind, ...] = ()
    strategy: str = "BEST_FIT"
    min_vcpus: int = 0
    max_vcpus: int = 0
    desired_vcpus: int = 0
    bid_percentage: int = 100
    idle_seconds: float = 60.0


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A job queue.  Without `fair` jobs go in the order of their coming.

    open     VALID.  What waits in a queue that is only DISABLED still runs, as on AWS
    limits   seconds that a job may be RUNNABLE, for reasons (CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY, ...), and the action:
             (reason, seconds, action)
    """

    arn: str
    account: str
    region: str
    priority: int
    environments: tuple[str, ...]
    open: bool = True
    fair: "Fair | None" = None
    limits: "tuple[tuple[str, float, str], ...]" = ()


class Fair(msgspec.Struct, frozen=True, kw_only=True):
    """A fair-share policy.  A lower weight gets more, as on AWS; identifiers may end in *."""

    decay_seconds: float = 0.0
    reservation: int = 0
    weights: Mapping[str, float] = {}


class ShareUse(msgspec.Struct, frozen=True):
    """What a share of a queue has: milli-vCPUs of its running jobs, their average over the decay time, jobs waiting."""

    share: str
    running: int
    average: float
    waiting: int


class RoomUse(msgspec.Struct, frozen=True):
    """An instance and what jobs hold of it; milli-vCPUs and MiB.  `state`: STARTING, READY, DRAINING, ENDING."""

    instance: str
    kind: str
    state: str
    tasks: int
    vcpus: int
    memory: int
    free_vcpus: int
    free_memory: int


class EnvironmentUse(msgspec.Struct, frozen=True):
    """What runs in a compute environment: the milli-vCPUs of its jobs, and its instances in the order of their coming."""

    vcpus: int = 0
    rooms: tuple[RoomUse, ...] = ()


class Start(msgspec.Struct, frozen=True):
    """Run a job there: `instances` are container instances for its tasks (empty strings on Fargate)."""

    job: str
    environment: str
    instances: tuple[str, ...] = ("",)


class Launch(msgspec.Struct, frozen=True):
    """Launch instances of a type."""

    environment: str
    kind: str
    count: int


class Terminate(msgspec.Struct, frozen=True):
    """Terminate an instance (container instance ARN) that nothing runs on.

    It is given no tasks from now on and counts until `remove_room` is told; it is not said twice.
    """

    environment: str
    instance: str


class Stuck(msgspec.Struct, frozen=True):
    """Say why a job at the head of its queue cannot start; empty: it can again."""

    job: str
    reason: str


class Expire(msgspec.Struct, frozen=True):
    """A job was RUNNABLE for too long: `action` is CANCEL or TERMINATE, `reason` the limit's.  It waits no more."""

    job: str
    action: str
    reason: str


Action = Start | Launch | Terminate | Stuck | Expire


class Scheduler(Protocol):
    """Everything in memory, changed by what it is told; the same calls give the same decisions, for a seed."""

    def put_queue(self, queue: Queue) -> None:
        """A queue as it is now."""
        ...

    def remove_queue(self, arn: str) -> None:
        """It is gone, with its jobs."""
        ...

    def put_environment(self, environment: Environment) -> None:
        """A compute environment as it is now."""
        ...

    def remove_environment(self, arn: str) -> None:
        """It is gone."""
        ...

    def put_room(
        self,
        environment: str,
        instance: str,
        kind: str,
        *,
        vcpus: int,
        memory: int,
        gpus: int,
        ready: bool,
        draining: bool = False,
        now: float,
    ) -> None:
        """An instance is there, with all that Batch may use of it (milli-vCPUs, MiB), whatever its jobs hold.

        Not `ready`: it is given no tasks, and terminated once idle.  `draining`: the same, as soon as it is empty.
        """
        ...

    def remove_room(self, environment: str, instance: str) -> None:
        """An instance is gone."""
        ...

    def submit(
        self, job: str, queue: str, need: Need, *, share: str = "", priority: int = 0, now: float
    ) -> None:
        """A job is RUNNABLE (again)."""
        ...

    def submit_array(
        self,
        parent: str,
        indexes: range,
        queue: str,
        need: Need,
        *,
        share: str = "",
        priority: int = 0,
        now: float,
    ) -> None:
        """Children `<parent>:<index>` are RUNNABLE, in this order; cheaper than one by one."""
        ...

    def withdraw(self, job: str) -> None:
        """A RUNNABLE job is not to be started any more; harmless when it is not there."""
        ...

    def running(
        self,
        job: str,
        queue: str,
        environment: str,
        need: Need,
        *,
        instances: tuple[str, ...] = ("",),
        share: str = "",
        now: float,
    ) -> None:
        """A job runs already (after a restart), on these container instances; the room may be told later."""
        ...

    def refused(self, job: str, environment: str, now: float) -> None:
        """A Start came to nothing: there was no room after all.  The job is RUNNABLE as before, at its old place."""
        ...

    def ended(self, job: str, now: float) -> None:
        """What was started has ended, and holds nothing any more.  Told before the job is submitted again."""
        ...

    def launched(self, environment: str, kind: str, count: int, *, failed: str = "", now: float) -> None:
        """A Launch was carried out, or failed (CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY ...: then others are tried).

        Without a Launch before: instances are on their way (after a restart), or those on their way will not come.
        """
        ...

    def decide(self, now: float, *, starts_max: int = 1000) -> list[Action]:
        """What is to be done now.  Costs by what has changed and by what it decides, never by how many jobs wait."""
        ...

    def due_at(self) -> float | None:
        """When to decide again although nothing was told (idle instances, time limits); None: never."""
        ...

    def front(self, queue: str, count: int = 100) -> list[tuple[str, float]]:
        """The jobs that would start first, and since when they are there: GetJobQueueSnapshot."""
        ...

    def vcpus(self, environment: str) -> int:
        """milli-vCPUs of the instances that are there and on their way: desiredvCpus."""
        ...

    def waiting(self, queue: str) -> int:
        """How many jobs of a queue are RUNNABLE."""
        ...

    def shares(self, queue: str, now: float) -> list[ShareUse]:
        """The active shares of a fair queue, the one that is served next first."""
        ...

    def use(self, environment: str) -> EnvironmentUse:
        """What runs in an environment; costs by its instances."""
        ...
