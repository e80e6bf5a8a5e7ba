"""AWS_PROXY: the event, the answer's shape, and what goes wrong."""

import base64
import json
from typing import Any

import pytest
from tests.gateway_kit import ACCOUNT, API, DOMAIN, FUNCTION, World
from tests.rest_kit import STREAM_URI, Answered, ask, compiled, method, proxy

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.rest.lambda_proxy import BrokenOff

PATHS = {"/{proxy+}": {"ANY": method(proxy(), "ANY")}}


def answering(given: Any, *, accept: str = "", **settings: Any) -> Answered:
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: given
    return ask(compiled(world, PATHS, **settings), "GET", "/x", {"Accept": accept} if accept else {})


def event_of(*request: Any, stage: Any = None, **settings: Any) -> dict[str, Any]:
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: {"statusCode": 200}
    options = {name: settings.pop(name) for name in ("custom", "base_path") if name in settings}
    assert ask(compiled(world, PATHS, stage=stage, **settings), *request, **options).status == 200
    return dict(world.invoker.event)


def test_the_event_is_as_aws_writes_it() -> None:
    # LocalStack recorded it on AWS: test_lambda_aws_proxy_integration
    event = event_of(
        "POST",
        "/test-path/?category=electronics&category=books&plus=a+b%20c",
        [("User-Agent", "python-requests/testing"), ("X-Two", "1"), ("X-Two", "2"), ("Connection", "close")],
        b'{"message": "hello"}',
    )
    identity = event["requestContext"].pop("identity")
    assert identity == {
        "accessKey": None, "accountId": None, "caller": None, "cognitoAuthenticationProvider": None,
        "cognitoAuthenticationType": None, "cognitoIdentityId": None, "cognitoIdentityPoolId": None,
        "principalOrgId": None, "sourceIp": "203.0.113.7", "user": None,
        "userAgent": "python-requests/testing", "userArn": None,
    }  # fmt: skip
    assert event["requestContext"] == {
        "accountId": ACCOUNT, "apiId": API, "deploymentId": "dep001", "domainName": DOMAIN, "domainPrefix": API,
        "extendedRequestId": "JKJaXmPLvHcESHA=", "httpMethod": "POST", "path": "/dev/test-path/",
        "protocol": "HTTP/1.1", "requestId": "JKJaXmPLvHcESHA=", "requestTime": "14/Nov/2023:22:13:20 +0000",
        "requestTimeEpoch": 1_700_000_000_000, "resourceId": "res000", "resourcePath": "/{proxy+}", "stage": "dev",
    }  # fmt: skip
    headers = event.pop("headers")
    assert headers == {
        "Host": DOMAIN, "User-Agent": "python-requests/testing", "X-Two": "2",
        "X-Amzn-Trace-Id": "Root=1-65536f80-0123456789abcdef01234567",
        "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Port": "80", "X-Forwarded-Proto": "http",
    }  # fmt: skip
    several = event.pop("multiValueHeaders")
    assert several.keys() == headers.keys() and several["X-Two"] == ["1", "2"]
    del event["requestContext"]
    assert event == {
        "resource": "/{proxy+}", "path": "/test-path/", "httpMethod": "POST",
        "queryStringParameters": {"category": "books", "plus": "a b c"},
        "multiValueQueryStringParameters": {"category": ["electronics", "books"], "plus": ["a b c"]},
        "pathParameters": {"proxy": "test-path"}, "stageVariables": None,
        "body": '{"message": "hello"}', "isBase64Encoded": False,
    }  # fmt: skip


@pytest.mark.parametrize(("said", "seen"), [("Bearer x", True), ("AWS4-HMAC-SHA256 Credential=a/b", False)])
def test_a_signature_is_not_handed_on(said: str, seen: bool) -> None:
    event = event_of("GET", "/x", [("Authorization", said), ("X-Amz-Date", "now")])
    assert ("Authorization" in event["headers"], "Authorization" in event["multiValueHeaders"]) == (
        seen,
        seen,
    )
    assert event["headers"]["X-Amz-Date"] == "now"


