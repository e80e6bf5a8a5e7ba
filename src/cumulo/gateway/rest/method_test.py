"""TestInvokeMethod: runs a method of a definition that is not deployed, unguarded, and tells all of it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.context import Visits
from cumulo.gateway.definitions.rest import Method, Resource, RestDefinition, RestStage
from cumulo.gateway.rest.answering import tell_done, tell_refusal, with_trace
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.compile import place_of
from cumulo.gateway.rest.gateway_responses import GatewayResponses
from cumulo.gateway.rest.headers import Pairs
from cumulo.gateway.rest.log import Log, written
from cumulo.gateway.rest.method import Ground, compile_method
from cumulo.gateway.rest.payloads import PAYLOAD_BYTES_MAX, binary_types
from cumulo.gateway.rest.proxy_event import identity_of
from cumulo.gateway.rest.request_log import tell_request
from cumulo.gateway.rest.routes import Routes
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Address, Refused, Visit
from cumulo.wire.http import BytesBody, Headers, Request

STAGE: Final = "test-invoke-stage"
_DOMAIN: Final = "testPrefix.testDomainName"


class MethodTest(msgspec.Struct, frozen=True, kw_only=True):
    """What TestInvokeMethod is told.  `caller` is the ARN of who asks."""

    path_with_query: str = ""
    headers: Mapping[str, str] = {}
    multi_value_headers: Mapping[str, tuple[str, ...]] = {}
    body: str = ""
    stage_variables: Mapping[str, str] = {}
    user_agent: str = ""
    caller: str = ""


class MethodTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What TestInvokeMethod answers; `latency` in milliseconds."""

    status: int
    body: str
    headers: Mapping[str, str]
    multi_value_headers: Mapping[str, list[str]]
    log: str
    latency: int


class MethodTests:
    """TestInvokeMethod for the control plane: its values in, its answer's members out."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def __call__(
        self, definition: RestDefinition, resource: Resource, method: Method, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run a method of a working copy."""
        several = values.get("multiValueHeaders") or {}
        request = MethodTest(
            path_with_query=values.get("pathWithQueryString") or "",
            headers=values.get("headers") or {},
            multi_value_headers={name: tuple(given) for name, given in several.items()},
            body=values.get("body") or "",
            stage_variables=values.get("stageVariables") or {},
        )
        done = await run_method_test(definition, self._tools, resource, method, request)
        return {
            "status": done.status,
            "body": done.body,
            "headers": dict(done.headers),
            "multiValueHeaders": dict(done.multi_value_headers),
            "log": done.log,
            "latency": done.latency,
        }


async def run_method_test(
    definition: RestDefinition, tools: Tools, resource: Resource, method: Method, request: MethodTest
) -> MethodTestResult:
    """Run a method; whatever it comes to is told."""
    http_method = method.http_method
    place = place_of(definition, STAGE)
    visit = _visit(definition, tools, resource, http_method, request)
    log = Log(visit, tools.clock, level="INFO", trace=True)
    route = Routes([resource]).find(http_method, visit.address.path)
    parameters = route.parameters if route is not None else {}
    call = Call(visit, resource, method, parameters, dict(request.stage_variables))
    call.body = visit.body = request.body.encode()
    stage = RestStage(stage_name=STAGE, deployment_id="")
    is_binary = binary_types(definition.binary_media_types)
    ground = Ground(definition, stage, place, tools, is_binary=is_binary, cache=None)
    tell_request(call, log)
    began = tools.clock.monotonic()
    try:
        answer = await compile_method(ground, resource, method)(call, log)
        status, headers, body = answer.status, with_trace(call, answer.headers), await _whole(answer.body)
        tell_done(status, headers, log)
    except Refused as refused:
        responses = GatewayResponses(definition.gateway_responses)
        status, headers, body = responses.answer(refused, visit, call.variables, parameters)
        tell_refusal(refused, status, headers, body, log)
        headers = [pair for pair in headers if pair[0] != "Content-Type"]  # AWS's trials do not show it
    latency = int((tools.clock.monotonic() - began) * 1000)
    return MethodTestResult(
        status=status,
        body=body.decode(errors="replace"),
        headers=dict(headers),
        multi_value_headers=_several(headers),
        log=written(visit.context["requestId"], visit.log or ()),
        latency=latency,
    )


def _visit(
    definition: RestDefinition, tools: Tools, resource: Resource, http_method: str, request: MethodTest
) -> Visit:
    path, _, query = (request.path_with_query or resource.path).partition("?")
    path = "/" + path.lstrip("/")
    headers = Headers.made(_pairs(request))
    coming = Request(http_method, path, query, headers, BytesBody(request.body.encode()), scheme="https")
    address = Address(api_id=definition.api_id, stage=STAGE, path=path, raw_path=path, domain=_DOMAIN)
    visit = Visits(tools.clock, tools.ids).make(coming, address, place_of(definition, STAGE))
    context = visit.context
    context["resourceId"], context["resourcePath"] = resource.id, resource.path
    who = request.caller or f"arn:aws:iam::{definition.account}:root"
    context["identity"] = identity_of(
        {
            "accountId": definition.account,
            "apiKey": "test-invoke-api-key",
            "apiKeyId": "test-invoke-api-key-id",
            "caller": definition.account,
            "sourceIp": "test-invoke-source-ip",
            "user": definition.account,
            "userAgent": request.user_agent,
            "userArn": who,
        },
        None,
    )
    return visit


def _pairs(request: MethodTest) -> Iterable[tuple[str, str]]:
    several = {name.lower() for name in request.multi_value_headers}
    for name, value in request.headers.items():
        if name.lower() not in several:
            yield name, value
    for name, values in request.multi_value_headers.items():
        for value in values:
            yield name, value


async def _whole(body: bytes | AsyncIterator[bytes]) -> bytes:
    """All of a body, as far as it fits."""
    if isinstance(body, bytes):
        return body
    read = bytearray()
    async for piece in body:
        read += piece[: PAYLOAD_BYTES_MAX - len(read)]
    return bytes(read)


def _several(headers: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found
