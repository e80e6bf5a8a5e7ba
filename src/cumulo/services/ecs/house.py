"""ECS, whole: the API, what carries tasks, what keeps services, what adds capacity; app.py builds one.

RunTask, Services ──▶ Launching ──▶ Records ◀──▶ TaskRunner ──▶ engine
                         │             └──heard──▶ scheduler, meter, events, discovery
EC2 ──HostEvents──▶ Capacity ─┘
"""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.carriage import Carriage
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Groups, HostEvents, Hosts
from cumulo.base.ports import EventBus, LogSink, ObjectReader, Parameters, RoleSessions, Secrets, UsageLedger
from cumulo.base.ports.discovery import CloudMap
from cumulo.base.ports.images import ImageRegistry
from cumulo.base.ports.metrics import Metrics
from cumulo.base.ports.networks import Networks, SecurityGroups, SubnetFacts
from cumulo.base.ports.targets import TargetGroups
from cumulo.base.task_runner import TaskRunner
from cumulo.engines.engine import Engine, EngineError
from cumulo.engines.images import Source
from cumulo.services.ecs.account_settings import AccountSettings
from cumulo.services.ecs.agent_calls import AgentCalls
from cumulo.services.ecs.capacity.house import Capacity
from cumulo.services.ecs.clusters import Clusters, find_cluster
from cumulo.services.ecs.definitions.attributes import INSTANCE_ATTRIBUTES
from cumulo.services.ecs.definitions.fargate import has_size, no_size
from cumulo.services.ecs.definitions.finding import runnable_definition
from cumulo.services.ecs.definitions.registry import Definitions
from cumulo.services.ecs.executing.execute_command import ExecuteCommand
from cumulo.services.ecs.executing.page import ExecPage
from cumulo.services.ecs.executing.sessions import Sessions
from cumulo.services.ecs.happenings.happenings import Happenings
from cumulo.services.ecs.launching import Launching
from cumulo.services.ecs.metering import FargateMeter
from cumulo.services.ecs.metrics import TaskMetrics
from cumulo.services.ecs.model import ContainerInstance, Task, TaskContainer, TaskDefinition
from cumulo.services.ecs.model import Service as ServiceRecord
from cumulo.services.ecs.placement.constraints import constraints_of, query_of
from cumulo.services.ecs.placement.daemon import daemon_instances
from cumulo.services.ecs.placement.demand import daemon_demand
from cumulo.services.ecs.places import ledger_of
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running import house as running
from cumulo.services.ecs.running.agent.endpoints import ServeCloud
from cumulo.services.ecs.running.environment import Sources
from cumulo.services.ecs.running.names import inner_name
from cumulo.services.ecs.scheduling.facts import Pace
from cumulo.services.ecs.service_house import ServiceHouse
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.services.ecs.tags import TagOperations, tags_of
from cumulo.services.ecs.task_protection import OwnProtection, TaskProtection
from cumulo.services.ecs.task_runner import TasksForOthers
from cumulo.services.ecs.task_sweep import TaskSweep
from cumulo.services.ecs.task_views import task_view
from cumulo.services.ecs.tasks import Tasks
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.service import Operation, Service

