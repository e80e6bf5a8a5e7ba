"""In a cloud that many share, no API is a way to what its owner must not reach: other accounts, the machine, its metadata."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.api_torture_kit import FUNCTION, HOST, RawBackend, drained, json_of, statuses
from tests.support import Process, deploy

MINE, THEIRS = "111111111111", "222222222222"


class SharedCloud:
    """Two accounts; the first is the enemy."""

    def __init__(self, folder: Path) -> None:
        self.process = Process(folder / "data", "--mode", "shared")
        self.process.start()
        where = urlsplit(self.process.endpoint)
        self.address = (str(where.hostname), int(where.port or 0))
        self.token = (folder / "data" / "admin-token").read_text().strip()
        self.keys = {account: self._key(account) for account in (MINE, THEIRS)}
        self.inside = RawBackend(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        self.v2, self.rest = self.client("apigatewayv2"), self.client("apigateway")
        self.api = str(self.v2.create_api(Name="enemy", ProtocolType="HTTP")["ApiId"])
        self.v2.create_stage(ApiId=self.api, StageName="$default", AutoDeploy=True)
        self.routes = 0

    def _key(self, account: str) -> tuple[str, str]:
        url = f"{self.process.endpoint}/_cumulo/keys?account={account}&name=test"
        asked = urllib.request.Request(url, method="POST", headers={"x-cumulo-token": self.token})
        with urllib.request.urlopen(asked) as answer:
            made = json.load(answer)
        return made["id"], made["secret"]

    def client(self, service: str, account: str = MINE, region: str = "us-east-1") -> Any:
        key, secret = self.keys[account]
        return boto3.client(
            service,
            endpoint_url=self.process.endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def ask(self, host: str, path: str, *lines: str, body: bytes = b"") -> bytes:
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            *lines,
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        with socket.create_connection(self.address, 20) as client:
            client.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + body)
            return drained(client)

    def through(self, uri: str, *lines: str, query: str = "", **integration: Any) -> bytes:
        """What a client of the enemy's HTTP API gets from there."""
        self.routes += 1
        made = self.v2.create_integration(
            ApiId=self.api,
            IntegrationType="HTTP_PROXY",
            IntegrationMethod="GET",
            IntegrationUri=uri,
            PayloadFormatVersion="1.0",
            **integration,
        )["IntegrationId"]
        self.v2.create_route(ApiId=self.api, RouteKey=f"POST /{self.routes}", Target=f"integrations/{made}")
        return self.ask(HOST.format(api=self.api), f"/{self.routes}{query}", *lines)

    def rest_api(self, resource: str, *, parameters: tuple[str, ...] = (), **integration: Any) -> str:
        """A REST API of the enemy's with POST on one resource; its host."""
        made = self.rest.create_rest_api(name="enemy")
        child = self.rest.create_resource(
            restApiId=made["id"], parentId=made["rootResourceId"], pathPart=resource
        )
        where = {"restApiId": made["id"], "resourceId": child["id"], "httpMethod": "POST"}
        self.rest.put_method(
            **where, authorizationType="NONE", requestParameters=dict.fromkeys(parameters, False)
        )
        self.rest.put_integration(**where, **integration)
        self.rest.put_method_response(**where, statusCode="200")
        self.rest.put_integration_response(**where, statusCode="200")
        self.rest.create_deployment(restApiId=made["id"], stageName="dev")
        return HOST.format(api=made["id"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedCloud]:
    made = SharedCloud(tmp_path_factory.mktemp("shared"))
    yield made
    made.inside.close()
    made.process.stop()


INSIDE = (
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://127.1:{port}/", "http://2130706433:{port}/",
    "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/", "http://0.0.0.0:{port}/", "http://0:{port}/",
    "http://127.0.0.53:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::]:{port}/",
    "http://example.com@127.0.0.1:{port}/", "http://a:b@localhost:{port}/", "http://LOCALHOST.:{port}/",
    "http://anything.localhost:{port}/", "http://127.0.0.1:{port}\\@example.com/", "http://127.0.0.1:{port}#@example.com/",
    "http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/v2/credentials", "http://[fe80::1]/",
    "http://[fd00:ec2::254]/", "http://224.0.0.1/", "https://127.0.0.1:{port}/",
    "http://[::ffff:a9fe:a9fe]/", "http://0xa9fea9fe/",
)  # fmt: skip


@pytest.mark.parametrize("uri", INSIDE)
def test_no_integration_leads_to_the_machine_itself(shared: SharedCloud, uri: str) -> None:
    try:
        got = shared.through(uri.format(port=shared.inside.port), TimeoutInMillis=2000)
    except ClientError as refused:
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return
    assert statuses(got)[0] >= 500, got[:200]
    assert b"secret" not in got
    assert not shared.inside.heads and not shared.inside.faults


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "unix:///run/x.sock", "http+unix://%2Frun%2Fx.sock/", "gopher://127.0.0.1:70/_x", "ftp://127.0.0.1/",
     "//127.0.0.1/", "http:/127.0.0.1/", "http://", "http:///x", "javascript:alert(1)", "http://a b/", "http://a..b/",
     "http://" + "a" * 300 + "/", "http://\u2603.example/", "http://[::1/", "http://x:99999/", "http://x:0/", "http://x:-1/"],
)  # fmt: skip
def test_no_integration_leads_to_what_is_no_web_server(shared: SharedCloud, uri: str) -> None:
    try:
        got = shared.through(uri, TimeoutInMillis=2000)
    except ClientError as refused:
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return
    assert statuses(got)[0] >= 500, got[:200]
    assert b"InternalFailure" not in got, got


