"""HTTP APIs from boto3 to a real function and back, and to backends."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from tests.support import deploy

ECHO = """
def handler(event, context):
    if event["rawPath"].endswith("/plain"):
        return "plain"
    if event["rawPath"].endswith("/boom"):
        raise ValueError("boom")
    return {"statusCode": 201, "headers": {"X-Event": "1", "content-type": "application/json"},
            "cookies": ["a=1", "b=2"], "body": __import__("json").dumps(event)}
"""


@pytest.fixture(scope="module")
def echo(cumulo):
    """The ARN of a function that says what it was given."""
    return deploy(cumulo.client("lambda"), "http-apis-echo", ECHO)["FunctionArn"]


@pytest.fixture
def apis(cumulo):
    return cumulo.client("apigatewayv2")


class Api:
    """An HTTP API that is there."""

    def __init__(self, cumulo, apis, *, stage: str = "$default", **members) -> None:
        self._cumulo = cumulo
        self._apis = apis
        self.id = apis.create_api(Name="test", ProtocolType="HTTP", **members)["ApiId"]
        apis.create_stage(ApiId=self.id, StageName=stage, AutoDeploy=True, StageVariables={"v": "1"})

    def route(self, *keys: str, **integration) -> None:
        """Routes to an integration of their own."""
        made = self._apis.create_integration(ApiId=self.id, **integration)["IntegrationId"]
        for key in keys:
            self._apis.create_route(ApiId=self.id, RouteKey=key, Target=f"integrations/{made}")

    def function(self, arn: str, *keys: str, **integration) -> None:
        """Routes to a function."""
        self.route(
            *keys,
            **{
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": arn,
                "PayloadFormatVersion": "2.0",
                **integration,
            },
        )

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str):
        """Status, headers (name lower case to values) and body of an answer."""
        where = urlsplit(self._cumulo.endpoint)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named["Host"] = f"{self.id}.execute-api.us-east-1.amazonaws.com"
            connection.request(method, target, body, named)
            answer = connection.getresponse()
            found: dict[str, list[str]] = {}
            for name, value in answer.getheaders():
                found.setdefault(name.lower(), []).append(value)
            return answer.status, found, answer.read()
        finally:
            connection.close()


def test_a_function_answers_over_http(cumulo, apis, echo):
    api = Api(cumulo, apis)
    api.function(echo, "POST /pets/{id}", "GET /plain", "GET /boom")
    status, headers, body = api.ask(
        "POST", "/pets/6?a=1&a=2", b'{"x": 1}', content_type="application/json", cookie="c=d"
    )
    event = json.loads(body)
    assert (status, headers["x-event"], headers["set-cookie"]) == (201, ["1"], ["a=1", "b=2"])
    assert headers["apigw-requestid"] == [event["requestContext"]["requestId"]]
    assert (event["routeKey"], event["rawPath"]) == ("POST /pets/{id}", "/pets/6")
    assert (event["pathParameters"], event["queryStringParameters"]) == ({"id": "6"}, {"a": "1,2"})
    assert (event["body"], event["cookies"], event["stageVariables"]) == ('{"x": 1}', ["c=d"], {"v": "1"})
    assert event["requestContext"]["domainPrefix"] == api.id
    status, headers, body = api.ask("GET", "/plain")
    assert (status, headers["content-type"], body) == (200, ["application/json"], b"plain")
    assert api.ask("GET", "/boom")[::2] == (500, b'{"message":"Internal Server Error"}')
    assert api.ask("GET", "/none")[::2] == (404, b'{"message":"Not Found"}')


def test_a_named_stage_is_the_beginning_of_the_path(cumulo, apis, echo):
    api = Api(cumulo, apis, stage="prod")
    api.function(echo, "$default")
    event = json.loads(api.ask("GET", "/prod/a%20b")[2])
    assert (event["rawPath"], event["routeKey"], event["requestContext"]["stage"]) == (
        "/prod/a b",
        "$default",
        "prod",
    )
    assert api.ask("GET", "/a")[0] == 404


def test_large_bodies_come_through(cumulo, apis, echo):
    api = Api(cumulo, apis)
    api.function(echo, "$default")
    event = json.loads(api.ask("POST", "/", b"\xff" * 1_000_000)[2])
    assert (event["isBase64Encoded"], len(event["body"])) == (True, 1_333_336)
    assert api.ask("POST", "/", b"x" * (10 * 1024 * 1024 + 1))[::2] == (
        413,
        b'{"message":"Request Entity Too Large"}',
    )


def test_browsers_are_answered_by_the_api_itself(cumulo, apis, echo):
    cors = {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "MaxAge": 300}
    api = Api(cumulo, apis, CorsConfiguration=cors)
    api.function(echo, "GET /x")
    status, headers, body = api.ask(
        "OPTIONS", "/x", origin="https://example.com", access_control_request_method="GET"
    )
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == ["https://example.com"]
    assert headers["access-control-allow-methods"] == ["GET"]
    assert api.ask("GET", "/x", origin="https://example.com")[1]["access-control-allow-origin"] == [
        "https://example.com"
    ]
    assert "access-control-allow-origin" not in api.ask("GET", "/x", origin="https://other.example")[1]


class Backend(BaseHTTPRequestHandler):
    """Says what it was asked; sends as much as it is asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        size = int(self.headers.get("x-size", "0"))
        told = (
            b"x" * size
            or json.dumps(
                {"path": self.path, "method": self.command, "headers": dict(self.headers), "size": len(body)}
            ).encode()
        )
        self.send_response(202)
        self.send_header("X-Backend", "1")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815 - as the server calls them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_backend_answers(cumulo, apis, backend):
    api = Api(cumulo, apis)
    api.route("ANY /a/{proxy+}", IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", PayloadFormatVersion="1.0",
              IntegrationUri=backend + "/base/{proxy}", RequestParameters={"append:header.x-id": "$context.requestId"},
              ResponseParameters={"202": {"overwrite:statuscode": "203"}})  # fmt: skip
    status, headers, body = api.ask("PUT", "/a/b/c%20d?q=1", b"y" * 300_000, x_own="1")
    told = json.loads(body)
    sent = {name.lower(): value for name, value in told["headers"].items()}
    assert (status, headers["x-backend"]) == (203, ["1"])
    assert (told["path"], told["method"], told["size"]) == ("/base/b/c%20d?q=1", "PUT", 300_000)
    assert (sent["x-own"], sent["x-id"]) == ("1", headers["apigw-requestid"][0])
    assert sent["host"] == backend.removeprefix("http://")
    assert sent["forwarded"].startswith("for=127.0.0.1;host=")


