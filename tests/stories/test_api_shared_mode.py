"""APIs of a cloud that several people share: signatures are verified, and functions say who may call them."""

import base64
import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.apps_kit import DOMAIN, Answer, ask, lambda_uri
from tests.stories.test_shared_mode import ACCOUNT, Key, Shared, shared  # noqa: F401 - a fixture
from tests.support import deploy

from cumulo.base.clock import SystemClock

ECHO = """
import json
def handler(event, context):
    told = event["requestContext"]
    return {"statusCode": 200, "body": json.dumps({"iam": (told.get("authorizer") or {}).get("iam"),
                                                   "identity": told.get("identity"), "body": event.get("body")})}
"""
OTHER = "444455556666"


@pytest.fixture(scope="module")
def keys(shared: Shared) -> dict[str, Key]:  # noqa: F811 - the fixture
    return {"mine": shared.make_key("apis"), "other": shared.make_key("stranger", OTHER)}


@pytest.fixture(scope="module")
def function(shared: Shared, keys: dict[str, Key]) -> str:  # noqa: F811
    return str(deploy(shared.client("lambda", keys["mine"]), "shared-api-echo", ECHO)["FunctionArn"])


class Signing:
    """An API whose callers sign."""

    def __init__(self, shared: Shared, api: str, stage: str) -> None:  # noqa: F811
        self.endpoint, self.host, self.prefix = shared.endpoint, f"{api}.{DOMAIN}", stage
        self.id = api

    def ask(
        self,
        key: Key | None,
        path: str = "/one",
        *,
        body: str = "",
        signer: type = SigV4Auth,
        service: str = "execute-api",
        spoil: Callable[[AWSRequest], None] = lambda _request: None,
    ) -> Answer:
        url = f"http://{self.host}{self.prefix}{path}"
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "text/plain"})
        if key is not None:
            signer(Credentials(key.access, key.secret), service, "us-east-1").add_auth(request)
        spoil(request)
        headers = {name: str(value) for name, value in request.headers.items() if name.lower() != "host"}
        target = request.url.partition(self.host)[2]
        return ask(self.endpoint, self.host, "POST", target, request.data, headers)


def rest_api(shared: Shared, key: Key, function: str, policy: str | None = None) -> Signing:  # noqa: F811
    rest = shared.client("apigateway", key)
    api = rest.create_rest_api(name="signed", **({"policy": policy} if policy else {}))
    where = {"restApiId": api["id"], "resourceId": rest.create_resource(
        restApiId=api["id"], parentId=api["rootResourceId"], pathPart="one")["id"], "httpMethod": "POST"}  # fmt: skip
    rest.put_method(**where, authorizationType="AWS_IAM")
    rest.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=lambda_uri(function))
    rest.create_deployment(restApiId=api["id"], stageName="dev")
    return Signing(shared, api["id"], "/dev")


def http_api(shared: Shared, key: Key, function: str) -> Signing:  # noqa: F811
    v2 = shared.client("apigatewayv2", key)
    api = v2.create_api(Name="signed", ProtocolType="HTTP")["ApiId"]
    made = v2.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    v2.create_route(
        ApiId=api, RouteKey="POST /one", Target=f"integrations/{made}", AuthorizationType="AWS_IAM"
    )
    v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return Signing(shared, api, "")


