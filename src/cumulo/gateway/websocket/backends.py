"""What is behind a route that is no function: HTTP backends, AWS services, and nobody at all (MOCK)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Integration
from cumulo.gateway.rest.aws_actions import json_of_fields, said_as, signed_as
from cumulo.gateway.rest.uris import AwsUri, aws_uri, encoded, http_url, with_query
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Answer, CallFailed, Tools
from cumulo.gateway.visit import Refused
from cumulo.gateway.websocket.requests import Outgoing, Prepare
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered, parsed

Backend = Callable[[Turn], Awaitable[Reply]]

ANSWER_BYTES_MAX: Final = 10 * 1024 * 1024
_NOT_SENT: Final = frozenset(
    {"host", "connection", "upgrade", "content-length", "transfer-encoding", "keep-alive", "te", "expect",
     "proxy-authorization", "proxy-connection"}
)  # fmt: skip
_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class HttpBackend:
    """HTTP and HTTP_PROXY.  A proxy gets the headers and the query string of who connects, as they came."""

    def __init__(
        self, integration: Integration, prepare: Prepare, place: Place, tools: Tools, seconds: float
    ) -> None:
        self._integration = integration
        self._prepare = prepare
        self._place = place
        self._tools = tools
        self._seconds = seconds
        self._proxy = integration.integration_type == "HTTP_PROXY"

    async def __call__(self, turn: Turn) -> Reply:
        """Refused: 500 for a URL that is none, 504."""
        outgoing = self._prepare(turn)
        integration = self._integration
        method = integration.integration_method or "POST"
        if method == "ANY":
            method = "POST"
        query: dict[str, list[str] | str] = dict(turn.query) if self._proxy else {}
        url = with_query(
            http_url(integration.integration_uri, outgoing.path, turn.variables), query | outgoing.querystring
        )
        body = b"" if method in _NO_BODY else outgoing.body
        headers = self._headers(turn, outgoing, body)
        answer = await asked(turn, self._send(method, url, headers, body))
        return await _whole(answer)

    def _headers(self, turn: Turn, outgoing: Outgoing, body: bytes) -> list[tuple[str, str]]:
        mapped = {name.lower() for name in outgoing.header}
        client = turn.headers.items() if self._proxy else ()
        passed = [
            (name, value)
            for name, values in client
            if name not in mapped and name not in _NOT_SENT
            for value in values
        ]
        there = mapped | {name for name, _ in passed}
        own = {"User-Agent": f"AmazonAPIGateway_{self._place.api_id}", "X-Amzn-Trace-Id": turn.visit.trace}
        if body:
            own["Content-Type"] = "application/json"
        added = [(name, value) for name, value in own.items() if name.lower() not in there]
        return [
            *passed,
            *(pair for pair in outgoing.header.items() if pair[0].lower() not in _NOT_SENT),
            *added,
        ]

    async def _send(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        server_name = self._integration.server_name_to_verify
        if self._integration.connection_type == "VPC_LINK":
            parts = urlsplit(url)
            server_name = server_name or parts.hostname or ""
            headers = [("Host", parts.netloc), *headers]
            target = self._integration.connection_id
            there = urlsplit(
                await self._tools.private.url_of(self._place.account, self._place.region, target)
            )
            url = urlunsplit((parts.scheme, there.netloc, parts.path, parts.query, ""))
        return await self._tools.http.send(
            method,
            url,
            headers,
            body,
            seconds=self._seconds,
            server_name=server_name,
            bytes_max=ANSWER_BYTES_MAX,
        )


class AwsBackend:
    """AWS with any service but Lambda, asked in the account's name."""

    def __init__(self, integration: Integration, prepare: Prepare, place: Place, tools: Tools) -> None:
        self._integration = integration
        self._prepare = prepare
        self._place = place
        self._aws = tools.aws

    async def __call__(self, turn: Turn) -> Reply:
        """Refused: 500 for a URI that names no service, 504."""
        outgoing = self._prepare(turn)
        uri = aws_uri(self._integration.integration_uri, outgoing.path, turn.variables)
        method = self._integration.integration_method or "POST"
        headers = {"Accept": "application/json", **outgoing.header, "X-Amzn-Trace-Id": turn.visit.trace}
        query, body = _spoken(uri, outgoing, headers)
        caller = Caller(
            account=self._place.account,
            region=uri.region or self._place.region,
            request_id=str(turn.context["requestId"]),
        )
        path = f"/{uri.host}{uri.path}" if uri.host and uri.service == "s3" else uri.path
        call = self._aws.call(
            caller,
            signed_as(uri.service),
            method,
            path,
            query=query,
            headers=headers,
            body=b"" if method in _NO_BODY else body,
        )
        return await _whole(await asked(turn, call))


class MockBackend:
    """Nobody: the request template says the status."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare

    async def __call__(self, turn: Turn) -> Reply:
        """Refused: 500 for a template that says none."""
        value = parsed(self._prepare(turn).body)
        status = value.get("statusCode") if isinstance(value, Mapping) else None
        if isinstance(status, str) and status.isdigit():
            status = int(status)
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR")
        turn.context.setdefault("integration", {}).update(status=status, integrationStatus=status)
        return Reply(status)


async def asked(turn: Turn, answer: Awaitable[Answer]) -> Answer:
    """Wait for an answer; `$context.integration` says what came of it.  Refused: 504."""
    told = turn.context.setdefault("integration", {})
    try:
        got = await answer
    except CallFailed as failed:
        told["error"] = str(failed)
        if failed.timed_out:
            raise Refused("INTEGRATION_TIMEOUT") from None
        raise Unanswered(502 if turn.headers else 500) from None
    told.update(status=got.status, integrationStatus=got.status)
    return got


async def _whole(answer: Answer) -> Reply:
    body = answer.body
    if isinstance(body, bytes):
        return Reply(answer.status, tuple(answer.headers), body)
    read = bytearray()
    async for piece in body:
        read += piece
        if len(read) > ANSWER_BYTES_MAX:
            raise Unanswered(502)
    return Reply(answer.status, tuple(answer.headers), bytes(read))


def _spoken(uri: AwsUri, outgoing: Outgoing, headers: dict[str, str]) -> tuple[str, bytes]:
    """The query string and the body; an action is said as the service wants it."""
    query = "&".join(part for part in (uri.query, encoded(outgoing.querystring)) if part)
    if not uri.action:
        return query, outgoing.body
    said = said_as(uri.service)
    if said is None:
        raise Unanswered(
            500, f"Cumulo does not know the actions of {uri.service}; use a path", "API_CONFIGURATION_ERROR"
        )
    names = {name.lower() for name in headers}
    if not said.target:
        parts = [f"Action={uri.action}", query, "" if "Version=" in query else f"Version={said.version}"]
        return "&".join(part for part in parts if part), outgoing.body
    if "x-amz-target" not in names:
        headers["X-Amz-Target"] = f"{said.target}.{uri.action}"
    if "content-type" not in names:
        headers["Content-Type"] = f"application/x-amz-json-{said.version}"
    return "", outgoing.body or json_of_fields(query)
