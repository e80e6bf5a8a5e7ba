"""Builds API Gateway, control planes and data plane, which know one another only by `gateway/`; for app.py.

apigateway, apigatewayv2 ──publish──▶ Stages ◀──find── Front ◀── requests
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from cumulo.apis_domains import ApiDomains, Book, DomainsGround, refuse_mapped
from cumulo.apis_reach import Asked, Everybody, OurServices, Reachable, ServiceCalls
from cumulo.apis_trying import Trials
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports.functions import FunctionStarter, InvokePermissions, Invoker
from cumulo.companions.certificates import CertificateReader
from cumulo.companions.companions import Companions
from cumulo.companions.metrics import CloudWatch
from cumulo.companions.s3 import S3Reader
from cumulo.companions.subnets import SubnetBook
from cumulo.gateway.context import Visits
from cumulo.gateway.definitions.rest import RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.front import Front
from cumulo.gateway.integrations.http_calls import HttpBackends
from cumulo.gateway.observing.metering import Cache, Open
from cumulo.gateway.observing.observing import Observing
from cumulo.gateway.security.throttle import Buckets
from cumulo.gateway.stages import Compiled, Place, Stages
from cumulo.gateway.tools import Observer, Tools
from cumulo.gateway.visit import Visit
from cumulo.gateway.websocket.connections import Connections
from cumulo.meter.labels import TagsOf
from cumulo.meter.meter import Meter
from cumulo.net.http_client import HttpClient
from cumulo.net.outside import Outside
from cumulo.sandbox.contract import Reach
from cumulo.services.apigateway import domain_names as v1_domains
from cumulo.services.apigateway.base_path_mappings import BasePathMappings
from cumulo.services.apigateway.house import RestHouse
from cumulo.services.apigatewayv2 import domain_names as v2_domains
from cumulo.services.apigatewayv2.api_mappings import ApiMappings
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.execute_api.service import ExecuteApi
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.keys import Keys
from cumulo.wire.secure import Contexts
from cumulo.wire.service import Service

FAREWELL_SECONDS_MAX = 5.0  # for the connections of WebSocket APIs, when the cloud stops


class ApisGround(msgspec.Struct, frozen=True, kw_only=True):
    """What everything here stands on.

    ours          the door, for calls of AWS services that are ours
    listener_url  where a load balancer's listener answers, by ARN; empty when there is none
    port          that clients of the cloud use
    listen        opens a port for TLS at the cloud's address, and gives its number; OSError
    tls_port      the port; None: the usual one, opened when there is a domain name
    host          the cloud's address
    note          takes a sentence for `cumulo status`
    reach         tells sandboxes what they can reach by name
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
    starter: FunctionStarter
    permissions: InvokePermissions
    ours: OurServices
    listener_url: Callable[[str], Awaitable[str]]
    port: int
    listen: Callable[[int, Contexts], Awaitable[int]]
    tls_port: int | None
    host: str
    note: Callable[[str], None]
    reach: Callable[[Reach], None]
    shared: bool

    def domains(self) -> DomainsGround:
        """What of it custom domain names stand on."""
        return DomainsGround(
            data=self.data,
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            certificates=CertificateReader(self.companions, self.clock, self.ids),
            objects=S3Reader(self.companions),
            listen=self.listen,
            tls_port=self.tls_port,
            host=self.host,
            note=self.note,
            reach=self.reach,
        )


