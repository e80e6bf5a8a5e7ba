"""Compute environments, job queues, scheduling policies and tags, whole: the operations, and the keeper behind them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Fleet, Host, InstanceKind
from cumulo.base.task_runner import TaskRunner
from cumulo.services.batch.capacity.keeper import Keeper
from cumulo.services.batch.capacity.kinds import KindBook, Price
from cumulo.services.batch.capacity.loop import CapacityLoop
from cumulo.services.batch.capacity.machines import Machines
from cumulo.services.batch.capacity.world import Jobs, Networks, Patience, World
from cumulo.services.batch.compute_environments import ComputeEnvironments
from cumulo.services.batch.job_queues import Front, JobQueues
from cumulo.services.batch.resources import Resources
from cumulo.services.batch.scheduling.facts import Scheduler
from cumulo.services.batch.scheduling_policies import SchedulingPolicies
from cumulo.services.batch.tags import Tagged, Tags, tagged_resources
from cumulo.state.store import Store
from cumulo.wire.service import Operation


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What lies around.

    runner, fleet, networks   ECS, and EC2 (companions/ec2.py and companions/subnets.py)
    catalogue   the instance types that are known by heart
    price       USD an hour of a type in a region, on demand or as a spot instance; 0: not known
    host        the body of an EC2 instance; None: it has none (any more)
    image       the value of a parameter of Systems Manager (account, region, name)
    """

    runner: TaskRunner
    fleet: Fleet
    networks: Networks
    catalogue: Callable[[], Iterable[InstanceKind]]
    price: Price
    host: Callable[[str], Host | None]
    image: Callable[[str, str, str], Awaitable[str]]


class CapacityHouse:
    """`resources` are for everybody; `keeper.heard_room` and `loop.carry` for the loop of jobs.

    `start` before requests are served (and before jobs are taken up), `run` beside the server.
    jobs    of queues that are deleted
    tagged  what else has tags: {"job": ..., "job-definition": ...}
    told    is called when the scheduler was told something, and should decide again
    front   as JobQueues wants it
    """

    def __init__(
        self,
        around: Around,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        scheduler: Scheduler,
        jobs: Jobs,
        tagged: Mapping[str, Tagged],
        told: Callable[[], None],
        front: Front,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        self.resources = Resources(store)
        self.kinds = kinds = KindBook(self.resources, around.catalogue, around.fleet.sizes, around.price)
        self.machines = Machines()
        world = World(
            resources=self.resources,
            scheduler=scheduler,
            runner=around.runner,
            fleet=around.fleet,
            networks=around.networks,
            jobs=jobs,
            kinds=kinds,
            machines=self.machines,
            clock=clock,
            host=around.host,
            image=around.image,
            patience=patience,
        )
        self.loop = CapacityLoop(clock)
        self.keeper = self.loop.keeper = Keeper(world, woken=self.loop.wake, told=told)
        self._environments = ComputeEnvironments(
            self.resources,
            clock,
            ids,
            check_types=kinds.check,
            desired=self.keeper.desired,
            woken=self.keeper.wake,
        )
        self._queues = JobQueues(self.resources, clock, front=front, woken=self.keeper.wake)
        self._policies = SchedulingPolicies(self.resources)
        self._tags = Tags(store, {**tagged_resources(self.resources), **tagged})

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            **self._environments.operations(),
            **self._queues.operations(),
            **self._policies.operations(),
            **self._tags.operations(),
        }

    def start(self) -> None:
        """Tell the scheduler of what there is."""
        self.keeper.start()

    async def run(self) -> None:
        """For ever."""
        await self.loop.run()

    def clear(self) -> None:
        """Forget everything; the caller commits."""
        self.loop.clear()
        self.resources.clear()
        self.keeper.clear()
