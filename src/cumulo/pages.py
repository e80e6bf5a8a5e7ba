"""Cumulo's own pages under /_cumulo/: health, ready, metrics, the bill, traces, reset; and the door behind them."""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cumulo import __version__
from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.wire.http import Handler, Headers, Request, Response
from cumulo.wire.keys import Keys

TOKEN_HEADER = "x-cumulo-token"  # noqa: S105 - a name
NOT_BUILT = 501
LAYERS = "/_cumulo/ecr/layers/"
JSON = ("content-type", "application/json")
BATCH_PAGES = ("", "/savings")


class Counters:
    """What /metrics and the server's log say of requests.  Every one is logged at level debug, 5xx always."""

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        self.seconds = 0.0
        self._log = Log("access")
        self._every = self._log.enabled("debug")

    def done(self, request: Request, status: int, seconds: float) -> None:
        """Count one answered request, and log it where that is asked for."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.seconds += seconds
        if self._every or (status >= 500 and status != NOT_BUILT):
            say = self._log.debug if status < 500 else self._log.warning
            say(
                "request",
                request_id=request.request_id,
                method=request.method,
                path=request.path,
                status=status,
                ms=round(seconds * 1000, 3),
                peer=request.peer,
            )


class Pages:
    """Answers what lies under /_cumulo/ (and /_localstack/health, which tools wait for); the rest is AWS's."""

    def __init__(
        self,
        *,
        door: Handler,
        clock: Clock,
        counters: Counters,
        gauges: Callable[[], Mapping[str, float]],
        services: Mapping[str, str],
        notes: Handler,
        bill: Handler,
        code: Handler,
        keys: Keys,
        token: str,
        shared: bool,
        reset: Callable[[], Awaitable[None]] | None,
        containers: Handler,
        registry: Handler,
        layers: Handler,
        exec_: Handler,
        interrupt: Handler,
        trace: Handler,
        batch: Handler,
        balancer_for: Callable[[str], Handler | None],
        api_for: Callable[[str, str, Headers], Handler | None],
    ) -> None:
        self._door = door
        self._clock = clock
        self._counters = counters
        self._gauges = gauges
        self._services = services
        self._reset = reset
        self._keys = keys
        self._token = token
        self._shared = shared
        self._started = clock.monotonic()
        self._pages: dict[str, Handler] = {
            "/_cumulo/health": self.health,
            "/_localstack/health": self.health,
            "/_cumulo/ready": self.ready,
            "/_cumulo/metrics": self._guarded(self.metrics),
            "/metrics": self._guarded(self.metrics),
            "/_cumulo/notes": self._guarded(notes),
            "/_cumulo/bill": self._guarded(bill),
            "/_cumulo/trace": self._guarded(trace),
            **{f"/_cumulo/batch{page}": self._guarded(batch) for page in BATCH_PAGES},
            "/_cumulo/reset": self.reset,
            "/_cumulo/keys": self._guarded(self.keys, always=True),
            "/_cumulo/containers": self._guarded(containers, always=True),
            "/_cumulo/ecs/exec": self._guarded(exec_, always=True),
            "/_cumulo/interrupt": self._guarded(interrupt, always=True),
        }
        self._code = code
        self._registry = registry
        self._layers = layers
        self._balancer_for = balancer_for
        self._api_for = api_for
        self.is_ready = False

    async def __call__(self, request: Request) -> Response:
        """Answer a request, or hand it to the door."""
        path = request.path
        host = request.headers.get("host").lower()
        balancer = self._balancer_for(host) if ".elb." in host else None
        if balancer is not None:
            return await balancer(request)
        api = self._api_for(host, path, request.headers)
        if api is not None:
            return await api(request)
        if path.startswith("/v2") and _is_registry(request):
            return await self._registry(request)
        if not path.startswith(("/_", "/metrics")) or "authorization" in request.headers:
            return await self._door(request)  # a signed GET /metrics is about a bucket of that name
        page = self._pages.get(path)
        if page is not None:
            return await page(request)
        if path.startswith("/_cumulo/lambda/code/"):
            return await self._code(request)
        if path.startswith(LAYERS):
            return await self._layers(request)
        if path.startswith("/_cumulo/"):
            return answer(404, {"message": f"there is no page {path}"})
        return await self._door(request)

    async def health(self, _request: Request) -> Response:
        """Which services there are; always answers while the process lives."""
        return answer(
            200,
            {
                "status": "running",
                "version": __version__,
                "edition": "cumulo",
                "uptime_seconds": round(self._clock.monotonic() - self._started, 3),
                "services": dict(self._services),
            },
        )

    async def ready(self, _request: Request) -> Response:
        """200 once calls are served."""
        return answer(200 if self.is_ready else 503, {"ready": self.is_ready})

    async def metrics(self, _request: Request) -> Response:
        """Prometheus' text format."""
        text = exposition(self._counters, self._gauges())
        return Response(200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)

    async def keys(self, request: Request) -> Response:
        """GET lists the access keys, POST ?account=&name= makes one, DELETE ?id= removes one."""
        query = query_of(request)
        if request.method == "GET":
            rows = [
                {"id": key.access_key, "account": key.account, "name": key.name} for key in self._keys.list()
            ]
            return answer(200, {"keys": rows})
        if request.method == "POST":
            account = query.get("account", "")
            if not (len(account) == 12 and account.isdecimal()):
                return answer(400, {"message": "account must be 12 digits"})
            made = await self._keys.create(account, query.get("name", ""))
            return answer(200, {"id": made.access_key, "secret": made.secret_key, "account": account})
        if request.method == "DELETE":
            gone = await self._keys.delete(query.get("id", ""))
            return answer(200 if gone else 404, {"deleted": gone})
        return answer(405, {"message": "use GET, POST or DELETE"})

    def _guarded(self, page: Handler, *, always: bool = False) -> Handler:
        """In shared mode (or always) a page asks for the token that lies in the data folder."""

        async def guarded(request: Request, /) -> Response:
            given = request.headers.get(TOKEN_HEADER).encode()
            if (always or self._shared) and not hmac.compare_digest(given, self._token.encode()):
                return answer(
                    403, {"message": f"the header {TOKEN_HEADER} must hold the data folder's admin-token"}
                )
            return await page(request)

        return guarded

    async def reset(self, request: Request) -> Response:
        """POST empties everything, companions too; only in local mode."""
        if self._reset is None:
            return answer(403, {"message": "reset is for local mode only"})
        if request.method != "POST":
            return answer(405, {"message": "use POST"})
        await self._reset()
        return answer(200, {"reset": True})


