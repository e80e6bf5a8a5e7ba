"""Builds ECS, the EC2 that carries it, load balancing, scaling and Batch, which know one another only by ports; for app.py.

EC2 ──HostEvents──▶ ECS ──TargetGroups──▶ load balancing
 ▲ Fleet             ▲ ▲ ScalableServices
 └───── Batch ───────┘ Application Auto Scaling
          TaskRunner
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from cumulo.base.carriage import Carriage
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.base.ports import RoleSessions
from cumulo.base.ports.functions import Invoker
from cumulo.base.ports.images import ImageRegistry
from cumulo.companions.autoscaling import ScalingGroups
from cumulo.companions.certificates import CertificateReader
from cumulo.companions.companions import Companions
from cumulo.companions.discovery import Discovery
from cumulo.companions.ec2 import Ec2Machines
from cumulo.companions.events import EventBridge
from cumulo.companions.guards import Guard
from cumulo.companions.metrics import CloudWatch
from cumulo.companions.parameters import ParameterReader
from cumulo.companions.s3 import S3Reader
from cumulo.companions.secrets import SecretReader
from cumulo.companions.stacks import StackTypes
from cumulo.companions.subnets import SubnetBook
from cumulo.engines.engine import Capability, Engine, EngineError
from cumulo.engines.images import Source
from cumulo.meter.labels import TagsOf
from cumulo.meter.meter import Meter
from cumulo.services.application_autoscaling.house import ScalingHouse
from cumulo.services.application_autoscaling.plan import Patience
from cumulo.services.batch.capacity.house import Around as BatchCapacity
from cumulo.services.batch.capacity.world import Patience as BatchPatience
from cumulo.services.batch.house import Around as BatchAround
from cumulo.services.batch.house import BatchHouse
from cumulo.services.ec2.house import Ec2House
from cumulo.services.ecs.house import Around, EcsHouse
from cumulo.services.ecs.running.agent.endpoints import ServeCloud
from cumulo.services.elbv2.house import ElbHouse, Surroundings
from cumulo.services.elbv2.plane import Machine
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.service import Service

SETTLE_SECONDS = 5.0  # AWS believes a task without health checks after 40 s
UNMADE = (
    "ApiGateway",
    "ApiGatewayV2",
    "ApplicationAutoScaling",
    "Batch",
    "ECR",
    "ECS",
    "ElasticLoadBalancingV2",
    "Lambda",
    "Serverless",  # SAM's, which stand for functions and APIs
)  # whose resources stacks cannot make
MINUTE = 60.0  # CloudWatch's period, in whole seconds even where time is quicker
BATCH_IDLE_SECONDS = 300.0  # until an instance without jobs is ended
SHRINK_SECONDS = 900.0  # as AWS: what a group has too much must last so long
_LOOPBACK_FIRST = 127 << 24 | 66 << 16  # 127.66.0.0/16: addresses of load balancers where no engine gives any
_PLACES = 1 << 16
_log = Log("compute")


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What everything here stands on.

    engine   opens late; `opened` is the one that is open, or None
    serve    begins to answer AWS calls on a socket that listens inside a pod
    shared   a cloud that many use: nothing of the machine's own is given to tasks
    """

    data: Path
    store: Store
    journal: Journal
    clock: Clock
    ids: Ids
    companions: Companions
    meter: Meter
    logs: Logs
    roles: RoleSessions
    registry: ImageRegistry[Source]
    invoker: Invoker
    engine: Callable[[], Awaitable[Engine]]
    opened: Callable[[], Engine | None]
    serve: ServeCloud
    port: int
    machine: str
    carriage: Carriage
    pace: float
    shared: bool
    principal_of: Callable[[str], str]
    note: Callable[[str], None]


