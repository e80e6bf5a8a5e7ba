"""REST APIs from boto3 to real functions, backends and AWS services, and back."""

import base64
import http.client
import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tests.support import deploy

ECHO = """
import json, base64

def handler(event, context):
    path = event.get("path", "")
    if path.endswith("/boom"):
        raise ValueError("boom 418")
    if path.endswith("/odd"):
        return {"answer": 42}
    if path.endswith("/image"):
        return {"body": base64.b64encode(b"\\x89PNG").decode(), "isBase64Encoded": True, "headers": {"Content-Type": "image/png"}}
    if "raise" in event:
        raise ValueError(event["raise"])
    return {"statusCode": 201, "headers": {"X-Event": "1"}, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
            "body": json.dumps(event)}
"""
MAPPED = """
def handler(event, context):
    if event.get("raise"):
        raise ValueError(event["raise"])
    return {"got": event}
"""


@pytest.fixture(scope="module")
def echo(cumulo: Any) -> str:
    """The ARN of a function that says what it was given."""
    return str(deploy(cumulo.client("lambda"), "rest-apis-echo", ECHO)["FunctionArn"])


@pytest.fixture(scope="module")
def mapped(cumulo: Any) -> str:
    """The ARN of a function for mapped events."""
    return str(deploy(cumulo.client("lambda"), "rest-apis-mapped", MAPPED)["FunctionArn"])


@pytest.fixture
def gateway(cumulo: Any) -> Any:
    return cumulo.client("apigateway")


def invocations(arn: str) -> str:
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"


