"""Stages, canaries, usage plans and keys as AWS answers them, and the patches that Terraform's provider sends."""

from types import SimpleNamespace

import pytest
from tests.recorded_kit import patch, refusal, shown, unchecked

BAD, NOT_FOUND = "BadRequestException", "NotFoundException"
USER_POOL = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_"
ROLE = "arn:aws:iam::000000000000:role/gateway"


def replace(path, value=None):
    return patch("replace", path, value)


@pytest.fixture(scope="module")
def aws(cumulo):
    return unchecked(cumulo, "apigateway")


@pytest.fixture
def api(aws):
    """An API with a method GET /test that is deployed twice, the first time to a stage."""
    made = aws.create_rest_api(name="stages")
    resource = aws.create_resource(restApiId=made["id"], parentId=made["rootResourceId"], pathPart="test")
    method = {"restApiId": made["id"], "resourceId": resource["id"], "httpMethod": "GET"}
    aws.put_method(**method, authorizationType="NONE")
    aws.put_integration(**method, type="MOCK")
    deployments = [aws.create_deployment(restApiId=made["id"])["id"] for _ in range(2)]
    aws.create_stage(restApiId=made["id"], stageName="dev", deploymentId=deployments[0])
    yield SimpleNamespace(id=made["id"], method=method, deployments=deployments)
    aws.delete_rest_api(restApiId=made["id"])


def staged(aws, api, *operations):
    return shown(aws.update_stage(restApiId=api.id, stageName="dev", patchOperations=list(operations)))


# -- canaries -----------------------------------------------------------------------------------------------------


def test_a_canary_begins_with_whatever_is_said_first(aws, api):
    first, second = api.deployments
    made = staged(aws, api, replace("/canarySettings/percentTraffic", "50"))
    assert made["canarySettings"] == {"deploymentId": first, "percentTraffic": 50.0, "useStageCache": False}
    assert "canarySettings" not in staged(aws, api, patch("remove", "/canarySettings"))
    made = staged(aws, api, replace("/canarySettings/deploymentId", second))
    assert made["canarySettings"] == {"deploymentId": second, "percentTraffic": 0.0, "useStageCache": False}


COPIES = (
    "Valid copy:path are [/deploymentId, /variables] and valid copy:from are "
    "[/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]"
)


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (patch("add", "/canarySettings/deploymentId", "x"), "Invalid add operation with path: /canarySettings/deploymentId"),
        (replace("/canarySettings/deploymentId", "deploy"), "Deployment id does not exist"),
        (patch("remove", "/*/*"), "Cannot remove method setting */* because there is no method setting for this method "),
        ({"op": "copy", "path": "/variables", "from": "/canarySettings/stageVariableOverrides"}, "Promotion not available. Canary does not exist."),
        ({"op": "copy", "path": "/canarySettings/stageVariableOverrides", "from": "/variables"},
         f"Invalid copy operation with path: /canarySettings/stageVariableOverrides and from /variables. {COPIES}"),
    ],
)  # fmt: skip
def test_a_patch_of_a_stage_that_cannot_be(aws, api, operation, sentence):
    asked = refusal(aws.update_stage, restApiId=api.id, stageName="dev", patchOperations=[operation])
    assert asked == (BAD, sentence)