def test_stage_variables_and_paths_do_not_lead_inside_either(shared: SharedCloud) -> None:
    port = shared.inside.port
    for value in (f"127.0.0.1:{port}", f"x@127.0.0.1:{port}", f"localhost:{port}/a?b=", "169.254.169.254"):
        host = shared.rest_api(
            "x",
            type="HTTP_PROXY",
            integrationHttpMethod="GET",
            uri="http://${stageVariables.backend}/",
            timeoutInMillis=2000,
        )
        api = host.partition(".")[0]
        patch = [{"op": "replace", "path": "/variables/backend", "value": value}]
        try:
            shared.rest.update_stage(restApiId=api, stageName="dev", patchOperations=patch)
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
        got = shared.ask(host, "/dev/x")
        assert statuses(got)[0] >= 500, got[:200]
        assert not shared.inside.heads


def test_the_clouds_own_pages_ask_for_the_token_whoever_asks(shared: SharedCloud) -> None:
    url = shared.process.endpoint
    for page in ("keys", "bill", "metrics", "containers", "notes", "ecs/exec", "interrupt"):
        got = shared.through(f"{url}/_cumulo/{page}", "X-Cumulo-Token: x")
        assert statuses(got) == [403], (page, got[:300])
    # An API of somebody else's is as open to an API as to everybody.
    assert statuses(shared.through(f"{url}/_cumulo/health")) == [200]
    assert statuses(shared.through(f"{url}/2015-03-31/functions")) == [403]


def test_key_sets_are_not_looked_for_inside(shared: SharedCloud) -> None:
    before = len(shared.inside.heads)
    for issuer in (f"http://127.0.0.1:{shared.inside.port}", f"https://localhost:{shared.inside.port}"):
        try:
            made = shared.v2.create_authorizer(
                ApiId=shared.api, Name=f"a{len(issuer)}", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
                JwtConfiguration={"Issuer": issuer, "Audience": ["a"]},
            )["AuthorizerId"]  # fmt: skip
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
            continue
        shared.v2.create_route(
            ApiId=shared.api, RouteKey=f"GET /jwt{len(issuer)}", AuthorizationType="JWT", AuthorizerId=made
        )
    assert len(shared.inside.heads) == before


