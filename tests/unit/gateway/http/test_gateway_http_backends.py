"""HTTP_PROXY: what backends get, and what clients get back."""

import pytest
from tests.gateway_kit import DOMAIN, header_of
from tests.unit.gateway.http.http_api import HttpApi, proxy

from cumulo.gateway.definitions.v2 import Cors, V2Stage
from cumulo.gateway.tools import Answer, CallFailed

LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/lb/1/2"


def asked(api, *args, **options):
    assert api.ask(*args, **options).status == 200
    return api.world.http.request


@pytest.mark.parametrize(
    ("uri", "key", "target", "url"),
    [
        ("https://b.example", "$default", "/store/a%20b?x=1&y", "https://b.example/store/a%20b?x=1&y"),
        ("https://b.example/base/", "$default", "/store", "https://b.example/base/store"),
        ("https://b.example/x", "GET /pets", "/pets?a=1", "https://b.example/x?a=1"),
        ("https://b.example/x?k=1", "GET /pets", "/pets?a=1", "https://b.example/x?k=1&a=1"),
        ("https://b.example/p/{id}", "GET /pets/{id}", "/pets/6%C3%A4", "https://b.example/p/6%C3%A4"),
        ("https://b.example/p/{proxy}", "ANY /a/{proxy+}", "/a/b/c%25", "https://b.example/p/b/c%25"),
        ("https://b.example/p/{proxy+}", "ANY /a/{proxy+}", "/a/b", "https://b.example/p/b"),
        ("https://${stageVariables.host}/{id}?i={id}", "GET /{id}", "/7", "https://v.example/7?i=7"),
        ("https://b.example/{other}", "GET /{id}", "/7", "https://b.example/{other}"),
    ],
)
def test_the_url_is_made_of_the_uri_and_the_request(uri, key, target, url):
    stage = V2Stage(stage_name="prod", variables={"host": "v.example"})
    assert asked(HttpApi(proxy(uri), key, stage=stage), "GET", target)["url"] == url


