"""A page of one origin uses APIs of others: with credentials and preflights, and by a WebSocket that everybody hears."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.apps_kit import http_api, lambda_uri
from tests.browser.test_load_balancer import browser
from tests.support import Process, deploy, until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
PAGE = """<!doctype html><title>Across</title>
<script>
const places = %(places)s, told = {};
async function use(name, base) {
  const found = told[name] = {};
  try {
    const first = await fetch(base + "/visit", { credentials: "include" });
    found.first = await first.json();
    found.total = first.headers.get("x-total");
    found.hidden = first.headers.get("x-hidden");
    const second = await fetch(base + "/visit?n=2", {
      method: "PUT", credentials: "include", body: JSON.stringify({ a: "ü" }),
      headers: { "Content-Type": "application/json", "X-Token": "t" } });
    found.second = await second.json();
    found.status = second.status;
  } catch (error) { found.error = String(error); }
  try { await fetch(base + "/visit", { method: "PUT", headers: { "X-Other": "1" } }); found.other = "let through"; }
  catch (error) { found.other = "refused"; }
}
function talk() {
  return new Promise((done) => {
    const heard = { one: [], two: [] }, sockets = {};
    const ended = () => {
      if (heard.one.length === 2 && heard.two.length === 2) {
        sockets.one.close(1000); sockets.two.onclose = (event) => done({ heard, code: event.code }); sockets.two.send("leave");
      }
    };
    const open = (name, then) => {
      sockets[name] = new WebSocket(places.socket + "?name=" + name);
      sockets[name].onopen = then;
      sockets[name].onmessage = (event) => { heard[name].push(event.data); ended(); };
    };
    open("one", () => open("two", async () => {
      sockets.one.send(JSON.stringify({ action: "say", text: "hello" }));
      while (heard.two.length === 0) await new Promise((next) => setTimeout(next, 20));
      sockets.two.send(JSON.stringify({ action: "say", text: "and to you" }));
    }));
  });
}
window.onload = async () => {
  await use("http", places.http);
  await use("rest", places.rest);
  try { await fetch(places.closed + "/visit"); told.closed = "let through"; } catch (error) { told.closed = "refused"; }
  const refused = new WebSocket(places.socket + "?name=nobody");
  told.nobody = await new Promise((done) => { refused.onclose = (event) => done(event.code); });
  told.talk = await talk();
  fetch("/report?" + encodeURIComponent(JSON.stringify(told)));
};
</script>"""
VISIT = """
import json

def handler(event, context):
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
    cookies = event.get("cookies") or [one.strip() for one in event["headers"].get("Cookie", "").split(";") if one]
    told = {"method": method, "cookies": cookies, "body": event.get("body"),
            "token": {name.lower(): value for name, value in event["headers"].items()}.get("x-token")}
    headers = {"Content-Type": "application/json", "X-Total": "7", "X-Hidden": "secret", "Set-Cookie": "seen=yes; Path=/"}
    if "httpMethod" in event:
        headers |= {"Access-Control-Allow-Origin": "%(origin)s", "Access-Control-Allow-Credentials": "true",
                    "Access-Control-Expose-Headers": "X-Total"}
    return {"statusCode": 202 if method == "PUT" else 200, "headers": headers, "body": json.dumps(told)}
"""
TALK = """
import boto3, json

table = boto3.resource("dynamodb").Table("connections")
said = boto3.client("apigatewaymanagementapi")

def handler(event, context):
    told = event["requestContext"]
    one = told["connectionId"]
    if told["routeKey"] == "$connect":
        name = event["queryStringParameters"]["name"]
        if name == "nobody":
            return {"statusCode": 403}
        table.put_item(Item={"id": one, "name": name})
    elif told["routeKey"] == "$disconnect":
        table.delete_item(Key={"id": one})
    elif told["routeKey"] == "say":
        name = table.get_item(Key={"id": one})["Item"]["name"]
        text = f"{name}: {json.loads(event['body'])['text']}"
        for other in table.scan()["Items"]:
            try:
                said.post_to_connection(ConnectionId=other["id"], Data=text.encode())
            except said.exceptions.GoneException:
                table.delete_item(Key={"id": other["id"]})
    else:
        said.delete_connection(ConnectionId=one)
    return {"statusCode": 200}