class Compute:
    """ECS, EC2, load balancing, scaling, Batch.  `start` before requests are served, `run` beside the server."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._is_built = False
        store, clock, ids, companions = ground.store, ground.clock, ground.ids, ground.companions
        bus, watch, subnets = EventBridge(companions), CloudWatch(companions), SubnetBook(companions)
        groups = ScalingGroups(companions)
        period = max(1, round(MINUTE / ground.pace))
        self.ec2 = Ec2House(
            store=store,
            clock=clock,
            carriage=ground.carriage,
            machines=Ec2Machines(companions),
            groups=groups,
            usages=ground.meter,
            bus=bus,
            knows=lambda: companions.knows("ec2"),
            engine=ground.engine,
            note=ground.note,
            machine=ground.machine,
        )
        self.elb = ElbHouse(
            Surroundings(
                subnets=subnets,
                certificates=CertificateReader(companions, clock, ids),
                instances=self.ec2,
                invoker=ground.invoker,
                machine=Machine(self._address_for, self._give_back, self._publisher("elb")),
            ),
            store=store,
            clock=clock,
            ids=ids,
            shared_address="" if ground.shared else "127.0.0.1",
            loopback_targets=not ground.shared,
            metrics=watch,
            metrics_seconds=period,
            owns=self._owns if ground.shared else None,
        )
        around = Around(
            data=ground.data,
            engine=ground.engine,
            registry=ground.registry,
            objects=S3Reader(companions),
            secrets=SecretReader(companions),
            parameters=ParameterReader(companions),
            sink=ground.logs,
            has_log_group=ground.logs.has_group,
            roles=ground.roles,
            subnets=subnets,
            networks=subnets,
            security_groups=subnets,
            bus=bus,
            metrics=watch,
            ledger=ground.meter,
            targets=self.elb.targets,
            cloud_map=Discovery(companions),
            hosts=lambda: self.ec2,
            groups=groups,
            carriage=ground.carriage,
            principal_of=ground.principal_of,
            serve=ground.serve,
            cloud_port=ground.port,
            machine=ground.machine,
            trusted=not ground.shared,
            settle_seconds=SETTLE_SECONDS / ground.pace,
            shrink_seconds=SHRINK_SECONDS / ground.pace,
            metrics_seconds=period,
            publish=self._publisher("ecs"),
            expect_subnets=subnets.expect,
        )
        self.ecs = EcsHouse(around, store=store, journal=ground.journal, clock=clock, ids=ids)
        self.ec2.connect(self.ecs.host_events)
        self._guards = dict(self.ec2.guards())
        stacks = self._guards["cloudformation"]
        self._guards["cloudformation"] = StackTypes(stacks, UNMADE, S3Reader(companions))
        for service, guard in self._guards.items():
            companions.guard(service, guard)
        self.scaling = ScalingHouse(
            store=store,
            clock=clock,
            ids=ids,
            services=self.ecs,
            metrics=watch,
            alarms=watch,
            patience=Patience(period=period, pace=ground.pace),
        )
        self.batch = self._batch(subnets, bus)
        self._is_built = True

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        houses = (self.ecs.service(), self.elb.service(), self.scaling.service(), self.batch.service())
        return {service.name: service for service in houses}

    def guards(self) -> Mapping[str, Guard]:
        """Who looks at calls of companions, by service."""
        return self._guards

    def tags(self) -> Mapping[str, TagsOf]:
        """Who knows the tags of what is on the bill, by service."""
        return {"batch": self.batch.tags_of, "ec2": self.ec2.tags_of, "ecs": self.ecs.tags_of}

    def troubles(self) -> Iterable[str]:
        """What load balancers cannot do now, each in a sentence."""
        return (f"{arn.rpartition('loadbalancer/')[2]}: {why}" for arn, why in self.elb.troubles().items())

    def gauges(self) -> Mapping[str, float]:
        """What /metrics shows."""
        balancers = {"load_balancers": float(self.elb.count())}
        return {**self.ecs.counts(), **self.batch.counts(), **balancers}

    async def start(self) -> None:
        """Note what a kill has kept from being noted, and take up what runs."""
        await self.ec2.start()
        self.batch.start()  # it hears of tasks before they go on
        await self.ecs.start()
        await self.elb.start()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for house in (self.ec2, self.ecs, self.elb, self.scaling, self.batch):
                group.create_task(house.run())
            group.create_task(self._reap())

    async def close(self) -> None:
        """Let go, when nothing runs any more; containers live on."""
        await self.elb.close()
        await self.ecs.close()
        await self.ec2.close()

    async def reset(self) -> None:
        """Forget everything."""
        await self.scaling.reset()
        await self.batch.reset()
        await self.elb.reset()
        await self.ecs.reset()
        await self.ec2.reset()

    def _batch(self, subnets: SubnetBook, bus: EventBridge) -> BatchHouse:
        ground, companions = self._ground, self._ground.companions
        pace = ground.pace
        capacity = BatchCapacity(
            runner=self.ecs.task_runner,
            fleet=Ec2Machines(companions),
            networks=subnets,
            catalogue=self.ec2.kinds,
            price=ground.meter.books.instance_hour,
            host=self.ec2.host,
            image=ParameterReader(companions).parameter,
        )
        around = BatchAround(
            capacity=capacity,
            room=ground.carriage.room,
            bus=bus,
            listens=lambda: companions.knows("events"),
            ledger=ground.meter,
            fargate=ground.meter.books.fargate_hour,
            patience=BatchPatience(idle=BATCH_IDLE_SECONDS / pace, minute=MINUTE / pace),
        )
        return BatchHouse(around, store=ground.store, clock=ground.clock, ids=ground.ids)

    def _owns(self, account: str, place: str) -> bool:
        """Nobody owns anything while this is being built; the first round of health checks looks again."""
        return self._is_built and self.ecs.owns(account, place)

    # -- addresses and names of the machine's own ------------------------------------------------------------

    async def _address_for(self, name: str) -> str:
        engine = self._ground.opened() or await self._engine_or_none()
        if engine is not None and Capability.HOST_ADDRESSES in engine.capabilities:
            return await engine.host_address(name)
        return _loopback(name)

    async def _engine_or_none(self) -> Engine | None:
        try:
            return await self._ground.engine()
        except EngineError:
            return None

    async def _give_back(self, name: str) -> None:
        engine = self._ground.opened()
        if engine is not None and Capability.HOST_ADDRESSES in engine.capabilities:
            await engine.free_host_address(name)

    async def _reap(self) -> None:
        """Give back what instances and load balancers had that are gone, once: a kill may have come between."""
        if not (self._ground.data / "engine").is_dir():
            return
        engine = await self._engine_or_none()
        if engine is None:
            return
        with contextlib.suppress(EngineError):
            await self.ec2.reap()
        if Capability.HOST_ADDRESSES not in engine.capabilities:
            return
        for name in self.elb.strays(await engine.host_addresses()):
            try:
                await engine.free_host_address(name)
            except EngineError as error:
                _log.warning("the address of a load balancer that is gone stays", name=name, error=str(error))

    def _publisher(self, owner: str) -> Callable[[Mapping[str, Sequence[str]]], Awaitable[None]]:
        async def publish(records: Mapping[str, Sequence[str]]) -> None:
            engine = self._ground.opened() or (await self._engine_or_none() if records else None)
            if engine is not None and Capability.PUBLISH in engine.capabilities:
                await engine.publish(owner, records)

        return publish


def _loopback(name: str) -> str:
    """An address of 127.66.0.0/16 that a name always has; two names may share one, and then not their ports."""
    import hashlib
    import ipaddress

    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % (_PLACES - 2) + 1
    return str(ipaddress.IPv4Address(_LOOPBACK_FIRST + place))
