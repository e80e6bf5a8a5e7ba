"""`chalice deploy`, unchanged: a REST API with authorizers of every kind, CORS, bytes and keys; and a WebSocket API."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.apps_kit import Answer, Site
from tests.support import BIN, Process, until
from websockets.sync.client import connect

APP = """
import os
from chalice import (AuthResponse, BadRequestError, Chalice, CognitoUserPoolAuthorizer, CORSConfig, IAMAuthorizer,
                     NotFoundError, Response)

app = Chalice(app_name="shop")
app.api.binary_types.append("application/octet-stream")
cors = CORSConfig(allow_origin="https://shop.example.com", allow_headers=["X-Special"], max_age=600,
                  expose_headers=["X-Total"], allow_credentials=True)
pool = CognitoUserPoolAuthorizer("Pool", provider_arns=["%(pool)s"])
stock = {"tea": 3}

@app.authorizer(ttl_seconds=30)
def gate(request):
    if request.token == "broken":
        raise RuntimeError("the authorizer breaks")
    routes = {"keeper": ["*"], "guest": ["/guarded"]}.get(request.token, [])
    return AuthResponse(routes=routes, principal_id=request.token, context={"level": "7"})

@app.route("/")
def index():
    return {"hello": "world"}

@app.route("/things/{name}", methods=["GET", "PUT", "DELETE"], cors=cors)
def things(name):
    request = app.current_request
    if request.method == "PUT":
        stock[name] = request.json_body["count"]
    if name not in stock:
        raise NotFoundError(name)
    return {"name": name, "count": stock[name], "query": request.query_params}

@app.route("/guarded", authorizer=gate)
def guarded():
    return app.current_request.context["authorizer"]

@app.route("/guarded/deep", authorizer=gate)
def deep():
    return "deep"

@app.route("/mine", authorizer=IAMAuthorizer())
def mine():
    return app.current_request.context["identity"]["accessKey"]

@app.route("/members", authorizer=pool)
def members():
    return app.current_request.context["authorizer"]["claims"]["cognito:username"]

@app.route("/keyed", api_key_required=True)
def keyed():
    return "with a key"

@app.route("/bytes", methods=["POST"], content_types=["application/octet-stream"])
def turned():
    return Response(app.current_request.raw_body[::-1], headers={"Content-Type": "application/octet-stream"})

@app.route("/form", methods=["POST"], content_types=["application/x-www-form-urlencoded"])
def form():
    return app.current_request.raw_body.decode()

@app.route("/bad")
def bad():
    raise BadRequestError("not like this")

@app.route("/worse")
def worse():
    raise ValueError("unforeseen")
"""
SOCKETS = """
import boto3
from chalice import Chalice

app = Chalice(app_name="talk")
app.experimental_feature_flags.update(["WEBSOCKETS"])
app.websocket_api.session = boto3.session.Session()

@app.on_ws_connect()
def connected(event):
    print("CONNECTED", event.connection_id)

@app.on_ws_message()
def message(event):
    if event.body == "leave":
        app.websocket_api.close(event.connection_id)
    else:
        app.websocket_api.send(event.connection_id, "heard " + event.body)

@app.on_ws_disconnect()
def gone(event):
    print("GONE", event.connection_id)
