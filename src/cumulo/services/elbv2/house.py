"""Load balancing, whole: the API, the fronts, the health checker, and what lets targets go; app.py builds one.

operations ──▶ Records ──heard──▶ Plane ──▶ fronts ──routes──▶ Pools ──▶ targets
                  ▲                                             ▲
                  └── Checker, Draining ────────────────────────┘
"""

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificates
from cumulo.base.ports.functions import Invoker
from cumulo.base.ports.metrics import Metrics
from cumulo.base.ports.networks import NetworkFacts
from cumulo.base.ports.targets import InstanceAddresses, TargetGroups
from cumulo.services.elbv2.checker import Checker
from cumulo.services.elbv2.counts import Counts, Figures
from cumulo.services.elbv2.door import Door
from cumulo.services.elbv2.draining import Draining
from cumulo.services.elbv2.function_calls import FunctionCalls
from cumulo.services.elbv2.listeners import Listeners
from cumulo.services.elbv2.load_balancers import LoadBalancers
from cumulo.services.elbv2.metrics import PERIOD_SECONDS, LoadMetrics
from cumulo.services.elbv2.plane import NAME_PREFIX, Machine, Plane, name_of
from cumulo.services.elbv2.pools import Owns, Pools
from cumulo.services.elbv2.probing import Probe, Probing
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.routing import Routing
from cumulo.services.elbv2.rules import Rules
from cumulo.services.elbv2.running import Workshop
from cumulo.services.elbv2.service import service_of
from cumulo.services.elbv2.shared_ports import SharedPorts
from cumulo.services.elbv2.tags import Tagging
from cumulo.services.elbv2.target_groups import TargetGroupOperations
from cumulo.services.elbv2.targets import Targets
from cumulo.state.store import Store
from cumulo.wire.http import Request, Response
from cumulo.wire.service import Service


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Those whom load balancing asks."""

    subnets: NetworkFacts
    certificates: Certificates
    instances: InstanceAddresses
    invoker: Invoker
    machine: Machine


class ElbHouse:
    """Everything of load balancing.  `start` before requests are served, `run` beside the server, `close` at the end.

    shared_address    where listeners answer once more, told apart by the Host header; empty: nowhere
    owns              whether an address or an instance is an account's, in a cloud that many share; None: all may be targets
    loopback_targets  whether addresses of 127.0.0.0/8 may be targets; not where others than the owner come in
    metrics           who is told the figures; None: nobody
    metrics_seconds   how often
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        shared_address: str = "127.0.0.1",
        loopback_targets: bool = True,
        metrics: Metrics | None = None,
        metrics_seconds: float = PERIOD_SECONDS,
        owns: Owns | None = None,
        probe: Probe | None = None,
        source: Random | None = None,
    ) -> None:
        self._store = store
        self._records = Records(store)
        lots = source or Random()
        self._counts = Counts()
        pools = Pools(self._records, around.instances, clock, lots, owns)
        functions = FunctionCalls(around.invoker)
        workshop = Workshop(Routing(pools, functions, clock, lots), pools, self._counts, clock, lots)
        self._plane = Plane(
            self._records,
            workshop,
            around.machine,
            around.certificates,
            clock,
            SharedPorts(shared_address, clock),
        )
        self._checker = Checker(self._records, pools, probe or Probing(), functions, clock)
        self._metrics = (
            LoadMetrics(self._records, self._counts, metrics, clock, period_seconds=metrics_seconds)
            if metrics is not None
            else None
        )
        self._draining = Draining(self._records, pools, clock, self._plane.cut)
        self._door = Door(self._records)
        self._targets = Targets(
            self._records, clock, around.instances, around.subnets, loopback=loopback_targets, owns=owns
        )
        self._service = service_of(
            balancers=LoadBalancers(self._records, around.subnets, clock, ids),
            listeners=Listeners(self._records, around.certificates, clock, ids, self._plane.settled),
            rules=Rules(self._records, ids, self._plane.settled),
            groups=TargetGroupOperations(self._records, around.subnets, clock, ids),
            targets=self._targets,
            tagging=Tagging(self._records),
        )

    @property
    def targets(self) -> TargetGroups:
        """The TargetGroups of the house."""
        return self._targets

    def service(self) -> Service:
        """As the door wants it."""
        return self._service

    def count(self) -> int:
        """How many load balancers there are, of all accounts."""
        return len(self._records.balancers)

    def url_of(self, arn: str) -> str:
        """Where a listener answers, or a load balancer's first one, by ARN; empty when there is none."""
        listener = self._records.listeners.get(arn)
        if listener is None:
            found = self._records.listeners.by("balancer", arn)
            listener = found[0] if found else None
        balancer = self._records.balancers.get(listener.load_balancer) if listener is not None else None
        if listener is None or balancer is None or not balancer.address:
            return ""
        scheme = "https" if listener.protocol in {"HTTPS", "TLS"} else "http"
        return f"{scheme}://{balancer.address}:{listener.port}"

    def strays(self, names: Iterable[str]) -> list[str]:
        """Of names of the machine's addresses, those of load balancers that are gone."""
        living = {name_of(one.arn) for one in self._records.balancers.all()}
        return [name for name in names if name.startswith(NAME_PREFIX) and name not in living]

    def figures(self) -> Mapping[str, Figures]:
        """What load balancers and target groups have done, by ARN: for CloudWatch, and for who scales by it."""
        return self._counts.snapshot()

    def troubles(self) -> Mapping[str, str]:
        """Load balancers (ARNs) that could not be brought up as they should be, and why; tried again for ever."""
        return dict(self._plane.troubles)

    def owns(self, host: str) -> bool:
        """Whether a Host header names a load balancer."""
        return self._door.owns(host)

    async def handle(self, request: Request) -> Response:
        """Answer a request to the cloud's own port that is meant for a load balancer."""
        return await self._door.handle(request)

    async def start(self) -> None:
        """Nothing to replay: what an earlier process left is taken up by `run`."""

    async def run(self) -> None:
        """Serve, check and let go, for ever."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._plane, self._checker, self._draining):
                group.create_task(loop.run())
            if self._metrics is not None:
                group.create_task(self._metrics.run())

    async def close(self) -> None:
        """Close every front, when nothing runs any more."""
        self._door.close()
        await self._plane.close()

    async def reset(self) -> None:
        """Forget everything; `run` takes the fronts away."""
        self._records.clear()
        self._counts.clear()
        await self._store.commit()
