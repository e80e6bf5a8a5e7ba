"""A stage of an HTTP API: routes, refusals, throttles, CORS."""

import pytest
from tests.gateway_kit import header_of
from tests.unit.gateway.http.http_api import HttpApi, function

from cumulo.gateway.definitions.v2 import Cors, Route, RouteSetting, V2Stage
from cumulo.gateway.visit import Grant, Refused

ORIGIN = {"Origin": "https://example.com"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "POST"}


def ok(event):
    return {
        "statusCode": 200,
        "headers": {"Access-Control-Allow-Origin": "https://function.example"},
        "body": "ok",
    }


def test_no_route_is_not_found():
    api = HttpApi(function(), "GET /x")
    response = api.ask("GET", "/y")
    assert (response.status, response.body) == (404, b'{"message":"Not Found"}')
    assert header_of(response, "apigw-requestid") == "JKJaXmPLvHcESHA="
    assert api.visit.context["error"] == {
        "message": "Not Found", "messageString": '"Not Found"', "responseType": "RESOURCE_NOT_FOUND",
    }  # fmt: skip
    assert api.world.observer.seen[0]["status"] == 404
    assert api.ask("OPTIONS", "/x", PREFLIGHT).status == 404


def test_a_route_without_an_integration_is_an_error():
    assert HttpApi(None, "GET /").ask().status == 500


def test_a_mapping_that_is_none_is_an_error_of_its_routes_alone():
    for members in (
        {"request_parameters": {"append:header.a": "$request.nothing"}},
        {"response_parameters": {"200": {"append:header.a": "$response.body..x"}}},
        {"request_parameters": {"move:header.a": "1"}},
    ):
        api = HttpApi(function(**members)).answers(ok)
        assert (api.ask().status, api.visit.context["error"]["responseType"]) == (
            500,
            "API_CONFIGURATION_ERROR",
        )


def test_large_requests_are_refused():
    api = HttpApi(function()).answers(ok)
    assert api.ask("GET", "/", {"A": "x" * 9_000}).status == 200
    assert api.ask("GET", "/", {"A": "x" * 10_240}).status == 431
    body = b"x" * (10 * 1024 * 1024)
    assert api.ask("POST", "/", {}, body).status == 200
    response = api.ask("POST", "/", {}, body + b"x")
    assert (response.status, response.body) == (413, b'{"message":"Request Entity Too Large"}')


def test_routes_are_throttled_by_their_settings():
    stage = V2Stage(
        stage_name="$default",
        default_route_settings=RouteSetting(throttling_rate_limit=10.0, throttling_burst_limit=5),
        route_settings={"GET /a": RouteSetting(throttling_burst_limit=1)},
    )
    api = HttpApi(function(), "GET /a", "GET /b", stage=stage).answers(ok)
    api.ask("GET", "/a")
    api.ask("GET", "/b")
    assert api.world.throttles.asked == [("GET /a", 10.0, 1), ("GET /b", 10.0, 5)]
    api.world.throttles.full.add("GET /a")
    response = api.ask("GET", "/a")
    assert (response.status, response.body) == (429, b'{"message":"Too Many Requests"}')
    assert len(api.world.invoker.events) == 2


def guarded(refused: Refused | None = None, **members):
    async def authorize(visit):
        if refused is not None:
            raise refused
        return Grant(context={"key": "value"}, identity={"user": "me"})

    return HttpApi(function(), "ANY /x", authorization=lambda *given: authorize, **members).answers(ok)


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("UNAUTHORIZED", 401, b"Unauthorized"),
        ("ACCESS_DENIED", 403, b"Forbidden"),
        ("MISSING_AUTHENTICATION_TOKEN", 403, b"Forbidden"),
        ("AUTHORIZER_FAILURE", 500, b"Internal Server Error"),
        ("AUTHORIZER_CONFIGURATION_ERROR", 500, b"Internal Server Error"),
    ],
)
def test_authorizers_refuse(kind, status, message):
    api = guarded(Refused(kind, "why", headers={"www-authenticate": "Bearer"}))
    response = api.ask("GET", "/x")
    assert (response.status, response.body) == (status, b'{"message":"%b"}' % message)
    assert header_of(response, "www-authenticate") == "Bearer"
    assert api.visit.context["error"]["message"] == "why"
    assert api.world.invoker.events == []


