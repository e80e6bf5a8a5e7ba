"""WebSocket APIs observed: messages, errors, execution logs, and the time of connections."""

import pytest
from observing_kit import AT, GROUP_ARN, Watch
from tests.gateway_kit import ACCOUNT, API, REGION

from cumulo.gateway.definitions.v2 import RouteSetting
from cumulo.gateway.observing.metering import Open

WHOLE = {"ApiId": API, "Stage": "prod"}
GROUP = f"/aws/apigateway/{API}/prod"


@pytest.fixture
def watch(tmp_path):
    return Watch(tmp_path)


def event(kind="MESSAGE", direction="IN", route="$default", **more):
    return {
        "eventType": kind, "messageDirection": direction, "routeKey": route, "connectionId": "c=",
        "connectedAt": int(AT * 1000), **more,
    }  # fmt: skip


def test_messages_are_charged_in_both_directions_by_32_kilobytes(watch):
    stage = watch.v2("WEBSOCKET")
    stage.done(101, context=event("CONNECT", route="$connect"))
    stage.done(200, 10, b"x" * (32 * 1024 + 1), context=event())
    stage.done(200, 0, b"hello", context=event(direction="OUT"))
    stage.done(410, 0, b"hello", context=event(direction="OUT"))
    stage.done(429, 30, b"x", error="THROTTLED", context=event())
    stage.done(429, 30, b"x", context=event() | {"integration": {"status": 200}})
    watch.publish()
    assert watch.usages.total("websocket_messages") == (2 + 1) + 1 + 1
    assert watch.metrics.of("MessageCount", **WHOLE).value == 4
    assert watch.metrics.of("IntegrationError", **WHOLE).value == 0
    assert watch.metrics.of("ConnectCount", **WHOLE).value == 1


def test_errors_are_told_apart(watch):
    stage = watch.v2("WEBSOCKET", default_route_settings=RouteSetting(detailed_metrics_enabled=True))
    stage.done(400, context=event(route="a"), error="BAD_REQUEST_BODY")
    stage.done(
        500, context=event(route="b") | {"integration": {"error": "no network"}}, error="INTEGRATION_FAILURE"
    )
    stage.done(500, context=event(route="c") | {"integration": {"status": 500}})
    metrics = watch.publish()
    names = ("ClientError", "ExecutionError", "IntegrationError")
    by_route = {
        route: [metrics.of(name, **WHOLE, Route=route).value for name in names] for route in ("a", "b", "c")
    }
    assert by_route == {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1]}
    assert [metrics.of(name, ApiId=API).value for name in names] == [1, 1, 1]


def test_connections_are_charged_for_their_time_and_not_twice(watch):
    stage = watch.v2("WEBSOCKET")
    meter = watch.observing._meter
    watch.open = [Open(account=ACCOUNT, region=REGION, api_id=API, connected_ms=int(AT * 1000))]
    watch.clock.advance(60)
    meter._charge_connections()
    assert watch.usages.total("connection_minutes") == 1
    watch.clock.advance(30)
    watch.open = []
    stage.done(context=event("DISCONNECT", route="$disconnect"))
    assert watch.usages.total("connection_minutes") == pytest.approx(1.5)
    meter._charge_connections()
    assert watch.usages.total("connection_minutes") == pytest.approx(1.5)


def test_execution_logs_are_told_where_they_are_asked_for(watch):
    quiet, loud = (
        RouteSetting(logging_level="OFF"),
        RouteSetting(logging_level="INFO", data_trace_enabled=True),
    )
    stage = watch.v2("WEBSOCKET", default_route_settings=quiet, route_settings={"say": loud})
    stage.done(body=b"hi", context=event(route="other"))
    assert watch.logs.events == {}
    stage.done(body=b"hi", integration=0.25, context=event(route="say") | {"integration": {"status": 200}})
    told = watch.logs.lines(GROUP)
    assert all(line.startswith("(JKJaXmPLvHcESHA=) ") for line in told)
    text = "\n".join(told)
    assert "received message from client [Connection Id: c=]. Message: [hi]" in text
    assert "WebSocket Request Route: [say]" in text
    assert "Status: 200, Integration latency: 250 ms" in text


def test_at_level_error_only_failures_are_told(watch):
    stage = watch.v2("WEBSOCKET", default_route_settings=RouteSetting(logging_level="ERROR"))
    stage.done(context=event())
    assert watch.logs.events == {}
    stage.done(500, error="API_CONFIGURATION_ERROR", context=event())
    assert watch.logs.lines(GROUP) == ["(JKJaXmPLvHcESHA=) Execution failed: API_CONFIGURATION_ERROR: no"]


def test_access_logs_know_the_words_of_websockets(watch):
    form = "$context.requestId $context.eventType $context.routeKey $context.connectionId $context.status"
    stage = watch.v2("WEBSOCKET", access_log_arn=GROUP_ARN, access_log_format=form)
    stage.done(context=event())
    assert watch.logs.lines("access") == ["JKJaXmPLvHcESHA= MESSAGE $default c= 200"]