def test_a_canary_is_promoted(aws, api):
    staged(aws, api, replace("/variables/color", "blue"))
    canary = {"percentTraffic": 50, "stageVariableOverrides": {"color": "green"}}
    third = aws.create_deployment(restApiId=api.id, stageName="dev", canarySettings=canary)["id"]
    made = staged(
        aws, api, replace("/canarySettings/percentTraffic", "0.0"),
        {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
        {"op": "copy", "from": "/canarySettings/stageVariableOverrides", "path": "/variables"},
    )  # fmt: skip
    assert (made["deploymentId"], made["variables"]) == (third, {"color": "green"})


@pytest.mark.parametrize("name", [None, ""])
def test_a_canary_needs_a_stage(aws, api, name):
    values = {"canarySettings": {"percentTraffic": 50}} | ({} if name is None else {"stageName": name})
    assert refusal(aws.create_deployment, restApiId=api.id, **values) == (
        BAD,
        "Invalid deployment content specified.Non null and non empty stageName must be provided for canary "
        f"deployment. Provided value is {'null' if name is None else ''}",
    )


# -- settings of methods --------------------------------------------------------------------------------------------


def test_a_methods_first_setting_begins_as_a_copy_of_that_of_all(aws, api):
    made = staged(aws, api, replace("/*/*/throttling/burstLimit", "123"), replace("/*/*/caching/enabled", "true"),
                  replace("/test/GET/throttling/burstLimit", "124"))  # fmt: skip
    everything = made["methodSettings"]["*/*"]
    assert (everything["throttlingBurstLimit"], everything["throttlingRateLimit"]) == (123, 10000.0)
    assert made["methodSettings"]["test/GET"] == everything | {"throttlingBurstLimit": 124}


def test_settings_as_terraform_writes_them(aws, api):
    at = "/test/GET/"
    made = staged(
        aws, api, replace(f"{at}metrics/enabled", "true"), replace(f"{at}logging/loglevel", "OFF"),
        replace(f"{at}throttling/burstLimit", "-1"), replace(f"{at}throttling/rateLimit", "-1.000000"),
        replace(f"{at}caching/ttlInSeconds", "2"), replace(f"{at}caching/dataEncrypted", "true"),
        replace(f"{at}caching/unauthorizedCacheControlHeaderStrategy", "SUCCEED_WITHOUT_RESPONSE_HEADER"),
        replace("/~1a~1b/POST/metrics/enabled", "true"),
    )  # fmt: skip
    assert made["methodSettings"]["test/GET"] == {
        "metricsEnabled": True, "loggingLevel": "OFF", "dataTraceEnabled": False, "throttlingBurstLimit": -1,
        "throttlingRateLimit": -1.0, "cachingEnabled": False, "cacheTtlInSeconds": 2, "cacheDataEncrypted": True,
        "requireAuthorizationForCacheControl": True,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITHOUT_RESPONSE_HEADER",
    }  # fmt: skip
    assert "a/b/POST" in made["methodSettings"]
    assert "test/GET" not in staged(aws, api, patch("remove", "/test/GET"))["methodSettings"]


# -- Terraform's patches --------------------------------------------------------------------------------------------


def test_a_stage(aws, api):
    made = staged(aws, api, replace("/variables/one", "1"), replace("/variables/two", "2"))
    made = staged(aws, api, patch("remove", "/variables/one"), replace("/variables/two", "3"))
    assert made["variables"] == {"two": "3"}
    certificate = aws.generate_client_certificate()["clientCertificateId"]
    made = staged(aws, api, replace("/clientCertificateId", certificate), replace("/tracingEnabled", "true"))
    assert (made["clientCertificateId"], made["tracingEnabled"]) == (certificate, True)
    logs = {
        "destinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:api",
        "format": "$context.requestId",
    }
    made = staged(aws, api, *(replace(f"/accessLogSettings/{name}", value) for name, value in logs.items()))
    assert made["accessLogSettings"] == logs
    made = staged(aws, api, patch("remove", "/accessLogSettings"), replace("/clientCertificateId", ""))
    assert "accessLogSettings" not in made and "clientCertificateId" not in made


def test_an_api(aws, api):
    def changed(*operations):
        return aws.update_rest_api(restApiId=api.id, patchOperations=list(operations))

    assert changed(patch("add", "/binaryMediaTypes/image~1jpg"))["binaryMediaTypes"] == ["image/jpg"]
    both = changed(patch("remove", "/binaryMediaTypes/image~1jpg"), patch("add", "/binaryMediaTypes/a~1b"))
    assert both["binaryMediaTypes"] == ["a/b"]
    assert changed(replace("/minimumCompressionSize", "0"))["minimumCompressionSize"] == 0
    assert "minimumCompressionSize" not in changed(replace("/minimumCompressionSize"))
    made = changed(replace("/endpointConfiguration/types/0", "REGIONAL"))
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert changed(replace("/description", "d"))["description"] == "d"
    assert "description" not in changed(replace("/description", ""))


def test_a_method_and_its_authorizer(aws, api):
    pool = aws.create_authorizer(
        restApiId=api.id, name="pool", type="COGNITO_USER_POOLS", providerARNs=[f"{USER_POOL}a"],
        identitySource="method.request.header.Authorization",
    )  # fmt: skip
    which = {"restApiId": api.id, "authorizerId": pool["id"]}
    made = aws.update_authorizer(**which, patchOperations=[
        replace("/authorizerCredentials", ROLE), patch("add", "/providerARNs", f"{USER_POOL}b"),
        patch("remove", "/providerARNs", f"{USER_POOL}a"),
    ])  # fmt: skip
    assert (made["authorizerCredentials"], made["providerARNs"]) == (ROLE, [f"{USER_POOL}b"])

    def changed(*operations):
        return aws.update_method(**api.method, patchOperations=list(operations))

    made = changed(replace("/authorizationType", "COGNITO_USER_POOLS"), replace("/authorizerId", pool["id"]),
                   patch("add", "/authorizationScopes", "b"), patch("add", "/authorizationScopes", "a"))  # fmt: skip
    assert (made["authorizerId"], made["authorizationScopes"]) == (pool["id"], ["b", "a"])
    made = changed(replace("/authorizationType", "NONE"), replace("/authorizerId", ""),
                   patch("remove", "/authorizationScopes", "a"), patch("remove", "/authorizationScopes", "b"))  # fmt: skip
    assert "authorizerId" not in made and "authorizationScopes" not in made
    validator = aws.create_request_validator(restApiId=api.id, name="v", validateRequestBody=True)["id"]
    made = changed(replace("/requestValidatorId", validator), replace("/operationName", "op"))
    assert (made["requestValidatorId"], made["operationName"]) == (validator, "op")
    made = changed(replace("/requestValidatorId"), replace("/operationName"))
    assert "requestValidatorId" not in made and "operationName" not in made


def test_an_integration(aws, api):
    templates = {"application/json": "", "application/xml": "x"}
    made = aws.put_integration(
        **api.method, type="HTTP", integrationHttpMethod="GET", uri="https://example.com", contentHandling="CONVERT_TO_TEXT",
        requestTemplates=templates, requestParameters={"integration.request.header.X-Foo": "'Bar'"},
    )  # fmt: skip
    assert made["requestTemplates"] == {"application/json": None, "application/xml": "x"}
    aws.update_method(
        **api.method,
        patchOperations=[patch("add", "/requestParameters/method.request.querystring.q", "true")],
    )

    def changed(*operations):
        return aws.update_integration(**api.method, patchOperations=list(operations))

    made = changed(
        replace("/requestTemplates/application~1json", "{}"), patch("remove", "/requestTemplates/application~1xml"),
        patch("remove", "/requestParameters/integration.request.header.X-Foo"),
        patch("add", "/requestParameters/integration.request.header.X-Bar", "'Baz'"),
        replace("/uri", "https://example.com/new"), replace("/contentHandling", ""), replace("/timeoutInMillis", "2000"),
        replace("/tlsConfig/insecureSkipVerification", "true"), replace("/cacheNamespace", "shared"),
        patch("add", "/cacheKeyParameters/method.request.querystring.q", ""),
    )  # fmt: skip
    assert shown(made) == {
        "type": "HTTP", "httpMethod": "GET", "uri": "https://example.com/new", "connectionType": "INTERNET",
        "requestParameters": {"integration.request.header.X-Bar": "'Baz'"}, "requestTemplates": {"application/json": "{}"},
        "passthroughBehavior": "WHEN_NO_MATCH", "timeoutInMillis": 2000, "cacheNamespace": "shared",
        "cacheKeyParameters": ["method.request.querystring.q"], "tlsConfig": {"insecureSkipVerification": True},
    }  # fmt: skip
    made = changed(patch("remove", "/cacheKeyParameters/method.request.querystring.q", ""))
    assert made["cacheKeyParameters"] == []


def test_a_usage_plan(aws, api):
    stage = f"{api.id}:dev"
    plan = aws.create_usage_plan(name="plan", apiStages=[{"apiId": api.id, "stage": "dev"}])["id"]

    def changed(*operations):
        return aws.update_usage_plan(usagePlanId=plan, patchOperations=list(operations))

    made = changed(
        patch("remove", "/apiStages", stage), patch("add", "/apiStages", stage),
        replace(f"/apiStages/{stage}/throttle//test/GET/rateLimit", "5"),
        replace(f"/apiStages/{stage}/throttle//test/GET/burstLimit", "3"),
    )  # fmt: skip
    assert made["apiStages"] == [
        {"apiId": api.id, "stage": "dev", "throttle": {"/test/GET": {"burstLimit": 3, "rateLimit": 5.0}}}
    ]
    made = changed(replace("/throttle/rateLimit", "6"), replace("/throttle/burstLimit", "3"),
                   replace("/quota/limit", "200"), replace("/quota/offset", "20"), replace("/quota/period", "MONTH"),
                   patch("add", "/productCode", "CODE"))  # fmt: skip
    assert made["throttle"] == {"burstLimit": 3, "rateLimit": 6.0}
    assert made["quota"] == {"limit": 200, "offset": 20, "period": "MONTH"} and made["productCode"] == "CODE"
    made = changed(*(patch("remove", f"/{name}") for name in ("throttle", "quota", "productCode")))
    assert not {"throttle", "quota", "productCode"} & made.keys()
    for value, code, sentence in (
        (None, BAD, "Invalid API Stage specified"),
        ("fakevalue", BAD, "Invalid API Stage specified"),
        (f"{api.id}:no", NOT_FOUND, f"Invalid API Stage {{api: {api.id}, stage: no}} specified for usageplan {plan}"),
    ):  # fmt: skip
        operations = [patch("remove", "/apiStages", value)]
        assert refusal(aws.update_usage_plan, usagePlanId=plan, patchOperations=operations) == (
            code,
            sentence,
        )
    changed(patch("remove", "/apiStages", stage))
    aws.delete_usage_plan(usagePlanId=plan)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"name": "a" * 1025}, "Invalid API Key name, can be at most 1024 characters."),
        ({"value": "short"}, "API Key value should be at least 20 characters"),
        ({"value": "a" * 129}, "API Key value exceeds maximum size of 128 characters"),
        ({"description": "a" * 125001}, "Invalid API Key description specified."),
    ],
)
def test_a_key_that_cannot_be(aws, members, sentence):
    assert refusal(aws.create_api_key, **members) == (BAD, sentence)