def test_what_an_authorizer_found_out_is_in_the_context():
    api = guarded()
    assert api.ask("GET", "/x").status == 200
    assert api.visit.context["authorizer"] == {"key": "value"}
    assert api.visit.context["identity"]["user"] == "me"


CORS = Cors(
    allow_origins=("https://example.com",), allow_methods=("GET", "POST"), allow_headers=("authorization", "x-a"),
    expose_headers=("date",), allow_credentials=True, max_age=300,
)  # fmt: skip


def test_preflights_are_answered_without_the_integration():
    for keys in (("GET /x",), ("$default",), ("OPTIONS /x",)):
        api = HttpApi(function(), *keys, cors=CORS).answers(ok)
        response = api.ask("OPTIONS", "/x", PREFLIGHT)
        assert response.status == 204
        assert response.headers == [
            ("access-control-allow-origin", "https://example.com"),
            ("vary", "origin"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "authorization,x-a"),
            ("access-control-max-age", "300"),
            ("access-control-allow-credentials", "true"),
            ("apigw-requestid", "JKJaXmPLvHcESHA="),
        ]
        assert api.world.invoker.events == []


def test_other_origins_are_told_nothing():
    api = HttpApi(function(), "GET /x", cors=CORS).answers(ok)
    for headers in ({**PREFLIGHT, "Origin": "https://evil.example"}, ORIGIN, {}):
        response = api.ask("OPTIONS", "/x", headers)
        assert (response.status, header_of(response, "access-control-allow-origin")) == (204, None)
    response = api.ask("GET", "/x", {"Origin": "https://evil.example"})
    assert (response.status, header_of(response, "access-control-allow-origin")) == (200, None)


def test_the_configuration_speaks_and_not_the_integration():
    api = HttpApi(function(), "GET /x", cors=CORS).answers(ok)
    response = api.ask("GET", "/x", ORIGIN)
    assert header_of(response, "access-control-allow-origin") == "https://example.com"
    assert header_of(response, "access-control-expose-headers") == "date"
    assert header_of(response, "access-control-allow-credentials") == "true"
    assert header_of(response, "access-control-allow-methods") is None
    assert header_of(api.ask("GET", "/x"), "access-control-allow-origin") is None


def test_without_a_configuration_the_integration_speaks():
    api = HttpApi(function()).answers(ok)
    assert (
        header_of(api.ask("GET", "/x", ORIGIN), "access-control-allow-origin") == "https://function.example"
    )


@pytest.mark.parametrize(
    ("allowed", "origin", "told"),
    [
        ("*", "https://any.example", "*"),
        ("https://*", "https://any.example", "https://any.example"),
        ("https://*", "http://any.example", None),
        ("http://*", "http://localhost:3000", "http://localhost:3000"),
        ("https://a.example", "https://a.example.evil", None),
    ],
)
def test_origins_may_be_wild(allowed, origin, told):
    api = HttpApi(function(), cors=Cors(allow_origins=(allowed,))).answers(ok)
    response = api.ask("GET", "/", {"Origin": origin})
    assert header_of(response, "access-control-allow-origin") == told
    assert header_of(response, "vary") == (None if told in {None, "*"} else "origin")


def test_refusals_can_be_read_by_browsers():
    api = guarded(Refused("UNAUTHORIZED"), cors=CORS)
    response = api.ask("GET", "/x", ORIGIN)
    assert (response.status, header_of(response, "access-control-allow-origin")) == (
        401,
        "https://example.com",
    )


def test_a_route_that_catches_preflights_authorizes_them():
    assert guarded(Refused("UNAUTHORIZED"), cors=CORS).ask("OPTIONS", "/x", PREFLIGHT).status == 401
    open_route = (Route(id="o", route_key="OPTIONS /{proxy+}", target="integrations/i"),)
    assert HttpApi(function(), routes=open_route, cors=CORS).ask("OPTIONS", "/x", PREFLIGHT).status == 204


def test_the_path_is_decoded_before_it_is_matched():
    api = HttpApi(function(), "GET /a b", "GET /x/{id}")
    assert api.event("GET", "/a%20b")["routeKey"] == "GET /a b"
    assert api.event("GET", "/x/%C3%A4")["pathParameters"] == {"id": "ä"}
    assert api.ask("GET", "/x/1%2F2").status == 404
