"""What observing costs a request to an API, in microseconds: with nothing asked for, with an access log, with all.

    python -m benchmarks.gateway_observing

Fails when `done` takes more than 10 us without, or 20 us with an access log.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.gateway_kit import ACCOUNT, API, REGION, visit

from cumulo.base.clock import SystemClock
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import MethodSetting, RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import RouteSetting, V2Definition, V2Stage
from cumulo.gateway.observing.observing import Observing
from cumulo.gateway.stages import Place
from cumulo.meter.meter import Meter
from cumulo.meter.pricebook import PriceBooks
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store

CALLS, ROUNDS = 3000, 7
PLAIN_US_MAX, LOGGED_US_MAX = 10.0, 20.0
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access"
JSON = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","requestTime":"$context.requestTime",'
    '"httpMethod":"$context.httpMethod","routeKey":"$context.routeKey","status":"$context.status",'
    '"protocol":"$context.protocol","responseLength":"$context.responseLength",'
    '"latency":"$context.responseLatency","integration":"$context.integration.latency"}'
)


class Nowhere:
    """CloudWatch that forgets."""

    async def put(self, *_: object) -> None:
        """Forget."""

    async def statistic(self, *_: object, **__: object) -> list[tuple[float, float]]:
        """Nothing."""
        return []


def _best(call: Callable[[], None], clear: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.process_time() - began) / CALLS)
        clear()
    return best * 1e6


async def _measured(folder: Path) -> dict[str, float]:
    clock = SystemClock()
    store = Store(folder / "x.db", synchronous="OFF")
    journal = Journal(folder / "journal", store)
    meter = Meter(store, journal, clock, PriceBooks())
    logs = Logs(store, journal, meter, clock, Ids())
    observing = Observing(
        store=store, clock=clock, logs=logs, metrics=Nowhere(), sink=meter, ledger=meter, caches=tuple
    )
    place = Place(account=ACCOUNT, region=REGION, api_id=API, stage="$default", kind="HTTP")
    http = V2Definition(api_id=API, account=ACCOUNT, region=REGION, protocol_type="HTTP")
    rest = RestDefinition(api_id=API, account=ACCOUNT, region=REGION, name="pets")
    detailed = RouteSetting(detailed_metrics_enabled=True)
    logged = {"access_log_arn": GROUP, "access_log_format": JSON}
    every = {"*/*": MethodSetting(metrics_enabled=True)}
    observers = {
        "HTTP": observing.v2(http, V2Stage(stage_name="$default")),
        "HTTP, access log": observing.v2(http, V2Stage(stage_name="$default", **logged)),
        "HTTP, access log, detailed metrics": observing.v2(
            http, V2Stage(stage_name="$default", default_route_settings=detailed, **logged)
        ),
        "REST": observing.rest(rest, RestStage(stage_name="$default", deployment_id="d")),
        "REST, access log": observing.rest(
            rest, RestStage(stage_name="$default", deployment_id="d", **logged)
        ),
        "REST, access log, detailed metrics": observing.rest(
            rest, RestStage(stage_name="$default", deployment_id="d", method_settings=every, **logged)
        ),
    }
    one = visit("GET", "/pets/1", {"user-agent": "curl/8", "accept": "*/*"})
    one.body = b""
    one.context |= {"routeKey": "GET /pets/{id}", "resourcePath": "/pets/{id}"}
    one.context["integration"] = {"requestId": "r", "latency": 3, "status": 200, "integrationStatus": 200}
    one.started = clock.monotonic()
    one.asked_integration(one.started, one.started + 0.003)
    found = {}
    for name, observer in observers.items():
        found[name] = _best(lambda: observer.done(one, place, status=200, response_bytes=11), journal.flush)  # noqa: B023
        await journal.fold()
    await journal.close()
    await store.close()
    return found


def main() -> int:
    """Print each; 1 when a budget does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_measured(Path(folder)))
    bad = 0
    for name, micros in found.items():
        budget = LOGGED_US_MAX if "log" in name else PLAIN_US_MAX
        bad += micros > budget
        print(f"{name:<40} {micros:6.2f} us (at most {budget:.0f})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
