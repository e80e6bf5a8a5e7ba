"""Builds API Gateway, control planes and data plane, which know one another only by `gateway/`; for app.py.

apigateway, apigatewayv2 ──publish──▶ Stages ◀──find── Front ◀── requests
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from cumulo.apis_reach import Everybody, OurServices, Reachable, ServiceCalls
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import Invoker
from cumulo.companions.companions import Companions
from cumulo.gateway.context import Visits
from cumulo.gateway.front import Front
from cumulo.gateway.stages import Stages
from cumulo.meter.labels import TagsOf
from cumulo.meter.meter import Meter
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.keys import Keys
from cumulo.wire.service import Service


class ApisGround(msgspec.Struct, frozen=True, kw_only=True):
    """What everything here stands on.

    ours          the door, for calls of AWS services that are ours
    listener_url  where a load balancer's listener answers, by ARN; empty when there is none
    port          that clients of the cloud use
    shared        a cloud that many use: signatures are verified, permissions are asked for
    """

    data: Path
    store: Store
    journal: Journal
    clock: Clock
    ids: Ids
    keys: Keys
    companions: Companions
    meter: Meter
    logs: Logs
    invoker: Invoker
    ours: OurServices
    listener_url: Callable[[str], Awaitable[str]]
    port: int
    shared: bool


class Apis:
    """API Gateway, whole.  `start` before requests are served, `run` beside the server."""

    def __init__(self, ground: ApisGround) -> None:
        self._ground = ground
        self.stages = Stages()
        self.front = Front(self.stages, Visits(ground.clock, ground.ids))
        self._aws = ServiceCalls(ground.ours, ground.companions)
        self._private = Reachable(ground.listener_url, ground.companions)
        self._functions = Everybody()

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        return {}

    def tags(self) -> Mapping[str, TagsOf]:
        """Who knows the tags of what is on the bill, by service."""
        return {}

    def gauges(self) -> Mapping[str, float]:
        """What /metrics shows."""
        return {}

    async def start(self) -> None:
        """Publish what is stored."""

    async def run(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go."""

    async def reset(self) -> None:
        """Forget everything."""
        self.stages.clear()
