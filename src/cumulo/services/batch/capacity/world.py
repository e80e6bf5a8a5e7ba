"""What everything here works with, and what it needs of others."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.instances import Fleet, Host
from cumulo.base.ports.networks import SecurityGroups, Subnet
from cumulo.base.task_runner import TaskRunner
from cumulo.services.batch.capacity.kinds import KindBook
from cumulo.services.batch.capacity.machines import Machines
from cumulo.services.batch.resources import Resources
from cumulo.services.batch.scheduling.facts import Scheduler


class Networks(SecurityGroups, Protocol):
    """What EC2 says of networks."""

    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        """The subnets.  AwsError as EC2 says it when one of them is not there."""
        ...


class Jobs(Protocol):
    """The jobs of queues."""

    async def end_queue(self, queue: str) -> bool:
        """Have every job of a queue (ARN) that is deleted end; whether none is left that has not."""
        ...


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds.

    idle     without tasks, before an instance is terminated
    join     from a launch until the instance's agent has joined the cluster
    look     between looks at EC2, while instances do not join
    again    until something that failed is tried again
    minute   a minute of what clients say in minutes
    """

    idle: float = 60.0
    join: float = 300.0
    look: float = 10.0
    again: float = 2.0
    minute: float = 60.0


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything handed in.

    host    the body of an EC2 instance; None: it has none (any more)
    image   the value of a parameter of Systems Manager (account, region, name): ids of machine images
    """

    resources: Resources
    scheduler: Scheduler
    runner: TaskRunner
    fleet: Fleet
    networks: Networks
    jobs: Jobs
    kinds: KindBook
    machines: Machines
    clock: Clock
    host: Callable[[str], Host | None]
    image: Callable[[str, str, str], Awaitable[str]]
    patience: Patience = Patience()