def test_long_answers_stream_through(cumulo, apis, backend):
    api = Api(cumulo, apis)
    api.route("$default", IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", PayloadFormatVersion="1.0",
              IntegrationUri=backend)  # fmt: skip
    status, headers, body = api.ask("GET", "/", x_size="5000000")
    assert (status, headers["content-length"], len(body)) == (202, ["5000000"], 5_000_000)
    assert api.ask("HEAD", "/", x_size="77")[1]["content-length"] == ["77"]


def test_a_backend_that_is_not_there_is_unavailable(cumulo, apis):
    api = Api(cumulo, apis)
    api.route("$default", IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", PayloadFormatVersion="1.0",
              IntegrationUri="http://127.0.0.1:1/")  # fmt: skip
    assert api.ask("GET", "/")[::2] == (503, b'{"message":"Service Unavailable"}')


def test_a_message_is_sent_without_a_function(cumulo, apis):
    sqs = cumulo.client("sqs")
    queue = sqs.create_queue(QueueName="http-apis")["QueueUrl"]
    api = Api(cumulo, apis)
    api.route("POST /send", IntegrationType="AWS_PROXY", IntegrationSubtype="SQS-SendMessage", PayloadFormatVersion="1.0",
              CredentialsArn="arn:aws:iam::000000000000:role/r",
              RequestParameters={"QueueUrl": queue, "MessageBody": "$request.body.message"})  # fmt: skip
    status, _, body = api.ask("POST", "/send", b'{"message": "hello & bye"}')
    assert status == 200, body
    assert b"<SendMessageResponse" in body
    received = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert [message["Body"] for message in received] == ["hello & bye"]


def test_an_event_is_put_without_a_function(cumulo, apis):
    api = Api(cumulo, apis)
    api.route("POST /put", IntegrationType="AWS_PROXY", IntegrationSubtype="EventBridge-PutEvents",
              PayloadFormatVersion="1.0", CredentialsArn="arn:aws:iam::000000000000:role/r",
              RequestParameters={"Detail": "$request.body", "DetailType": "t", "Source": "shop"})  # fmt: skip
    status, _, body = api.ask("POST", "/put", b"{}")
    assert (status, json.loads(body)["FailedEntryCount"]) == (200, 0)