def test_what_is_empty_is_null() -> None:
    event = event_of("GET", "/x")
    names = ("queryStringParameters", "multiValueQueryStringParameters", "stageVariables", "body")
    assert {name: event[name] for name in names} == dict.fromkeys(names)


def test_stage_variables_and_path_parameters_are_there() -> None:
    event = event_of("GET", "/a%2Bb", stage={"variables": {"color": "green"}})
    assert event["stageVariables"] == {"color": "green"}
    assert event["pathParameters"] == {"proxy": "a%2Bb"}


def test_a_custom_domain_shows_its_base_path() -> None:
    event = event_of("GET", "/x", custom=True, base_path="shop")
    assert event["path"] == "/shop/x"
    assert event["requestContext"]["path"] == "/shop/x"


def test_binary_bodies_are_in_base64() -> None:
    png = b"\x89PNG\xff"
    event = event_of("POST", "/x", {"Content-Type": "image/png; v=1"}, png, binary_media_types=("image/*",))
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (png, True)
    event = event_of("POST", "/x", {"Content-Type": "image/png"}, png)
    assert (event["body"], event["isBase64Encoded"]) == ("\ufffdPNG\ufffd", False)


def test_an_answer_goes_back_whole() -> None:
    answer = answering(
        {
            "statusCode": "201",
            "headers": {"X-One": "1", "X-Both": "b", "Flag": True, "Date": "yesterday", "Number": 5},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "X-Both": ["a"]},
            "body": "hällo",
        }
    )
    assert answer.status == 201
    assert answer.body == "hällo".encode()
    assert answer.header("set-cookie") == "a=1,b=2"
    assert answer.header("x-both") == "a,b"
    assert (answer.header("flag"), answer.header("number")) == ("true", "5")
    assert answer.header("x-amzn-remapped-date") == "yesterday" and answer.header("date") is None
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-amzn-trace-id") == "Root=1-65536f80-0123456789abcdef01234567"


def test_nothing_is_mandatory() -> None:
    answer = answering({})
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "given",
    [
        None, "text", [], 5, {"statusCode": 200, "more": 1}, {"statusCode": "many"}, {"statusCode": 99},
        {"body": {"a": 1}}, {"headers": ["a"]}, {"headers": {"a": {}}}, {"multiValueHeaders": {"a": "b"}},
        {"isBase64Encoded": "perhaps"}, b"", b"{", {"statusCode": 200, "cookies": []},
    ],
)  # fmt: skip
def test_any_other_shape_is_a_bad_gateway(given: Any) -> None:
    answer = answering(given)
    assert answer.status == 502
    assert answer.body == b'{"message": "Internal server error"}'
    assert answer.header("x-amzn-errortype") == "InternalServerErrorException"


def test_base64_is_decoded_for_who_accepts_binary() -> None:
    given = {"body": base64.b64encode(b"\xff\x00").decode(), "isBase64Encoded": True}
    kinds = ("image/png",)
    assert answering(given, accept="image/png,*/*", binary_media_types=kinds).body == b"\xff\x00"
    assert answering(given, accept="*/*", binary_media_types=kinds).body == b"/wA="
    assert answering(given, binary_media_types=("*/*",)).body == b"\xff\x00"
    assert answering(given, accept="image/png").body == b"/wA="


def test_headers_cannot_be_split() -> None:
    answer = answering({"headers": {"X-Evil": "a\r\nSet-Cookie: b"}})
    assert answer.header("x-evil") == "aSet-Cookie: b"
    assert answer.header("set-cookie") is None


def test_a_function_that_raised_is_a_bad_gateway() -> None:
    payload = json.dumps({"errorMessage": "no", "errorType": "E"}).encode()
    assert answering(InvokeResult(payload=payload, function_error="Unhandled")).status == 502


def _raising(error: AwsError) -> Answered:
    world = World()

    def function(_event: Any) -> Any:
        raise error

    world.invoker.functions[FUNCTION] = function
    return ask(compiled(world, PATHS), "GET", "/x")


