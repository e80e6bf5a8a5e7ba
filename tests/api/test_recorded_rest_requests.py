"""Requests to REST APIs as AWS answered them (recorded by LocalStack): paths, names of headers, payloads of bytes, errors."""

import base64
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.recorded_kit import ask, patch
from tests.support import deploy

ECHO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event)}
"""
RAW = gzip.compress(b"compressed data, should be invalid UTF-8 string", mtime=1676569620)
ENCODED = base64.b64encode(RAW)
TEXT = b"this is a UTF8 text typed object"
GARBLED = RAW.decode("utf-8", "replace").encode()
STORED = {"raw": RAW, "encoded": ENCODED, "text": TEXT}
WITHIN = {name: base64.b64encode(value) for name, value in STORED.items()}
LOSSY = STORED | {"raw": GARBLED}
PNG, PLAIN, OTHER = "image/png", "text/plain", "binary/octet-stream"
DECODED = {"raw": 500, "encoded": RAW, "text": 500}


class Store(BaseHTTPRequestHandler):
    """Gives what is stored, with the type that it is asked for, and remembers what it was given."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._say(STORED[self.path.strip("/")], self.headers["as"])

    def do_PUT(self):
        self.server.given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(b"", PLAIN)

    def _say(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def store():
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def aws(cumulo):
    return cumulo.client("apigateway")


@pytest.fixture(scope="module")
def proxy(cumulo, aws):
    """The id of an API whose every path is a function's that says what it was sent."""
    arn = deploy(cumulo.client("lambda"), "recorded-echo", ECHO)["FunctionArn"]
    api = aws.create_rest_api(name="proxy")
    resource = aws.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}")
    method = {"restApiId": api["id"], "resourceId": resource["id"], "httpMethod": "ANY"}
    aws.put_method(**method, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    aws.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    aws.create_deployment(restApiId=api["id"], stageName="test")
    return api["id"]


def event(cumulo, api, path, **options):
    status, _, body = ask(cumulo, api, path, **options)
    assert status == 200, body
    return json.loads(body)


# -- events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "path", "parameter"),
    [
        ("/test/test-path", "/test-path", "test-path"),
        ("/test/test-path/", "/test-path/", "test-path"),
        ("//test/test-path", "/test-path", "test-path"),
        ("/test//test-path", "/test-path", "test-path"),
        ("/test/test-path//double-slash", "/test-path//double-slash", "test-path//double-slash"),
        ("/test/user/test%2Balias@gmail.com/plus/test+alias@gmail.com", "/user/test%2Balias@gmail.com/plus/test+alias@gmail.com",
         "user/test%2Balias@gmail.com/plus/test+alias@gmail.com"),
    ],
)  # fmt: skip
def test_paths(cumulo, proxy, asked, path, parameter):
    seen = event(cumulo, proxy, asked)
    assert (seen["path"], seen["pathParameters"]) == (path, {"proxy": parameter})
    assert seen["resource"] == "/{proxy+}"


def test_several_values_of_a_field(cumulo, proxy):
    seen = event(cumulo, proxy, "/test/x?category=electronics&category=books&price=10&plus=a+b%20c")
    assert seen["queryStringParameters"] == {"category": "books", "price": "10", "plus": "a b c"}
    assert seen["multiValueQueryStringParameters"] == {
        "category": ["electronics", "books"], "price": ["10"], "plus": ["a b c"],
    }  # fmt: skip


def test_names_of_headers_are_as_they_were_sent_but_for_well_known_ones(cumulo, proxy):
    sent = {"tEsT-HEADeR": "aValUE", "authorization": "random-value", "user-agent": "me"}
    seen = event(cumulo, proxy, "/test/x", headers=sent)
    for name, value in (("tEsT-HEADeR", "aValUE"), ("Authorization", "random-value"), ("User-Agent", "me")):
        assert (seen["headers"][name], seen["multiValueHeaders"][name]) == (value, [value])


def test_a_callers_signature_stays_at_the_gateway(cumulo, proxy):
    signature = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=x"
    seen = event(cumulo, proxy, "/test/x", headers={"Authorization": signature, "X-Amz-Date": "now"})
    assert "Authorization" not in seen["headers"] and seen["headers"]["X-Amz-Date"] == "now"


# -- errors -------------------------------------------------------------------------------------------------------


