"""TestInvokeAuthorizer: an authorizer is asked about a request that somebody made up; nothing is kept of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulo.gateway.definitions.rest import Authorizer, Method, Resource, RestDefinition
from cumulo.gateway.security import log_lines
from cumulo.gateway.security.arns import api_arn, request_arns
from cumulo.gateway.security.identity_sources import sources, split
from cumulo.gateway.security.lambda_authorizer import LambdaAuthorizer, rest_ways
from cumulo.gateway.security.tokens import TokenFault
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Address, Refused, Visit
from cumulo.wire.http import BytesBody, Headers, Request

STAGE = "test-invoke-stage"
_ARN_STAGE = "ESTestInvoke-stage"
_STATUSES = {"UNAUTHORIZED": 401}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What TestInvokeAuthorizer answers; `latency` in milliseconds."""

    client_status: int
    log: str
    latency: int
    principal_id: str = ""
    policy: str = ""
    authorization: Mapping[str, Sequence[str]] = {}
    claims: Mapping[str, str] = {}


async def try_authorizer(
    definition: RestDefinition,
    authorizer: Authorizer,
    tools: Tools,
    *,
    headers: Sequence[tuple[str, str]],
    path_with_query: str = "/",
    body: bytes = b"",
    stage_variables: Mapping[str, str] | None = None,
    additional_context: Mapping[str, str] | None = None,
) -> Trial:
    """Ask the authorizer now, whatever is kept; never raises for what it says."""
    began = tools.clock.monotonic()
    visit = _visit(definition, tools, headers, path_with_query, body, additional_context or {})
    log: list[tuple[int, str]] = []
    visit.log = log
    found: dict[str, Any] = {}
    status = 200
    try:
        if authorizer.type == "COGNITO_USER_POOLS":
            found["claims"] = await _token(definition, authorizer, tools, visit)
        else:
            found = await _function(definition, authorizer, tools, visit, stage_variables or {})
    except Refused as refused:
        status = _STATUSES.get(refused.kind, 500)
    latency = round((tools.clock.monotonic() - began) * 1000)
    request_id = str(visit.context["requestId"])
    return Trial(client_status=status, log=log_lines.written(request_id, log), latency=latency, **found)


async def _function(
    definition: RestDefinition,
    authorizer: Authorizer,
    tools: Tools,
    visit: Visit,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    resource = Resource(id="test-invoke-resource-id", path=visit.address.path)
    ways = rest_ways(authorizer, resource, Method(http_method="GET"), variables)
    unkept = msgspec.structs.replace(ways, ttl=0)
    asked = LambdaAuthorizer(unkept, _place(definition), variables, tools, traces=True)
    api = api_arn(definition.region, definition.account, definition.api_id)
    said = (await asked.ask(visit, request_arns(api, _ARN_STAGE, "GET", visit.address.path)[0])).said
    return {
        "principal_id": said.principal,
        "policy": said.document,
        "authorization": {name: (value,) for name, value in said.context.items()},
    }


async def _token(
    definition: RestDefinition, authorizer: Authorizer, tools: Tools, visit: Visit
) -> Mapping[str, str]:
    from cumulo.gateway.security.cognito import cognito_claims

    assert visit.log is not None, "a trial keeps one"
    request_id = str(visit.context["requestId"])
    millis = int(tools.clock.now() * 1000)
    visit.log.append((millis, log_lines.starting(authorizer.id, request_id)))
    names = split(authorizer.identity_source)[:1] or ("method.request.header.Authorization",)
    value = sources(names, {})[0](visit)
    try:
        if value is None:
            raise TokenFault("token not provided")
        visit.log.append((millis, log_lines.incoming((), [value])))
        return await cognito_claims(authorizer, (), definition.account, tools)(value)
    except TokenFault:
        visit.log += [(millis, line) for line in log_lines.unauthorized(request_id)]
        raise Refused("UNAUTHORIZED", "Unauthorized") from None


def _place(definition: RestDefinition) -> Place:
    return Place(
        account=definition.account,
        region=definition.region,
        api_id=definition.api_id,
        stage=STAGE,
        kind="REST",
        api_name=definition.name,
    )


def _visit(
    definition: RestDefinition,
    tools: Tools,
    headers: Sequence[tuple[str, str]],
    path_with_query: str,
    body: bytes,
    more: Mapping[str, str],
) -> Visit:
    path, _, query = path_with_query.partition("?")
    path = path if path.startswith("/") else f"/{path}"
    request = Request("GET", path, query, Headers.made(headers), BytesBody(body))
    address = Address(
        api_id=definition.api_id, stage=STAGE, path=path, raw_path=path, domain="testPrefix.testDomainName"
    )
    now = tools.clock.now()
    context: dict[str, Any] = {
        "accountId": definition.account,
        "apiId": definition.api_id,
        "domainName": address.domain,
        "domainPrefix": "testPrefix",
        "httpMethod": "GET",
        "identity": {
            "apiKey": "test-invoke-api-key",
            "apiKeyId": "test-invoke-api-key-id",
            "sourceIp": "test-invoke-source-ip",
            "userAgent": "Cumulo",
        },
        "path": path,
        "protocol": "HTTP/1.1",
        "requestId": tools.ids.uuid(),
        "requestTimeEpoch": int(now * 1000),
        "stage": STAGE,
        **more,
    }
    visit = Visit(
        request,
        address,
        started=tools.clock.monotonic(),
        started_ms=int(now * 1000),
        trace="",
        context=context,
    )
    visit.body = body
    return visit
