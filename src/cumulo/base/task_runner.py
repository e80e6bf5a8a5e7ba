"""Tasks of ECS for other services of this cloud: Batch runs its jobs by this, as on AWS.

make_cluster, define ──▶ order ──▶ run ──▶ heard(PENDING) ... heard(RUNNING) ... heard(STOPPED, exit codes)
                                    └──▶ NotPlaced: wait for room(), and try again
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cumulo.base.caller import Caller


class TaskOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One task that is to run.

    owner        who orders: `batch`; it is told of the task, and nobody else
    token        the owner's name for this one run, unique in its cluster: the same order again is the same task
    cluster      ARN; `definition`: ARN with its revision
    launch_type  EC2 or FARGATE
    provider     FARGATE_SPOT, or another capacity provider of the cluster; wins over `launch_type`
    instance     ARN of the container instance that it is to run on; empty: the fullest one that has room
    overrides    containerOverrides, cpu, memory, taskRoleArn, ... as RunTask takes them
    network      networkConfiguration, when the definition is in awsvpc mode
    """

    account: str
    region: str
    owner: str
    token: str
    cluster: str
    definition: str
    launch_type: str = "EC2"
    provider: str = ""
    instance: str = ""
    overrides: Mapping[str, Any] = {}
    network: Mapping[str, Any] = {}
    platform_version: str = ""
    execute_command: bool = False
    group: str = ""
    started_by: str = ""
    tags: Mapping[str, str] = {}


class NotPlaced(msgspec.Struct, frozen=True):
    """There is no room for a task now: `RESOURCE:CPU`, `Capacity is unavailable at this time. ...`; nothing was made."""

    reason: str
    detail: str = ""


class RanContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a task.

    status      PENDING, RUNNING or STOPPED
    exit_code   None: it has not ended, or has never run
    reason      of its end, where there is more to say than its code: `OutOfMemoryError: ...`
    log_group, log_stream   where its output goes in CloudWatch Logs; empty when it goes nowhere, or cannot be known yet
    """

    name: str
    status: str
    exit_code: int | None = None
    reason: str = ""
    log_group: str = ""
    log_stream: str = ""


class RanTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task as its owner sees it.  Times are seconds since the epoch; 0: not yet.

    status       PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING or STOPPED
    stop_code    TaskFailedToStart, EssentialContainerExited, UserInitiated, SpotInterruption, TerminationNotice, ...
    instance     ARN of its container instance; empty on Fargate
    address      where its ports are: its own, or its instance's; empty while it is not known
    interface    id of its network interface (eni-...), in awsvpc mode
    """

    arn: str
    token: str
    cluster: str
    definition: str
    status: str
    instance: str = ""
    address: str = ""
    interface: str = ""
    containers: tuple[RanContainer, ...] = ()
    created_at: float = 0.0
    started_at: float = 0.0
    stopped_at: float = 0.0
    stop_code: str = ""
    stopped_reason: str = ""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A container instance of a cluster, and what its tasks leave of it.

    ready    ACTIVE, and its agent answers: it may be given tasks
    whole_*  what it has when it has no tasks
    """

    instance: str  # ARN
    ec2_id: str
    kind: str  # its type: m5.large
    zone: str
    address: str
    ready: bool
    cpu_units: int  # free
    memory_mib: int  # free
    whole_cpu_units: int
    whole_memory_mib: int
    tasks: int  # that hold something of it


HeardTask = Callable[[RanTask], None]
HeardRoom = Callable[[str], None]


class TaskRunner(Protocol):
    """Runs tasks for other services."""

    async def make_cluster(
        self,
        caller: Caller,
        name: str,
        tags: Mapping[str, str],
        *,
        providers: Sequence[str] = (),
        insights: str = "",
    ) -> str:
        """The ARN of the cluster with this name; the one that there is, when there is one.  AwsError.

        `providers`: its capacity providers (FARGATE_SPOT); `insights`: its setting containerInsights, where it has its own.
        """
        ...

    async def delete_cluster(self, caller: Caller, cluster: str) -> None:
        """Delete it; harmless when it is not there.  AwsError while it has tasks or container instances."""
        ...

    async def define(self, caller: Caller, document: Mapping[str, Any]) -> str:
        """Register a task definition as RegisterTaskDefinition takes it; its ARN.  AwsError."""
        ...

    async def undefine(self, caller: Caller, definition: str) -> None:
        """Deregister it; harmless when it is not ACTIVE any more.  Tasks of it run on."""
        ...

    async def run(self, order: TaskOrder) -> RanTask | NotPlaced:
        """Start one task; it is committed when this returns, and runs also when this process is killed then.

        The same order again gives the same task, whatever became of it, until an hour after its end.  AwsError for an
        order that can never run (ConflictException: the token is another order's).
        """
        ...

    def task(self, arn: str) -> RanTask | None:
        """A task; None when there is none, or when it ended more than an hour ago."""
        ...

    async def stop(self, arn: str, reason: str) -> None:
        """Want it STOPPED: committed when this returns.  Harmless when it stops already, or is not there."""
        ...

    def room(self, cluster: str) -> Sequence[Room]:
        """The container instances of a cluster, those that have been there longest first."""
        ...

    def listen(self, owner: str, heard: HeardTask, heard_room: HeardRoom | None = None) -> None:
        """Tell `owner` of its tasks from now on, and at once of every one that is known: live, or ended in the last hour.

        So who listens again after a restart misses nothing.  `heard` is called for each state (also when nothing but a
        container has come to another) within the change's own transaction: what it writes to the store is committed
        together with it.  `heard_room` is called with the ARN of a cluster in which there may be more room.  Neither may
        await, or raise.
        """
        ...