def test_what_lambda_refuses() -> None:
    assert _raising(AwsError("TooManyRequestsException", "Rate Exceeded.", status=429)).status == 500
    assert _raising(AwsError("ServiceException", "broken", status=500)).status == 502
    large = _raising(AwsError("RequestTooLargeException", "too large", status=413))
    assert (large.status, large.body) == (413, b'{"message":"Request Too Long"}')
    assert ask(compiled(World(), PATHS), "GET", "/x").status == 500  # there is no such function


def test_a_function_that_may_not_be_called_is_a_mistake_of_the_api() -> None:
    world = World(shared=True)
    world.functions.denied.add(FUNCTION)
    assert ask(compiled(world, PATHS), "GET", "/x").status == 500
    assert world.functions.asked[0][1].endswith(f"{API}/dev/*/{{proxy+}}")


def test_only_post_calls_functions() -> None:
    # LocalStack recorded it on AWS: test_lambda_aws_proxy_integration_non_post_method
    answer = ask(compiled(World(), {"/": proxy(http_method="GET")}))
    assert (answer.status, answer.body) == (500, b'{"message": "Internal server error"}')


def test_a_slow_function_times_out() -> None:
    world = World()

    async def slow() -> None:
        import asyncio

        await asyncio.Event().wait()

    world.invoker.functions[FUNCTION] = lambda _event: slow()
    answer = ask(compiled(world, {"/": proxy(timeout_in_millis=50)}))
    assert (answer.status, answer.body) == (504, b'{"message": "Endpoint request timed out"}')
    assert world.observer.seen[0]["visit"].context["error"]["responseType"] == "INTEGRATION_TIMEOUT"


def test_the_function_may_be_named_by_a_stage_variable() -> None:
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: {"body": "hi"}
    uri = proxy().uri.replace("hello", "${stageVariables.name}")
    api = compiled(world, {"/": proxy(uri=uri)}, stage={"variables": {"name": "hello"}})
    assert ask(api).body == b"hi"


class Stream:
    """A function's streamed answer."""

    content_type = ""
    executed_version = "$LATEST"
    request_id = "r"
    trace_id = ""

    def __init__(self, pieces: list[bytes], result: InvokeResult) -> None:
        self.pieces = pieces
        self.result = result
        self.closed = False

    async def __aiter__(self) -> Any:
        for piece in self.pieces:
            yield piece

    def close(self) -> None:
        self.closed = True


def streaming(pieces: list[bytes], error: str = "") -> tuple[Answered, Stream, World]:
    world = World()
    stream = Stream(pieces, InvokeResult(payload=b"", function_error=error))

    async def invoke_stream(*_: Any, **__: Any) -> Stream:
        return stream

    world.invoker.invoke_stream = invoke_stream  # type: ignore[attr-defined]
    api = compiled(world, {"/": proxy(uri=STREAM_URI, response_transfer_mode="STREAM")})
    return ask(api), stream, world


def test_a_stream_begins_with_its_prelude() -> None:
    prelude = json.dumps({"statusCode": 202, "headers": {"X-A": "1"}, "cookies": ["c=1"]}).encode()
    answer, stream, world = streaming(
        [prelude[:5], prelude[5:] + b"\0\0\0", b"\0\0\0\0\0fir", b"st", b"second"]
    )
    assert answer.status == 202
    assert answer.body == b"firstsecond"
    assert (answer.header("x-a"), answer.header("set-cookie")) == ("1", "c=1")
    assert stream.closed
    assert world.observer.seen[0]["bytes"] == 11


@pytest.mark.parametrize(
    "pieces", [[], [b"{}"], [b"x" * 20_000], [b"nonsense" + b"\0" * 8], [b'{"body": 1}' + b"\0" * 8]]
)
def test_a_stream_without_a_good_prelude_is_an_error(pieces: list[bytes]) -> None:
    answer, stream, _ = streaming(pieces)
    assert (answer.status, answer.body) == (500, b'{"message": "Internal server error"}')
    assert stream.closed


def test_a_function_that_fails_before_its_stream_is_a_bad_gateway() -> None:
    assert streaming([], error="Unhandled")[0].status == 502


def test_a_stream_that_fails_amid_is_cut_off() -> None:
    with pytest.raises(BrokenOff):
        streaming([b"{}" + b"\0" * 8, b"half"], error="Unhandled")
