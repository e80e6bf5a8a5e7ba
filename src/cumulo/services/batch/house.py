"""AWS Batch, whole: compute.py builds one.

SubmitJob ──▶ Desk ──▶ Run ◀──▶ Scheduler ◀── CapacityHouse ◀── CreateComputeEnvironment, CreateJobQueue
                        └──▶ Carrier ──▶ TaskRunner (ECS)    └──▶ Fleet (EC2)
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import EventBus, UsageLedger
from cumulo.services.batch.capacity.house import Around as Surroundings
from cumulo.services.batch.capacity.house import CapacityHouse
from cumulo.services.batch.capacity.world import Patience
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.definitions import Definitions
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.happenings import Happenings
from cumulo.services.batch.job_ending import JobEnding
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.job_submission import JobSubmission
from cumulo.services.batch.job_tags import tagged_jobs
from cumulo.services.batch.jobs import Jobs
from cumulo.services.batch.metering import JobMeter, Prices
from cumulo.services.batch.overview import Overview
from cumulo.services.batch.pace import Pace
from cumulo.services.batch.queues import JobsOfQueues
from cumulo.services.batch.run import Run
from cumulo.services.batch.running.carrier import Carrier
from cumulo.services.batch.running.task_definitions import TaskDefinitions
from cumulo.services.batch.running.task_orders import OWNER
from cumulo.services.batch.scheduling.scheduler import BatchScheduler
from cumulo.services.batch.standing import Standing
from cumulo.state.store import Store
from cumulo.wire.service import Operation, Service


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Those whom Batch asks.

    capacity    whom compute environments ask
    room        the vCPUs and MiB that this machine has left
    bus         EventBridge; `listens`: whether it knows anything at all
    fargate     USD an hour of a vCPU and of a GB: region, Spot
    """

    capacity: Surroundings
    room: Callable[[], tuple[float, int]]
    bus: EventBus
    listens: Callable[[], bool]
    ledger: UsageLedger
    fargate: Callable[[str, bool], tuple[float, float]]
    patience: Patience = Patience()


class BatchHouse:
    """Everything of Batch.  `start` before ECS starts, `run` beside the server."""

    def __init__(self, around: Around, *, store: Store, clock: Clock, ids: Ids) -> None:
        self._around = around
        self._store = store
        self._clock = clock
        self._ids = ids
        self.definitions = DefinitionRecords(store)
        self.records = JobRecords(store)
        self.desk = Desk(self.records, clock)
        self.scheduler = BatchScheduler()
        self.capacity = CapacityHouse(
            around.capacity,
            store=store,
            clock=clock,
            ids=ids,
            scheduler=self.scheduler,
            jobs=JobsOfQueues(self.desk),
            tagged=tagged_jobs(self.records, self.definitions),
            told=self._told,
            front=self._front,
            patience=around.patience,
        )
        self.resources = self.capacity.resources
        self._carrier = Carrier(
            around.capacity.runner,
            self.desk,
            self.definitions,
            TaskDefinitions(store, around.capacity.runner, host=False),
            environment=self.resources.environments.get,
            clock=clock,
        )
        self._happenings = Happenings(
            self.records, self.definitions, clock, around.bus, may_listen=around.listens
        )
        self._meter = self._metered()
        self._pace = Pace(clock)
        self.desk.listeners += [self._happenings.heard, self._meter.heard, self._pace.heard]
        overview = Overview(
            self.resources, self.records, self.scheduler, self.capacity.machines, self._pace, clock
        )
        self.standing = Standing(overview, self._meter)
        self._run = Run(
            self.desk,
            self.scheduler,
            self._carrier,
            self.capacity.loop,
            self.definitions,
            clock,
            is_fargate=self._is_fargate,
            has_queue=lambda arn: self.resources.queues.get(arn) is not None,
            room=around.room,
            blocked=self._happenings.blocked,
        )

    def service(self) -> Service:
        """As the door wants it."""
        clock, queues = self._clock, self.resources
        submission = JobSubmission(self.desk, self.definitions, queues, clock=clock, ids=self._ids)
        operations: dict[str, Operation] = {
            **self.capacity.operations(),
            **Definitions(self.definitions, clock).operations(),
            **submission.operations(),
            **Jobs(self.records, self.definitions, queues).operations(),
            **JobEnding(self.desk).operations(),
        }
        return Service("batch", operations)

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Note what a kill has kept from being noted, and take up what runs; before ECS goes on with its tasks."""
        self.capacity.start()
        self._around.capacity.runner.listen(OWNER, self._carrier.heard, self.capacity.keeper.heard_room)
        self._meter.start()
        self._run.start()

    async def run(self) -> None:
        """For ever."""
        await self._carrier.find_lost()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run.run())
            group.create_task(self.capacity.run())
            group.create_task(self._happenings.run())

    async def reset(self) -> None:
        """Forget everything; the tasks of jobs are ECS's to end."""
        self._run.clear()
        self._carrier.clear()
        self.records.clear()
        self.definitions.clear()
        self.capacity.clear()
        self._happenings.clear()
        self._meter.clear()
        self._pace.clear()
        await self._store.commit()

    def counts(self) -> Mapping[str, float]:
        """What /metrics shows."""
        return {"batch_queues": float(len(self.resources.queues)), "batch_jobs": float(len(self.records))}

    def tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """The tags of a queue that was metered (its ARN, perhaps with a share behind it), for the bill."""
        queue = self.resources.queue(Caller(account=account, region=region), resource.partition("#")[0])
        return queue.tags if queue is not None else {}

    # -- small things ----------------------------------------------------------------------------------------

    def _metered(self) -> JobMeter:
        around = self._around
        kinds, machines = self.capacity.kinds, self.capacity.machines

        def type_of(instance: str) -> str:
            machine = machines.at(instance)
            return machine.kind if machine is not None else ""

        prices = Prices(instance=around.capacity.price, vcpus=kinds.vcpus, fargate=around.fargate)
        return JobMeter(
            self.records,
            self.definitions,
            around.ledger,
            prices,
            environment=self.resources.environments.get,
            type_of=type_of,
        )

    def _told(self) -> None:
        self._run.wake()

    def _is_fargate(self, arn: str) -> bool:
        found = self.resources.environments.get(arn)
        return found is not None and found.is_fargate

    def _front(self, queue: str, count: int) -> list[tuple[str, float]]:
        """The scheduler's moments are monotonic; these are seconds since the epoch."""
        if self.scheduler.waiting(queue) == 0:
            return []
        apart = self._clock.now() - self._clock.monotonic()
        return [(job, since + apart) for job, since in self.scheduler.front(queue, count)]