"""


class Pages:
    """A server of one page, and where it reports to."""

    def __init__(self) -> None:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if path == "/report":
                    pages.reports.append(json.loads(unquote(query)))
                body = pages.page.encode() if path == "/" else b""
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.page = ""
        self.reports: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Another origin than the APIs', but of the same site: cookies go along.
        self.origin = f"http://page.execute-api.localhost:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["Pages"]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def rest_api(cloud: Process, function: str, origin: str) -> str:
    """With OPTIONS by a MOCK, as the console makes it: the API's id."""
    rest = cloud.client("apigateway")
    api = rest.create_rest_api(name="visits")
    resource = rest.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="visit")[
        "id"
    ]
    where = {"restApiId": api["id"], "resourceId": resource}
    for method in ("GET", "PUT"):
        rest.put_method(**where, httpMethod=method, authorizationType="NONE")
        rest.put_integration(
            **where,
            httpMethod=method,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=lambda_uri(function),
        )
    options = where | {"httpMethod": "OPTIONS"}
    headers = {"Allow-Origin": origin, "Allow-Methods": "GET,PUT,OPTIONS", "Allow-Headers": "Content-Type,X-Token",
               "Allow-Credentials": "true"}  # fmt: skip
    named = {f"method.response.header.Access-Control-{name}": f"'{value}'" for name, value in headers.items()}
    rest.put_method(**options, authorizationType="NONE")
    rest.put_integration(**options, type="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    rest.put_method_response(**options, statusCode="204", responseParameters=dict.fromkeys(named, False))
    rest.put_integration_response(**options, statusCode="204", responseParameters=named)
    rest.create_deployment(restApiId=api["id"], stageName="dev")
    return str(api["id"])


def talking(cloud: Process) -> str:
    """A WebSocket API whose connections lie in a table: its id."""
    cloud.client("dynamodb").create_table(
        TableName="connections", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    function = deploy(cloud.client("lambda"), "talk", TALK)["FunctionArn"]
    v2 = cloud.client("apigatewayv2")
    api = v2.create_api(
        Name="talk", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    made = v2.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=lambda_uri(function))
    for key in ("$connect", "$disconnect", "$default", "say"):
        v2.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")
    v2.create_stage(ApiId=api, StageName="live", AutoDeploy=True)
    return str(api)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "data", "--engine", "none")
    process.start()
    yield process
    assert process.stop() == 0


def test_a_page_uses_apis_of_other_origins_and_talks(cloud: Process, tmp_path: Path) -> None:
    port = cloud.endpoint.rpartition(":")[2]

    def url(scheme: str, api: str, stage: str = "") -> str:
        return f"{scheme}://{api}.execute-api.localhost:{port}{stage}"

    with Pages().running() as pages:
        function = deploy(cloud.client("lambda"), "visit", VISIT % {"origin": pages.origin})["FunctionArn"]
        cors = {"AllowOrigins": [pages.origin], "AllowCredentials": True, "AllowMethods": ["GET", "PUT"],
                "AllowHeaders": ["content-type", "x-token"], "ExposeHeaders": ["x-total"], "MaxAge": 60}  # fmt: skip
        opened = http_api(cloud, function, CorsConfiguration=cors)
        closed = http_api(
            cloud, function, CorsConfiguration=cors | {"AllowOrigins": ["https://other.example"]}
        )
        places = {
            "http": url("http", opened.id),
            "rest": url("http", rest_api(cloud, function, pages.origin), "/dev"),
            "closed": url("http", closed.id),
            "socket": url("ws", talking(cloud), "/live"),
        }
        pages.page = PAGE % {"places": json.dumps(places)}
        with browser(tmp_path / "profile", pages.origin + "/"):
            until(lambda: pages.reports, "the page reports", 90)
    [report] = pages.reports
    for name in ("http", "rest"):
        told = report[name]
        assert "error" not in told, told
        assert told["first"] == {"method": "GET", "cookies": [], "body": None, "token": None}
        assert told["second"] == {"method": "PUT", "cookies": ["seen=yes"], "body": '{"a":"ü"}', "token": "t"}
        assert (told["status"], told["total"], told["hidden"], told["other"]) == (
            202,
            "7",
            None,
            "refused",
        ), name
    assert report["closed"] == "refused"
    assert report["nobody"] == 1006
    both = ["one: hello", "two: and to you"]
    assert report["talk"]["heard"] == {"one": both, "two": both}
    assert report["talk"]["code"] in {1000, 1001}
