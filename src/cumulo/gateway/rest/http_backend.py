"""HTTP and HTTP_PROXY: a backend of any kind, in the open or behind a VPC link.

HTTP        sends what was mapped, and maps what comes back
HTTP_PROXY  passes the request on, with what was mapped added, and the answer back; as a stream where it is asked to
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from cumulo.base.clock import Clock
from cumulo.gateway.definitions.rest import Integration, RestDefinition
from cumulo.gateway.integrations.functions import with_variables
from cumulo.gateway.rest import mappings
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.rest.headers import NOT_SENT_HTTP, Pairs, illegal, returned, value_of
from cumulo.gateway.rest.integration_request import Outgoing, Prepare, texts
from cumulo.gateway.rest.integration_response import Finish, MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.mappings import Endpoint
from cumulo.gateway.rest.payloads import JSON, IsBinary, as_text, decompress
from cumulo.gateway.rest.proxy_event import forwarded
from cumulo.gateway.rest.reaching import note, reach
from cumulo.gateway.rest.uris import http_url, with_query
from cumulo.gateway.tools import Answer, Tools
from cumulo.gateway.visit import Refused

_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_PASSED: Final = NOT_SENT_HTTP | {"host", "content-encoding"}


class Backend:
    """Where an integration's requests go, and how."""

    def __init__(self, definition: RestDefinition, integration: Integration, tools: Tools) -> None:
        self._definition = definition
        self._integration = integration
        self._tools = tools
        self.seconds = integration.timeout_in_millis / 1000
        self.clock: Clock = tools.clock

    def method(self, call: Call) -> str:
        """The integration's own, or the request's where it has none."""
        own = self._integration.http_method
        return own if own not in {"", "ANY"} else str(call.context["httpMethod"])

    def defaults(self, headers: Pairs, call: Call, method: str) -> Pairs:
        """What is sent besides, unless it is there."""
        there = {name.lower() for name, _ in headers}
        api = self._definition.api_id
        more = [("Accept", JSON), ("User-Agent", f"AmazonAPIGateway_{api}")]
        given = call.header("content-type")
        if given and method not in _NO_BODY:
            more.append(("Content-Type", given))
        added = [(name, value) for name, value in more if name.lower() not in there]
        own = [("X-Amzn-Trace-Id", call.visit.trace), ("X-Amzn-Apigateway-Api-Id", api)]
        kept = [pair for pair in headers if pair[0].lower() != "x-amzn-trace-id"]
        return kept + added + own

    async def send(
        self,
        call: Call,
        log: Log,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes,
        *,
        stream: bool = False,
    ) -> Answer:
        """Ask the backend.  Refused: 504, or 500 where a VPC link leads nowhere."""
        body = b"" if method in _NO_BODY else body
        log.tell(f"Endpoint request URI: {url}")
        log.headers("Endpoint request headers", headers)
        log.data("Endpoint request body after transformations", body)
        log.tell(f"Sending request to {url}")
        wait = self._ask(call, method, url, headers, body, stream=stream)
        answer = await reach(call, self.clock, wait, seconds=self.seconds)
        note(call, status=answer.status, integrationStatus=answer.status)
        log.tell(
            f"Received response. Status: {answer.status}, Integration latency: {call.visit.integration_ms} ms"
        )
        log.headers("Endpoint response headers", answer.headers)
        return answer

    async def _ask(
        self, call: Call, method: str, url: str, headers: Pairs, body: bytes, *, stream: bool
    ) -> Answer:
        integration = self._integration
        server_name = ""
        if integration.connection_type == "VPC_LINK":
            parts = urlsplit(url)
            server_name = parts.hostname or ""
            headers = [*(pair for pair in headers if pair[0].lower() != "host"), ("Host", parts.netloc)]
            url = await self._privately(call, url)
        return await self._tools.http.send(
            method,
            url,
            headers,
            body,
            seconds=self.seconds,
            verify=not integration.insecure_skip_verification,
            server_name=server_name,
            stream=stream,
        )

    async def _privately(self, call: Call, url: str) -> str:
        """The same URL at the place that a VPC link leads to; a listener's port is its own, a balancer's the URL's."""
        integration, definition = self._integration, self._definition
        link = with_variables(integration.connection_id, call.variables)
        target = with_variables(integration.integration_target, call.variables) or link
        place = urlsplit(await self._tools.private.url_of(definition.account, definition.region, target))
        parts = urlsplit(url)
        netloc = place.netloc
        if ":listener/" not in target and parts.port is not None:
            netloc = f"{place.hostname}:{parts.port}"
        return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