_ARCHITECTURES = {"aarch64": "ARM64", "arm64": "ARM64"}
RETRY_SECONDS = 5.0


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Those whom ECS asks, and where it stands.

    engine      opens late, and is asked again after it failed
    hosts       EC2's instances with a body; asked late, for EC2 is connected to this house
    serve       begins to answer AWS calls on a socket that listens inside a pod
    cloud_port  where the cloud listens on the machine
    trusted     False in a cloud that many share
    has_log_group   whether a log group (account, region, name) is there
    groups      Auto Scaling groups, which managed scaling grows and shrinks
    settle_seconds   a service's task without health checks counts as healthy after so long
    shrink_seconds   instances of a capacity provider that are of no use for so long are ended
    expect_subnets   subnets of this account and region will be asked for soon
    metrics_seconds  so often CloudWatch is told what tasks use
    """

    data: Path
    engine: Callable[[], Awaitable[Engine]]
    registry: ImageRegistry[Source]
    objects: ObjectReader
    secrets: Secrets
    parameters: Parameters
    sink: LogSink
    has_log_group: Callable[[str, str, str], bool]
    roles: RoleSessions
    subnets: SubnetFacts
    networks: Networks
    security_groups: SecurityGroups
    bus: EventBus
    metrics: Metrics
    ledger: UsageLedger
    targets: TargetGroups
    cloud_map: CloudMap
    hosts: Callable[[], Hosts]
    groups: Groups
    carriage: Carriage
    principal_of: Callable[[str], str]
    serve: ServeCloud
    cloud_port: int
    machine: str
    trusted: bool
    settle_seconds: float
    shrink_seconds: float
    metrics_seconds: float
    publish: Callable[[Mapping[str, Sequence[str]]], Awaitable[None]]
    expect_subnets: Callable[[str, str], None]


class EcsHouse:
    """Everything of ECS.  `start` before requests are served, `run` beside the server, `close` at the end."""

    def __init__(self, around: Around, *, store: Store, journal: Journal, clock: Clock, ids: Ids) -> None:
        self._around = around
        self._store = store
        self.records = records = Records(store)
        self._ledger = ledger_of(records)
        self._runner = running.build(
            records,
            journal,
            engine=around.engine,
            registry=around.registry,
            sources=Sources(around.objects, around.secrets, around.parameters),
            sink=around.sink,
            roles=around.roles,
            clock=clock,
            ids=ids,
            efs=around.data / "efs",
            trusted=around.trusted,
            group_exists=around.has_log_group,
            cloud=around.serve,
            cloud_port=around.cloud_port,
        )
        zones = SubnetZones(around.subnets, clock, around.security_groups)
        self._launching = Launching(
            records,
            self._ledger,
            runner=self._runner,
            carriage=around.carriage,
            zones=zones,
            clock=clock,
            ids=ids,
            chance=random.Random(),
            no_size=lambda cpu, memory: "" if has_size(cpu, memory) else no_size(cpu, memory),
            architecture=_ARCHITECTURES.get(around.machine, "X86_64"),
        )
        around.carriage.add(self._launching.promised)
        records.definitions.listeners.append(self._defined)
        self._capacity = Capacity(
            records,
            hosts=around.hosts,
            groups=around.groups,
            metrics=around.metrics,
            runner=self._runner,
            launches=self._launching,
            clock=clock,
            ids=ids,
            matches=self._matching,
            capabilities=INSTANCE_ATTRIBUTES,
            shrink_seconds=around.shrink_seconds,
        )
        self._find_cluster = partial(find_cluster, records)
        self._protection = TaskProtection(
            records, clock, find_cluster=self._find_cluster, replaced=self._is_replaced
        )
        self._runner.protect(OwnProtection(self._protection))
        self._meter = FargateMeter(records, clock, around.ledger)
        self._happenings = Happenings(
            records, clock, around.bus, task_view=task_view, instance_view=self._capacity.view
        )
        self._metrics = TaskMetrics(
            records, self._runner.usage, around.metrics, clock, period_seconds=around.metrics_seconds
        )
        self._sweep = TaskSweep(records, clock)
        self._settings = AccountSettings(store, around.principal_of)
        self._definitions = Definitions(records, clock, around.principal_of)
        sessions = Sessions(clock, ids)
        self._services = ServiceHouse(
            records,
            launches=self._launching,
            runner=self._runner,
            targets=around.targets,
            networks=around.networks,
            check_groups=zones.check_groups,
            cloud_map=around.cloud_map,
            publish=around.publish,
            engine=around.engine,
            eligible=self._eligible,
            happenings=self._happenings,
            clock=clock,
            ids=ids,
            principal_of=around.principal_of,
            pace=Pace(settle_seconds=around.settle_seconds),
            apart=not around.trusted,
        )
        for attachment in self._services.attachments:
            self._runner.add(attachment)
        self._runner.pin(self._services.pins)
        self._definitions.users.append(self._services.uses)
        self._clusters = Clusters(records, clock, self._insights, self._services.namespaces.for_cluster)
        self._tasks_for_others = TasksForOthers(
            records,
            self._ledger,
            launches=self._launching,
            runner=self._runner,
            clusters=self._clusters,
            definitions=self._definitions,
        )
        self._exec = ExecuteCommand(
            records, sessions, around.engine, find_cluster=self._find_cluster, locate=self._locate
        )
        self.exec_page = ExecPage(self._exec, sessions)

    # -- the door's side -------------------------------------------------------------------------------------

    def service(self) -> Service:
        """As the door wants it."""
        records, find = self.records, self._find_cluster
        tasks = Tasks(
            records,
            self._launching,
            self._runner,
            find_cluster=find,
            find_definition=partial(runnable_definition, records),
        )
        operations: dict[str, Operation] = {
            **self._clusters.operations(),
            **self._definitions.operations(),
            **self._settings.operations(),
            **TagOperations(records).operations(),
            **tasks.operations(),
            **self._protection.operations(),
            **AgentCalls(records, find_cluster=find).operations(),
            **self._capacity.operations(),
            **self._exec.operations(),
            **self._services.operations(),
        }
        return Service("ecs", operations)

    @property
    def task_runner(self) -> TaskRunner:
        """Runs tasks for other services of the cloud; who wants to hear of its tasks listens before `start`."""
        return self._tasks_for_others

    @property
    def host_events(self) -> HostEvents:
        """Who is told of EC2's instances."""
        return self._capacity.joining

    def desired_count(self, account: str, region: str, resource: str) -> int | None:
        """See ports.ScalableServices."""
        service = self._services.find(account, region, resource)
        return service.desired_count if service is not None else None

    async def set_desired_count(self, account: str, region: str, resource: str, count: int) -> None:
        """See ports.ScalableServices."""
        await self._services.scale(account, region, resource, count)

    def owns(self, account: str, place: str) -> bool:
        """Whether an address, or the id of an instance, is that of an account's task or instance."""
        records = self.records
        instances = [*records.instances.by("ec2", place), *records.instances.by("address", place)]
        holders = [one.account for one in records.tasks.by("address", place)]
        return account in holders or any(one.account == account for one in instances)

    def counts(self) -> Mapping[str, float]:
        """What /metrics shows."""
        return {
            "tasks": float(self.records.tasks.count("live", "yes")),
            "services": float(len(self.records.services)),
            "clusters": float(len(self.records.clusters)),
        }

    def tags_of(self, _account: str, _region: str, resource: str) -> Mapping[str, str]:
        """The tags of what was metered (an ARN), for the bill."""
        return tags_of(self.records, resource)

    async def interrupt_task(self, text: str) -> str:
        """Interrupt the task on FARGATE_SPOT with this ARN or id; its ARN.  AwsError for others."""
        named = [one for one in self.records.tasks.by("live", "yes") if text in {one.arn, one.id}]
        return (await self._capacity.interrupt_task(named[0].arn if named else text)).arn

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Note what a kill has kept from being noted, and take up what runs."""
        await self._meter.start()
        await self._services.start()
        self._runner.start()

    async def run(self) -> None:
        """Carry tasks, keep services, meter, tell and tidy up, for ever."""
        loops: tuple[Callable[[], Awaitable[None]], ...] = (
            self._launching.run,
            self._services.scheduler.run,
            self._capacity.run,
            self._meter.run,
            self._happenings.run,
            self._metrics.run,
            self._sweep.run,
            self._reap,
        )
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(_forever(loop))

    async def close(self) -> None:
        """Let go; containers live on."""
        await self._runner.close()
        await self._services.close()

    async def reset(self) -> None:
        """End every task and forget everything, the file systems of EFS too."""
        try:
            await self._runner.reset()
            await asyncio.to_thread(shutil.rmtree, self._around.data / "efs", ignore_errors=True)
            records = self.records
            for shelf in (records.tasks, records.services, records.instances, records.providers):
                shelf.clear()
            records.definitions.clear()
            records.clusters.clear()
            self._services.clear()
            self._definitions.clear()
            self._settings.clear()
            self._meter.clear()
            self._happenings.clear()
            await self._store.commit()
        finally:
            self._runner.release()

    async def _reap(self) -> None:
        """Remove the pods of tasks that nobody knows, once, when the engine can be asked."""
        if not any((self._around.data / "engine").glob("pods/*")):
            return
        while True:
            try:
                await self._runner.reap()
                return
            except EngineError:
                await asyncio.sleep(RETRY_SECONDS)

    # -- small things ----------------------------------------------------------------------------------------

    def _defined(self, before: TaskDefinition | None, after: TaskDefinition | None) -> None:
        """What needs subnets will hardly be registered for nothing."""
        if before is None and after is not None and after.network_mode == "awsvpc":
            self._around.expect_subnets(after.account, after.region)

    def _insights(self, caller: Caller) -> str:
        return self._settings.effective(caller, "containerInsights")

    def _matching(self, expression: str) -> Callable[[ContainerInstance], bool]:
        test = query_of(expression)

        def matches(instance: ContainerInstance) -> bool:
            host = self._ledger.host(instance.arn)
            return host is not None and test(host)

        return matches

    def _eligible(self, service: ServiceRecord, definition: TaskDefinition) -> Sequence[str]:
        """The instances that a daemon service wants a task on."""
        group = f"service:{service.name}"
        hosts = self._ledger.hosts(service.cluster_arn)
        own = definition.document.get("placementConstraints", ())
        constraints = constraints_of(service.document.get("placementConstraints", ()), own)
        return daemon_instances(hosts, daemon_demand(definition, group, constraints)).suited

    def _is_replaced(self, task: Task) -> bool:
        return self._services.is_replaced(task)

    def _locate(self, task: Task, container: TaskContainer) -> tuple[str, str]:
        definition = self.records.definition(task.definition_arn)
        if definition is None:
            raise EngineError("the task has no definition")
        return container.pod, inner_name(definition, container.name)


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()
