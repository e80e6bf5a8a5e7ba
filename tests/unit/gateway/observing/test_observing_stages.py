"""Stages observed: logs, figures, what is charged, and the last requests."""

import pytest
from observing_kit import AT, GROUP_ARN, Watch

from cumulo.gateway.definitions.rest import MethodSetting
from cumulo.gateway.definitions.v2 import RouteSetting
from cumulo.gateway.observing.log_groups import EVENT_BYTES_MAX, STREAM

KIB = 1024


@pytest.fixture
def watch(tmp_path):
    return Watch(tmp_path)


def charged(watch, kind):
    watch.publish()
    return watch.usages.total(kind)


def test_each_request_is_one_event_of_the_access_log_at_its_own_moment(watch):
    stage = watch.v2(access_log_arn=GROUP_ARN, access_log_format="$context.requestId $context.status")
    stage.done(201, took=0.5)
    stage.done(404, error="RESOURCE_NOT_FOUND")
    assert watch.logs.lines("access") == ["JKJaXmPLvHcESHA= 201", "JKJaXmPLvHcESHA= 404"]
    assert [event.timestamp_ms for event in watch.logs.events["access"]] == [
        int(AT * 1000),
        int(AT * 1000) + 500,
    ]


def test_a_stage_without_an_access_log_writes_none(watch):
    for settings in (
        {},
        {"access_log_arn": "arn:aws:firehose:us-east-1:1:deliverystream/x", "access_log_format": "x"},
    ):
        watch.v2(**settings).done()
    assert watch.logs.events == {}


def test_execution_logs_go_where_awss_go_and_are_cut(watch):
    watch.rest().done(log=[(1, "Starting"), (2, "ü" * 2000)], context={"requestId": "r-1"})
    first, second = watch.logs.lines("API-Gateway-Execution-Logs_abcdef1234/prod")
    assert first == "(r-1) Starting"
    assert second.startswith("(r-1) üü")
    assert second.endswith(" [TRUNCATED]")
    assert EVENT_BYTES_MAX - 2 <= len(second.encode()) <= EVENT_BYTES_MAX
    assert watch.logs.streams == {STREAM}


def test_rest_apis_are_counted_by_name_and_stage(watch):
    stage = watch.rest()
    stage.done(200, took=0.1, integration=0.05)
    stage.done(503, took=0.3, integration=0.25)
    stage.done(403, error="MISSING_AUTHENTICATION_TOKEN")
    metrics = watch.publish()
    for dimensions in ({"ApiName": "pets"}, {"ApiName": "pets", "Stage": "prod"}):
        count, theirs, ours = (metrics.of(name, **dimensions) for name in ("Count", "4XXError", "5XXError"))
        assert (count.value, count.count) == (3, 3)
        assert (theirs.value, theirs.count, theirs.minimum, theirs.maximum) == (1, 3, 0, 1)
        assert ours.value == 1
        latency = metrics.of("Latency", **dimensions)
        assert (round(latency.value), latency.count, round(latency.maximum)) == (400, 3, 300)
        integration = metrics.of("IntegrationLatency", **dimensions)
        assert (round(integration.value), integration.count, integration.unit) == (300, 2, "Milliseconds")
        assert metrics.of("CacheHitCount", **dimensions) is None
    assert all(one.at % 60 == 0 for one in metrics.data)
    metrics.data.clear()
    assert watch.publish().data == []


def test_methods_have_figures_of_their_own_where_that_is_asked_for(watch):
    settings = {"pets/GET": MethodSetting(metrics_enabled=True)}
    stage = watch.rest(method_settings=settings)
    stage.done(context={"resourcePath": "/pets", "cacheHit": True})
    stage.done(context={"resourcePath": "/pets", "cacheHit": False})
    stage.done(context={"resourcePath": "/other"})
    metrics = watch.publish()
    whole = {"ApiName": "pets", "Stage": "prod"}
    assert metrics.of("Count", **whole).value == 3
    assert metrics.of("Count", **whole, Method="GET", Resource="/pets").value == 2
    assert metrics.of("CacheHitCount", **whole, Method="GET", Resource="/pets").value == 1
    assert metrics.of("CacheMissCount", **whole).value == 1
    assert metrics.of("Count", **whole, Method="GET", Resource="/other") is None


def test_settings_of_any_and_of_all_methods_count_too(watch):
    stage = watch.rest(method_settings={"pets/ANY": MethodSetting(metrics_enabled=True)})
    stage.done(context={"resourcePath": "/pets"})
    every = watch.rest(method_settings={"*/*": MethodSetting(metrics_enabled=True)})
    every.done(context={"resourcePath": "/other"})
    metrics = watch.publish()
    routes = {one.dimensions.get("Resource") for one in metrics.data if one.name == "Count"}
    assert routes == {None, "/pets", "/other"}


