"""The nouns of AWS Batch as they are kept.  Times are milliseconds since the epoch, as Batch tells them; 0: not yet.

What clients wrote (`properties`, `resources`, overrides, strategies) is kept in AWS's own camel case, after checks.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

Document = Mapping[str, Any]


class JobStatus(StrEnum):
    """Where a job is."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class ComputeEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What jobs run on.  `kind` is MANAGED or UNMANAGED; `resources` is computeResources as DescribeComputeEnvironments shows it.

    state       ENABLED or DISABLED;  status  CREATING, UPDATING, DELETING, VALID, INVALID
    cluster     ARN of the ECS cluster behind it
    generation  goes up with each change for which instances are replaced;  `changed_at`: when it last did
    image       the machine image that was the newest for this generation; empty: not looked up, or one is named
    populated   EC2 may have instances of it: nobody asks in vain
    """

    account: str
    region: str
    name: str
    uuid: str
    kind: str
    state: str = "ENABLED"
    status: str = "CREATING"
    status_reason: str = ""
    cluster: str = ""
    resources: Document = {}
    unmanaged_vcpus: int = 0
    service_role: str = ""
    update_policy: Document = {}
    ecs_settings: Document = {}
    context: str = ""
    created_at: int = 0
    tags: Mapping[str, str] = {}
    generation: int = 0
    changed_at: int = 0
    image: str = ""
    populated: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:batch:{self.region}:{self.account}:compute-environment/{self.name}"

    @property
    def type(self) -> str:
        """EC2, SPOT, FARGATE, FARGATE_SPOT or UNMANAGED."""
        return str(self.resources.get("type", "EC2")) if self.kind == "MANAGED" else "UNMANAGED"

    @property
    def is_fargate(self) -> bool:
        """Whether its jobs run on Fargate."""
        return self.type.startswith("FARGATE")

    @property
    def has_instances(self) -> bool:
        """Whether instances are launched and terminated for it."""
        return self.type in ("EC2", "SPOT")


class SchedulingPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fair-share policy."""

    account: str
    region: str
    name: str
    share_decay_seconds: int = 0
    compute_reservation: int = 0
    weights: Mapping[str, float] = {}  # by share identifier, which may end in *
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:batch:{self.region}:{self.account}:scheduling-policy/{self.name}"


class TimeLimit(msgspec.Struct, frozen=True, kw_only=True):
    """jobStateTimeLimitActions: `state` is RUNNABLE; `action` CANCEL or TERMINATE."""

    reason: str
    state: str
    max_seconds: int
    action: str


class JobQueue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where jobs wait.  `environments`: ARNs of compute environments, the preferred first; `orders` as clients gave them."""

    account: str
    region: str
    name: str
    priority: int
    environments: tuple[str, ...]
    orders: tuple[int, ...] = ()
    state: str = "ENABLED"
    status: str = "CREATING"
    status_reason: str = ""
    policy: str = ""  # ARN of a scheduling policy
    limits: tuple[TimeLimit, ...] = ()
    created_at: int = 0
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:batch:{self.region}:{self.account}:job-queue/{self.name}"


class JobDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A revision of a job definition.

    kind        container or multinode;  status  ACTIVE or INACTIVE
    platforms   EC2 or FARGATE
    properties  one of {"containerProperties": ...}, {"ecsProperties": ...}, {"nodeProperties": ...}
    timeout     attemptDurationSeconds; 0: none
    deregistered_at   when it became INACTIVE
    """

    account: str
    region: str
    name: str
    revision: int
    kind: str
    status: str = "ACTIVE"
    platforms: tuple[str, ...] = ("EC2",)
    properties: Document = {}
    parameters: Mapping[str, str] = {}
    retry: Document = {}
    timeout: int = 0
    scheduling_priority: int = 0
    propagate_tags: bool = False
    created_at: int = 0
    deregistered_at: int = 0
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """Its ARN, with the revision."""
        return f"arn:aws:batch:{self.region}:{self.account}:job-definition/{self.name}:{self.revision}"


class Dependency(msgspec.Struct, frozen=True, array_like=True):
    """That a job waits for another: `kind` is empty, N_TO_N or SEQUENTIAL (which names no job)."""

    job_id: str
    kind: str = ""


class AttemptContainer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container of an attempt."""

    name: str = ""
    exit_code: int | None = None
    reason: str = ""
    log_stream: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a job (or of a node of one) that has ended."""

    task: str = ""  # ARN
    instance: str = ""  # ARN of the container instance
    started_at: int = 0
    stopped_at: int = 0
    status_reason: str = ""
    containers: tuple[AttemptContainer, ...] = ()
    interfaces: tuple[Mapping[str, str], ...] = ()


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run that a job has now: what was ordered of the task runner, and what is known of it.

    token   of the order: deterministic, `<job id>/<attempt>[/<node>]`, so that a restart orders nothing twice
    asked   why it was told to stop: timeout, terminated; empty: it was not
    """

    token: str
    environment: str  # ARN
    task: str = ""
    instance: str = ""
    started_at: int = 0
    containers: tuple[AttemptContainer, ...] = ()
    interfaces: tuple[Mapping[str, str], ...] = ()
    asked: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job: a single one, an array (its parent or a child), or a multi-node one (the whole or a node).

    queue, definition   ARNs
    share               identifier in a fair-share queue;  priority  within it, the higher first
    array_size          of a parent; 0: it is none.  `parent` and `index` of a child (`<parent>:<index>`)
    nodes, main_node    of a multi-node job; `node` of a node (`<job>#<node>`), -1: none
    overrides           containerOverrides, ecsPropertiesOverride or nodeOverrides, by these names
    counts              children by status, of an array parent, as they were at `counted_at`
    made                children that have a record of their own.  The rest, of whom there is nothing to say yet (or any
                        more) but what is said of all of them, are in the state `rest`: with `rest_reason`, since
                        `rest_stopped_at` when that is an end
    reason_asked        why a client wants it ended, while it has not ended
    platform            EC2 or FARGATE

    What a child or a node has from its parent is kept with the parent alone: see family.py.
    """

    account: str
    region: str
    id: str
    name: str
    queue: str
    definition: str
    status: JobStatus = JobStatus.SUBMITTED
    status_reason: str = ""
    share: str = ""
    priority: int = 0
    parent: str = ""
    index: int = -1
    array_size: int = 0
    counts: Mapping[str, int] = {}
    counted_at: int = 0
    made: int = 0
    rest: JobStatus = JobStatus.SUBMITTED
    rest_reason: str = ""
    rest_stopped_at: int = 0
    nodes: int = 0
    main_node: int = 0
    node: int = -1
    depends: tuple[Dependency, ...] = ()
    parameters: Mapping[str, str] = {}
    overrides: Document = {}
    retry: Document = {}
    timeout: int = 0
    propagate_tags: bool = False
    tags: Mapping[str, str] = {}
    created_at: int = 0
    runnable_at: int = 0
    started_at: int = 0
    stopped_at: int = 0
    attempts: tuple[Attempt, ...] = ()
    run: Run | None = None
    is_cancelled: bool = False
    is_terminated: bool = False
    reason_asked: str = ""
    platform: str = "EC2"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:batch:{self.region}:{self.account}:job/{self.id}"

    @property
    def is_child(self) -> bool:
        """Whether it is a child of an array."""
        return self.index >= 0

    @property
    def is_node(self) -> bool:
        """Whether it is a node of a multi-node job."""
        return self.node >= 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing can become of it any more."""
        return self.status in (JobStatus.SUCCEEDED, JobStatus.FAILED)
