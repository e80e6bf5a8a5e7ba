"""Compiles a stage of an HTTP API: every route becomes one closure, and a request pays for what it uses.

Visit ─▶ route ─▶ throttle ─▶ authorizer ─▶ (preflight) ─▶ mapping ─▶ integration ─▶ mapping ─▶ CORS ─▶ Response
           │          │            │                                       │
           └──────────┴── Refused ─┴───────────────────────────────────────┘   {"message": ...}
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition, V2Stage
from cumulo.gateway.http.cors import CorsPolicy, is_preflight, without_cors
from cumulo.gateway.http.events import Asked, arguments_of, decoded, headers_of
from cumulo.gateway.http.expressions import BadExpression, Facts
from cumulo.gateway.http.function_integration import FunctionIntegration
from cumulo.gateway.http.mapping import Draft, RequestMapping, ResponseMapping
from cumulo.gateway.http.proxy_integration import ProxyIntegration, too_large
from cumulo.gateway.http.refusals import (
    HEADERS_BYTES_MAX,
    HEADERS_TOO_LARGE,
    INTERNAL,
    PAYLOAD_BYTES_MAX,
    refuse,
)
from cumulo.gateway.http.routes import Match, Routes
from cumulo.gateway.http.service_integration import ServiceIntegration
from cumulo.gateway.integrations.streams import CountedBody
from cumulo.gateway.integrations.urls import query_of
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.http import Request, Response
from cumulo.wire.sendfile import FileBody

REQUEST_ID: Final = "apigw-requestid"
DEFAULT_STAGE: Final = "$default"
_SIZED: Final = frozenset({b"content-length", b"transfer-encoding"})

Authorize = Callable[[Visit], Awaitable[Grant]]
Authorization = Callable[[V2Definition, V2Stage, Route, Tools], Authorize | None]


class Ask(Protocol):
    """An integration of a route."""

    @property
    def wants_body(self) -> bool:
        """Whether it takes the whole body at once."""
        ...

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:
        """Ask whatever it leads to.  Refused."""
        ...


class Broken:
    """An integration that cannot be called as it is configured."""

    wants_body: Final = False

    def __init__(self, why: str) -> None:
        self._why = why

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:  # noqa: ARG002 - as all do
        """Refused."""
        visit.context["integration"] = {"error": self._why}
        raise Refused(INTERNAL, self._why)


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A route, compiled.  `quick`: a function that nothing stands before, so that no coroutine is needed."""

    route_key: str
    rate: float | None
    burst: int | None
    authorize: Authorize | None
    integration: Ask | None
    quick: FunctionIntegration | None
    request_mapping: RequestMapping | None
    response_mappings: dict[str, ResponseMapping]


def compile_http(
    definition: V2Definition, stage: V2Stage, tools: Tools, *, authorization: Authorization | None = None
) -> "HttpStage":
    """Make a stage ready.  `authorization`: who says what routes ask for; the security room, unless told otherwise."""
    return HttpStage(definition, stage, tools, authorization or _authorization)


