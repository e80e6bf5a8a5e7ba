"""The loop of Batch with a TaskRunner that is simply told what becomes of tasks, on a store that a kill leaves as it is."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.task_runner import HeardRoom, HeardTask, NotPlaced, RanContainer, RanTask, Room, TaskOrder
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import ComputeEnvironment, Job, JobDefinition
from cumulo.services.batch.plan_events import Submitted
from cumulo.services.batch.run import Run
from cumulo.services.batch.running.carrier import Carrier
from cumulo.services.batch.running.task_definitions import TaskDefinitions
from cumulo.services.batch.running.task_orders import OWNER
from cumulo.services.batch.scheduling import facts
from cumulo.services.batch.scheduling.scheduler import BatchScheduler
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
QUEUE = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/queue"
CONTAINER = {
    "image": "busybox",
    "command": ["echo", "Ref::word"],
    "environment": [{"name": "A", "value": "1"}],
    "executionRoleArn": "arn:role",
    "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
}
ENVIRONMENT = ComputeEnvironment(
    account=ACCOUNT,
    region=REGION,
    name="fargate",
    uuid="u",
    kind="MANAGED",
    status="VALID",
    cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/c",
    resources={"type": "FARGATE", "maxvCpus": 64, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]},
)
DEFINITION = JobDefinition(
    account=ACCOUNT,
    region=REGION,
    name="work",
    revision=1,
    kind="container",
    platforms=("FARGATE",),
    properties={"containerProperties": CONTAINER},
    parameters={"word": "given"},
)


class FakeRunner:
    """Keeps tasks as ECS does: it outlives the loops that use it, as a server's store does."""

    def __init__(self) -> None:
        self.tasks: dict[str, RanTask] = {}  # by token
        self.orders: list[TaskOrder] = []
        self.stopped: list[tuple[str, str]] = []
        self.documents: list[Mapping[str, Any]] = []
        self.full = False
        self.lacks = ""
        self.dies = False
        self.refuses: AwsError | None = None
        self._heard: HeardTask | None = None

    async def define(self, _caller: Caller, document: Mapping[str, Any]) -> str:
        self.documents.append(document)
        return f"arn:task-definition/{document['family']}:{len(self.documents)}"

    async def run(self, order: TaskOrder) -> RanTask | NotPlaced:
        if self.refuses is not None:
            raise self.refuses
        if self.lacks:
            return NotPlaced(self.lacks)
        if self.full:
            return NotPlaced("Capacity is unavailable at this time.")
        self.orders.append(order)
        if order.token not in self.tasks:
            self.tasks[order.token] = RanTask(
                arn=f"arn:task/{order.token}",
                token=order.token,
                cluster=order.cluster,
                definition=order.definition,
                status="PROVISIONING",
                containers=(RanContainer(name="default", status="PENDING", log_stream=f"s/{order.token}"),),
            )
        if self.dies:
            raise asyncio.CancelledError  # the process ends before it hears the answer
        return self.tasks[order.token]

    def task(self, arn: str) -> RanTask | None:
        return self.tasks.get(arn.removeprefix("arn:task/"))

    async def stop(self, arn: str, reason: str) -> None:
        self.stopped.append((arn, reason))

    def room(self, _cluster: str) -> Sequence[Room]:
        return ()

    def listen(self, owner: str, heard: HeardTask, _heard_room: HeardRoom | None = None) -> None:
        assert owner == OWNER
        self._heard = heard
        for task in self.tasks.values():
            heard(task)

    def forget_listener(self) -> None:
        """The process that listened is gone."""
        self._heard = None

    def becomes(self, token: str, status: str, code: int | None = None, **more: Any) -> None:
        """A task comes into a state."""
        (one,) = self.tasks[token].containers
        container = msgspec.structs.replace(one, status=status, exit_code=code)
        more = {"started_at": 1_700_000_001.0, "containers": (container,)} | more
        self.tasks[token] = msgspec.structs.replace(self.tasks[token], status=status, **more)
        if self._heard is not None:
            self._heard(self.tasks[token])

    def ends(self, token: str, code: int = 0) -> None:
        """A task ends by itself."""
        self.becomes(token, "STOPPED", code, stop_code="EssentialContainerExited", stopped_at=1_700_000_002.0)


class NoKeeper:
    def carry(self, action: Any) -> None:
        raise AssertionError(f"nothing is launched on Fargate: {action}")


class House:
    """A process: made again on the same store and TaskRunner after each kill."""

    def __init__(self, folder: Path, runner: FakeRunner, clock: VirtualClock) -> None:
        self.clock = clock
        self.runner = runner
        self.room = (64.0, 65536)
        self.store = Store(folder / "store.db", synchronous="OFF")
        self.records, self.definitions = JobRecords(self.store), DefinitionRecords(self.store)
        self.desk = Desk(self.records, clock)
        self.scheduler = BatchScheduler()
        tasks = TaskDefinitions(self.store, runner, host=False)
        environments = {ENVIRONMENT.arn: ENVIRONMENT}
        self.carrier = Carrier(
            runner, self.desk, self.definitions, tasks, environment=environments.get, clock=clock
        )
        self.blocked: list[Job] = []
        self.loop = Run(
            self.desk,
            self.scheduler,
            self.carrier,
            NoKeeper(),
            self.definitions,
            clock,
            is_fargate=lambda _: True,
            has_queue=lambda _: True,
            room=lambda: self.room,
            blocked=self.blocked.append,
        )
        self.definitions.put(DEFINITION)
        self.scheduler.put_environment(
            facts.Environment(arn=ENVIRONMENT.arn, kind="FARGATE", max_vcpus=64_000)
        )
        queue = facts.Queue(
            arn=QUEUE, account=ACCOUNT, region=REGION, priority=1, environments=(ENVIRONMENT.arn,)
        )
        self.scheduler.put_queue(queue)

    async def __aenter__(self) -> "House":
        self.runner.listen(OWNER, self.carrier.heard)
        self.loop.start()
        await self.carrier.find_lost()
        self._task = asyncio.get_running_loop().create_task(self.loop.run())
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.runner.forget_listener()
        await self.store.close()

    async def submit(self, name: str = "job", **more: Any) -> None:
        await self.desk.happened(Submitted(a_job(name, **more)))
        await self.settle()

    async def settle(self) -> None:
        """Until everything that can happen now has happened."""
        for _ in range(20):
            self.loop.wake()
            await asyncio.sleep(0)
            await self.store.commit()

    def job(self, name: str = "job") -> Job:
        found = self.records.get(name)
        assert found is not None
        return found


def a_job(name: str = "job", **more: Any) -> Job:
    return Job(
        account=ACCOUNT,
        region=REGION,
        id=name,
        name=name,
        queue=QUEUE,
        definition=DEFINITION.arn,
        platform="FARGATE",
        **more,
    )
