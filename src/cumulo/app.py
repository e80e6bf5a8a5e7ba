"""Builds every object once, by hand, top to bottom; the only file that knows everybody.

Cloud(settings)   -> start: state, door, sandboxes, services, in this order -> stop: the same backwards
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cumulo.apis_slot import ApisSlot
from cumulo.base.caller import Caller
from cumulo.base.carriage import this_machine
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.folders import admin_token, instance_of
from cumulo.base.ids import Ids
from cumulo.base.limits import STOP_GRACE_SECONDS
from cumulo.base.lock import FolderLock
from cumulo.base.log import Log
from cumulo.companions.companions import Companions
from cumulo.companions.events import EventBridge
from cumulo.companions.secrets import SecretReader
from cumulo.compute_slot import ComputeSlot
from cumulo.containers import Containers
from cumulo.engine_room import EngineRoom
from cumulo.engines.functions.launcher import RoutingLauncher
from cumulo.engines.slot import LateImages
from cumulo.functions import Floor, Functions
from cumulo.gateway.lane import ApiLane
from cumulo.interruptions import Interruptions
from cumulo.late import Services
from cumulo.loops import Loops
from cumulo.meter.labels import Labels
from cumulo.meter.meter import Meter
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.views import BillPage
from cumulo.pages import Counters, Pages, answer
from cumulo.sandbox.contract import Launcher
from cumulo.sandbox.opening import open_launcher
from cumulo.sandbox.probe import Report, probe
from cumulo.services.ecr.house import EcrHouse, Place
from cumulo.services.lambda_.lane import InvokeLane
from cumulo.services.logs.service import Logs
from cumulo.settings import Settings
from cumulo.standing import Standing
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.traces import Traces
from cumulo.wire.door import Door
from cumulo.wire.gate import gated
from cumulo.wire.http import Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models
from cumulo.wire.server import Server
from cumulo.wire.service import Service

if TYPE_CHECKING:
    from cumulo.apis import Apis, ApisGround
    from cumulo.compute import Compute, Ground

_log = Log("app")


class Cloud:
    """One cloud: everything that `cumulo up` runs."""

    def __init__(self, settings: Settings, report: Callable[[], Report] = probe) -> None:
        """`report` says what this machine allows; it may take its time."""
        self.settings = settings
        self._report = report
        self.endpoint = ""
        self.port = 0
        self.isolation = "none"
        self.notes: list[str] = []
        self.stopping = asyncio.Event()
        self.loops = Loops(self.stopping)
        self._temporary = settings.ephemeral or settings.data is None
        self.data = Path(tempfile.mkdtemp(prefix="cumulo-")) if self._temporary else Path(settings.data or "")
        self.pages: Pages
        self._lane: InvokeLane

    # -- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the folder, listen, build, replay, and serve."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FolderLock(self.data)
        self._build_state()
        self._server = Server(starting, clock=self.clock, on_done=self.counters.done)
        self.port = await self._server.listen(self.settings.host, self.settings.port)
        self.endpoint = f"http://{_spelled(self.settings.host)}:{self.port}"
        self._launcher = await self._open_launcher()
        self._build_services()
        await self._engines.open_if_named()
        replayed = self.journal.replay()
        await self.journal.fold()
        await self.ecr.start()
        await self.lambda_.start()
        if self.compute.built is not None:
            await self.compute.built.start()
        if self.apis.built is not None:
            await self.apis.built.start()
        self.loops.begin("journal", self.journal.run())
        self.loops.begin("logs", self.logs.run())
        self.loops.begin("ecr", self.ecr.run())
        if self.compute.built is not None:
            self.loops.begin("compute", self.compute.built.run())
        if self.apis.built is not None:
            self.loops.begin("apis", self.apis.built.run())
        self.loops.begin("engine", self._engines.take_up())
        self.loops.begin("fleet", self.fleet.run())
        self.loops.begin("events", self.events.run())
        self._server.handler = self.pages
        self._server.upgrade = self.compute.upgrade
        self._server.lanes = (ApiLane(self.apis.front), self._lane)  # all at an API's host is its own
        self.pages.is_ready = True
        _log.info("ready", endpoint=self.endpoint, data=str(self.data), replayed=replayed)

    async def stop(self) -> None:
        """Finish what runs, keep everything, let go of everything."""
        self.pages.is_ready = False
        await self._server.stop(STOP_GRACE_SECONDS)
        async with contextlib.AsyncExitStack() as last:  # whatever fails, everything else is let go of
            if self._temporary:
                last.push_async_callback(asyncio.to_thread, shutil.rmtree, self.data, ignore_errors=True)
            last.callback(self._lock.release)
            last.push_async_callback(self.store.close)
            last.push_async_callback(self.journal.close)
            last.push_async_callback(self.loops.end, "journal")
            last.push_async_callback(self.loops.end, "logs")
            last.push_async_callback(self.ecr.close)
            last.push_async_callback(self.loops.end, "ecr")
            last.push_async_callback(self.companions.close)
            last.push_async_callback(self.lambda_.close)
            last.push_async_callback(self._engines.slot.close, remove_pods=self._temporary)
            last.push_async_callback(self._launcher.close)
            if self.compute.built is not None:
                last.push_async_callback(self.compute.built.close)
                last.push_async_callback(self.loops.end, "compute")
            last.push_async_callback(self.loops.end, "engine")
            last.push_async_callback(self.loops.end, "fleet")
            last.push_async_callback(self.fleet.close)
            last.push_async_callback(self.loops.end, "events")
            if self.apis.built is not None:
                last.push_async_callback(self.apis.built.close)
                last.push_async_callback(self.loops.end, "apis")

    @property
    def secure_endpoint(self) -> str:
        """Where the cloud is reached by TLS; empty while it is not."""
        port = self.apis.built.domains.port if self.apis.built is not None else 0
        return f"https://{_spelled(self.settings.host)}:{port}" if port > 0 else ""

    def abandon(self) -> None:
        """Remove the temporary folder of a cloud that could not start."""
        if self._temporary:
            shutil.rmtree(self.data, ignore_errors=True)

    async def reset(self) -> None:
        """Empty everything, companions too."""
        await self.loops.end("events")
        try:
            if self.apis.built is not None:
                await self.apis.built.reset()
            if self.compute.built is not None:
                await self.compute.built.reset()
            await self.lambda_.reset()
            self._functions.runs.clear()
            await self.ecr.reset()
            await self.logs.reset()
            await self.journal.fold()
            await self.meter.reset()
            await self.companions.reset()
            await self.store.commit()
        finally:
            self.loops.begin("events", self.events.run())

    # -- building ----------------------------------------------------------------------------------------

    def _build_state(self) -> None:
        self.clock = SystemClock()
        self.ids = Ids()
        self.counters = Counters()
        self.store = Store(self.data / "cumulo.db", synchronous="OFF" if self._temporary else "FULL")
        self.journal = Journal(self.data / "journal", self.store)
        self.models = Models()
        self.keys = Keys(store=self.store, clock=self.clock, ids=self.ids)

    async def _open_launcher(self) -> Launcher:
        if self.settings.mode == "local" and self.settings.host not in _LOOPBACK:
            self.notes.append(
                f"anybody who reaches {self.settings.host} may do anything here: local mode accepts any key "
                "(--mode shared verifies signatures)"
            )
        cells = await open_launcher(
            data=self.data,
            instance=instance_of(self.data),
            cloud_port=self.port,
            kind=self.settings.sandbox,
            report=await asyncio.to_thread(self._report),
        )
        self.isolation = str(cells.isolation)
        if self.isolation == "none":
            self.notes.append("functions run as plain processes, without isolation (cumulo doctor says why)")
        elif self.isolation != "full":
            self.notes.append("sandboxes are weaker than they could be (cumulo doctor says why)")
        self._engines = EngineRoom(self.settings, self.data, self.ids, lambda: self.ecr)
        return RoutingLauncher(cells, self._engines.containers)

    def _build_services(self) -> None:
        shared = self.settings.mode == "shared"
        self.meter = Meter(self.store, self.journal, self.clock, PriceBooks(self.settings.prices))
        self.logs = Logs(self.store, self.journal, self.meter, self.clock, self.ids)
        self.companions = Companions(
            endpoints=self.settings.companions,
            account_default=self.settings.account,
            region_default=self.settings.region,
            data=None if self._temporary else self.data,
            service_of=self._service_of,
            account_of=self._account_of,
        )
        self._build_ecr()
        self._build_functions()
        self._build_compute()
        self.apis = ApisSlot(self._apis_ground, self._begin_apis, self.data / "apis")
        early = {
            "ecr": gated(self.ecr.service(), self.store.ready),
            "lambda": gated(self._functions.service(), self.store.ready),
            "logs": gated(Service("logs", self.logs.operations()), self.store.ready),
        }
        self._services = Services(early, (self.compute, self.apis), partial(gated, ready=self.store.ready))
        self.door = Door(
            self._services,
            self.companions,
            models=self.models,
            keys=self.keys,
            ids=self.ids,
            clock=self.clock,
            verify=shared,
            account=self.settings.account,
            region=self.settings.region,
            lenient=LENIENT,
        )
        self._lane = InvokeLane(
            resolver=self.lambda_,
            fleet=self.fleet,
            authenticate=partial(self.door.authenticate, service="lambda"),
            refuse=self._refuse_invoke,
            ids=self.ids,
            tracer=self._functions.tracer,
        )
        self.pages = self._pages()
        if self.apis.was_used or self.settings.tls_port is not None:
            self.apis.build()

    def _pages(self) -> Pages:
        """The cloud's own pages, in front of the door."""
        shared = self.settings.mode == "shared"
        standing = Standing(
            notes=self.notes,
            lambda_=self.lambda_,
            fleet=self.fleet,
            events=self.events,
            ecr=self.ecr,
            companions=self.companions,
            compute=self.compute,
            apis=self.apis,
        )
        self.meter.tags = Labels(standing.tags_of)
        return Pages(
            door=self.door,
            clock=self.clock,
            counters=self.counters,
            gauges=standing.gauges,
            notes=standing.page,
            services=dict.fromkeys(self._services, "running") | {"companions": "available"},
            bill=BillPage(self.meter).handle_bill,
            code=self.lambda_.download,
            keys=self.keys,
            token=admin_token(self.data),
            shared=shared,
            reset=None if shared else self.reset,
            containers=Containers(self._engines.shots).handle,
            registry=self.ecr.registry,
            layers=self.ecr.downloads,
            exec_=self.compute.exec,
            batch=self.compute.batch,
            interrupt=Interruptions(self.compute.interrupt_instance, self.compute.interrupt_task).handle,
            trace=Traces(self._functions.runs, self.apis.passages).handle,
            balancer_for=self.compute.balancer_for,
            api_for=self.apis.handler_for,
        )

    def _build_ecr(self) -> None:
        self.ecr = EcrHouse(
            Place(
                data=self.data / "ecr",
                port=self.port,
                account=self.settings.account,
                region=self.settings.region,
                verify=self.settings.mode == "shared",
            ),
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            usages=self.meter,
            secrets=SecretReader(self.companions),
            bus=EventBridge(self.companions),
            principal_of=self._principal_of,
        )

    def _build_functions(self) -> None:
        self._functions = Functions(
            Floor(
                data=self.data,
                settings=self.settings,
                store=self.store,
                journal=self.journal,
                clock=self.clock,
                ids=self.ids,
                companions=self.companions,
                meter=self.meter,
                logs=self.logs,
                roles=self.keys,
                registry=self.ecr.resolver,
                images=LateImages(self._engines.slot),
                launcher=self._launcher,
                cloud=self._server.adopt,
                secure=lambda sock, peer: self._server.adopt_securely(sock, peer, self.apis),
                why_not=self._engines.why_no_functions,
            )
        )
        self.fleet = self._functions.fleet
        self.lambda_ = self._functions.lambda_
        self.events = self._functions.events

    def _build_compute(self) -> None:
        self.compute = ComputeSlot(
            self._ground, self._begin_compute, self.data / "compute", pace=self.settings.pace
        )
        for name, guard in self.compute.guards().items():
            self.companions.guard(name, guard)
        if self.compute.was_used:
            self.compute.build()

    def _begin_compute(self, compute: "Compute") -> None:
        async def begin() -> None:
            await compute.start()
            await compute.run()

        self.loops.begin("compute", begin())

    def _ground(self) -> "Ground":
        from cumulo.compute import Ground

        return Ground(
            data=self.data,
            store=self.store,
            journal=self.journal,
            clock=self.clock,
            ids=self.ids,
            companions=self.companions,
            meter=self.meter,
            logs=self.logs,
            roles=self.keys,
            registry=self.ecr.resolver,
            invoker=self._functions.caller,
            engine=self._engines.slot.get,
            opened=lambda: self._engines.slot.engine,
            serve=self._server.adopt,
            port=self.port,
            machine=os.uname().machine,
            carriage=this_machine(self.settings.overcommit),
            pace=self.settings.pace,
            shared=self.settings.mode == "shared",
            principal_of=self._principal_of,
            note=self.notes.append,
        )

    def _begin_apis(self, apis: "Apis") -> None:
        async def begin() -> None:
            await apis.start()
            await apis.run()

        self.loops.begin("apis", begin())

    def _apis_ground(self) -> "ApisGround":
        from cumulo.apis import ApisGround

        return ApisGround(
            data=self.data,
            store=self.store,
            journal=self.journal,
            clock=self.clock,
            ids=self.ids,
            keys=self.keys,
            companions=self.companions,
            meter=self.meter,
            logs=self.logs,
            invoker=self._functions.caller,
            starter=self._functions.caller,
            permissions=self._functions.permissions,
            ours=self.door,
            listener_url=self.compute.listener_url,
            port=self.port,
            listen=partial(self._server.listen_securely, self.settings.host),
            tls_port=self.settings.tls_port,
            host=self.settings.host,
            note=self.notes.append,
            reach=self._launcher.reach,
            shared=self.settings.mode == "shared",
        )

    # -- small things ------------------------------------------------------------------------------------

    def _service_of(self, request: Request) -> str:
        scope = self.door.authenticate.scope(request)
        return scope.service if scope else ""

    def _principal_of(self, access_key: str) -> str:
        key = self.keys.find(access_key)
        return f"arn:aws:iam::{key.account}:user/{key.name}" if key and key.name else ""

    def _account_of(self, access_key: str) -> str | None:
        key = self.keys.find(access_key)
        return key.account if key else None

    def _refuse_invoke(self, error: AwsError, caller: Caller) -> Response:
        return self.door.refuse("lambda", error, caller.request_id)


_LOOPBACK = ("127.0.0.1", "localhost", "::1")
LENIENT = (
    ("lambda", "CreateFunction", "Runtime"),  # Lambda has a sentence of its own for these
    ("lambda", "UpdateFunctionConfiguration", "Runtime"),
)


async def starting(_request: Request, /) -> Response:
    """Answer those who are too early."""
    return answer(503, {"message": "Cumulo is starting"})


def _spelled(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - spelled, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
