"""Whatever is asked of REST APIs: no answer is a fault of ours, and what is refused has changed nothing."""

import asyncio
import contextlib
import json
import random
import tempfile
from pathlib import Path

import botocore.session
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from hostile_forms import Enemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, Cloud

from cumulo.gateway.visit import Refused

MODEL = botocore.session.Session().get_service_model("apigateway")
MANY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
STRANGER = "222222222222"
VALUE = "a-value-of-twenty-or-more-characters"
PATHS = [
    "/name", "/description", "/binaryMediaTypes/a~1b", "/endpointConfiguration/types/0", "/policy", "/parentId", "/pathPart",
    "/requestParameters/method.request.querystring.q", "/requestModels/application~1json", "/uri", "/httpMethod",
    "/deploymentId", "/variables/a", "/variables", "/canarySettings", "/canarySettings/percentTraffic",
    "/canarySettings/stageVariableOverrides/a", "/*/*/throttling/rateLimit", "/~1/GET/logging/loglevel", "//GET/caching/enabled",
    "/apiStages", "/quota/limit", "/quota/period", "/throttle/rateLimit", "/throttle", "/quota", "/enabled", "/stages",
    "/remaining", "/cloudwatchRoleArn", "/schema", "/authorizerResultTtlInSeconds", "/providerARNs", "/statusCode",
    "/responseParameters/gatewayresponse.header.x", "/responseTemplates/application~1json", "", "/", "//", "/a~2b", "~1", "x",
]  # fmt: skip


class Site:
    """A cloud with something of everything, of two accounts, and what an enemy knows of it."""

    def __init__(self, path):
        self.cloud = Cloud(path)
        mine = self._fill()
        self.cloud.client = self.cloud.client_of(STRANGER)
        theirs = self._fill()
        self.cloud.client = self.cloud.client_of(ACCOUNT)
        self.api_id = mine["restApiId"]
        self.known = {name: [value] * 6 + [theirs[name], "nope"] for name, value in mine.items()}
        self.known |= {
            "parentId": self.known["resourceId"],
            "httpMethod": ["GET"] * 8 + ["ANY", "POST", "get", "X"],
            "integrationHttpMethod": ["POST", "GET", ""],
            "keyType": ["API_KEY", "API_KEY", "x"],
            "name": ["Pet", "k", "p", "new", "", "é"],
            "targetArns": [["arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/x/1"], ["x"], []],
            "statusCode": ["200"] * 4 + ["404", "999"],
            "type": ["MOCK", "HTTP", "AWS_PROXY", "AWS", "TOKEN", "REQUEST", "API"],
            "uri": [FUNCTION_URI, "http://example.com", "arn:aws:apigateway:us-east-1:sqs:path/x", "x"],
            "authorizerUri": [FUNCTION_URI, "x"],
            "identitySource": ["method.request.header.A", "x"],
            "authorizationType": ["NONE", "AWS_IAM", "CUSTOM", "x"],
            "pathPart": ["a", "b", "{c}", "{d+}", "a/b", ""],
            "contentType": ["application/json", "x"],
            "schema": ["{}", '{"type": "object"}', "{", '{"$ref": 3}', '{"properties": 3}', '{"allOf": {"a": 1}}'],
            "op": ["replace", "add", "remove", "copy", "move", "test"],
            "path": PATHS,
            "from": ["/canarySettings/deploymentId", "/canarySettings/stageVariableOverrides", "x"],
            "value": ["true", "1", "-1", "a", "1e400", "é", f"{self.api_id}:dev", "PRIVATE", "{}", ""],
            "limit": [1, 25, 500, 501, 0, -1],
            "embed": [["methods"], ["apisummary"], ["x"]],
            "format": ["csv"],
            "body": [b"name,key\nx,y", b"name,key\nx,a-value-that-is-long-enough-to-be-one", b"\xff", b"{}"],
            "resourceArn": [f"arn:aws:apigateway:{REGION}::/restapis/{self.api_id}", "x", "arn:a:b:c:d:e"],
            "startDate": ["2023-11-14", "x"],
            "endDate": ["2023-11-14", "2023-11-15"],
            "properties": ["{}", "x"],
        }  # fmt: skip

    def _fill(self):
        cloud, client = self.cloud, self.cloud.client
        api_id, root, deployment = cloud.deployed()
        api = {"restApiId": api_id}
        at = api | {"resourceId": root, "httpMethod": "GET", "statusCode": "200"}
        client.put_method_response(**at)
        client.put_integration_response(**at)
        key = client.create_api_key(name="k", enabled=True)["id"]
        client.create_api_key(name="free")
        plan = client.create_usage_plan(name="p", apiStages=[{"apiId": api_id, "stage": "dev"}])["id"]
        client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
        target = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/x/1"
        schema = json.dumps({"type": "object"})
        return {
            "restApiId": api_id,
            "resourceId": root,
            "deploymentId": deployment,
            "stageName": "dev",
            "modelName": client.create_model(
                **api, name="Pet", contentType="application/json", schema=schema
            )["name"],
            "requestValidatorId": client.create_request_validator(**api, name="v")["id"],
            "authorizerId": client.create_authorizer(
                **api,
                name="a",
                type="TOKEN",
                authorizerUri=FUNCTION_URI,
                identitySource="method.request.header.A",
            )["id"],
            "apiKey": key,
            "keyId": key,
            "usagePlanId": plan,
            "vpcLinkId": client.create_vpc_link(name="l", targetArns=[target])["id"],
            "documentationPartId": client.create_documentation_part(
                **api, location={"type": "API"}, properties="{}"
            )["id"],
            "documentationVersion": client.create_documentation_version(**api, documentationVersion="v1")[
                "version"
            ],
        }

    def state(self):
        """Everything that is kept, of everybody."""
        return [
            sorted(msgspec.json.encode(one) for one in shelf.all())
            for shelf in self.cloud.house.records._all()
        ]

    def close(self):
        self.cloud.close()


