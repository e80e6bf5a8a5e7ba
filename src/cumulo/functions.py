"""Builds Lambda and what it stands on, which know one another only by ports; for app.py."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.folders import cache_folder
from cumulo.base.ids import Ids
from cumulo.base.ports import RoleSessions
from cumulo.base.ports.functions import InvokePermissions
from cumulo.base.ports.images import ImageRegistry
from cumulo.companions.companions import Companions
from cumulo.companions.s3 import S3Reader
from cumulo.companions.subnets import SubnetBook
from cumulo.engines.images import Images, Source
from cumulo.meter.meter import Meter
from cumulo.sandbox.contract import Launcher
from cumulo.sandbox.runtimes.host import HostRuntimes
from cumulo.services.lambda_.endings import Endings
from cumulo.services.lambda_.events import EventQueue
from cumulo.services.lambda_.fleet import EnvironmentFleet, FleetLimits
from cumulo.services.lambda_.images import FunctionImages
from cumulo.services.lambda_.invoke import FunctionCaller, Invoke, Tracer
from cumulo.services.lambda_.process import ServeCloud, ServeSecurely
from cumulo.services.lambda_.service import Lambda
from cumulo.services.lambda_.world import World
from cumulo.services.logs.service import Logs
from cumulo.settings import Settings
from cumulo.state.blobs import Blobs
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.service import Service


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What functions stand on.

    cloud     begins to answer AWS calls on a socket that an environment listens at
    secure    the same by TLS
    why_not   why functions from images cannot run here; empty when they can
    """

    data: Path
    settings: Settings
    store: Store
    journal: Journal
    clock: Clock
    ids: Ids
    companions: Companions
    meter: Meter
    logs: Logs
    roles: RoleSessions
    registry: ImageRegistry[Source]
    images: Images
    launcher: Launcher
    cloud: ServeCloud
    secure: ServeSecurely
    why_not: Callable[[], str]


class Functions:
    """Lambda, its environments, its queue of events, and who calls functions.  Build it before the journal replays."""

    def __init__(self, floor: Floor) -> None:
        settings, clock, ids = floor.settings, floor.clock, floor.ids
        self.tracer = Tracer(clock)
        endings = Endings(logs=floor.logs, usages=floor.meter, flush=floor.journal.flush)
        self.runs = endings.runs
        world = World(
            launcher=floor.launcher,
            host_of=lambda version: self.lambda_.ready(version),  # noqa: PLW0108 - built below
            roles=floor.roles,
            clock=clock,
            endings=endings,
            cloud=floor.cloud,
            secure=floor.secure,
        )
        self.fleet = EnvironmentFleet(
            world=world,
            ids=ids,
            limits=FleetLimits(concurrency=settings.concurrency, idle_seconds=settings.idle_seconds),
            reserved_total=lambda account, region: self.lambda_.reserved_total(account, region),  # noqa: PLW0108
        )
        self.lambda_ = self._lambda(floor)
        self.caller = FunctionCaller(resolver=self.lambda_, fleet=self.fleet, ids=ids, tracer=self.tracer)
        self.events = EventQueue(
            store=floor.store, clock=clock, ids=ids, resolver=self.lambda_, run_event=self.caller.run
        )
        self.fleet.when_forgotten(self.events.forget)
        self._invoke = Invoke(resolver=self.lambda_, functions=self.caller, events=self.events, ids=ids)

    @property
    def permissions(self) -> InvokePermissions:
        """Who may call functions."""
        return self.lambda_.permissions

    def service(self) -> Service:
        """As the door wants it."""
        return self.lambda_.service(self._invoke.operations())

    def _lambda(self, floor: Floor) -> Lambda:
        machine = os.uname().machine
        return Lambda(
            store=floor.store,
            blobs=Blobs(floor.data / "blobs"),
            code_root=floor.data / "code",
            objects=S3Reader(floor.companions),
            networks=SubnetBook(floor.companions),
            runtimes=HostRuntimes(cache_folder()),
            fleet=self.fleet,
            clock=floor.clock,
            ids=floor.ids,
            concurrency=floor.settings.concurrency,
            machine=machine,
            code_in_use=self.fleet.looks_at,
            expect=floor.launcher.expect,
            images=FunctionImages(
                floor.registry,
                floor.images,
                machine=machine,
                runtime_images=floor.settings.runtime_images,
                why_not=floor.why_not,
            ),
        )