class Api:
    """A REST API that is there."""

    def __init__(self, cumulo: Any, gateway: Any, **members: Any) -> None:
        self._cumulo = cumulo
        self._gateway = gateway
        made = gateway.create_rest_api(name="test", **members)
        self.id = made["id"]
        self._resources = {"/": made["rootResourceId"]}

    def resource(self, path: str) -> str:
        """The id of the resource at a path; made when it is not there."""
        if path not in self._resources:
            parent, _, part = path.rpartition("/")
            made = self._gateway.create_resource(
                restApiId=self.id, parentId=self.resource(parent or "/"), pathPart=part
            )
            self._resources[path] = made["id"]
        return str(self._resources[path])

    def method(
        self, verb: str, path: str, *, settings: Any = None, responses: Any = None, **integration: Any
    ) -> None:
        """A method with its integration; `responses` by status: what put_integration_response takes."""
        where = {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": verb}
        self._gateway.put_method(**where, **({"authorizationType": "NONE"} | (settings or {})))
        renamed = {"integrationHttpMethod": integration.pop("via", "POST")} | integration
        if integration["type"] == "MOCK":
            del renamed["integrationHttpMethod"]
        self._gateway.put_integration(**where, **renamed)
        for status, response in (responses or {}).items():
            names = dict.fromkeys(response.get("responseParameters", {}), False)
            self._gateway.put_method_response(**where, statusCode=status, responseParameters=names)
            self._gateway.put_integration_response(**where, statusCode=status, **response)

    def deploy(self, **members: Any) -> str:
        """To the stage `dev`."""
        return str(self._gateway.create_deployment(restApiId=self.id, stageName="dev", **members)["id"])

    def ask(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        """Status, headers (name lower case to values) and body of an answer."""
        where = urlsplit(self._cumulo.endpoint)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named["Host"] = f"{self.id}.execute-api.us-east-1.amazonaws.com"
            connection.request(method, f"/dev{target}", body, named)
            answer = connection.getresponse()
            found: dict[str, list[str]] = {}
            for name, value in answer.getheaders():
                found.setdefault(name.lower(), []).append(value)
            return answer.status, found, answer.read()
        finally:
            connection.close()


@pytest.fixture
def api(cumulo: Any, gateway: Any) -> Api:
    return Api(cumulo, gateway)


def test_a_function_behind_a_proxy(api: Api, echo: str) -> None:
    api.method("ANY", "/{proxy+}", type="AWS_PROXY", uri=invocations(echo))
    deployment = api.deploy(variables={"color": "green"})
    status, headers, body = api.ask(
        "POST", "/pets/a%20b?n=1&n=2", b'{"x": 1}', content_type="application/json", x_two="2"
    )
    assert (status, headers["x-event"], headers["set-cookie"]) == (201, ["1"], ["a=1", "b=2"])
    assert headers["content-type"] == ["application/json"]
    assert headers["x-amzn-trace-id"][0].startswith("Root=1-")
    event = json.loads(body)
    context = event["requestContext"]
    assert headers["x-amzn-requestid"] == [context["requestId"]]
    assert headers["x-amz-apigw-id"] == [context["extendedRequestId"]]
    assert (event["path"], event["resource"]) == ("/pets/a%20b", "/{proxy+}")
    assert event["pathParameters"] == {"proxy": "pets/a%20b"}
    assert event["multiValueQueryStringParameters"] == {"n": ["1", "2"]}
    assert event["stageVariables"] == {"color": "green"}
    assert (context["path"], context["stage"], context["deploymentId"]) == (
        "/dev/pets/a%20b",
        "dev",
        deployment,
    )
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert event["body"] == '{"x": 1}'


def test_a_function_that_fails_or_answers_oddly(api: Api, echo: str) -> None:
    api.method("GET", "/{proxy+}", type="AWS_PROXY", uri=invocations(echo))
    api.method("GET", "/gone", type="AWS_PROXY", uri=invocations(echo + "-gone"))
    api.deploy()
    for path in ("/boom", "/odd"):
        status, headers, body = api.ask("GET", path)
        assert (status, body) == (502, b'{"message": "Internal server error"}')
        assert headers["x-amzn-errortype"] == ["InternalServerErrorException"]
    assert api.ask("GET", "/gone")[0] == 500
    status, headers, body = api.ask("PUT", "/anything")
    assert (status, body) == (403, b'{"message":"Missing Authentication Token"}')
    assert headers["x-amzn-errortype"] == ["MissingAuthenticationTokenException"]


def test_bytes_come_back_as_bytes(cumulo: Any, gateway: Any, echo: str) -> None:
    api = Api(cumulo, gateway, binaryMediaTypes=["image/png"])
    api.method("GET", "/image", type="AWS_PROXY", uri=invocations(echo))
    api.method("POST", "/in", type="AWS_PROXY", uri=invocations(echo))
    api.deploy()
    assert api.ask("GET", "/image", accept="image/png")[2] == b"\x89PNG"
    assert api.ask("GET", "/image")[2] == base64.b64encode(b"\x89PNG")
    event = json.loads(api.ask("POST", "/in", b"\x89\xff", content_type="image/png")[2])
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x89\xff")


def test_a_mapped_function(api: Api, mapped: str) -> None:
    responses = {
        "200": {"responseTemplates": {"application/json": '{"id": $input.json("$.got.id")}'}},
        "400": {
            "selectionPattern": ".*wrong.*",
            "responseTemplates": {"application/json": '{"error": $input.json("$.errorMessage")}'},
            "responseParameters": {"method.response.header.X-Why": "integration.response.body.errorType"},
        },
    }
    template = '{"id": "$input.params(\'id\')", "raise": "$!input.params(\'raise\')"}'
    api.method(
        "GET", "/{id}", type="AWS", uri=invocations(mapped), requestTemplates={"application/json": template},
        responses=responses,
    )  # fmt: skip
    api.deploy()
    status, _, body = api.ask("GET", "/7")
    assert (status, json.loads(body)) == (200, {"id": "7"})
    status, headers, body = api.ask("GET", "/7?raise=all%20wrong")
    assert (status, json.loads(body), headers["x-why"]) == (400, {"error": "all wrong"}, ["ValueError"])


def test_mocks_and_cors(api: Api) -> None:
    allow = {
        "method.response.header.Access-Control-Allow-Origin": "'*'",
        "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'",
    }
    api.method(
        "OPTIONS", "/pets", type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'},
        responses={"200": {"responseParameters": allow, "responseTemplates": {"application/json": ""}}},
    )  # fmt: skip
    api.deploy()
    status, headers, body = api.ask("OPTIONS", "/pets", origin="https://example.com")
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-origin"] == ["*"]
    assert headers["access-control-allow-methods"] == ["GET,OPTIONS"]


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = json.dumps(
            {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()}
        ).encode()
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Backend", "yes")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_backend_behind_a_proxy(api: Api, backend: str) -> None:
    api.method(
        "ANY", "/{proxy+}", type="HTTP_PROXY", via="ANY", uri=f"{backend}/{{proxy}}",
        settings={"requestParameters": {"method.request.path.proxy": True}},
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    )  # fmt: skip
    api.deploy()
    status, headers, body = api.ask("POST", "/a/b%20c?x=1", b"hello", content_type="text/plain", x_mine="1")
    said = json.loads(body)
    assert (status, said["method"], said["path"], said["body"]) == (200, "POST", "/a/b%20c?x=1", "hello")
    assert headers["x-backend"] == ["yes"]
    assert "x-amzn-remapped-content-length" in headers and "x-amzn-remapped-date" in headers
    sent = {name.lower(): value for name, value in said["headers"].items()}
    assert (sent["x-mine"], sent["host"]) == ("1", backend.removeprefix("http://"))
    assert sent["x-amzn-apigateway-api-id"] == api.id
    assert api.ask("GET", "/gone")[0] == 404


def test_a_backend_that_is_mapped(api: Api, backend: str) -> None:
    api.method(
        "GET", "/pets/{id}", type="HTTP", via="GET", uri=f"{backend}/${{stageVariables.where}}/{{it}}",
        settings={"requestParameters": {"method.request.path.id": True, "method.request.header.X-Who": False}},
        requestParameters={
            "integration.request.path.it": "method.request.path.id",
            "integration.request.querystring.who": "method.request.header.X-Who",
        },
        responses={
            "200": {"responseTemplates": {"application/json": "$input.path('$.path')"}},
            "404": {"selectionPattern": "404", "responseTemplates": {"application/json": "nothing"}},
        },
    )  # fmt: skip
    api.deploy(variables={"where": "here"})
    assert api.ask("GET", "/pets/7", x_who="me")[::2] == (200, b"/here/7?who=me")


def test_queues_buckets_and_tables(cumulo: Any, api: Api) -> None:
    sqs, s3, dynamodb = (cumulo.client(name) for name in ("sqs", "s3", "dynamodb"))
    queue = sqs.create_queue(QueueName="rest-queue")["QueueUrl"]
    account = queue.split("/")[-2]
    s3.create_bucket(Bucket="rest-bucket")
    dynamodb.create_table(
        TableName="rest-table", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )  # fmt: skip
    role = f"arn:aws:iam::{account}:role/gateway"
    api.method(
        "POST", "/queue", type="AWS", credentials=role, uri=f"arn:aws:apigateway:us-east-1:sqs:path/{account}/rest-queue",
        requestParameters={"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
        requestTemplates={"application/json": "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"},
        responses={"200": {"responseTemplates": {
            "application/json": "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')"}}},
    )  # fmt: skip
    object_path = {
        "settings": {"requestParameters": {"method.request.path.key": True}},
        "requestParameters": {"integration.request.path.key": "method.request.path.key"},
        "uri": "arn:aws:apigateway:us-east-1:s3:path/rest-bucket/{key}",
    }
    for verb in ("GET", "PUT"):
        api.method(
            verb, "/objects/{key}", type="AWS", credentials=role, via=verb,
            responses={"200": {}, "404": {"selectionPattern": "404"}}, **object_path,
        )  # fmt: skip
    api.method(
        "POST", "/items", type="AWS", credentials=role, uri="arn:aws:apigateway:us-east-1:dynamodb:action/PutItem",
        requestTemplates={"application/json":
            '{"TableName": "rest-table", "Item": {"id": {"S": "$context.requestId"}, "n": {"N": "$input.path(\'$.n\')"}}}'},
        responses={"200": {"responseTemplates": {"application/json": '{"id": "$context.requestId"}'}}},
    )  # fmt: skip
    api.deploy()
    status, _, body = api.ask("POST", "/queue", b'{"a": "b & c"}', content_type="application/json")
    received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]
    assert (status, body.decode(), received["Body"]) == (200, received["MessageId"], '{"a": "b & c"}')
    key = quote("a b.txt")
    assert api.ask("PUT", f"/objects/{key}", b"content", content_type="text/plain")[0] == 200
    assert s3.get_object(Bucket="rest-bucket", Key="a b.txt")["Body"].read() == b"content"
    assert api.ask("GET", f"/objects/{key}")[::2] == (200, b"content")
    assert api.ask("GET", "/objects/nobody")[0] == 404
    status, _, body = api.ask("POST", "/items", b'{"n": 5}', content_type="application/json")
    item = dynamodb.get_item(TableName="rest-table", Key={"id": {"S": json.loads(body)["id"]}})["Item"]
    assert (status, item["n"]) == (200, {"N": "5"})


NODE = pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
STORY = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 202, headers: { 'x-from': event.path } });
  stream.write('first;');
  await new Promise((resolve) => setTimeout(resolve, 1500));
  if (event.queryStringParameters) throw new Error('amid');
  stream.write('second;');
  stream.end();
});
"""


@NODE
def test_a_streamed_answer_arrives_while_it_is_made(cumulo: Any, api: Api) -> None:
    function = deploy(
        cumulo.client("lambda"),
        "rest-apis-story",
        {"index.js": STORY},
        Runtime="nodejs20.x",
        Handler="index.handler",
    )["FunctionArn"]
    uri = (
        invocations(function)
        .replace("2015-03-31", "2021-11-15")
        .replace("/invocations", "/response-streaming-invocations")
    )
    api.method("GET", "/story", type="AWS_PROXY", uri=uri, responseTransferMode="STREAM")
    api.deploy()
    where = urlsplit(cumulo.endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.request("GET", "/dev/story", headers={"Host": f"{api.id}.execute-api.us-east-1.amazonaws.com"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("x-from")) == (202, "/story")
    assert answer.read(6) == b"first;"
    began = time.monotonic()
    assert answer.read() == b"second;"
    assert time.monotonic() - began > 0.5
    connection.close()
    with pytest.raises(http.client.IncompleteRead):
        api.ask("GET", "/story?fail=1")


def test_what_is_not_deployed_is_not_live(api: Api, gateway: Any, echo: str) -> None:
    mock = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    api.method("GET", "/one", responses={"200": {}}, **mock)
    api.deploy()
    api.method("GET", "/two", responses={"200": {}}, **mock)
    assert api.ask("GET", "/two")[0] == 403
    api.deploy()
    assert api.ask("GET", "/two")[0] == 200
    gateway.delete_stage(restApiId=api.id, stageName="dev")
    assert api.ask("GET", "/one")[::2] == (403, b'{"message":"Forbidden"}')