def permit(shared: Shared, key: Key, api: Signing, account: str = ACCOUNT) -> None:  # noqa: F811
    shared.client("lambda", key).add_permission(
        FunctionName="shared-api-echo", StatementId=f"by-{api.id}", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com", SourceArn=f"arn:aws:execute-api:us-east-1:{account}:{api.id}/*/POST/one",
    )  # fmt: skip


def message(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json.get("message", answer.json.get("Message"))


def later(request: AWSRequest) -> None:
    request.headers.replace_header("X-Amz-Date", "20200101T000000Z")


def forged(request: AWSRequest) -> None:
    header = request.headers["Authorization"]
    request.headers.replace_header(
        "Authorization", header[:-4] + ("0000" if header[-4:] != "0000" else "1111")
    )


def other_body(request: AWSRequest) -> None:
    request.data = b"another body"


class LongAgo(SigV4Auth):
    """Signs as of an hour ago."""

    def add_auth(self, request: AWSRequest) -> None:
        then = dt.datetime.fromtimestamp(SystemClock().now() - 3600, dt.UTC)
        request.context["timestamp"] = then.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


def test_a_function_that_does_not_permit_it_is_not_called(shared: Shared, keys, function):  # noqa: F811
    rest, http = rest_api(shared, keys["mine"], function), http_api(shared, keys["mine"], function)
    assert message(rest.ask(keys["mine"])) == (500, "Internal server error")
    assert message(http.ask(keys["mine"])) == (500, "Internal Server Error")
    permit(shared, keys["mine"], rest)
    permit(shared, keys["mine"], http)
    assert (rest.ask(keys["mine"]).status, http.ask(keys["mine"]).status) == (200, 200)


def test_who_signs_is_who_calls(shared: Shared, keys, function):  # noqa: F811
    mine = keys["mine"]
    rest, http = rest_api(shared, mine, function), http_api(shared, mine, function)
    permit(shared, mine, rest)
    permit(shared, mine, http)
    told = rest.ask(mine, body="hello").json
    assert (told["identity"]["accessKey"], told["identity"]["accountId"]) == (mine.access, ACCOUNT)
    assert told["body"] == "hello"
    assert http.ask(mine, body="hello").json["iam"]["accountId"] == ACCOUNT
    assert rest.ask(mine, "/one?a=1&b=%20x").status == 200
    for api in (rest, http):
        assert api.ask(mine, signer=SigV4QueryAuth).status == 200, "presigned"

    assert message(rest.ask(None)) == (403, "Missing Authentication Token")
    status, text = message(rest.ask(mine, spoil=forged))
    assert (status, text.startswith("The request signature we calculated does not match")) == (403, True)
    status, text = message(rest.ask(mine, body="one body", spoil=other_body))
    assert (status, text.startswith("The request signature we calculated does not match")) == (403, True)
    status, text = message(rest.ask(mine, signer=LongAgo))
    assert (status, text.startswith("Signature expired:")) == (403, True)
    status, text = message(rest.ask(mine, service="lambda"))
    assert (status, "correct service: 'execute-api'" in text) == (403, True)
    unknown = Key("AKIANOBODYSKEY000000", "secret")
    assert message(rest.ask(unknown)) == (403, "The security token included in the request is invalid.")
    for spoil in (forged, other_body, later):
        assert message(http.ask(mine, body="x", spoil=spoil)) == (403, "Forbidden")
    assert message(http.ask(None)) == (403, "Forbidden")
    assert message(http.ask(unknown)) == (403, "Forbidden")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_signs_too(shared: Shared, keys, function):  # noqa: F811
    mine = keys["mine"]
    rest, http = rest_api(shared, mine, function), http_api(shared, mine, function)
    for api in (rest, http):
        permit(shared, mine, api)
        argv = ["curl", "--silent", "--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", f"{mine.access}:{mine.secret}",
                "--connect-to", f"{api.host}:80:{shared.endpoint.partition('://')[2]}", "--data", "a=1",
                "--write-out", "\n%{http_code}", f"http://{api.host}{api.prefix}/one"]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        body, _, status = done.stdout.rpartition("\n")
        assert status == "200", body
        assert json.loads(body)["body"] in {
            "a=1",
            base64.b64encode(b"a=1").decode(),
        }  # 2.0 takes forms for bytes


def test_another_account_needs_the_apis_policy(shared: Shared, keys, function):  # noqa: F811
    mine, other = keys["mine"], keys["other"]
    closed = rest_api(shared, mine, function)
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": "execute-api:Invoke",
                 "Resource": "execute-api:/*"}  # fmt: skip
    opened = rest_api(shared, mine, function, json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for api in (closed, opened):
        permit(shared, mine, api)
    status, text = message(closed.ask(other))
    assert (status, "is not authorized to" in text) == (403, True)
    assert opened.ask(other).json["identity"]["accountId"] == OTHER
    assert message(http_api(shared, mine, function).ask(other)) == (403, "Forbidden")


def test_apis_of_others_are_not_seen(shared: Shared, keys, function):  # noqa: F811
    api = rest_api(shared, keys["mine"], function)
    strange = shared.client("apigateway", keys["other"])
    assert api.id not in [one["id"] for one in strange.get_rest_apis()["items"]]
    for attempt in (strange.get_rest_api, strange.delete_rest_api):
        with pytest.raises(strange.exceptions.NotFoundException):
            attempt(restApiId=api.id)
    status, _, _ = shared.ask("GET", "/restapis")
    assert status == 403, "the control plane asks for a signature"