def test_what_is_not_there(cumulo, proxy):
    for path, kind, body in (
        ("/test", "MissingAuthenticationTokenException", b'{"message":"Missing Authentication Token"}'),
        ("/nowhere/x", "ForbiddenException", b'{"message":"Forbidden"}'),
    ):
        status, headers, said = ask(cumulo, proxy, path)
        assert (status, headers["x-amzn-ErrorType"], said) == (403, kind, body)


def test_an_api_that_is_at_fault_says_so_in_36_bytes(cumulo, aws):
    api = aws.create_rest_api(name="broken")
    method = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    aws.put_method(**method, authorizationType="NONE")
    aws.put_integration(**method, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    aws.create_deployment(restApiId=api["id"], stageName="test")
    status, headers, body = ask(cumulo, api["id"], "/test")
    assert (status, body) == (500, b'{"message": "Internal server error"}')
    assert headers["Content-Length"] == "36"
    assert headers["x-amzn-ErrorType"] == "InternalServerErrorException"


# -- bytes and texts ------------------------------------------------------------------------------------------------


def stored_api(aws, store, *, request=None, response=None):
    """An API before the store, deployed to `text`, and with image/png as binary to `binary`."""
    api = aws.create_rest_api(name="payloads")
    resource = aws.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{key}")
    method = {"restApiId": api["id"], "resourceId": resource["id"], "httpMethod": "ANY"}
    parameters = {
        "path.key": "path.key",
        "header.Content-Type": "header.Content-Type",
        "header.as": "header.as",
    }
    aws.put_method(**method, authorizationType="NONE",
                   requestParameters={f"method.request.{one}": False for one in parameters.values()})  # fmt: skip
    aws.put_method_response(**method, statusCode="200")
    aws.put_integration(
        **method, type="HTTP", integrationHttpMethod="ANY", uri=f"http://127.0.0.1:{store.server_port}/{{key}}",
        requestParameters={f"integration.request.{to}": f"method.request.{of}" for to, of in parameters.items()},
        **({"contentHandling": request} if request else {}),
    )  # fmt: skip
    handled = {"contentHandling": response} if response else {}
    aws.put_integration_response(**method, statusCode="200", **handled)
    aws.create_deployment(restApiId=api["id"], stageName="text")
    operations = [patch("add", "/binaryMediaTypes/image~1png")]
    aws.update_rest_api(restApiId=api["id"], patchOperations=operations)
    aws.create_deployment(restApiId=api["id"], stageName="binary")
    return api["id"]


@pytest.mark.parametrize(
    ("handling", "as_text", "as_binary"),
    [(None, LOSSY, STORED), ("CONVERT_TO_TEXT", LOSSY, WITHIN), ("CONVERT_TO_BINARY", DECODED, STORED)],
)
def test_what_a_backend_is_given(cumulo, aws, store, handling, as_text, as_binary):
    api = stored_api(aws, store, request=handling)
    for stage, kind, expected in (
        ("text", PNG, as_text),
        ("binary", PLAIN, as_text),
        ("binary", PNG, as_binary),
    ):
        for name, body in STORED.items():
            status, _, _ = ask(cumulo, api, f"/{stage}/{name}", "PUT", body, {"Content-Type": kind})
            given = store.given if status == 200 else status
            assert given == expected[name], (stage, kind, name)


@pytest.mark.parametrize(
    ("handling", "plainly", "asked_binary", "both_binary", "said_binary"),
    [
        (None, LOSSY, DECODED, STORED, WITHIN),
        ("CONVERT_TO_TEXT", LOSSY, LOSSY, WITHIN, WITHIN),
        ("CONVERT_TO_BINARY", DECODED, DECODED, STORED, STORED),
    ],
)
def test_what_a_client_is_given(
    cumulo, aws, store, handling, plainly, asked_binary, both_binary, said_binary
):
    api = stored_api(aws, store, response=handling)
    for stage, accept, kind, expected in (
        ("text", PNG, OTHER, plainly), ("binary", PLAIN, OTHER, plainly), ("binary", PNG, OTHER, asked_binary),
        ("binary", PNG, PNG, both_binary), ("binary", PLAIN, PNG, said_binary),
    ):  # fmt: skip
        for name in STORED:
            status, _, body = ask(cumulo, api, f"/{stage}/{name}", headers={"Accept": accept, "as": kind})
            assert (body if status == 200 else status) == expected[name], (stage, accept, kind, name)
