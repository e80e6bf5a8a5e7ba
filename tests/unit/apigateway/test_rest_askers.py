"""Authorizers and request validators: whom and what methods ask before an integration is called."""

import pytest
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
POOL = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/us-east-1_abc"
TOKEN = {
    "name": "who",
    "type": "TOKEN",
    "authorizerUri": FUNCTION_URI,
    "identitySource": "method.request.header.Auth",
}


@pytest.fixture
def api(cloud):
    return cloud.api()[0]


def test_an_authorizer_is_made_changed_and_deleted(cloud, api):
    made = plain(cloud.client.create_authorizer(restApiId=api, **TOKEN))
    at = {"restApiId": api, "authorizerId": made.pop("id")}
    assert made == TOKEN | {"authType": "custom"}
    changed = cloud.client.update_authorizer(
        **at,
        patchOperations=[
            patch("replace", "/authorizerResultTtlInSeconds", "0"),
            patch("replace", "/name", "other"),
            patch("replace", "/identityValidationExpression", "^Bearer .+$"),
        ],
    )
    assert (changed["authorizerResultTtlInSeconds"], changed["name"]) == (0, "other")
    assert plain(cloud.client.get_authorizers(restApiId=api))["items"] == [plain(changed)]
    gone = cloud.client.delete_authorizer(**at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(cloud.client.get_authorizer, **at) == (
        MISSING,
        "Invalid Authorizer identifier specified",
    )


@pytest.mark.parametrize(
    "authorizer",
    [
        {
            "name": "pool",
            "type": "COGNITO_USER_POOLS",
            "providerARNs": [POOL],
            "identitySource": "method.request.header.A",
        },
        {"name": "r", "type": "REQUEST", "authorizerUri": FUNCTION_URI, "authorizerResultTtlInSeconds": 0},
        {
            "name": "r",
            "type": "REQUEST",
            "authorizerUri": FUNCTION_URI,
            "identitySource": "method.request.header.A, method.request.querystring.b, stageVariables.c, context.stage",
        },
    ],
)
def test_authorizers_of_every_type_are_taken(cloud, api, authorizer):
    shown = cloud.client.create_authorizer(restApiId=api, **authorizer)
    assert {name: shown[name] for name in authorizer} == authorizer


@pytest.mark.parametrize(
    "change",
    [
        {"authorizerUri": "arn:aws:lambda:us-east-1:1:function:x"},
        {"authorizerUri": None},
        {"identitySource": "method.request.querystring.x"},
        {"identitySource": None},
        {"identityValidationExpression": "("},
        {"authorizerResultTtlInSeconds": 3601},
        {"providerARNs": [POOL]},
        {"type": "COGNITO_USER_POOLS"},
        {"type": "COGNITO_USER_POOLS", "providerARNs": ["x"]},
        {"type": "REQUEST", "identitySource": None},
        {"type": "REQUEST", "identitySource": "header.x"},
        {"name": " "},
    ],
)
def test_what_is_no_authorizer_is_refused(cloud, api, change):
    wanted = {name: value for name, value in (TOKEN | change).items() if value is not None}
    assert refused(cloud.client.create_authorizer, restApiId=api, **wanted)[0] == BAD
    assert cloud.client.get_authorizers(restApiId=api)["items"] == []


def test_names_of_authorizers_are_unique_within_an_api(cloud, api):
    cloud.client.create_authorizer(restApiId=api, **TOKEN)
    assert refused(cloud.client.create_authorizer, restApiId=api, **TOKEN) == (
        BAD,
        "Authorizer name must be unique. Authorizer who already exists in this RestApi.",
    )


def test_an_authorizer_that_a_method_asks_stays(cloud):
    api, root = cloud.api()
    made = cloud.client.create_authorizer(restApiId=api, **TOKEN)["id"]
    cloud.method(api, root, authorizationType="CUSTOM", authorizerId=made)
    asked = refused(cloud.client.delete_authorizer, restApiId=api, authorizerId=made)
    assert asked == (CONFLICT, f"Cannot delete authorizer '{made}', is referenced in method: //GET")


def test_a_pool_is_no_custom_authorizer(cloud):
    api, root = cloud.api()
    made = cloud.client.create_authorizer(restApiId=api, **TOKEN)["id"]
    asked = refused(
        cloud.method, api_id=api, resource_id=root, authorizationType="COGNITO_USER_POOLS", authorizerId=made
    )
    assert asked[0] == BAD


def test_an_api_has_ten_authorizers_and_not_one_more(cloud, api):
    for at in range(10):
        cloud.client.create_authorizer(restApiId=api, **(TOKEN | {"name": f"a{at}"}))
    assert refused(cloud.client.create_authorizer, restApiId=api, **TOKEN)[0] == "LimitExceededException"


def test_each_noun_misses_its_api_in_its_own_way(cloud):
    assert refused(cloud.client.create_authorizer, restApiId="nope", **TOKEN) == (
        CONFLICT,
        "Unable to complete operation due to concurrent modification. Please try again later.",
    )
    assert refused(cloud.client.create_request_validator, restApiId="nope", name="x") == (
        BAD,
        "Invalid REST API identifier specified",
    )
    for call in (cloud.client.get_authorizers, cloud.client.get_request_validators):
        assert refused(call, restApiId="nope")[0] == MISSING


def test_a_validator_is_made_changed_and_deleted(cloud, api):
    made = plain(cloud.client.create_request_validator(restApiId=api, name="all"))
    at = {"restApiId": api, "requestValidatorId": made["id"]}
    assert made == {
        "id": made["id"],
        "name": "all",
        "validateRequestBody": False,
        "validateRequestParameters": False,
    }
    on = patch("replace", "/validateRequestBody", "true")
    assert cloud.client.update_request_validator(**at, patchOperations=[on])["validateRequestBody"]
    off = patch("replace", "/validateRequestBody")
    assert not cloud.client.update_request_validator(**at, patchOperations=[off])["validateRequestBody"]
    cloud.client.delete_request_validator(**at)
    for call in (cloud.client.get_request_validator, cloud.client.delete_request_validator):
        assert refused(call, **at) == (MISSING, "Invalid Request Validator identifier specified")


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (
            patch("add", "/validateRequestBody", "true"),
            "Invalid patch path  '/validateRequestBody' specified for op 'add'. Please choose supported operations",
        ),
        (
            patch("replace", "/invalidPath", "true"),
            "Invalid patch path  '/invalidPath' specified for op 'replace'. Must be one of: "
            "[/name, /validateRequestParameters, /validateRequestBody]",
        ),
        (patch("replace", "/name"), "Request Validator name cannot be blank"),
    ],
)
def test_wrong_patches_of_validators(cloud, api, operation, sentence):
    made = cloud.client.create_request_validator(restApiId=api, name="all")["id"]
    asked = refused(
        cloud.client.update_request_validator,
        restApiId=api,
        requestValidatorId=made,
        patchOperations=[operation],
    )
    assert asked == (BAD, sentence)


def test_a_validator_that_a_method_asks_for_stays(cloud):
    api, root = cloud.api()
    made = cloud.client.create_request_validator(restApiId=api, name="all")["id"]
    cloud.method(api, root, requestValidatorId=made)
    asked = refused(cloud.client.delete_request_validator, restApiId=api, requestValidatorId=made)
    assert asked[0] == CONFLICT