"""


class Chalice:
    """A project and the commands on it."""

    def __init__(self, folder: Path, cloud: Process, name: str, source: str) -> None:
        self.folder, self.cloud = folder, cloud
        (folder / ".chalice").mkdir(parents=True)
        (folder / "app.py").write_text(source)
        (folder / "requirements.txt").write_text("")
        config = {"version": "2.0", "app_name": name, "stages": {"dev": {"api_gateway_stage": "api"}}}
        (folder / ".chalice" / "config.json").write_text(json.dumps(config))

    def run(self, *words: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        argv = [str(BIN / "chalice"), *words]
        done = subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"chalice {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def deployed(self, kind: str) -> dict[str, Any]:
        """What chalice noted of a resource."""
        noted = json.loads((self.folder / ".chalice" / "deployed" / "dev.json").read_text())
        return next(one for one in noted["resources"] if one["resource_type"] == kind)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("chalice") / "data", "--engine", "none")
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def pool(cloud):
    """A user pool with a member: its ARN, and the member's id token."""
    users = cloud.client("cognito-idp")
    made = users.create_user_pool(PoolName="members")["UserPool"]
    app = users.create_user_pool_client(
        UserPoolId=made["Id"], ClientName="web", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    users.admin_create_user(UserPoolId=made["Id"], Username="ada")
    users.admin_set_user_password(
        UserPoolId=made["Id"], Username="ada", Password="Passw0rd!x", Permanent=True
    )
    tokens = users.admin_initiate_auth(
        UserPoolId=made["Id"], ClientId=app, AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ada", "PASSWORD": "Passw0rd!x"},
    )["AuthenticationResult"]  # fmt: skip
    return made["Arn"], tokens["IdToken"]


@pytest.fixture(scope="module")
def shop(cloud, pool, tmp_path_factory):
    """The project, deployed."""
    project = Chalice(tmp_path_factory.mktemp("shop") / "shop", cloud, "shop", APP % {"pool": pool[0]})
    project.run("deploy")
    return project


@pytest.fixture(scope="module")
def site(cloud, shop):
    where = urlsplit(shop.run("url").strip())
    api, _, domain = where.netloc.partition(".")
    assert (domain, where.path) == ("execute-api.us-east-1.amazonaws.com", "/api/")
    return Site(cloud, api, "api")


def error(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["message"]


def test_routes_and_errors(site):
    assert site.get("/").json == {"hello": "world"}
    kind = {"Content-Type": "application/json"}
    assert site.ask("PUT", "/things/tea", '{"count": 5}', kind).json["count"] == 5
    assert site.get("/things/tea?a=1").json == {"name": "tea", "count": 5, "query": {"a": "1"}}
    assert site.get("/things/wine").status == 404
    assert site.get("/bad").json == {"Code": "BadRequestError", "Message": "not like this"}
    assert site.get("/worse").status == 500
    assert error(site.get("/nowhere")) == (403, "Missing Authentication Token")
    assert error(site.ask("POST", "/things/tea")) == (403, "Missing Authentication Token")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.ask("POST", "/form", "a=1&b=%20", form).body == b"a=1&b=%20"
    assert site.ask("POST", "/form", "{}", kind).status == 415


def test_bytes_there_and_back(site):
    content = bytes(range(256)) * 100
    kind = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}
    assert site.ask("POST", "/bytes", content, kind).body == content[::-1]


def test_browsers_are_told_what_they_may(site):
    asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "PUT"}
    preflight = site.ask("OPTIONS", "/things/tea", headers=asked)
    assert preflight.status == 200
    assert preflight.header("access-control-allow-origin") == "https://shop.example.com"
    assert sorted(preflight.header("access-control-allow-methods").split(",")) == [
        "DELETE",
        "GET",
        "OPTIONS",
        "PUT",
    ]
    assert "X-Special" in preflight.header("access-control-allow-headers")
    assert preflight.header("access-control-max-age") == "600"
    assert preflight.header("access-control-allow-credentials") == "true"
    shown = site.get("/things/tea", Origin="https://shop.example.com")
    assert shown.header("access-control-allow-origin") == "https://shop.example.com"
    assert shown.header("access-control-expose-headers") == "X-Total"


def test_the_authorizer_of_the_application_decides(site):
    assert error(site.get("/guarded")) == (401, "Unauthorized")
    shown = site.get("/guarded", Authorization="guest").json
    assert (shown["principalId"], shown["level"]) == ("guest", "7")
    refused = site.get("/guarded/deep", Authorization="guest")
    assert (refused.status, "not authorized" in refused.body.decode()) == (403, True)
    assert site.get("/guarded/deep", Authorization="keeper").body == b"deep"
    assert site.get("/guarded", Authorization="stranger").status == 403
    broken = site.get("/guarded", Authorization="broken")
    assert (broken.status, broken.json) == (500, {"message": None})