def test_http_apis_are_counted_by_id_stage_and_route(watch):
    settings = {"GET /pets/{id}": RouteSetting(detailed_metrics_enabled=True)}
    stage = watch.v2(route_settings=settings)
    stage.done(200, 10, b"abc", context={"routeKey": "GET /pets/{id}"})
    stage.done(500, 20, context={"routeKey": "$default"})
    metrics = watch.publish()
    assert metrics.of("Count", ApiId="abcdef1234").value == 2
    assert metrics.of("5xx", ApiId="abcdef1234", Stage="prod").value == 1
    assert metrics.of("4xx", ApiId="abcdef1234", Stage="prod").value == 0
    processed = metrics.of("DataProcessed", ApiId="abcdef1234", Stage="prod")
    assert (processed.value, processed.unit) == (33, "Bytes")
    own = metrics.of("Count", ApiId="abcdef1234", Stage="prod", Method="GET", Resource="/pets/{id}")
    assert own.value == 1


def test_the_name_of_an_api_loses_what_cloudwatch_does_not_take():
    from cumulo.gateway.observing.figures import api_dimension
    from cumulo.gateway.stages import Place

    def of(name):
        return api_dimension(
            Place(account="1", region="r", api_id="abc", stage="s", kind="REST", api_name=name)
        )

    assert of("Zoo für alle") == ("ApiName", "Zoo fr alle")
    assert of("動物園") == ("ApiName", "abc")


def test_http_requests_are_charged_by_half_megabytes_of_what_was_processed(watch):
    stage = watch.v2()
    stage.done(200, 10)
    stage.done(200, 512 * KIB)
    stage.done(200, 512 * KIB, b"x")
    stage.done(200, 100, b"x" * (1024 * KIB))
    assert charged(watch, "http_requests") == 1 + 1 + 2 + 3


def test_bodies_that_went_through_are_known_by_their_announced_length(watch):
    stage = watch.v2(access_log_arn=GROUP_ARN, access_log_format="$context.requestId $context.dataProcessed")
    one = stage.done(200, 1, headers={"content-length": "99"})
    one.body = None
    stage.observer.done(one, None, status=200, response_bytes=1)
    assert watch.logs.lines("access")[1].endswith(" 100")


@pytest.mark.parametrize(
    "kind",
    ["ACCESS_DENIED", "UNAUTHORIZED", "INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED",
     "MISSING_AUTHENTICATION_TOKEN", "EXPIRED_TOKEN", "INVALID_SIGNATURE", "AUTHORIZER_CONFIGURATION_ERROR"],
)  # fmt: skip
def test_nobody_pays_for_who_was_turned_away(watch, kind):
    watch.rest().done(403, error=kind)
    assert charged(watch, "rest_requests") == 0


@pytest.mark.parametrize("kind", ["BAD_REQUEST_BODY", "INTEGRATION_TIMEOUT", "API_CONFIGURATION_ERROR"])
def test_what_failed_otherwise_is_charged(watch, kind):
    watch.rest().done(500, error=kind)
    watch.v2().done(500, error=kind)
    assert (charged(watch, "rest_requests"), charged(watch, "http_requests")) == (1, 1)


def test_a_streamed_answer_of_a_rest_api_is_charged_by_ten_megabytes(watch):
    watch.rest().done(200, 25 * KIB * KIB)
    assert charged(watch, "rest_requests") == 3


def test_usage_is_gathered_into_one_record_by_the_apis_id(watch):
    stage = watch.rest()
    for _ in range(100):
        stage.done()
    watch.publish()
    (record,) = watch.usages.records
    assert (record.service, record.kind, record.resource, record.quantity) == (
        "apigateway", "rest_requests", "abcdef1234", 100,
    )  # fmt: skip


def test_the_last_requests_are_kept_without_their_bodies(watch):
    stage = watch.rest()
    stage.done(
        200,
        3,
        b"x" * 1000,
        took=0.2,
        integration=0.1,
        context={"resourcePath": "/pets/{id}", "requestId": "r1"},
    )
    for number in range(2500):
        stage.done(context={"requestId": f"n{number}"})
    latest = list(watch.observing.passages)
    assert (len(latest), latest[0].request_id, latest[-1].request_id) == (2000, "n2499", "n500")
    stage.done(403, error="THROTTLED", context={"requestId": "r2"})
    last = next(iter(watch.observing.passages))
    assert (last.request_id, last.route, last.error, last.integration) == ("r2", "", "THROTTLED", None)


def test_reset_forgets(watch):
    stage = watch.rest()
    stage.done()
    watch.observing.clear()
    assert charged(watch, "rest_requests") == 0
    assert watch.metrics.data == []
    assert len(watch.observing.passages) == 0
    stage.done()
    assert charged(watch, "rest_requests") == 1
    assert watch.metrics.of("Count", ApiName="pets").value == 1


def test_methods_that_clients_make_up_take_no_memory(watch):
    stage = watch.rest(method_settings={"*/*": MethodSetting(metrics_enabled=True)})
    for number in range(2100):
        stage.done(context={"resourcePath": "/pets", "httpMethod": f"M{number}"})
    assert len(stage.observer._routes) <= 1000
    metrics = watch.publish()
    assert metrics.of("Count", ApiName="pets", Stage="prod").value == 2100
    assert len([one for one in metrics.data if one.name == "Count"]) == 1002
