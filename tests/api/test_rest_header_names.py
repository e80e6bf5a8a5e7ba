"""Names of headers in a REST API's events: as the client wrote them, for there are functions that look for just these."""

import json

import pytest
from tests.apps_kit import Site, lambda_uri, rest_api
from tests.support import deploy

ECHO = """
import json
def handler(event, context):
    if event.get("type") == "REQUEST":
        seen = sorted(event["headers"])
        return {"principalId": "x", "context": {"seen": json.dumps(seen)}, "policyDocument": {
            "Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}
    told = {"headers": event["headers"], "many": event["multiValueHeaders"],
            "seen": (event["requestContext"].get("authorizer") or {}).get("seen")}
    return {"statusCode": 200, "body": json.dumps(told)}
"""
SENT = [("X-Token", "1"), ("x-lower", "2"), ("X_UNDER", "3"), ("x-token", "4"), ("accept", "*/*"), ("Content-Type", "a/b"),
        ("authorization", "me"), ("user-agent", "test")]  # fmt: skip


@pytest.fixture(scope="module")
def site(cumulo) -> Site:
    function = str(deploy(cumulo.client("lambda"), "header-names", ECHO)["FunctionArn"])
    site = rest_api(cumulo, function)
    rest = cumulo.client("apigateway")
    gate = rest.create_authorizer(
        restApiId=site.id, name="gate", type="REQUEST", authorizerUri=lambda_uri(function),
        authorizerResultTtlInSeconds=0, identitySource="method.request.header.x-TOKEN",
    )["id"]  # fmt: skip
    for one in rest.get_resources(restApiId=site.id)["items"]:
        where = {"restApiId": site.id, "resourceId": one["id"], "httpMethod": "ANY"}
        rest.update_method(**where, patchOperations=[
            {"op": "replace", "path": "/authorizationType", "value": "CUSTOM"},
            {"op": "replace", "path": "/authorizerId", "value": gate}])  # fmt: skip
    rest.create_deployment(restApiId=site.id, stageName=site.stage)
    return site


def test_functions_and_authorizers_see_names_as_they_were_written(site: Site):
    told = site.ask("GET", "/x", headers=SENT).json
    headers = told["headers"]
    assert (headers["x-lower"], headers["X_UNDER"], headers["accept"]) == ("2", "3", "*/*")
    assert (headers["X-Token"], told["many"]["X-Token"]) == ("4", ["1", "4"]), (
        "one name, whatever its spelling"
    )
    assert (headers["Content-Type"], headers["Authorization"], headers["User-Agent"]) == ("a/b", "me", "test")
    assert {"Host", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Amzn-Trace-Id"} <= set(
        headers
    )
    seen = json.loads(told["seen"])
    assert {"X-Token", "x-lower", "X_UNDER", "accept", "Content-Type", "Authorization", "Host"} <= set(seen)


def test_a_name_alone_makes_no_difference_elsewhere(site: Site):
    assert site.ask("GET", "/x", headers={"X-TOKEN": "1"}).status == 200, "identity sources have no case"
    assert site.ask("GET", "/x", headers={"y-token": "1"}).status == 401