@contextlib.contextmanager
def a_site():
    with tempfile.TemporaryDirectory() as folder:
        made = Site(Path(folder))
        try:
            yield made
        finally:
            made.close()


def others(state):
    return [[one for one in shelf if STRANGER.encode() in one] for shelf in state]


def call(client, operation, values):
    """Status and code; None when the client itself cannot say it."""
    name = botocore.xform_name(operation)
    try:
        answer = getattr(client, name)(**values)
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
    except (BotoCoreError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return None
    return answer["ResponseMetadata"]["HTTPStatusCode"], ""


@MANY
@given(st.integers(0, 2**64))
def test_no_request_is_answered_with_a_fault_and_what_is_refused_changes_nothing(seed):
    with a_site() as site:
        operations = [
            one
            for one in site.cloud.house.service().operations
            if one not in ("DeleteRestApi", "DeleteMethod", "DeleteResource", "GenerateClientCertificate")
        ]
        enemy = Enemy(MODEL, site.known, random.Random(seed), operations)
        before = site.state()
        strangers = others(before)
        for _ in range(50):
            operation = enemy.operation()
            values = enemy.input(operation)
            said = call(site.cloud.client, operation, values)
            after = site.state()
            if said is None:
                continue
            assert said[0] < 500 or said[0] == 501, (operation, values, said)
            if said[0] >= 400:
                assert after == before, (operation, values, said)
            assert others(after) == strangers, (operation, values)
            before = after
        # What an enemy has made of it can still be read again and published.
        site.cloud.reopen()
        assert site.state() == before


@MANY
@given(
    st.lists(st.sampled_from(["ask", "flush", "reopen", "day", "other"]), min_size=1, max_size=40),
    st.integers(1, 8),
    st.sampled_from(["DAY", "WEEK", "MONTH"]),
)
def test_a_quota_lets_through_what_it_says_whatever_comes_in_between(steps, limit, period):
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Path(folder))
        api_id, *_ = cloud.deployed()
        key = cloud.client.create_api_key(name="k", value=VALUE, enabled=True)["id"]
        plan = cloud.client.create_usage_plan(
            name="p",
            apiStages=[{"apiId": api_id, "stage": "dev"}],
            quota={"limit": limit, "period": period},
        )["id"]
        cloud.client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
        cloud.clock.advance(1_698_796_800 + 31 * 86_400 - cloud.clock.now())  # 2 December 2023, a Saturday
        used, first = 0, cloud.clock.now()
        for step in steps:
            if step == "ask":
                place = cloud.published.find(api_id, "dev").place
                try:
                    cloud.house.plans.admit(place, VALUE, path="/", method="GET")
                    assert used < limit
                    used += 1
                except Refused as refused:
                    assert (refused.kind, used) == ("QUOTA_EXCEEDED", limit)
            elif step == "flush":
                asyncio.run(cloud.house.flush())
            elif step == "reopen":
                asyncio.run(cloud.house.close())
                cloud.reopen()
            elif step == "day" and period == "DAY":
                cloud.clock.advance(86_400)
                used = 0
            elif step == "other":
                cloud.client.create_api_key(name="other")
        assert cloud.clock.now() >= first
        cloud.close()