class Http:
    """An HTTP integration."""

    def __init__(self, backend: Backend, uri: str, prepare: Prepare, finish: Finish) -> None:
        self._backend = backend
        self._uri = uri
        self._prepare = prepare
        self._finish = finish

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """Ask the backend.  Refused: 500, 504."""
        outgoing: Outgoing = self._prepare(call)
        method = self._backend.method(call)
        url = with_query(http_url(self._uri, outgoing.path, call.variables), outgoing.query)
        mapped = [pair for pair in outgoing.headers.items() if pair[0].lower() not in NOT_SENT_HTTP]
        headers = self._backend.defaults(mapped, call, method)
        answer = await self._backend.send(call, log, method, url, headers, outgoing.body)
        body, pairs = plain(answer)
        log.data("Endpoint response body before transformations", body)
        return self._finish(call, Endpoint(answer.status, tuple(pairs), body), str(answer.status))


class HttpProxy:
    """An HTTP_PROXY integration."""

    def __init__(self, backend: Backend, integration: Integration, is_binary: IsBinary) -> None:
        self._backend = backend
        self._uri = integration.uri
        self._mapping = mappings.compile_request(integration.request_parameters)
        self._is_binary = is_binary
        self._streams = integration.response_transfer_mode == "STREAM"

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """Pass the request on.  Refused: 500, 504."""
        mapped = self._mapping(call)
        added = texts(mapped.header)
        wrong = illegal(added, "HTTP_PROXY")
        if wrong is not None:
            raise misconfigured(f"{wrong} header already present")
        method = self._backend.method(call)
        url = http_url(self._uri, texts(mapped.path), call.variables)
        url = with_query(url, _with_mapped(call.query, mapped.querystring))
        headers = self._backend.defaults(_passed(call, added), call, method)
        body = call.body if self._is_binary(call.content_type) else as_text(call.body)
        answer = await self._backend.send(call, log, method, url, headers, body, stream=self._streams)
        if self._streams or not isinstance(answer.body, bytes):
            return MethodAnswer(answer.status, _passed_back(answer.headers), answer.body)
        return self._whole(call, log, answer, answer.body)

    def _whole(self, call: Call, log: Log, answer: Answer, body: bytes) -> MethodAnswer:
        kind = value_of(answer.headers, "content-type") or ""
        if self._is_binary(kind) or self._is_binary(call.header("accept") or ""):
            return MethodAnswer(answer.status, _passed_back(answer.headers), body)
        body, pairs = plain(answer)
        body = as_text(body)
        log.data("Endpoint response body before transformations", body)
        log.data("Method response body after transformations", body)
        return MethodAnswer(answer.status, _passed_back(pairs), body)


def plain(answer: Answer) -> tuple[bytes, Pairs]:
    """A backend's whole body without its coding, and the headers that still fit."""
    body = answer.body
    assert isinstance(body, bytes), "it was not asked for as a stream"
    coding = (value_of(answer.headers, "content-encoding") or "").lower()
    if coding not in {"gzip", "deflate"} or not body:
        return body, list(answer.headers)
    try:
        body = decompress(body, coding)
    except Refused:
        raise misconfigured("Unable to decompress the integration's answer") from None
    return body, [pair for pair in answer.headers if pair[0].lower() != "content-encoding"]


def _passed(call: Call, added: dict[str, str]) -> Pairs:
    """The client's headers, those of the gateway, and mapped ones in place of both."""
    replaced = {name.lower() for name in added} | _NOT_PASSED
    told = forwarded(call.visit)
    replaced.update(name for name, _ in told)
    passed = [
        (call.shown(name), value)
        for name, values in call.passed_headers().items()
        if name not in replaced
        for value in values
    ]
    kept = {name.lower() for name in added}
    passed += [(call.shown(name), value) for name, value in told if name not in kept]
    return passed + [pair for pair in added.items() if pair[0].lower() not in NOT_SENT_HTTP]


def _with_mapped(
    query: dict[str, list[str]], mapped: dict[str, mappings.Value]
) -> dict[str, list[str] | str]:
    """The client's fields, and the mapped ones behind them."""
    both: dict[str, list[str] | str] = {name: list(values) for name, values in query.items()}
    for name, value in mapped.items():
        more = value if isinstance(value, list) else [str(value)]
        both[name] = [*both.get(name, []), *more]
    return both


def _passed_back(headers: Iterable[tuple[str, str]]) -> Pairs:
    """A backend's headers as the client gets them."""
    passed = [pair for pair in returned(headers) if pair[0].lower() != "via"]
    if value_of(passed, "content-type") is None:
        passed.insert(0, ("Content-Type", JSON))
    return passed
