"""ECS, load balancing, scaling and Batch, built when they are first needed (late.py), and what is asked of them meanwhile."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cumulo.companions.guards import Call, Form, Guard
from cumulo.late import Slot
from cumulo.wire.http import Handler, Request, Response

if TYPE_CHECKING:
    from cumulo.compute import Compute, Ground

SPOT_WARNING_SECONDS = 120.0
NOTHING = b'{"queues": [], "environments": [], "used": [], "saved": 0}'
GUARDED = ("autoscaling", "cloudformation", "ec2")
_STARTS_MACHINES = frozenset({"RunInstances", "RequestSpotInstances", "RequestSpotFleet", "CreateFleet"})
_READS = ("Describe", "Get", "List")


class ComputeSlot(Slot["Compute", "Ground"]):
    """The slot of ECS and what goes with it.  `pace`: how many times quicker than on AWS some things go."""

    names = ("application-autoscaling", "batch", "ecs", "elbv2")

    def __init__(
        self,
        ground: "Callable[[], Ground]",
        begin: "Callable[[Compute], None]",
        marker: Path,
        *,
        pace: float = 1.0,
    ) -> None:
        super().__init__(ground, begin, marker)
        self._pace = pace

    def make(self, ground: "Ground") -> "Compute":
        """Build it."""
        from cumulo.compute import Compute

        return Compute(ground)

    async def listener_url(self, arn: str) -> str:
        """Where a load balancer's listener answers; empty when there is none."""
        return self.built.elb.url_of(arn) if self.built is not None else ""

    def guards(self) -> Mapping[str, Guard]:
        """For the companions, until it is built."""
        return {name: LateGuard(name, self) for name in GUARDED}

    # -- what the cloud's own pages ask ----------------------------------------------------------------------

    async def exec(self, request: Request, /) -> Response:
        """/_cumulo/ecs/exec."""
        return await self.get().ecs.exec_page.handle(request)

    async def batch(self, request: Request, /) -> Response:
        """/_cumulo/batch and what is below it; looking builds nothing."""
        if self.built is None:
            return Response(200, [("content-type", "application/json")], NOTHING)
        return await self.built.batch.standing.handle(request)

    def upgrade(self, request: Request) -> asyncio.Protocol | None:
        """A request for a WebSocket: those of ExecuteCommand's sessions are known."""
        return self.built.ecs.exec_page.upgrade(request) if self.built is not None else None

    async def interrupt_instance(self, instance_id: str) -> float:
        """Take a Spot instance away after its warning; when that will be."""
        return await self.get().ec2.interrupt(instance_id, SPOT_WARNING_SECONDS / self._pace)

    async def interrupt_task(self, task: str) -> str:
        """Take a task on FARGATE_SPOT away; its ARN."""
        return await self.get().ecs.interrupt_task(task)

    def balancer_for(self, host: str) -> Handler | None:
        """The load balancer that has this name, or None."""
        built = self.built
        return built.elb.handle if built is not None and built.elb.owns(host) else None


class LateGuard:
    """Lets calls pass until one could start instances; then the real guard takes over."""

    def __init__(self, service: str, slot: ComputeSlot) -> None:
        self._service = service
        self._slot = slot

    async def before(self, call: Call) -> Form | None:
        """See Guard."""
        guard = self._guard(call)
        return await guard.before(call) if guard is not None else None

    def after(self, call: Call, *, done: bool) -> None:
        """See Guard."""
        guard = self._guard(call)
        if guard is not None:
            guard.after(call, done=done)

    def _guard(self, call: Call) -> Guard | None:
        starts = (
            call.action in _STARTS_MACHINES if self._service == "ec2" else not call.action.startswith(_READS)
        )
        if self._slot.built is None and not starts:
            return None
        return self._slot.get().guards()[self._service]
