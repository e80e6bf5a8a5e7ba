"""Authorizers that are Lambda functions: who is asked about, what they are sent, and what their answers are kept for.

    visit ──identity sources──▶ kept answer? ──▶ Said
             │ one is missing: 401     └─ event ─▶ function ─▶ answer checked ─▶ kept for its TTL
             └ nobody is called

An answer's policy is kept, and asked again for each request, so one answer serves many methods.  Equal requests that
come at once each call the function, as on AWS.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cumulo.gateway.definitions.rest import Authorizer as RestAuthorizer
from cumulo.gateway.definitions.rest import Method, Resource
from cumulo.gateway.definitions.v2 import Authorizer as V2Authorizer
from cumulo.gateway.definitions.v2 import Route
from cumulo.gateway.integrations.functions import FunctionCall, FunctionFailed, Why, function_arn
from cumulo.gateway.security import authorizer_events as events
from cumulo.gateway.security import log_lines
from cumulo.gateway.security.arns import api_arn
from cumulo.gateway.security.authorizer_answers import (
    AnswerFault,
    Said,
    error_of,
    read_policy_answer,
    read_simple_answer,
)
from cumulo.gateway.security.identity_sources import Source, sources, split
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused, Visit
from cumulo.wire.patterns import Matches, compile_pattern

REST_TTL_SECONDS = 300
REST_SECONDS = 29.0
HTTP_SECONDS = 10.0
_AT_FAULT = frozenset({Why.NOT_ALLOWED, Why.NOT_FOUND, Why.TOO_LARGE})

Event = Callable[[Visit, str, Sequence[str]], dict[str, Any]]


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """In what kinds of authorizers differ.

    names      of the identity sources, for logs; none for a TOKEN
    event      from a visit, the request's ARN and the identity sources' values
    read       the answer
    seconds    that the function may take
    ttl        seconds that an answer is kept; 0: not at all
    fits       whether a token may be asked about; None: any
    variant    how answers are read, where one authorizer's may be read in several ways
    failed     what clients are told when the authorizer is at fault
    """

    authorizer_id: str
    uri: str
    credentials: str
    names: tuple[str, ...]
    sources: tuple[Source, ...]
    event: Event
    read: Callable[[bytes], Said]
    seconds: float
    ttl: int
    fits: Matches | None = None
    variant: str = ""
    failed: str | None = None


class Opinion(msgspec.Struct, frozen=True):
    """What was said of a request, and how long that took (milliseconds; 0: it was kept)."""

    said: Said
    latency_ms: int
    request_id: str


class LambdaAuthorizer:
    """One authorizer of one stage.  `traces`: whether a log also tells what is sent and answered, secrets and all."""

    def __init__(
        self, ways: Ways, place: Place, variables: Mapping[str, str], tools: Tools, *, traces: bool = False
    ) -> None:
        self._ways = ways
        self._traces = traces
        self._place = place
        self._tools = tools
        arn = function_arn(ways.uri, variables)
        source = f"{api_arn(place.region, place.account, place.api_id)}/authorizers/{ways.authorizer_id}"
        self._call = (
            FunctionCall(arn, source_arn=source, place=place, tools=tools, credentials=ways.credentials)
            if arn is not None
            else None
        )
        self._key = (
            place.account,
            place.region,
            ways.authorizer_id,
            arn or "",
            ways.credentials,
            ways.variant,
            *ways.names,
        )

    async def ask(self, visit: Visit, arn: str) -> Opinion:
        """What the authorizer says of this request.

        Refused UNAUTHORIZED, AUTHORIZER_CONFIGURATION_ERROR or AUTHORIZER_FAILURE.
        """
        request_id = str(visit.context.get("requestId", ""))
        _log(visit, self._tools, [log_lines.starting(self._ways.authorizer_id, request_id)])
        identity = self._identity(visit)
        keeps = self._ways.ttl > 0 and bool(identity)
        key = (*self._key, _digest(identity)) if keeps else ()
        if keeps:
            kept = self._answers().get(key, self._tools.clock.monotonic())
            if kept is not None:
                return Opinion(kept, 0, "")
        before = self._tools.clock.monotonic()
        call_id = self._tools.ids.uuid()
        payload = await self._invoke(visit, self._ways.event(visit, arn, identity), call_id)
        said = self._read(visit, payload)
        now = self._tools.clock.monotonic()
        if keeps:
            self._answers().put(key, said, now + self._ways.ttl, weight=len(payload) + 256)
        _log(visit, self._tools, log_lines.accepted(said.principal))
        return Opinion(said, round((now - before) * 1000), call_id)

    def _answers(self) -> Any:
        return self._tools.memory.authorizers.of(self._place.api_id, self._place.stage)

    def _identity(self, visit: Visit) -> list[str]:
        found = [source(visit) for source in self._ways.sources]
        values = [one for one in found if one is not None]
        fits = self._ways.fits
        if len(values) < len(found) or (fits is not None and not all(fits(one) for one in values)):
            raise self._unauthorized(visit)
        _log(visit, self._tools, [log_lines.incoming(self._ways.names, values)])
        return values

    async def _invoke(self, visit: Visit, event: Mapping[str, Any], call_id: str) -> bytes:
        if self._call is None:
            raise self._misconfigured(visit, "Invalid authorizer URI")
        payload = msgspec.json.encode(event)
        if self._traces:
            headers = {
                "x-amzn-lambda-integration-tag": call_id,
                "x-amzn-apigateway-api-id": self._place.api_id,
                "Accept": "application/json",
                "User-Agent": f"AmazonAPIGateway_{self._place.api_id}",
                "Content-Type": "application/json",
            }
            _log(visit, self._tools, log_lines.request(self._call.arn, headers, payload.decode()))
        try:
            result = await self._call.invoke(
                payload, seconds=self._ways.seconds, request_id=call_id, trace_id=visit.trace
            )
        except FunctionFailed as failed:
            if failed.why in _AT_FAULT:
                raise self._misconfigured(visit, failed.message, failed.status) from None
            raise self._failure(visit, failed.message, failed.status) from None
        if self._traces:
            _log(visit, self._tools, [log_lines.result(result.payload.decode(errors="replace"))])
        if result.function_error:
            if error_of(result.payload) == "Unauthorized":
                raise self._unauthorized(visit)
            raise self._misconfigured(visit, "The authorizer's function raised an error", 200)
        return result.payload

    def _read(self, visit: Visit, payload: bytes) -> Said:
        try:
            return self._ways.read(payload)
        except AnswerFault as fault:
            raise self._misconfigured(visit, str(fault), 200) from None

    def _unauthorized(self, visit: Visit) -> Refused:
        _log(visit, self._tools, log_lines.unauthorized(str(visit.context.get("requestId", ""))))
        visit.context["authorizer"] = {"error": "Unauthorized", "status": 401}
        return Refused("UNAUTHORIZED", "Unauthorized")

    def _misconfigured(self, visit: Visit, why: str, status: int = 0) -> Refused:
        _log(visit, self._tools, log_lines.misconfigured(why))
        visit.context["authorizer"] = _fault(why, status)
        return Refused("AUTHORIZER_CONFIGURATION_ERROR", self._ways.failed)

    def _failure(self, visit: Visit, why: str, status: int) -> Refused:
        _log(visit, self._tools, [log_lines.cut(f"Execution failed: {why}"), "AuthorizerFailureException"])
        visit.context["authorizer"] = _fault(why, status)
        return Refused("AUTHORIZER_FAILURE", self._ways.failed)


def _fault(why: str, status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"error": why, "status": 500}
    return found | ({"integrationStatus": status} if status else {})


def _digest(identity: Sequence[str]) -> str:
    return hashlib.sha256(msgspec.json.encode(list(identity))).hexdigest()


def _log(visit: Visit, tools: Tools, lines: Sequence[str]) -> None:
    if visit.log is not None:
        millis = int(tools.clock.now() * 1000)
        visit.log += [(millis, line) for line in lines]


# -- the kinds ----------------------------------------------------------------------------------------------------


def rest_ways(
    authorizer: RestAuthorizer, resource: Resource, method: Method, variables: Mapping[str, str]
) -> Ways:
    """TOKEN and REQUEST authorizers of REST APIs."""
    names = split(authorizer.identity_source)
    fits: Matches | None = None
    event: Event
    if authorizer.type == "TOKEN":
        names = names[:1] or ("method.request.header.Authorization",)
        if authorizer.identity_validation_expression:
            fits = compile_pattern(authorizer.identity_validation_expression) or _nothing

        def event(_visit: Visit, arn: str, identity: Sequence[str]) -> dict[str, Any]:
            return events.token_event(identity[0], arn)
    else:

        def event(visit: Visit, arn: str, _identity: Sequence[str]) -> dict[str, Any]:
            return events.rest_event(visit, arn, resource, method, variables)

    return Ways(
        authorizer_id=authorizer.id,
        uri=authorizer.authorizer_uri,
        credentials=authorizer.authorizer_credentials,
        names=() if authorizer.type == "TOKEN" else names,
        sources=sources(names, variables),
        event=event,
        read=lambda payload: read_policy_answer(payload, nested=False),
        seconds=REST_SECONDS,
        ttl=REST_TTL_SECONDS if authorizer.ttl is None else authorizer.ttl,
        fits=fits,
    )


def websocket_ways(authorizer: V2Authorizer, variables: Mapping[str, str]) -> Ways:
    """REQUEST authorizers of WebSocket APIs, whose answers are not kept."""
    return Ways(
        authorizer_id=authorizer.id,
        uri=authorizer.authorizer_uri,
        credentials=authorizer.authorizer_credentials_arn,
        names=authorizer.identity_source,
        sources=sources(authorizer.identity_source, variables),
        event=lambda visit, arn, _identity: events.websocket_event(visit, arn, variables),
        read=lambda payload: read_policy_answer(payload, nested=False),
        seconds=REST_SECONDS,
        ttl=0,
    )


def http_ways(authorizer: V2Authorizer, route: Route, variables: Mapping[str, str]) -> Ways:
    """REQUEST authorizers of HTTP APIs."""
    old = authorizer.authorizer_payload_format_version == "1.0"
    make = events.http_event if old else events.http_event_2
    simple = authorizer.enable_simple_responses and not old

    def read(payload: bytes) -> Said:
        return read_simple_answer(payload) if simple else read_policy_answer(payload, nested=True)

    return Ways(
        authorizer_id=authorizer.id,
        uri=authorizer.authorizer_uri,
        credentials=authorizer.authorizer_credentials_arn,
        names=authorizer.identity_source,
        sources=sources(authorizer.identity_source, variables),
        event=lambda visit, arn, identity: make(visit, arn, route, identity, variables),
        read=read,
        seconds=HTTP_SECONDS,
        ttl=authorizer.ttl or 0,
        variant=f"{'1.0' if old else '2.0'} {'simple' if simple else 'policy'}",
        failed="Internal Server Error",
    )


def _nothing(_text: str) -> bool:
    return False
