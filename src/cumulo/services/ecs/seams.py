"""What the parts of ECS need of one another.  `house.py` puts them together.

RunTask, services, Batch ──▶ Launches ──commits tasks──▶ Runner ──▶ engine
                                │ asks                      │ tells, through the shelf's listeners
                                ▼                           ▼
                          Carriage, placement       services, events, meter, discovery
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from cumulo.services.ecs.model import Document, StopCode, Tags, Task, TaskDefinition


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What RunTask, StartTask and the services' scheduler ask for.

    strategy     capacityProviderStrategy; wins over `launch_type`
    instances    StartTask: these container instances (ARNs), one task each, without placement
    wait         keep tasks for which a managed capacity provider has no room yet in PROVISIONING, as AWS does; without
                 a provider they become failures
    """

    account: str
    region: str
    cluster_arn: str
    definition: TaskDefinition
    count: int = 1
    launch_type: str = ""
    strategy: Sequence[Document] = ()
    instances: Sequence[str] = ()
    group: str = ""
    started_by: str = ""
    service: str = ""
    deployment: str = ""
    reference_id: str = ""
    owner: str = ""
    client_token: str = ""
    overrides: Document = {}
    network: Document = {}
    constraints: Sequence[Document] = ()
    strategies: Sequence[Document] = ()
    platform_version: str = ""
    execute_command: bool = False
    volumes: Sequence[Document] = ()
    service_connect: Document = {}
    tags: Tags = {}
    wait: bool = True


class Failure(msgspec.Struct, frozen=True):
    """Why one task could not be placed: AWS's `failures`."""

    reason: str  # RESOURCE:CPU, AGENT, MISSING, Capacity is unavailable at this time. ...
    arn: str = ""
    detail: str = ""


class Launched(msgspec.Struct, frozen=True):
    """What came of a LaunchRequest: tasks that are committed, and failures for the others."""

    tasks: Sequence[Task] = ()
    failures: Sequence[Failure] = ()


class Launches(Protocol):
    """Places tasks and brings them into being."""

    async def launch(self, request: LaunchRequest) -> Launched:
        """Place, write, commit, hand to the Runner.  AwsError for what no placement could mend."""
        ...

    async def place_waiting(self) -> None:
        """Try again the tasks that wait for capacity; called when there may be more of it."""
        ...


class Runner(Protocol):
    """Carries tasks through their life."""

    def take_up(self, task: Task) -> None:
        """A task was committed, and is placed: bring it up.  Returns at once; harmless when it is already in work."""
        ...

    async def stop(self, task_arn: str, code: StopCode, reason: str) -> Task | None:
        """Want it STOPPED: committed when this returns (the stop itself goes on).  Harmless when it stops already.

        The first code and reason stay.  None when there is no such task.
        """
        ...


class Attachment(Protocol):
    """Something that a task takes part in while it runs: target groups, discovery, Service Connect.

    The Runner calls these in a task's life, also again after a restart: every one must be harmless when repeated, and
    quick to return when the task has nothing to do with it.
    """

    def hosts(self, task: Task) -> Mapping[str, str]:
        """Lines for the containers' /etc/hosts: name to address.  Asked before the pod is made."""
        ...

    async def prepare(self, task: Task, pod: str) -> None:
        """The pod is made (or found again after a restart), its containers not yet started: listen inside it."""
        ...

    async def attach(self, task: Task) -> None:
        """ACTIVATING: its containers run, its address and ports are known: let traffic come."""
        ...

    async def detach(self, task: Task) -> None:
        """DEACTIVATING: let no new traffic come; returns when the old has drained (bounded by its own settings)."""
        ...

    async def gone(self, task: Task) -> None:
        """The task has stopped, by whatever way: forget it."""
        ...


class Carriage(Protocol):
    """What this machine carries: Fargate tasks and instances share it."""

    def room(self) -> tuple[float, int]:
        """The vCPUs and MiB of memory that are not promised to anybody."""
        ...
