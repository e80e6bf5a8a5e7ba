"""What clients get of what functions say."""

import asyncio

import pytest
from tests.gateway_kit import FUNCTION, header_of
from tests.unit.gateway.http.http_api import HttpApi, function

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult

ERROR = b'{"message":"Internal Server Error"}'
UNAVAILABLE = b'{"message":"Service Unavailable"}'


def said(answer, version: str = "2.0"):
    return HttpApi(function(payload_format_version=version)).answers(lambda event: answer).ask()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("Hello", b"Hello"),
        ({"message": "Hello"}, b'{"message": "Hello"}'),
        ([1, 2], b"[1, 2]"),
        (None, b"null"),
        (7, b"7"),
        ({"body": "no status"}, b'{"body": "no status"}'),
    ],
)
def test_an_answer_without_a_status_is_itself_the_body(answer, body):
    response = said(answer)
    assert (response.status, response.body) == (200, body)
    assert header_of(response, "content-type") == "application/json"
    assert header_of(response, "apigw-requestid") == "JKJaXmPLvHcESHA="


def test_an_answer_says_status_headers_and_cookies():
    response = said(
        {
            "statusCode": 201,
            "headers": {"X-One": "1", "N": 5, "B": True},
            "cookies": ["a=1", "b=2"],
            "body": "ä",
        }
    )
    assert response.status == 201
    assert response.body == "ä".encode()
    assert response.headers == [
        ("x-one", "1"), ("n", "5"), ("b", "true"), ("content-type", "text/plain;charset=utf-8"), ("set-cookie", "a=1"),
        ("set-cookie", "b=2"), ("apigw-requestid", "JKJaXmPLvHcESHA="),
    ]  # fmt: skip


def test_base64_is_decoded():
    answer = {
        "statusCode": 200,
        "isBase64Encoded": True,
        "body": "iVBORw==",
        "headers": {"Content-Type": "image/png"},
    }
    for version in ("1.0", "2.0"):
        response = said(answer, version)
        assert response.body == b"\x89PNG"
        assert header_of(response, "content-type") == "image/png"


def test_format_1_has_headers_of_many_values():
    response = said(
        {
            "statusCode": "200",
            "headers": {"a": "1", "B": "x", "c": "3"},
            "multiValueHeaders": {"A": ["1", "2"], "b": ["y"], "Set-Cookie": ["p", "q"]},
        },
        "1.0",
    )
    assert response.headers[:-2] == [
        ("b", "x"), ("c", "3"), ("a", "1"), ("a", "2"), ("b", "y"), ("set-cookie", "p"), ("set-cookie", "q"),
    ]  # fmt: skip
    assert response.body == b""


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": None},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nset-cookie: b"}},
        {"statusCode": 200, "headers": {"a": ["1"]}},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "isBase64Encoded": True, "body": "no base64"},
        b"not JSON",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_malformed_answer_is_an_error(answer, version):
    response = said(answer, version)
    assert (response.status, response.body) == (500, ERROR)
    assert header_of(response, "content-type") == "application/json"


@pytest.mark.parametrize(
    "answer", ["Hello", {"message": "Hello"}, {"statusCode": 200, "multiValueHeaders": {"a": "1"}}]
)
def test_format_1_infers_nothing(answer):
    assert said(answer, "1.0").body == ERROR


def test_what_a_function_raises_is_an_error():
    raised = InvokeResult(payload=b'{"errorMessage": "boom"}', function_error="Unhandled")
    api = HttpApi(function()).answers(lambda event: raised)
    response = api.ask()
    assert (response.status, response.body) == (500, ERROR)
    assert api.visit.context["integrationErrorMessage"] == "boom"
    assert api.visit.context["integration"]["integrationStatus"] == 200


def test_an_unknown_function_is_an_error():
    assert HttpApi(function()).ask().body == ERROR
    assert HttpApi(function(integration_uri="arn:aws:sqs:us-east-1:1:q")).ask().body == ERROR


def test_a_function_without_capacity_is_unavailable():
    def busy(event):
        raise AwsError("TooManyRequestsException", "Rate Exceeded.", status=429)

    response = HttpApi(function()).answers(busy).ask()
    assert (response.status, response.body) == (503, UNAVAILABLE)


def test_a_function_that_takes_too_long_is_unavailable():
    api = HttpApi(function(timeout_in_millis=1)).answers(lambda event: asyncio.Event().wait())
    assert (api.ask().status, api.visit.context["error"]["responseType"]) == (503, "INTEGRATION_TIMEOUT")


def test_an_event_that_is_too_large_is_said_so():
    def large(event):
        raise AwsError("RequestEntityTooLargeException", "too large", status=413)

    response = HttpApi(function()).answers(large).ask()
    assert (response.status, response.body) == (413, b'{"message":"Request Entity Too Large"}')


def test_the_context_tells_of_the_integration():
    api = HttpApi(function(), "GET /x").answers(lambda event: {"statusCode": 404})
    api.ask("GET", "/x")
    context = api.visit.context
    assert context["routeKey"] == "GET /x"
    assert (context["integration"]["status"], context["integrationStatus"]) == (404, 200)
    assert context["integration"]["requestId"] == context["awsEndpointRequestId"]
    assert api.world.observer.seen[0]["status"] == 404


def test_parameters_are_mapped_for_functions_too():
    mapping = {"append:header.x": "$context.requestId", "overwrite:querystring.q": "${request.header.a}!",
               "overwrite:path": "/other"}  # fmt: skip
    event = HttpApi(function(request_parameters=mapping)).event("GET", "/p?q=1&z=2", {"A": "1"})
    assert event["headers"]["x"] == "JKJaXmPLvHcESHA="
    assert (event["rawPath"], event["queryStringParameters"]) == ("/other", {"z": "2", "q": "1!"})
    assert event["rawQueryString"] == "z=2&q=1%21"


def test_answers_are_mapped_by_their_status():
    parameters = {"404": {"overwrite:statuscode": "403", "append:header.error": "$response.body.code"}}
    api = HttpApi(function(response_parameters=parameters))
    response = api.answers(lambda event: {"statusCode": 404, "body": '{"code": 7}'}).ask()
    assert (response.status, header_of(response, "error")) == (403, "7")
    response = api.answers(lambda event: {"statusCode": 200}).ask()
    assert (response.status, header_of(response, "error")) == (200, None)


def test_the_function_of_a_stage_variable_is_called():
    api = HttpApi(function(integration_uri=FUNCTION.replace("hello", "${stageVariables.f}")))
    assert api.ask().body == ERROR