class HttpStage:
    """A stage of an HTTP API that answers."""

    def __init__(
        self, definition: V2Definition, stage: V2Stage, tools: Tools, authorization: Authorization
    ) -> None:
        self.place = Place(
            account=definition.account,
            region=definition.region,
            api_id=definition.api_id,
            stage=stage.stage_name,
            kind="HTTP",
            api_name=definition.name,
            disable_execute_api_endpoint=definition.disable_execute_api_endpoint,
        )
        self._clock: Clock = tools.clock
        self._observer = tools.observer
        self._throttles = tools.throttles
        self._variables = stage.variables
        self._prefix = "" if stage.stage_name == DEFAULT_STAGE else f"/{stage.stage_name}"
        self._cors = None if definition.cors is None else CorsPolicy(definition.cors)
        self._routes = Routes(
            (route.route_key, _way(definition, stage, self.place, route, tools, authorization))
            for route in definition.routes
        )

    async def answer(self, visit: Visit) -> Response:
        """Answer a request."""
        context = visit.context
        context["requestId"] = context["extendedRequestId"]  # HTTP APIs have one id
        try:
            response = await self._response(visit)
        except Refused as refused:
            response = refuse(visit, refused)
        return self._finished(visit, response)

    def takes(self, request: Request, path: str, body: bytes) -> Match[Way] | None:
        """The route for `begin`; None when the request takes the ordinary way."""
        match = self._routes.match(request.method, decoded(path))
        if match is None or match.route.quick is None or len(body) > PAYLOAD_BYTES_MAX:
            return None
        if _head_bytes(request) > HEADERS_BYTES_MAX:
            return None
        return None if self._cors is not None and request.method == "OPTIONS" else match

    def begin(self, visit: Visit, match: Match[Way], body: bytes, reply: Callable[[Response], None]) -> None:
        """Begin to answer a request whose body is all here, without a coroutine."""
        way = match.route
        assert way.quick is not None, "takes has looked"
        context = visit.context
        context["requestId"] = context["extendedRequestId"]
        context["routeKey"] = way.route_key
        if not self._throttles.admit(self.place, way.route_key, rate=way.rate, burst=way.burst):
            reply(self._finished(visit, refuse(visit, Refused("THROTTLED"))))
            return
        visit.body = body
        started = self._clock.monotonic()

        def done(answer: Response | Refused) -> None:
            _timed(visit, started, self._clock.monotonic())
            response = refuse(visit, answer) if isinstance(answer, Refused) else answer
            reply(self._finished(visit, response))

        way.quick.begin(visit, self._asked(visit, match, decoded(visit.address.path), body), done)

    def _finished(self, visit: Visit, response: Response) -> Response:
        """The answer with what every answer has; it is observed when it has left."""
        if self._cors is not None:
            self._for_browsers(visit.request, response)
        response.headers.append((REQUEST_ID, visit.context["requestId"]))
        body = response.body
        if isinstance(body, bytes):
            self._observer.done(visit, self.place, status=response.status, response_bytes=len(body))
        else:
            assert not isinstance(body, FileBody), "integrations give no files"
            status = response.status
            response.body = CountedBody(
                body, lambda size: self._observer.done(visit, self.place, status=status, response_bytes=size)
            )
        return response

    async def _response(self, visit: Visit) -> Response:
        request = visit.request
        if _head_bytes(request) > HEADERS_BYTES_MAX:
            raise Refused(HEADERS_TOO_LARGE)
        resource = decoded(visit.address.path)
        match = self._routes.match(request.method, resource)
        if match is None:
            if self._cors is not None and request.method == "OPTIONS":
                return self._cors.preflight(request)
            raise Refused("RESOURCE_NOT_FOUND")
        way = match.route
        visit.context["routeKey"] = way.route_key
        if not self._throttles.admit(self.place, way.route_key, rate=way.rate, burst=way.burst):
            raise Refused("THROTTLED")
        grant = None
        if way.authorize is not None:
            grant = await self._authorized(visit, way.authorize)
            visit.context["authorizer"] = _authorized(grant)
            if grant.identity:
                visit.context["identity"] |= grant.identity
        if self._cors is not None and is_preflight(request):
            return self._cors.preflight(request)
        return await self._integrated(visit, match, resource, grant)

    async def _authorized(self, visit: Visit, authorize: Authorize) -> Grant:
        began = self._clock.monotonic()
        try:
            return await authorize(visit)
        finally:
            visit.asked_authorizer(began, self._clock.monotonic())

    async def _integrated(
        self, visit: Visit, match: Match[Way], resource: str, grant: Grant | None
    ) -> Response:
        way = match.route
        integration = way.integration
        if integration is None:
            raise Refused(INTERNAL, "The route has no integration")
        mapping = way.request_mapping
        body: bytes | None = None
        if integration.wants_body or (mapping is not None and mapping.reads_body):
            body = await _read(visit)
        asked = self._asked(visit, match, resource, body)
        if mapping is not None:
            self._map(visit, asked, mapping)
        started = self._clock.monotonic()
        try:
            response = await integration.ask(visit, asked, grant)
        finally:
            _timed(visit, started, self._clock.monotonic())
        if way.response_mappings:
            return await self._mapped_back(visit, way, response)
        return response

    def _asked(self, visit: Visit, match: Match[Way], resource: str, body: bytes | None) -> Asked:
        query = visit.request.query
        return Asked(
            method=visit.request.method,
            path=self._prefix + resource,
            resource=resource,
            query=query,
            headers=headers_of(visit),
            arguments=arguments_of(query) if query else (),
            parameters=match.parameters,
            body=body,
        )

    def _map(self, visit: Visit, asked: Asked, mapping: RequestMapping) -> None:
        """Change what the integration gets."""
        draft = Draft(asked.headers, asked.arguments)
        facts = Facts(
            headers=asked.headers,
            query=asked.arguments,
            path=asked.resource,
            parameters=asked.parameters,
            body=asked.body or b"",
            context=visit.context,
            variables=self._variables,
        )
        mapping.apply(facts, draft)
        asked.headers = draft.headers
        if draft.query_changed:
            asked.arguments, asked.query = draft.query, query_of(draft.query)
        if draft.path is not None:
            asked.path = asked.overwritten = "/" + draft.path.lstrip("/")

    async def _mapped_back(self, visit: Visit, way: Way, response: Response) -> Response:
        """The answer after the mapping for its status, if there is one."""
        mapping = way.response_mappings.get(str(response.status))
        if mapping is None:
            return response
        if mapping.reads_body and not isinstance(response.body, bytes):
            assert not isinstance(response.body, FileBody), "integrations give no files"
            response.body = await _whole(response.body)
        facts = Facts(
            context=visit.context,
            variables=self._variables,
            response_headers=[(name.lower(), value) for name, value in response.headers],
            response_body=response.body if isinstance(response.body, bytes) else b"",
        )
        status, headers = mapping.apply(facts, response.status, list(response.headers))
        return Response(status, headers, response.body)

    def _for_browsers(self, request: Request, response: Response) -> None:
        """Say to browsers what the configuration says, and nothing else."""
        assert self._cors is not None
        preflight = is_preflight(request)
        if preflight and response.status == 204:
            return  # it has been said
        origin = request.headers.get("origin") if preflight or request.method != "OPTIONS" else ""
        response.headers = [*without_cors(response.headers), *self._cors.headers(origin)]