def test_headers_go_on_but_those_of_the_connection():
    api = HttpApi(proxy())
    headers = [
        ("Host", DOMAIN), ("Accept", "*/*"), ("X-A", "1"), ("X-A", "2"), ("Cookie", "a=b"), ("Authorization", "me"),
        ("Connection", "keep-alive"), ("TE", "trailers"), ("X-Forwarded-For", "198.51.100.1"), ("Via", "1.1 other"),
        ("Forwarded", "for=198.51.100.1"),
    ]  # fmt: skip
    request = asked(api, "GET", "/", headers)
    assert request["headers"] == [
        ("accept", "*/*"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("cookie", "a=b"),
        ("authorization", "me"),
        ("x-amzn-trace-id", "Root=1-65536f80-0123456789abcdef01234567"),
        ("forwarded", f"for=198.51.100.1, for=203.0.113.7;host={DOMAIN};proto=http"),
        ("via", "1.1 other, HTTP/1.1 AmazonAPIGateway"),
    ]


def test_the_method_is_the_requests_or_the_integrations():
    assert asked(HttpApi(proxy()), "PATCH", "/")["method"] == "PATCH"
    assert asked(HttpApi(proxy(integration_method="POST")), "GET", "/")["method"] == "POST"


def test_bodies_go_on():
    api = HttpApi(proxy(timeout_in_millis=1500))
    request = asked(api, "POST", "/", {}, b"x" * 100_000)
    assert (len(request["body"]), request["seconds"], request["stream"]) == (100_000, 1.5, True)
    response = api.ask("POST", "/", {}, b"x" * (10 * 1024 * 1024 + 1))
    assert response.status == 413


def test_the_answer_comes_back():
    api = HttpApi(proxy())
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Connection", "close, X-Hop"),
               ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]  # fmt: skip
    api.world.http.answer = Answer(status=418, headers=headers, body=b"tea")
    response = api.ask()
    assert (response.status, response.body) == (418, b"tea")
    assert response.headers == [
        ("Content-Type", "text/html"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("apigw-requestid", "JKJaXmPLvHcESHA="),
    ]  # fmt: skip
    context = api.visit.context
    assert (context["integration"]["status"], context["integrationStatus"]) == (418, 418)


def streamed(*pieces: bytes):
    async def body():
        for piece in pieces:
            yield piece

    return lambda request: Answer(status=200, headers=(), body=body())


def test_answers_stream_and_are_observed_when_they_ended():
    api = HttpApi(proxy())
    api.world.http.answer = streamed(b"a" * 10, b"b" * 5)
    assert api.ask().body == b"a" * 10 + b"b" * 5
    assert [seen["bytes"] for seen in api.world.observer.seen] == [15]


def test_a_mapping_may_read_an_answer_that_streams():
    api = HttpApi(proxy(response_parameters={"200": {"append:header.code": "$response.body.code"}}))
    api.world.http.answer = streamed(b'{"co', b'de": 7}')
    response = api.ask()
    assert (header_of(response, "code"), response.body) == ("7", b'{"code": 7}')


@pytest.mark.parametrize("timed_out", [False, True])
def test_a_backend_that_does_not_answer_is_unavailable(timed_out):
    def fail(request):
        raise CallFailed("nobody", timed_out=timed_out)

    api = HttpApi(proxy())
    api.world.http.answer = fail
    response = api.ask()
    assert (response.status, response.body) == (503, b'{"message":"Service Unavailable"}')
    assert api.visit.context["integrationErrorMessage"] == "nobody"


def test_a_uri_that_is_none_is_unavailable():
    assert HttpApi(proxy("${stageVariables.nothing}")).ask().status == 503


def test_the_mapping_changes_what_the_backend_gets():
    mapping = {
        "append:header.x-id": "$context.requestId",
        "overwrite:header.host": "other.example",
        "remove:querystring.a": "''",
        "append:querystring.b": "$request.body.n",
        "overwrite:path": "/v2${request.path}",
    }
    api = HttpApi(proxy("http://b.example/old?k=1", request_parameters=mapping), "POST /p")
    request = asked(api, "POST", "/p?a=1&c=2", {}, b'{"n": "x y"}')
    assert request["url"] == "http://b.example/v2/p?k=1&c=2&b=x+y"
    assert (api.world.http.header("x-id"), api.world.http.header("host")) == (
        "JKJaXmPLvHcESHA=",
        "other.example",
    )
    assert request["body"] == b'{"n": "x y"}'


def private(**members):
    api = HttpApi(
        proxy(LISTENER, connection_type="VPC_LINK", connection_id="link", **members),
        "ANY /x/{proxy+}",
        stage=V2Stage(stage_name="prod"),
    )
    api.world.private.urls[LISTENER] = "http://10.0.0.1:80"
    return api


def test_a_private_backend_gets_the_stage_and_the_host():
    api = private()
    request = asked(api, "GET", "/x/y%20z?a=1", {"Host": DOMAIN})
    assert request["url"] == "http://10.0.0.1:80/prod/x/y%20z?a=1"
    assert api.world.http.header("host") == DOMAIN


def test_a_mapping_takes_the_stage_away():
    api = private(request_parameters={"overwrite:path": "$request.path"})
    assert asked(api, "GET", "/x/y")["url"] == "http://10.0.0.1:80/x/y"


def test_a_private_backend_may_speak_tls():
    request = asked(private(server_name_to_verify="b.example"), "GET", "/x/y")
    assert (request["url"], request["server_name"]) == ("https://10.0.0.1:80/prod/x/y", "b.example")


def test_a_private_backend_that_is_not_there_is_unavailable():
    api = private()
    api.world.private.urls.clear()
    assert api.ask("GET", "/x/y").status == 503


def test_a_cors_configuration_speaks_in_place_of_the_backend():
    api = HttpApi(proxy(), cors=Cors(allow_origins=("*",)))
    api.world.http.answer = Answer(
        status=200, headers=[("Access-Control-Allow-Origin", "x"), ("A", "1")], body=b""
    )
    response = api.ask("GET", "/", {"Origin": "http://o.example"})
    assert header_of(response, "access-control-allow-origin") == "*"
    assert header_of(api.ask(), "access-control-allow-origin") is None
