"""Fakes for what the data plane of API Gateway stands on, and requests for it."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Answer, CallFailed, KeyUse, Tools
from cumulo.gateway.visit import Address, ClientCertificate, Refused, Visit
from cumulo.wire.http import BytesBody, Headers, Request, Response

ACCOUNT = "123456789012"
REGION = "us-east-1"
API = "abcdef1234"
DOMAIN = f"{API}.execute-api.{REGION}.amazonaws.com"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"


class FakeInvoker:
    """Functions by ARN: what they give is the answer's JSON (or bytes, or an InvokeResult, or raised)."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[[Any], Any]] = {}
        self.events: list[tuple[str, Any]] = []

    async def invoke(self, caller: Any, function: str, payload: bytes, **options: Any) -> InvokeResult:
        event = json.loads(payload)
        self.events.append((function, event))
        if function not in self.functions:
            raise AwsError("ResourceNotFoundException", f"Function not found: {function}", status=404)
        given = self.functions[function](event)
        if isinstance(given, Awaitable):
            given = await given
        if isinstance(given, InvokeResult):
            return given
        return InvokeResult(payload=given if isinstance(given, bytes) else json.dumps(given).encode())

    @property
    def event(self) -> Any:
        """The last event."""
        return self.events[-1][1]


class FakeFunctions:
    """Permissions: `denied` has ARNs of functions."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    async def allowed(self, function_arn: str, *, source_arn: str, source_account: str) -> bool:
        self.asked.append((function_arn, source_arn))
        return function_arn not in self.denied


class FakeHttp:
    """A backend: `answer` (or what it gives when it is called with a request); requests are kept."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[dict[str, Any]], Any] = Answer(status=200, headers=(), body=b"")
        self.requests: list[dict[str, Any]] = []

    async def send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: Any, **options: Any
    ) -> Answer:
        if not isinstance(body, bytes):
            body = b"".join([piece async for piece in body])
        request = {"method": method, "url": url, "headers": list(headers), "body": body, **options}
        self.requests.append(request)
        given: Any = self.answer(request) if callable(self.answer) else self.answer
        return await given if isinstance(given, Awaitable) else given

    @property
    def request(self) -> dict[str, Any]:
        """The last request."""
        return self.requests[-1]

    def header(self, name: str) -> str | None:
        """A header of the last request; values of several joined by commas."""
        found = [value for key, value in self.request["headers"] if key.lower() == name.lower()]
        return ",".join(found) if found else None


class FakeAws:
    """AWS services: `answer`; calls are kept."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[dict[str, Any]], Answer] = Answer(status=200, headers=(), body=b"{}")
        self.calls: list[dict[str, Any]] = []

    async def call(self, caller: Any, service: str, method: str, path: str, **options: Any) -> Answer:
        call = {"caller": caller, "service": service, "method": method, "path": path, **options}
        self.calls.append(call)
        return self.answer(call) if callable(self.answer) else self.answer


class FakePrivate:
    """VPC links' targets: addresses by ARN."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}

    async def url_of(self, account: str, region: str, target: str) -> str:
        if target not in self.urls:
            raise CallFailed(f"nobody knows {target}")
        return self.urls[target]


class FakeObserver:
    """Keeps what was observed."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:
        self.seen.append({"visit": visit, "place": place, "status": status, "bytes": response_bytes})


class FakeThrottles:
    """Admits all but the scopes in `full`."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.asked: list[tuple[str, float | None, int | None]] = []

    def admit(self, place: Place, scope: str, *, rate: float | None, burst: int | None) -> bool:
        self.asked.append((scope, rate, burst))
        return scope not in self.full


class FakePlans:
    """Keys by value."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyUse] = {}

    def admit(self, place: Place, value: str, *, path: str, method: str) -> KeyUse:
        if value not in self.keys:
            raise Refused("INVALID_API_KEY")
        return self.keys[value]


class World:
    """All fakes, and the tools made of them."""

    def __init__(self, *, shared: bool = False) -> None:
        self.clock = VirtualClock()
        self.invoker = FakeInvoker()
        self.functions = FakeFunctions()
        self.http = FakeHttp()
        self.aws = FakeAws()
        self.private = FakePrivate()
        self.observer = FakeObserver()
        self.throttles = FakeThrottles()
        self.plans = FakePlans()
        self.tools = Tools(
            clock=self.clock,
            ids=Ids(Random(1)),
            invoker=self.invoker,
            functions=self.functions,
            http=self.http,
            aws=self.aws,
            private=self.private,
            observer=self.observer,
            throttles=self.throttles,
            plans=self.plans,
            shared=shared,
        )


def request(
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """A request as the server hands it over."""
    path, _, query = target.partition("?")
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", DOMAIN))
    if body:
        pairs.append(("Content-Length", str(len(body))))
    return Request(method, path, query, Headers.made(pairs), BytesBody(body), peer="203.0.113.7")


def visit(
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    stage: str = "$default",
    base_path: str = "",
    custom: bool = False,
    certificate: ClientCertificate | None = None,
    at: float = 1_700_000_000.0,
) -> Visit:
    """A visit; `target` is seen by the API (routes match it), stage and base path are put before it in `raw_path`."""
    asked = request(method, target, headers, body)
    prefix = f"/{base_path}" if base_path else "" if stage == "$default" else f"/{stage}"
    domain = asked.headers.get("host")
    address = Address(
        api_id=API, stage=stage, path=asked.path, raw_path=prefix + asked.path, domain=domain,
        base_path=base_path, custom=custom,
    )  # fmt: skip
    asked.path = address.raw_path
    context = {
        "requestId": "JKJaXmPLvHcESHA=",
        "extendedRequestId": "JKJaXmPLvHcESHA=",
        "accountId": ACCOUNT,
        "apiId": API,
        "stage": stage,
        "domainName": domain,
        "domainPrefix": address.domain_prefix,
        "httpMethod": method,
        "path": address.raw_path,
        "protocol": "HTTP/1.1",
        "requestTime": "14/Nov/2023:22:13:20 +0000",
        "requestTimeEpoch": int(at * 1000),
        "identity": {"sourceIp": asked.peer, "userAgent": asked.headers.get("user-agent")},
    }
    return Visit(
        asked, address, started=at, started_ms=int(at * 1000), trace="Root=1-65536f80-0123456789abcdef01234567",
        context=context, certificate=certificate,
    )  # fmt: skip


def place(kind: str = "HTTP", stage: str = "$default") -> Place:
    """Where `visit` goes."""
    return Place(account=ACCOUNT, region=REGION, api_id=API, stage=stage, kind=kind)


async def body_of(response: Response) -> bytes:
    """All of an answer's body."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])  # type: ignore[union-attr]


def header_of(response: Response, name: str) -> str | None:
    """A header of an answer; several joined by commas; None when there is none."""
    found = [value for key, value in response.headers if key.lower() == name.lower()]
    return ",".join(found) if found else None