def _way(
    definition: V2Definition,
    stage: V2Stage,
    place: Place,
    route: Route,
    tools: Tools,
    authorization: Authorization,
) -> Way:
    own, default = stage.route_settings.get(route.route_key), stage.default_route_settings
    rate = default.throttling_rate_limit
    burst = default.throttling_burst_limit
    if own is not None:
        rate = rate if own.throttling_rate_limit is None else own.throttling_rate_limit
        burst = burst if own.throttling_burst_limit is None else own.throttling_burst_limit
    integration = definition.integrations.get(route.target.removeprefix("integrations/"))
    ask: Ask | None = None
    request_mapping: RequestMapping | None = None
    response_mappings: dict[str, ResponseMapping] = {}
    if integration is not None:
        try:
            ask = _integration(definition, stage, place, route, integration, tools)
            request_mapping, response_mappings = _mappings(integration)
        except BadExpression as bad:
            ask = Broken(f"Invalid mapping expression specified: {bad}")
    authorize = authorization(definition, stage, route, tools)
    plain = authorize is None and request_mapping is None and not response_mappings
    return Way(
        route_key=route.route_key,
        rate=rate,
        burst=burst,
        authorize=authorize,
        integration=ask,
        quick=ask if plain and isinstance(ask, FunctionIntegration) and ask.is_quick else None,
        request_mapping=request_mapping,
        response_mappings=response_mappings,
    )


def _mappings(integration: Integration) -> tuple[RequestMapping | None, dict[str, ResponseMapping]]:
    """What changes requests and answers; the parameters of subtypes are no mapping.  BadExpression."""
    mapped = integration.request_parameters and not integration.integration_subtype
    return (
        RequestMapping(integration.request_parameters) if mapped else None,
        {
            status: ResponseMapping(parameters)
            for status, parameters in integration.response_parameters.items()
            if parameters
        },
    )


def _integration(
    definition: V2Definition,
    stage: V2Stage,
    place: Place,
    route: Route,
    integration: Integration,
    tools: Tools,
) -> Ask:
    if integration.integration_type == "HTTP_PROXY":
        return ProxyIntegration(stage, place, route, integration, tools)
    if integration.integration_subtype:
        return ServiceIntegration(stage, place, integration, tools)
    return FunctionIntegration(definition, stage, place, route, integration, tools)


def _authorization(definition: V2Definition, stage: V2Stage, route: Route, tools: Tools) -> Authorize | None:
    if route.authorization_type == "NONE":
        return None
    from cumulo.gateway.security.compile import v2_authorization

    return v2_authorization(definition, stage, route, tools)


def _authorized(grant: Grant) -> Mapping[str, Any]:
    """`$context.authorizer`: what events show, and what only access logs tell."""
    if not grant.facts:
        return grant.context
    principal = {"principalId": grant.principal} if grant.principal else {}
    return {**grant.facts, **principal, **grant.context}


def _head_bytes(request: Request) -> int:
    size = len(request.path) + len(request.query)
    for name, value in request.headers.raw:
        size += len(name) + len(value)
    return size


async def _read(visit: Visit) -> bytes:
    """The whole body.  Refused when it is too large."""
    request = visit.request
    if request.headers.lacks(_SIZED):
        visit.body = b""
        return b""
    try:
        visit.body = await request.body.read(PAYLOAD_BYTES_MAX)
    except AwsError as error:
        raise too_large(error) from error
    return visit.body


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > PAYLOAD_BYTES_MAX:
            raise Refused(INTERNAL, "The integration's answer is too large")
        pieces.append(piece)
    return b"".join(pieces)


def _timed(visit: Visit, began: float, ended: float) -> None:
    """Note what the integration took and said, under each of the names that access logs know it by."""
    context = visit.context
    visit.asked_integration(began, ended)
    took = visit.integration_ms
    told = context.get("integration")
    if told is None:
        return
    told["latency"] = took
    context["integrationLatency"] = took
    if "integrationStatus" in told:
        context["integrationStatus"] = told["integrationStatus"]
    if told.get("requestId"):
        context["awsEndpointRequestId"] = told["requestId"]
    if "error" in told:
        context["integrationErrorMessage"] = told["error"]