def signed(site: Site, path: str, access: str) -> dict[str, str]:
    request = AWSRequest("GET", f"http://{site.host}/api{path}", headers={"Host": site.host})
    SigV4Auth(Credentials(access, "any"), "execute-api", "us-east-1").add_auth(request)
    return dict(request.headers)


def test_signatures_user_pools_and_keys(cloud, site, pool):
    assert error(site.get("/mine")) == (403, "Missing Authentication Token")
    headers = signed(site, "/mine", "AKIAIOSFODNN7EXAMPLE")
    headers.pop("Host")
    assert site.ask("GET", "/mine", headers=headers).body == b"AKIAIOSFODNN7EXAMPLE"

    assert error(site.get("/members")) == (401, "Unauthorized")
    assert error(site.get("/members", Authorization="a.b.c")) == (401, "Unauthorized")
    assert site.get("/members", Authorization=pool[1]).body == b"ada"

    assert error(site.get("/keyed")) == (403, "Forbidden")
    rest = cloud.client("apigateway")
    plan = rest.create_usage_plan(name="all", apiStages=[{"apiId": site.id, "stage": "api"}])["id"]
    key = rest.create_api_key(name="mine", enabled=True)
    rest.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    assert site.get("/keyed", X_API_Key=key["value"]).body == b"with a key"
    assert error(site.get("/keyed", X_API_Key="x" * 30)) == (403, "Forbidden")


def test_what_changes_is_there_after_the_next_deploy(cloud, shop, site):
    source = shop.folder / "app.py"
    source.write_text(source.read_text() + '\n@app.route("/more")\ndef more():\n    return "more"\n')
    assert site.get("/more").status == 403
    shop.run("deploy")
    assert site.get("/more").body == b"more"
    assert shop.deployed("rest_api")["rest_api_id"] == site.id


def test_deleting_leaves_nothing(cloud, tmp_path):
    project = Chalice(tmp_path / "short", cloud, "short", "from chalice import Chalice\napp = Chalice('short')\n"
                      "@app.route('/')\ndef index():\n    return 'here'\n")  # fmt: skip
    project.run("deploy")
    site = Site(cloud, project.deployed("rest_api")["rest_api_id"], "api")
    assert site.get("/").body == b"here"
    project.run("delete")
    assert error(site.get("/")) == (403, "Forbidden")
    assert "short-dev" not in [
        one["FunctionName"] for one in cloud.client("lambda").list_functions()["Functions"]
    ]


def test_a_websocket_application(cloud, tmp_path):
    project = Chalice(tmp_path / "talk", cloud, "talk", SOCKETS)
    project.run("deploy")
    api = project.deployed("websocket_api")["websocket_api_id"]
    where = urlsplit(cloud.endpoint)
    url = f"ws://{api}.execute-api.localhost/api"
    way = (where.hostname, where.port)
    with (
        connect(url, sock=socket.create_connection(way), proxy=None) as first,
        connect(url, sock=socket.create_connection(way), proxy=None) as second,
    ):
        first.send("one")
        second.send("two")
        assert (first.recv(20), second.recv(20)) == ("heard one", "heard two")
        first.send("leave")
        with pytest.raises(Exception, match="1000"):
            first.recv(20)
    logs = cloud.client("logs")

    def said(group: str, word: str) -> int:
        found = lines(logs, f"/aws/lambda/{group}")
        return sum(word in one for one in found)

    until(lambda: said("talk-dev-websocket_connect", "CONNECTED") == 2, "both were welcomed")
    until(lambda: said("talk-dev-websocket_disconnect", "GONE") == 2, "both are gone")
    project.run("delete")
    assert api not in [one["ApiId"] for one in cloud.client("apigatewayv2").get_apis()["Items"]]


def lines(logs: Any, group: str) -> list[str]:
    try:
        return [one["message"] for one in logs.filter_log_events(logGroupName=group)["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