class Apis:
    """API Gateway, whole.  `start` before requests are served, `run` beside the server."""

    def __init__(self, ground: ApisGround) -> None:
        self._ground = ground
        store, clock, ids = ground.store, ground.clock, ground.ids
        self.stages = Stages()
        book = Book(lambda: (self.rest, self.v2))
        self.domains = ApiDomains(ground.domains(), self.stages, book)
        desk = self.domains.desk
        self.front = Front(self.stages, Visits(clock, ids), self.domains.directory)
        self.connections = Connections(stages=self.stages, clock=clock, ids=ids)
        trials = Trials(lambda: self._tools)
        self.rest = RestHouse(
            store=store,
            clock=clock,
            ids=ids,
            stages=self.stages,
            make=self._rest,
            mapped=desk.mapped_by,
            log_role=ground.shared,
            tagged={"domainnames": v1_domains.DomainTags(desk)},
            more={**v1_domains.DomainNames(desk).operations(), **BasePathMappings(desk).operations()},
            try_method=trials.method,
            try_authorizer=trials.authorizer,
        )
        self.v2 = ApiGatewayV2House(
            store=store,
            clock=clock,
            ids=ids,
            stages=self.stages,
            compilers={"HTTP": self._http, "WEBSOCKET": self._websocket},
            network=SubnetBook(ground.companions),
        )
        self.v2.guard(self._refuse_mapped)
        self.v2.keep_tags("domainnames", v2_domains.DomainTags(desk))
        self.observing = Observing(
            store=store,
            clock=clock,
            logs=ground.logs,
            metrics=CloudWatch(ground.companions),
            sink=ground.meter,
            ledger=ground.meter,
            caches=self._caches,
            connections=self._open,
        )
        self._tools = self._made_tools()

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        desk = self.domains.desk
        more = {**v2_domains.DomainNames(desk).operations(), **ApiMappings(desk).operations()}
        ours = (self.rest.service(), self.v2.service(more), ExecuteApi(self.connections).service())
        return {service.name: service for service in ours}

    def tags(self) -> Mapping[str, TagsOf]:
        """Who knows the tags of what is on the bill, by service."""
        return {"apigateway": self._tags_of}

    def _tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """Of a REST, HTTP or WebSocket API."""
        mine = self.rest.tags_of(account, region, resource)
        return mine or self.v2.tags_of(account, region, resource)

    def gauges(self) -> Mapping[str, float]:
        """What /metrics shows."""
        return {
            "rest_apis": float(self.rest.count()),
            "api_stages": float(len(self.stages)),
            "http_and_websocket_apis": float(self.v2.count()),
            "open_websockets": float(len(self.connections)),
            "tls_port": float(max(self.domains.port, 0)),
        }

    async def start(self) -> None:
        """Publish what is stored."""
        self.rest.start()
        await self.v2.start()
        await self.domains.start()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self.rest.run())
            loops.create_task(self.observing.run())

    async def close(self) -> None:
        """Say goodbye to who is connected, and call `$disconnect` for them, for a while; then let go."""
        await self.connections.stop(FAREWELL_SECONDS_MAX)
        await self.observing.close()
        await self.rest.close()
        await self.domains.close()
        self._client.close()

    async def reset(self) -> None:
        """Forget everything."""
        await self.connections.reset()
        await self.rest.reset()
        await self.v2.reset()
        await self.domains.reset()
        self.stages.clear()
        self.observing.clear()

    def _refuse_mapped(self, api: Api, stage: str | None) -> None:
        names = self.domains.desk.mapped_by(api.id, stage or "")
        what, kind = (f"stage {stage}", "stage") if stage else (f"API {api.id}", "API")
        refuse_mapped(what, kind, names)

    def _made_tools(self) -> Tools:
        ground = self._ground
        self._client = HttpClient(clock=ground.clock, permits=Outside(ground.port) if ground.shared else None)
        return Tools(
            clock=ground.clock,
            ids=ground.ids,
            invoker=ground.invoker,
            functions=Asked(ground.permissions) if ground.shared else Everybody(),
            http=HttpBackends(self._client),
            aws=ServiceCalls(ground.ours, ground.companions),
            private=Reachable(ground.listener_url, self.rest.link_target, ground.companions),
            observer=Unobserved(),
            throttles=Buckets(ground.clock),
            plans=self.rest.plans,
            shared=ground.shared,
            starter=ground.starter,
            keys=ground.keys,
        )

    def _rest(self, definition: RestDefinition, stage: RestStage, canary: RestDefinition | None) -> Compiled:
        from cumulo.gateway.rest.compile import compile_rest

        return compile_rest(definition, stage, self._seen_by(self.observing.rest(definition, stage)), canary)

    def _http(self, definition: V2Definition, stage: V2Stage) -> Compiled:
        from cumulo.gateway.http.compile import compile_http

        return compile_http(definition, stage, self._seen_by(self.observing.v2(definition, stage)))

    def _websocket(self, definition: V2Definition, stage: V2Stage) -> Compiled:
        from cumulo.gateway.websocket.compile import compile_websocket

        tools = self._seen_by(self.observing.v2(definition, stage))
        return compile_websocket(definition, stage, tools, self.connections)

    def _seen_by(self, observer: Observer) -> Tools:
        """The tools with an observer that is a stage's own."""
        return msgspec.structs.replace(self._tools, observer=observer)

    def _caches(self) -> Iterator[Cache]:
        """The cache clusters of REST APIs' stages."""
        return (
            Cache(
                account=stage.account,
                region=stage.region,
                api_id=stage.api_id,
                size=stage.cache_size,
                since_ms=int(stage.cache_since * 1000),
            )
            for stage in self.rest.cached_stages()
        )

    def _open(self) -> Iterator[Open]:
        """The connections of WebSocket APIs that are open."""
        for one in self.connections.members():
            published = self.stages.find(one.api_id, one.stage)
            if published is not None:
                place = published.place
                yield Open(
                    account=place.account,
                    region=place.region,
                    api_id=one.api_id,
                    connected_ms=one.connected_ms,
                )


class Unobserved:
    """What tries methods and authorizers is no request: nobody hears of it."""

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:
        """Nothing."""