def _is_registry(request: Request) -> bool:
    """Whether /v2/... is Docker's: API Gateway has such paths too, but nobody asks it for them unsigned."""
    signed = request.headers.get("authorization").startswith("AWS4-") or "X-Amz-Signature=" in request.query
    return not signed and (request.path == "/v2" or request.path.startswith("/v2/"))


def answer(status: int, value: Any) -> Response:
    """A JSON answer."""
    return Response(status, [JSON], msgspec.json.encode(value))


def query_of(request: Request) -> dict[str, str]:
    """The query string's parameters, the last of a name winning."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def exposition(counters: Counters, gauges: Mapping[str, float]) -> bytes:
    """The counters and gauges as Prometheus reads them; the client library is imported on first use."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    class Snapshot(Collector):
        def collect(self) -> list[Metric]:
            requests = CounterMetricFamily(
                "cumulo_requests", "Requests answered, by status.", labels=["status"]
            )
            for status, count in sorted(counters.requests.items()):
                requests.add_metric([str(status)], count)
            seconds = CounterMetricFamily("cumulo_request_seconds", "Seconds spent on requests.")
            seconds.add_metric([], counters.seconds)
            process = CounterMetricFamily("cumulo_cpu_seconds", "Processor seconds of the server.")
            process.add_metric([], time.process_time())
            rows: list[Metric] = [requests, seconds, process]
            rows += [
                GaugeMetricFamily(f"cumulo_{name}", name.replace("_", " "), value)
                for name, value in sorted(gauges.items())
            ]
            return rows

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot())
    return generate_latest(registry)
