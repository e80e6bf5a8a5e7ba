"""What a stage says: guards, canaries, caches, compression, limits."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from tests.gateway_kit import FUNCTION, World
from tests.rest_kit import answered, ask, asked, compiled, definition, method, mock, proxy

from cumulo.gateway.definitions.rest import Canary, MethodSetting
from cumulo.gateway.rest.compile import RestCompiled
from cumulo.gateway.tools import Answer, KeyUse
from cumulo.gateway.visit import Grant, Refused

EVERYWHERE = "*/*"


def counting(world: World) -> dict[str, int]:
    seen = {"calls": 0}

    def function(_event: Any) -> Any:
        seen["calls"] += 1
        return {"body": str(seen["calls"])}

    world.invoker.functions[FUNCTION] = function
    return seen


def test_an_authorizers_grant_is_in_the_context() -> None:
    world = World()
    counting(world)

    async def authorize(_visit: Any) -> Grant:
        return Grant(context={"principalId": "me", "n": "1"}, identity={"userArn": "arn:x"})

    api = compiled(world, {"/": proxy()}, authorization=lambda *_: authorize)
    assert ask(api).status == 200
    context = world.invoker.event["requestContext"]
    assert context["authorizer"] == {"principalId": "me", "n": "1"}
    assert context["identity"]["userArn"] == "arn:x"


def test_who_is_not_authorized_goes_no_further() -> None:
    world = World()
    seen = counting(world)

    async def authorize(_visit: Any) -> Grant:
        raise Refused("UNAUTHORIZED")

    api = compiled(world, {"/": proxy()}, authorization=lambda *_: authorize)
    answer = ask(api)
    assert (answer.status, answer.body, seen["calls"]) == (401, b'{"message":"Unauthorized"}', 0)
    assert world.throttles.asked == []


def test_a_key_is_asked_for_where_it_is_required() -> None:
    world = World()
    world.plans.keys = {"secret-key-value": KeyUse(key_id="key01")}
    counting(world)
    api = compiled(world, {"/": method(proxy(), api_key_required=True), "/free": proxy()})
    answer = ask(api)
    assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
    assert ask(api, "GET", "/", {"X-Api-Key": "secret-key-value"}).status == 200
    identity = world.invoker.event["requestContext"]["identity"]
    assert (identity["apiKey"], identity["apiKeyId"]) == ("secret-key-value", "key01")
    assert ask(api, "GET", "/free").status == 200


def test_a_key_may_come_from_the_authorizer() -> None:
    world = World()
    world.plans.keys = {"from-authorizer": KeyUse(key_id="key02")}

    async def authorize(_visit: Any) -> Grant:
        return Grant(usage_key="from-authorizer")

    api = compiled(
        world, {"/": method(mock({}), api_key_required=True)}, api_key_source="AUTHORIZER",
        authorization=lambda *_: authorize,
    )  # fmt: skip
    assert ask(api, "GET", "/", {"X-Api-Key": "other"}).status == 200


def test_a_method_that_is_too_busy_throttles() -> None:
    world = World()
    world.throttles.full.add("GET /pets")
    settings = {
        EVERYWHERE: MethodSetting(throttling_rate_limit=10.0, throttling_burst_limit=5),
        "pets/GET": MethodSetting(throttling_rate_limit=1.0, throttling_burst_limit=2),
    }
    api = compiled(world, {"/pets": mock({}), "/": mock({})}, stage={"method_settings": settings})
    answer = ask(api, "GET", "/pets")
    assert (answer.status, answer.body) == (429, b'{"message":"Too Many Requests"}')
    assert ask(api, "GET", "/").status == 200
    assert world.throttles.asked == [("GET /pets", 1.0, 2), ("GET /", 10.0, 5)]


def test_a_canary_gets_its_part() -> None:
    world = World()
    rolls = iter([0.09, 0.11, 0.0, 0.5])
    canary = Canary(deployment_id="dep002", percent_traffic=10.0, stage_variable_overrides={"v": "canary"})
    api = compiled(
        world,
        {"/": proxy()},
        stage={"canary": canary, "variables": {"v": "main", "w": "same"}},
        canary_definition=definition({"/": proxy(), "/new": mock({})}),
        chance=lambda: next(rolls),
    )
    counting(world)
    assert ask(api).status == 200
    event = world.invoker.event
    assert (event["stageVariables"], event["requestContext"]["deploymentId"]) == (
        {"v": "canary", "w": "same"},
        "dep002",
    )
    assert world.observer.seen[0]["visit"].context["isCanaryRequest"] is True
    assert ask(api).status == 200
    assert world.invoker.event["stageVariables"] == {"v": "main", "w": "same"}
    assert ask(api, "GET", "/new").status == 200
    assert ask(api, "GET", "/new").status == 403


def caching(world: World, paths: Any, *, settings: Any = None, **stage: Any) -> RestCompiled:
    settings = settings or {EVERYWHERE: MethodSetting(caching_enabled=True)}
    return compiled(world, paths, stage={"cache_size": "0.5", "method_settings": settings, **stage})


def test_answers_are_kept_for_their_time() -> None:
    world = World()
    seen = counting(world)
    api = caching(world, {"/": proxy(), "/post": method(proxy(), "POST")})
    assert [ask(api).body for _ in range(3)] == [b"1", b"1", b"1"]
    world.clock.advance(299)
    assert ask(api).body == b"1"
    world.clock.advance(1)
    assert ask(api).body == b"2"
    for _ in range(2):
        ask(api, "POST", "/post")
    assert seen["calls"] == 4  # only GET is kept, unless a method says so itself
    api.flush_cache()
    assert ask(api).body == b"5"


def test_a_cache_outlives_a_deployment_but_not_its_size() -> None:
    world = World()
    counting(world)
    assert ask(caching(world, {"/": proxy()})).body == b"1"
    assert ask(caching(world, {"/": proxy()}, deployment_id="dep002")).body == b"1"
    assert ask(caching(world, {"/": proxy()}, cache_size="1.6")).body == b"2"
    assert ask(caching(world, {"/": proxy()})).body == b"3"


def test_a_canary_has_a_cache_of_its_own_unless_it_says_otherwise() -> None:
    for shared, expected in ((False, [b"1", b"2", b"1"]), (True, [b"1", b"1", b"1"])):
        world = World()
        counting(world)
        rolls = iter([0.9, 0.0, 0.9])
        canary = Canary(deployment_id="dep002", percent_traffic=50.0, use_stage_cache=shared)
        api = compiled(
            world, {"/": proxy()}, chance=lambda rolls=rolls: next(rolls),
            stage={"cache_size": "0.5", "canary": canary, "method_settings": {EVERYWHERE: MethodSetting(caching_enabled=True)}},
        )  # fmt: skip
        assert [ask(api).body for _ in range(3)] == expected


def test_a_method_may_say_that_it_is_kept() -> None:
    world = World()
    seen = counting(world)
    settings = {"post/POST": MethodSetting(caching_enabled=True)}
    api = caching(world, {"/": proxy(), "/post": method(proxy(), "POST")}, settings=settings)
    for _ in range(2):
        ask(api, "POST", "/post")
        ask(api)
    assert seen["calls"] == 3


def test_keys_are_what_the_owner_said() -> None:
    world = World()
    counting(world)
    integration = proxy(
        cache_key_parameters=(
            "method.request.querystring.page", "method.request.header.X-Who", "integration.request.path.it",
        ),
        request_parameters={"integration.request.path.it": "method.request.path.id"},
    )  # fmt: skip
    api = caching(world, {"/{id}": integration})
    assert ask(api, "GET", "/1?page=1&other=1").body == b"1"
    assert ask(api, "GET", "/1?page=1&other=2").body == b"1"
    assert ask(api, "GET", "/1?page=2").body == b"2"
    assert ask(api, "GET", "/2?page=1").body == b"3"
    assert ask(api, "GET", "/1?page=1", {"X-Who": "me"}).body == b"4"


def test_errors_are_not_kept() -> None:
    world = World()
    statuses = iter([500, 200, 200])
    world.invoker.functions[FUNCTION] = lambda _event: {"statusCode": next(statuses)}
    api = caching(world, {"/": proxy()})
    assert [ask(api).status for _ in range(4)] == [500, 200, 200, 200]


@pytest.mark.parametrize(
    ("setting", "second", "status", "warned"),
    [
        ({"require_authorization_for_cache_control": False}, b"2", 200, False),
        ({}, b"1", 200, True),
        ({"unauthorized_cache_control_header_strategy": "SUCCEED_WITHOUT_RESPONSE_HEADER"}, b"1", 200, False),
        ({"unauthorized_cache_control_header_strategy": "FAIL_WITH_403"}, None, 403, False),
    ],
)
def test_who_asks_for_fresh_data_may_have_to_be_somebody(
    setting: Any, second: bytes | None, status: int, warned: bool
) -> None:
    world = World()
    counting(world)
    api = caching(
        world, {"/": proxy()}, settings={EVERYWHERE: MethodSetting(caching_enabled=True, **setting)}
    )
    ask(api)
    answer = ask(api, "GET", "/", {"Cache-Control": "max-age=0"})
    assert answer.status == status
    assert second is None or answer.body == second
    assert (answer.header("warning") is not None) is warned
    assert second is None or ask(api).body == second


def test_answers_are_compressed_for_who_understands_it() -> None:
    world = World()
    world.invoker.functions[FUNCTION] = lambda event: {"body": event["path"] * 100}
    api = compiled(world, {"/{n}": proxy()}, minimum_compression_size=300)
    answer = ask(api, "GET", "/abc", {"Accept-Encoding": "gzip, deflate"})
    assert answer.header("content-encoding") == "gzip"
    assert gzip.decompress(answer.body) == b"/abc" * 100
    answer = ask(api, "GET", "/abc", {"Accept-Encoding": "br, deflate, gzip;q=0.5"})
    assert zlib.decompress(answer.body) == b"/abc" * 100
    assert ask(api, "GET", "/abc", {"Accept-Encoding": "br"}).header("content-encoding") is None
    assert ask(api, "GET", "/a", {"Accept-Encoding": "gzip"}).header("content-encoding") is None


def test_compressed_requests_are_opened_where_compression_is_on() -> None:
    world = World()
    counting(world)
    body, headers = (
        gzip.compress(b'{"a":1}', mtime=0),
        {"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    paths = {"/": method(proxy(), "POST")}
    assert ask(compiled(world, paths, minimum_compression_size=0), "POST", "/", headers, body).status == 200
    assert world.invoker.event["body"] == '{"a":1}'
    ask(compiled(world, paths), "POST", "/", headers, body)
    assert world.invoker.event["body"] != '{"a":1}'


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [("br", b"x", 415), ("gzip", b"no gzip", 400), ("gzip", gzip.compress(b"x" * 11_000_000, mtime=0), 413),
     ("gzip", gzip.compress(b"whole", mtime=0)[:-9], 400)],
)  # fmt: skip
def test_what_cannot_be_opened_is_refused(coding: str, body: bytes, status: int) -> None:
    api = compiled(World(), {"/": method(mock({}), "POST")}, minimum_compression_size=0)
    assert ask(api, "POST", "/", {"Content-Encoding": coding}, body).status == status


def test_limits_of_requests() -> None:
    api = compiled(World(), {"/": method(mock({}), "POST")})
    answer = ask(api, "POST", "/", {}, b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status, answer.body) == (
        413,
        b'{"message":"HTTP content length exceeded 10485760 bytes."}',
    )
    assert ask(api, "POST", "/", {"X-Large": "x" * 10_240}).status == 431


def test_a_method_without_an_integration_is_a_mistake_of_the_api() -> None:
    assert ask(compiled(World(), {"/": method(None)})).status == 500


def test_a_hundred_requests_at_once_do_not_disturb_one_another() -> None:
    world = World()

    async def function(event: Any) -> Any:
        await asyncio.sleep(0)
        return {
            "body": json.dumps(
                [event["pathParameters"]["id"], event["requestContext"]["identity"]["sourceIp"]]
            )
        }

    world.invoker.functions[FUNCTION] = function
    api = compiled(world, {"/{id}": proxy()})

    async def all_of_them() -> list[Any]:
        return [
            one.json[0] for one in await asyncio.gather(*(asked(api, "GET", f"/{n}") for n in range(100)))
        ]

    assert asyncio.run(all_of_them()) == [str(n) for n in range(100)]


def test_a_body_that_an_authorizer_has_read_is_not_read_again() -> None:
    from tests.gateway_kit import visit

    world = World()
    counting(world)
    coming = visit("POST", "/", {}, b"original", stage="dev")
    coming.body = b"read before"
    asyncio.run(answered(compiled(world, {"/": method(proxy(), "POST")}), coming))
    assert world.invoker.event["body"] == "read before"


def test_large_answers_of_backends_are_not_kept() -> None:
    world = World()
    world.http.answer = Answer(status=200, headers=(), body=b"x" * 1_048_577)
    from cumulo.gateway.definitions.rest import Integration

    api = caching(world, {"/": Integration(type="HTTP_PROXY", http_method="GET", uri="http://x/")})
    ask(api)
    ask(api)
    assert len(world.http.requests) == 2
