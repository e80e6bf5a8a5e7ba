"""HTTP and HTTP_PROXY integrations."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway_kit import API, World
from tests.rest_kit import OK, Answered, ask, compiled, method

from cumulo.gateway.definitions.rest import Integration, IntegrationResponse
from cumulo.gateway.tools import Answer, CallFailed

URL = "http://backend.example/base"


def http(**settings: Any) -> Integration:
    return Integration(
        **({"type": "HTTP", "http_method": "POST", "uri": URL, "integration_responses": OK} | settings)
    )


def passing(**settings: Any) -> Integration:
    return Integration(**({"type": "HTTP_PROXY", "http_method": "ANY", "uri": URL} | settings))


def send(
    integration: Integration, *request: Any, answer: Any = None, path: str = "/{id}", **settings: Any
) -> tuple[Answered, World]:
    world = World()
    if answer is not None:
        world.http.answer = answer
    api = compiled(world, {path: {"ANY": method(integration, "ANY")}}, **settings)
    return ask(api, *request), world


def test_http_sends_what_is_mapped_alone() -> None:
    integration = http(
        uri="http://${stageVariables.host}/pets/{pet}",
        request_parameters={
            "integration.request.path.pet": "method.request.path.id",
            "integration.request.header.X-Kind": "method.request.querystring.kind",
            "integration.request.querystring.who": "context.identity.sourceIp",
            "integration.request.querystring.list": "method.request.multivaluequerystring.n",
            "integration.request.header.X-Literal": "'a.b'",
            "integration.request.header.X-Missing": "method.request.header.Nope",
            "integration.request.header.X-Body": "method.request.body.pet.name",
        },
    )
    request = (
        "POST",
        "/7?kind=dog&n=1&n=2",
        {"Content-Type": "application/json", "X-Private": "1"},
        b'{"pet":{"name":"Rex"}}',
    )
    answer, world = send(integration, *request, stage={"variables": {"host": "pets.example"}})
    assert answer.status == 200
    sent = world.http.request
    assert (sent["method"], sent["url"]) == (
        "POST",
        "http://pets.example/pets/7?who=203.0.113.7&list=1&list=2",
    )
    assert dict(sent["headers"]) == {
        "X-Kind": "dog", "X-Literal": "a.b", "X-Body": "Rex", "Accept": "application/json",
        "User-Agent": f"AmazonAPIGateway_{API}", "Content-Type": "application/json",
        "X-Amzn-Trace-Id": "Root=1-65536f80-0123456789abcdef01234567", "X-Amzn-Apigateway-Api-Id": API,
    }  # fmt: skip
    assert sent["body"] == b'{"pet":{"name":"Rex"}}'


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "X-Amzn-Trace-Id"])
@pytest.mark.parametrize("make", [http, passing])
def test_some_headers_must_not_be_mapped(make: Any, name: str) -> None:
    # recorded on AWS by LocalStack: test_apigateway_header_remapping_http
    answer, world = send(make(request_parameters={f"integration.request.header.{name}": "'1'"}), "GET", "/1")
    assert (answer.status, answer.body) == (500, b'{"message": "Internal server error"}')
    assert world.http.requests == []


def test_http_maps_the_answer_back() -> None:
    response = IntegrationResponse(
        status_code="200",
        response_parameters={
            "method.response.header.X-One": "integration.response.header.x-backend",
            "method.response.header.X-All": "integration.response.multivalueheader.x-backend",
            "method.response.header.X-Name": "integration.response.body.pets[1].name",
            "method.response.header.Date": "'yesterday'",
            "method.response.header.Content-Type": "'text/plain'",
            "method.response.header.X-None": "integration.response.header.Nope",
        },
    )
    backend = Answer(
        status=201, headers=(("X-Backend", "1"), ("X-Backend", "2")), body=b'{"pets":[{},{"name":"Rex"}]}'
    )
    answer, _ = send(http(integration_responses={"200": response}), "GET", "/1", answer=backend)
    assert answer.status == 200
    assert (answer.header("x-one"), answer.header("x-all"), answer.header("x-name")) == ("2", "1,2", "Rex")
    assert answer.header("content-type") == "text/plain"
    assert answer.header("x-amzn-remapped-date") == "yesterday"
    assert answer.header("x-none") is None and answer.header("x-backend") is None


def test_http_selects_by_the_whole_status() -> None:
    responses = {
        "400": IntegrationResponse(status_code="400", selection_pattern="4\\d{2}"),
        "500": IntegrationResponse(status_code="500", selection_pattern="5.*"),
        "200": IntegrationResponse(status_code="200", selection_pattern=""),
    }
    for status, expected in ((404, 400), (503, 500), (200, 200), (302, 200)):
        answer, _ = send(
            http(integration_responses=responses), "GET", "/1", answer=Answer(status=status, headers=())
        )
        assert answer.status == expected


def test_an_answer_that_nothing_is_for_is_a_mistake_of_the_api() -> None:
    responses = {"400": IntegrationResponse(status_code="400", selection_pattern="4..")}
    answer, world = send(http(integration_responses=responses), "GET", "/1")
    assert (answer.status, answer.body) == (500, b'{"message": "Internal server error"}')
    assert world.observer.seen[0]["visit"].context["error"]["responseType"] == "API_CONFIGURATION_ERROR"


def test_a_proxy_passes_the_request_on() -> None:
    headers = [
        ("Accept", "text/html"), ("X-Two", "1"), ("X-Two", "2"), ("TE", "x"), ("Via", "y"), ("Authorization", "z"),
        ("Content-Encoding", "br"), ("X-Forwarded-For", "198.51.100.1"), ("Content-Type", "text/plain"),
    ]  # fmt: skip
    answer, world = send(passing(), "PUT", "/1?a=1&a=2&b=x%20y", headers, b"text")
    assert answer.status == 200
    sent = world.http.request
    assert (sent["method"], sent["url"], sent["body"]) == ("PUT", f"{URL}?a=1&a=2&b=x%20y", b"text")
    assert sorted(sent["headers"]) == sorted([
        ("Accept", "text/html"), ("X-Two", "1"), ("X-Two", "2"), ("Authorization", "z"), ("Content-Type", "text/plain"),
        ("X-Amzn-Trace-Id", "Root=1-65536f80-0123456789abcdef01234567"), ("X-Forwarded-For", "198.51.100.1, 203.0.113.7"),
        ("X-Forwarded-Port", "80"), ("X-Forwarded-Proto", "http"), ("User-Agent", f"AmazonAPIGateway_{API}"),
        ("X-Amzn-Apigateway-Api-Id", API),
    ])  # fmt: skip


def test_a_proxy_adds_what_is_mapped() -> None:
    # recorded on AWS by LocalStack: test_http_proxy_integration_request_data_mappings
    integration = passing(
        uri=f"{URL}/{{proxy}}",
        request_parameters={
            "integration.request.path.proxy": "method.request.path.proxy",
            "integration.request.header.X-Var": "'mapped'",
            "integration.request.querystring.q": "'more'",
            "integration.request.querystring.new": "method.request.header.X-Var",
        },
    )
    _, world = send(integration, "GET", "/a/b%20c?q=1", {"X-Var": "mine"}, path="/{proxy+}")
    assert world.http.request["url"] == f"{URL}/a/b%20c?q=1&q=more&new=mine"
    assert world.http.header("x-var") == "mapped"


def test_a_mapped_value_cannot_leave_its_part_of_the_url() -> None:
    integration = http(
        uri=f"{URL}/{{x}}?y={{x}}",
        request_parameters={"integration.request.path.x": "method.request.querystring.q"},
    )
    _, world = send(integration, "GET", "/1?q=a%2Fb%3Fc%3D1%26d%23%0D%0AHost%3A")
    assert world.http.request["url"] == f"{URL}/a/b%3Fc=1&d%23Host:?y=a/b%3Fc%3D1%26d%23Host:"


def test_a_proxy_passes_the_answer_back() -> None:
    backend = Answer(
        status=404,
        headers=(("Content-Type", "text/html"), ("Date", "d"), ("Server", "s"), ("x-amzn-RequestId", "r"), ("Content-Length", "2"),
                 ("Transfer-Encoding", "chunked"), ("Set-Cookie", "a"), ("Set-Cookie", "b")),
        body=b"no",
    )  # fmt: skip
    answer, _ = send(passing(), "GET", "/1", answer=backend)
    assert (answer.status, answer.body) == (404, b"no")
    assert answer.header("set-cookie") == "a,b"
    for name in ("Date", "Server", "Content-Length", "x-amzn-RequestId"):
        assert answer.header(f"x-amzn-remapped-{name}") is not None
    assert answer.header("date") is None and answer.header("transfer-encoding") is None
    assert answer.header("x-amzn-requestid") == "JKJaXmPLvHcESHA="
    assert answer.header("x-amzn-trace-id") is None


def test_bytes_survive_as_binary_and_not_as_text() -> None:
    backend = Answer(status=200, headers=(("Content-Type", "image/png"),), body=b"\x89PNG")
    assert send(passing(), "GET", "/1", answer=backend)[0].body == b"\xef\xbf\xbdPNG"
    assert (
        send(passing(), "GET", "/1", answer=backend, binary_media_types=("image/png",))[0].body == b"\x89PNG"
    )


def test_a_backends_compression_is_undone_where_its_answer_is_text() -> None:
    backend = Answer(
        status=200,
        headers=(("Content-Type", "text/plain"), ("Content-Encoding", "gzip")),
        body=gzip.compress(b"hello"),
    )
    answer, _ = send(passing(), "GET", "/1", answer=backend)
    assert (answer.body, answer.header("content-encoding")) == (b"hello", None)
    answer, _ = send(passing(), "GET", "/1", answer=backend, binary_media_types=("*/*",))
    assert (gzip.decompress(answer.body), answer.header("content-encoding")) == (b"hello", "gzip")


@pytest.mark.parametrize(
    "uri", ["http://x/{nobody}", "ftp://x/", "nothing", "http://x:port/", "http://x/a b"]
)
def test_an_address_that_is_none_is_a_mistake_of_the_api(uri: str) -> None:
    answer, world = send(passing(uri=uri), "GET", "/1")
    assert (answer.status, world.http.requests) == (500, [])


def test_a_backend_that_cannot_be_reached() -> None:
    def failing(timed_out: bool) -> Any:
        def answer(_request: Any) -> Answer:
            raise CallFailed("no", timed_out=timed_out)

        return answer

    answer, world = send(passing(), "GET", "/1", answer=failing(False))
    assert (answer.status, answer.body) == (504, b'{"message": "Network error communicating with endpoint"}')
    assert world.observer.seen[0]["visit"].context["integration"]["error"] == "no"
    answer, _ = send(passing(), "GET", "/1", answer=failing(True))
    assert (answer.status, answer.body) == (504, b'{"message": "Endpoint request timed out"}')


def test_a_vpc_link_leads_to_what_it_names() -> None:
    world = World()
    listener = "arn:aws:elasticloadbalancing:us-east-1:1:listener/app/x/1/2"
    world.private.urls = {"link1": "http://10.0.0.5:80", listener: "http://10.0.0.6:8080"}
    via = {
        "uri": "http://pets.internal:8081/x?y=1",
        "connection_type": "VPC_LINK",
        "insecure_skip_verification": True,
    }
    api = compiled(
        world,
        {"/a": passing(connection_id="${stageVariables.link}", **via), "/b": passing(integration_target=listener, **via),
         "/c": passing(connection_id="gone", **via)},
        stage={"variables": {"link": "link1"}},
    )  # fmt: skip
    assert ask(api, "GET", "/a").status == 200
    assert world.http.request["url"] == "http://10.0.0.5:8081/x?y=1"
    assert (world.http.header("host"), world.http.request["server_name"]) == (
        "pets.internal:8081",
        "pets.internal",
    )
    assert world.http.request["verify"] is False
    assert ask(api, "GET", "/b").status == 200
    assert world.http.request["url"] == "http://10.0.0.6:8080/x?y=1"
    assert ask(api, "GET", "/c").status == 504


def test_a_streamed_answer_is_passed_piece_by_piece() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"\xff"
        yield b"two"

    backend = Answer(status=200, headers=(("Content-Type", "text/plain"),), body=pieces())
    answer, world = send(passing(response_transfer_mode="STREAM"), "GET", "/1", answer=backend)
    assert answer.body == b"\xfftwo"
    assert world.http.request["stream"] is True
    assert world.observer.seen[0]["bytes"] == 4


def test_a_mapped_body_that_is_no_json_is_a_bad_request() -> None:
    integration = http(request_parameters={"integration.request.header.X": "method.request.body.a"})
    answer, _ = send(integration, "POST", "/1", {}, b"{no")
    assert (answer.status, answer.body) == (400, b'{"message":"Invalid JSON in request body"}')
