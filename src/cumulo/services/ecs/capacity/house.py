"""The capacity of ECS, whole: container instances, capacity providers, and what keeps them in step; ECS's house builds one.

EC2 (Hosts) ──HostEvents──▶ Joining ──▶ Records ◀── operations
                                           │ tells
                                           ▼
                                    ManagedScaling ──▶ Auto Scaling (Groups)
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Groups, Hosts
from cumulo.base.ports.metrics import Metrics
from cumulo.services.ecs.capacity.attributes import Attributes
from cumulo.services.ecs.capacity.container_instances import ContainerInstances, Matches
from cumulo.services.ecs.capacity.joining import DEREGISTERED, Joining
from cumulo.services.ecs.capacity.managed_scaling import SHRINK_SECONDS, ManagedScaling
from cumulo.services.ecs.capacity.providers import CapacityProviders
from cumulo.services.ecs.capacity.spot_tasks import SpotTasks
from cumulo.services.ecs.model import ContainerInstance, Task
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.seams import Launches, Runner
from cumulo.state.store import StoreError
from cumulo.wire.service import Operation

KEPT_SECONDS: Final = 3600.0  # for which an INACTIVE instance can still be described
SWEEP_SECONDS: Final = 600.0


class Capacity:
    """`joining` is what EC2 tells; `operations` are the door's; run `run` beside the server.

    hosts           EC2's instances with a body; asked late, for EC2 is built with `joining`
    matches         compiles an expression of the cluster query language
    capabilities    names of the attributes that every instance of ours has
    shrink_seconds  for how long instances must be of no use before managed scaling ends them
    """

    def __init__(
        self,
        records: Records,
        *,
        hosts: Callable[[], Hosts],
        groups: Groups,
        metrics: Metrics,
        runner: Runner,
        launches: Launches,
        clock: Clock,
        ids: Ids,
        matches: Matches,
        capabilities: Sequence[str],
        shrink_seconds: float = SHRINK_SECONDS,
    ) -> None:
        self._records = records
        self._hosts = hosts
        self._clock = clock
        self.joining = Joining(records, hosts, runner, launches, clock, ids, capabilities=capabilities)
        self.scaling = ManagedScaling(records, groups, hosts, metrics, clock, shrink_seconds=shrink_seconds)
        self._instances = ContainerInstances(
            records, hosts, runner, launches, clock, ids, matches=matches, capabilities=capabilities
        )
        self._attributes = Attributes(records)
        self._providers = CapacityProviders(records, groups, clock, self.scaling.look_at)
        self._spot = SpotTasks(records, runner)

    def view(self, instance: ContainerInstance) -> dict[str, Any]:
        """An instance as DescribeContainerInstances shows it."""
        return self._instances.view(instance)

    def operations(self) -> Mapping[str, Operation]:
        """Every operation that is built, by AWS's name."""
        instances, attributes, providers = self._instances, self._attributes, self._providers
        return {
            "RegisterContainerInstance": Operation(
                instances.register, note="only EC2 instances with a body here run tasks"
            ),
            "DeregisterContainerInstance": Operation(instances.deregister),
            "DescribeContainerInstances": Operation(instances.describe),
            "ListContainerInstances": Operation(instances.list_),
            "UpdateContainerInstancesState": Operation(instances.update_state),
            "PutAttributes": Operation(attributes.put),
            "DeleteAttributes": Operation(attributes.delete),
            "ListAttributes": Operation(attributes.list_),
            "CreateCapacityProvider": Operation(
                providers.create,
                note="managed scale-in ends empty instances only; managed instances are refused",
            ),
            "UpdateCapacityProvider": Operation(providers.update),
            "DeleteCapacityProvider": Operation(providers.delete),
            "DescribeCapacityProviders": Operation(providers.describe),
        }

    async def interrupt_task(self, task_arn: str) -> Task:
        """Interrupt a task on FARGATE_SPOT.  AwsError InvalidParameterException for others."""
        return await self._spot.interrupt(task_arn)

    async def run(self) -> None:
        """Scale groups, and forget old instances, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.scaling.run())
            group.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(StoreError):  # the disk refuses: every request hears of it
                await self.sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Forget instances that have been INACTIVE for long, and will not be asked about by EC2."""
        now = self._clock.now()
        for instance in self._records.instances.all():
            old = instance.status == "INACTIVE" and now - instance.inactive_at > KEPT_SECONDS
            lives = instance.status_reason == DEREGISTERED and self._hosts().host(instance.ec2_id) is not None
            if old and not lives:
                self._records.instances.delete(instance)
        await self._records.store.commit()
