"""REST APIs from boto3 to what answers: deployments, canaries, keys, quotas, and trials of what is not deployed."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests.support import deploy

ECHO = """
def handler(event, context):
    return {"statusCode": 200, "body": event["httpMethod"] + " " + event["path"] + " " + str(event["stageVariables"])}
"""
WHO = """
def handler(event, context):
    effect = "Allow" if event["authorizationToken"] == "open" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
"""
VALUE = "a-value-of-twenty-or-more-characters"


@pytest.fixture
def apigateway(cumulo_empty):
    return cumulo_empty.client("apigateway")


class Api:
    """A REST API whose root answers from a template."""

    def __init__(self, cumulo, client):
        self.cumulo = cumulo
        self.client = client
        made = client.create_rest_api(name="pets")
        self.id, self.root = made["id"], made["rootResourceId"]

    def mock(self, text, **method):
        """GET / answers with a text."""
        at = {"restApiId": self.id, "resourceId": self.root, "httpMethod": "GET"}
        self.client.put_method(**at, **({"authorizationType": "NONE"} | method))
        templates = {"application/json": '{"statusCode": 200}'}
        self.client.put_integration(**at, type="MOCK", requestTemplates=templates)
        self.client.put_method_response(**at, statusCode="200")
        self.say(text)

    def say(self, text):
        """From the next deployment on."""
        self.client.put_integration_response(
            restApiId=self.id,
            resourceId=self.root,
            httpMethod="GET",
            statusCode="200",
            responseTemplates={"application/json": text},
        )

    def deploy(self, stage="dev", **more):
        return self.client.create_deployment(restApiId=self.id, stageName=stage, **more)["id"]

    def ask(self, path="/dev/", method="GET", **headers):
        """Status and body of an answer."""
        where = urlsplit(self.cumulo.endpoint)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named["Host"] = f"{self.id}.execute-api.us-east-1.amazonaws.com"
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def api(cumulo_empty, apigateway):
    return Api(cumulo_empty, apigateway)


def test_nothing_answers_before_and_everything_after_a_deployment(api):
    api.mock("first")
    assert api.ask()[0] in (403, 404)
    api.deploy()
    assert api.ask() == (200, "first")
    api.say("second")
    assert api.ask() == (200, "first")
    api.deploy()
    assert api.ask() == (200, "second")
    assert api.ask("/other/")[0] in (403, 404)
    api.client.delete_stage(restApiId=api.id, stageName="dev")
    assert api.ask()[0] in (403, 404)


def test_a_canary_takes_over_and_is_promoted(api):
    api.mock("$stageVariables.v $context.isCanaryRequest")
    api.deploy(variables={"v": "base"})
    api.deploy(canarySettings={"percentTraffic": 100.0, "stageVariableOverrides": {"v": "canary"}})
    assert api.ask()[1].split()[0] == "canary"
    api.client.update_stage(
        restApiId=api.id,
        stageName="dev",
        patchOperations=[
            {"op": "copy", "path": "/deploymentId", "from": "/canarySettings/deploymentId"},
            {"op": "copy", "path": "/variables", "from": "/canarySettings/stageVariableOverrides"},
            {"op": "remove", "path": "/canarySettings"},
        ],
    )
    assert api.ask()[1].split()[0] == "canary"
    stage = api.client.get_stage(restApiId=api.id, stageName="dev")
    assert stage["variables"] == {"v": "canary"}


def test_keys_open_and_quotas_close(api):
    api.mock("open", apiKeyRequired=True)
    api.deploy()
    assert api.ask() == (403, '{"message":"Forbidden"}')
    key = api.client.create_api_key(name="mine", value=VALUE, enabled=True)["id"]
    plan = api.client.create_usage_plan(
        name="plan",
        apiStages=[{"apiId": api.id, "stage": "dev"}],
        quota={"limit": 2, "period": "DAY"},
    )["id"]
    assert api.ask(x_api_key=VALUE)[0] == 403
    api.client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    assert [api.ask(x_api_key=VALUE) for _ in range(3)] == [
        (200, "open"),
        (200, "open"),
        (429, '{"message":"Limit Exceeded"}'),
    ]
    api.client.update_usage(
        usagePlanId=plan,
        keyId=key,
        patchOperations=[{"op": "replace", "path": "/remaining", "value": "1"}],
    )
    assert [api.ask(x_api_key=VALUE)[0] for _ in range(2)] == [200, 429]
    api.client.update_api_key(
        apiKey=key, patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}]
    )
    assert api.ask(x_api_key=VALUE)[0] == 403


def test_a_gateway_response_of_ones_own_is_answered(api):
    api.mock("x")
    api.client.put_gateway_response(
        restApiId=api.id,
        responseType="MISSING_AUTHENTICATION_TOKEN",
        statusCode="404",
        responseTemplates={"application/json": '{"gone": "$context.stage"}'},
    )
    api.deploy()
    assert api.ask("/dev/nowhere") == (404, '{"gone": "dev"}')


def test_a_method_is_tried_before_it_is_deployed(api):
    api.mock('{"said": "$input.params("q")"}')
    tried = api.client.test_invoke_method(
        restApiId=api.id, resourceId=api.root, httpMethod="GET", pathWithQueryString="/?q=hello"
    )
    assert (tried["status"], json.loads(tried["body"])) == (200, {"said": "hello"})
    assert "Successfully completed execution" in tried["log"]
    assert tried["headers"]["Content-Type"] == "application/json"


def test_a_function_answers_and_another_decides_who_may_ask(cumulo_empty, api):
    functions = cumulo_empty.client("lambda")
    uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{}/invocations"
    who = api.client.create_authorizer(
        restApiId=api.id,
        name="who",
        type="TOKEN",
        authorizerUri=uri.format(deploy(functions, "rest-who", WHO)["FunctionArn"]),
        identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=0,
    )["id"]
    part = api.client.create_resource(restApiId=api.id, parentId=api.root, pathPart="{proxy+}")["id"]
    at = {"restApiId": api.id, "resourceId": part, "httpMethod": "ANY"}
    api.client.put_method(**at, authorizationType="CUSTOM", authorizerId=who)
    api.client.put_integration(
        **at,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=uri.format(deploy(functions, "rest-echo", ECHO)["FunctionArn"]),
    )
    api.deploy(variables={"a": "1"})
    assert api.ask("/dev/x/y", "PUT")[0] == 401
    assert api.ask("/dev/x/y", "PUT", Authorization="shut")[0] == 403
    assert api.ask("/dev/x/y", "PUT", Authorization="open") == (200, "PUT /x/y {'a': '1'}")
    tried = api.client.test_invoke_authorizer(
        restApiId=api.id, authorizerId=who, headers={"Authorization": "open"}
    )
    assert (tried["clientStatus"], tried["principalId"]) == (200, "me")