def test_functions_of_others_are_called_where_they_allow_it(shared: SharedCloud) -> None:
    theirs = shared.client("lambda", THEIRS)
    function = deploy(theirs, "theirs", FUNCTION)["FunctionArn"]

    def ask(key: str) -> bytes:
        made = shared.v2.create_integration(
            ApiId=shared.api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        shared.v2.create_route(ApiId=shared.api, RouteKey=f"POST /{key}", Target=f"integrations/{made}")
        return shared.ask(HOST.format(api=shared.api), f"/{key}")

    assert statuses(ask("theirs")) == [500]
    theirs.add_permission(
        FunctionName="theirs", StatementId="a", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:{MINE}:{shared.api}/*/POST/allowed",
    )  # fmt: skip
    assert statuses(ask("allowed")) == [200]
    assert statuses(ask("other")) == [500]


HEADERS_OF_THE_HOUSE = (
    "X-Moto-Account-Id",
    "x-moto-account-id",
    "X-Cumulo-Account",
    "X-Cumulo-Service",
    "X-Cumulo-Passing",
)


@pytest.mark.parametrize("name", HEADERS_OF_THE_HOUSE)
def test_no_header_makes_an_api_another_account(shared: SharedCloud, name: str) -> None:
    shared.client("sns", THEIRS).create_topic(Name="theirs")
    shared.client("sns", MINE).create_topic(Name="mine")
    host = shared.rest_api(
        "topics",
        type="AWS",
        integrationHttpMethod="POST",
        uri="arn:aws:apigateway:us-east-1:sns:action/ListTopics",
        requestParameters={f"integration.request.header.{name}": f"'{THEIRS}'"},
        credentials=f"arn:aws:iam::{MINE}:role/r",
    )
    got = shared.ask(host, "/dev/topics")
    assert statuses(got) == [200], got
    assert b":mine" in got and b"theirs" not in got, got


EVIL_NAMES = (
    f"X\\r\\nx-moto-account-id: {THEIRS}\\r\\nY",
    f"X-Moto-Account-Id: {THEIRS}\\r\\nX",
    "Authorization",
    "authorization",
    "Content-Length",
    "transfer-encoding",
    "host",
    "",
    "X Y",
    "\\u2603",
)


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_no_template_makes_an_api_another_account(shared: SharedCloud, name: str) -> None:
    shared.client("sns", THEIRS).create_topic(Name="theirs")
    value = f"AWS4-HMAC-SHA256 Credential={THEIRS}/20240101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0"
    template = (
        f'#set($evil = $util.parseJson(\'{{"name": "{name}"}}\'))'
        f'#set($context.requestOverride.header["$evil.name"] = "{value}")Action=ListTopics'
    )
    host = shared.rest_api(
        "topics",
        type="AWS",
        integrationHttpMethod="POST",
        uri="arn:aws:apigateway:us-east-1:sns:path//",
        requestTemplates={"application/json": template},
        requestParameters={"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
        credentials=f"arn:aws:iam::{MINE}:role/r",
    )
    got = shared.ask(host, "/dev/topics", body=b"{}")
    assert len(statuses(got)) == 1, got
    assert b"theirs" not in got, got
    assert b"InternalFailure" not in got, got


def test_values_of_any_script_are_sent_to_services(shared: SharedCloud) -> None:
    host = shared.rest_api(
        "topics",
        parameters=("method.request.querystring.q",),
        type="AWS",
        integrationHttpMethod="POST",
        uri="arn:aws:apigateway:us-east-1:sns:action/ListTopics",
        requestParameters={
            "integration.request.header.X-Said": "method.request.querystring.q",
            "integration.request.querystring.Nothing": "method.request.querystring.q",
        },
        credentials=f"arn:aws:iam::{MINE}:role/r",
    )
    for said in (
        "%E2%98%83",
        "%0d%0aX-Moto-Account-Id:%20" + THEIRS,
        "%00",
        "%ff",
        "a%20b%23%26Action=CreateTopic",
    ):
        got = shared.ask(host, f"/dev/topics?q={said}")
        assert len(statuses(got)) == 1, (said, got)
        assert b"theirs" not in got and b"InternalFailure" not in got, (said, got)


def test_load_balancers_of_others_are_not_behind_links(shared: SharedCloud) -> None:
    arn = (
        f"arn:aws:elasticloadbalancing:us-east-1:{THEIRS}:listener/app/web/0123456789abcdef/0123456789abcdef"
    )
    try:
        got = shared.through(arn, ConnectionType="VPC_LINK", ConnectionId="abcdef")
    except ClientError as refused:
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)
        return
    assert statuses(got)[0] >= 500


def test_apis_of_others_are_not_there(shared: SharedCloud) -> None:
    theirs = shared.client("apigatewayv2", THEIRS)
    with pytest.raises(ClientError) as caught:
        theirs.get_api(ApiId=shared.api)
    assert caught.value.response["Error"]["Code"] == "NotFoundException"
    assert shared.api not in [one["ApiId"] for one in theirs.get_apis()["Items"]]
    elsewhere = shared.client("apigatewayv2", MINE, "eu-west-1")
    with pytest.raises(ClientError):
        elsewhere.delete_api(ApiId=shared.api)
    assert json_of(shared.ask(HOST.format(api=shared.api), "/none")) == {"message": "Not Found"}
