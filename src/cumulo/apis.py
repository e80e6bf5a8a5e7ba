"""Builds API Gateway, control planes and data plane, which know one another only by `gateway/`; for app.py.

apigateway, apigatewayv2 ──publish──▶ Stages ◀──find── Front ◀── requests
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from cumulo.apis_reach import Asked, Everybody, OurServices, Reachable, ServiceCalls
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import InvokePermissions, Invoker
from cumulo.companions.companions import Companions
from cumulo.companions.subnets import SubnetBook
from cumulo.gateway.context import Visits
from cumulo.gateway.definitions.rest import RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.front import Front
from cumulo.gateway.integrations.http_calls import HttpBackends
from cumulo.gateway.security.throttle import Buckets
from cumulo.gateway.stages import Compiled, Place, Stages
from cumulo.gateway.tools import KeyUse, Tools
from cumulo.gateway.visit import Refused, Visit
from cumulo.meter.labels import TagsOf
from cumulo.meter.meter import Meter
from cumulo.net.http_client import HttpClient
from cumulo.services.apigateway.house import RestHouse
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
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
    permissions: InvokePermissions
    ours: OurServices
    listener_url: Callable[[str], Awaitable[str]]
    port: int
    shared: bool


class Apis:
    """API Gateway, whole.  `start` before requests are served, `run` beside the server."""

    def __init__(self, ground: ApisGround) -> None:
        self._ground = ground
        store, clock, ids = ground.store, ground.clock, ground.ids
        self.stages = Stages()
        self.front = Front(self.stages, Visits(clock, ids))
        self.rest = RestHouse(store=store, clock=clock, ids=ids, stages=self.stages, make=self._rest)
        self.v2 = ApiGatewayV2House(
            store=store,
            clock=clock,
            ids=ids,
            stages=self.stages,
            compilers={"HTTP": self._http},
            network=SubnetBook(ground.companions),
        )
        self._tools = self._made_tools()

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        return {service.name: service for service in (self.rest.service(), self.v2.service())}

    def tags(self) -> Mapping[str, TagsOf]:
        """Who knows the tags of what is on the bill, by service."""
        return {"apigateway": self.v2.tags_of}

    def gauges(self) -> Mapping[str, float]:
        """What /metrics shows."""
        return {"rest_apis": float(self.rest.count()), "http_and_websocket_apis": float(self.v2.count())}

    async def start(self) -> None:
        """Publish what is stored."""
        self.rest.start()
        await self.v2.start()

    async def run(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go."""
        self._client.close()

    async def reset(self) -> None:
        """Forget everything."""
        await self.rest.reset()
        await self.v2.reset()
        self.stages.clear()

    def _made_tools(self) -> Tools:
        ground = self._ground
        self._client = HttpClient(clock=ground.clock)
        return Tools(
            clock=ground.clock,
            ids=ground.ids,
            invoker=ground.invoker,
            functions=Asked(ground.permissions) if ground.shared else Everybody(),
            http=HttpBackends(self._client),
            aws=ServiceCalls(ground.ours, ground.companions),
            private=Reachable(ground.listener_url, ground.companions),
            observer=Silent(),
            throttles=Buckets(ground.clock),
            plans=NoPlans(),
            shared=ground.shared,
            keys=ground.keys,
        )

    def _rest(self, definition: RestDefinition, stage: RestStage, canary: RestDefinition | None) -> Compiled:
        from cumulo.gateway.rest.compile import compile_rest

        return compile_rest(definition, stage, self._tools, canary)

    def _http(self, definition: V2Definition, stage: V2Stage) -> Compiled:
        from cumulo.gateway.http.compile import compile_http

        return compile_http(definition, stage, self._tools)


class Silent:
    """Observes nothing."""

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:
        """Nothing."""


class NoPlans:
    """There are no API keys."""

    def admit(self, place: Place, value: str, *, path: str, method: str) -> KeyUse:  # noqa: ARG002 - the port's
        """Nobody has one."""
        raise Refused("INVALID_API_KEY")
