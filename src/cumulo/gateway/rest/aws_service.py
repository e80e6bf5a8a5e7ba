"""AWS with any other service: a mapped request to it, signed in the account's name, and its answer mapped back."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.gateway.definitions.rest import Integration, RestDefinition
from cumulo.gateway.rest.aws_actions import (
    asked_as_query,
    json_of_fields,
    json_of_xml,
    said_as,
    signed_as,
    wrapped,
)
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.rest.headers import NOT_SENT_AWS, value_of
from cumulo.gateway.rest.integration_request import Outgoing, Prepare
from cumulo.gateway.rest.integration_response import Finish, MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.mappings import Endpoint
from cumulo.gateway.rest.payloads import JSON, PAYLOAD_BYTES_MAX
from cumulo.gateway.rest.reaching import note, reach
from cumulo.gateway.rest.uris import AwsUri, aws_uri, encoded
from cumulo.gateway.tools import Answer, Tools

_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class AwsService:
    """An AWS integration whose URI names a service."""

    def __init__(
        self,
        definition: RestDefinition,
        integration: Integration,
        tools: Tools,
        prepare: Prepare,
        finish: Finish,
    ) -> None:
        self._api_id = definition.api_id
        self._account = definition.account
        self._uri = integration.uri
        self._method = integration.http_method
        self._seconds = integration.timeout_in_millis / 1000
        self._aws = tools.aws
        self._clock: Clock = tools.clock
        self._prepare = prepare
        self._finish = finish

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """Ask the service.  Refused: 500, 504."""
        outgoing = self._prepare(call)
        uri = aws_uri(self._uri, outgoing.path, call.variables)
        method = self._method if self._method not in {"", "ANY"} else call.context["httpMethod"]
        headers = self._headers(call, outgoing, method)
        query, body = _spoken(uri, outgoing, headers, method)
        path = f"/{uri.host}{uri.path}" if uri.host and uri.service == "s3" else uri.path
        where = f"https://{_host(uri)}{path}{'?' + query if query else ''}"
        log.tell(f"Endpoint request URI: {where}")
        log.headers("Endpoint request headers", headers.items())
        log.data("Endpoint request body after transformations", body)
        log.tell(f"Sending request to {where}")
        caller = Caller(account=self._account, region=uri.region, request_id=call.context["requestId"])
        wait = self._aws.call(
            caller, signed_as(uri.service), method, path, query=query, headers=headers, body=body
        )
        answer: Answer = await reach(call, self._clock, wait, seconds=self._seconds)
        endpoint = await _endpoint(answer, uri, headers)
        if uri.action and endpoint.status == 200 and asked_as_query(uri.service):
            told = wrapped(uri.action, endpoint.body, call.context["requestId"])
            endpoint = Endpoint(endpoint.status, endpoint.headers, told)
        note(call, status=endpoint.status, integrationStatus=endpoint.status)
        log.tell(
            f"Received response. Status: {endpoint.status}, Integration latency: {call.visit.integration_ms} ms"
        )
        log.headers("Endpoint response headers", endpoint.headers)
        log.data("Endpoint response body before transformations", endpoint.body)
        return self._finish(call, endpoint, str(endpoint.status))

    def _headers(self, call: Call, outgoing: Outgoing, method: str) -> dict[str, str]:
        headers = {
            name: value for name, value in outgoing.headers.items() if name.lower() not in NOT_SENT_AWS
        }
        there = {name.lower() for name in headers}
        defaults = {"Accept": JSON, "User-Agent": f"AmazonAPIGateway_{self._api_id}"}
        given = call.header("content-type")
        if given and method not in _NO_BODY:
            defaults["Content-Type"] = given
        headers |= {name: value for name, value in defaults.items() if name.lower() not in there}
        headers["X-Amzn-Trace-Id"] = call.visit.trace
        return headers


def _host(uri: AwsUri) -> str:
    prefix = f"{uri.host}." if uri.host else ""
    return f"{prefix}{uri.service}.{uri.region}.amazonaws.com"


def _spoken(uri: AwsUri, outgoing: Outgoing, headers: dict[str, str], method: str) -> tuple[str, bytes]:
    """The query string and the body; an action may need headers of its own."""
    query = "&".join(part for part in (uri.query, encoded(outgoing.query)) if part)
    body = b"" if method in _NO_BODY else outgoing.body
    if uri.host and uri.service != "s3":
        headers["Host"] = _host(uri)
    if not uri.action:
        return query, body
    said = said_as(uri.service)
    if said is None:
        raise misconfigured(f"Cumulo does not know the actions of {uri.service}; use a path")
    if said.target:
        names = {name.lower() for name in headers}
        if "x-amz-target" not in names:
            headers["X-Amz-Target"] = f"{said.target}.{uri.action}"
        for name in [name for name in headers if name.lower() == "content-type"]:
            if headers[name].startswith(JSON):
                del headers[name]
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = f"application/x-amz-json-{said.version}"
        if asked_as_query(uri.service) or not body:
            body = json_of_fields(query)
        return "", body
    parts = [f"Action={uri.action}", query, "" if "Version=" in query else f"Version={said.version}"]
    return "&".join(part for part in parts if part), body


async def _endpoint(answer: Answer, uri: AwsUri, headers: dict[str, str]) -> Endpoint:
    body = answer.body
    if not isinstance(body, bytes):
        read = bytearray()
        async for piece in body:
            read += piece
            if len(read) > PAYLOAD_BYTES_MAX:
                raise misconfigured("The integration's answer is larger than 10 MB")
        body = bytes(read)
    pairs = tuple(answer.headers)
    said = said_as(uri.service)
    wants_json = (value_of(headers.items(), "accept") or "").startswith(JSON)
    if (
        said is not None
        and not said.target
        and wants_json
        and "xml" in (value_of(pairs, "content-type") or "")
    ):
        told = json_of_xml(body)
        if told is not None:
            pairs = (*((name, value) for name, value in pairs if name.lower() not in {"content-type", "content-length"}),
                     ("Content-Type", JSON))  # fmt: skip
            return Endpoint(answer.status, pairs, told)
    return Endpoint(answer.status, pairs, body)
