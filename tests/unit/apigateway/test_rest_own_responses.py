import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING = "BadRequestException", "NotFoundException"
TEMPLATE = {"application/json": '{"message":$context.error.messageString}'}
PARAMETERS = {"gatewayresponse.header.x-request-header": "method.request.header.Accept"}


@pytest.fixture
def api(cloud):
    return cloud.api()[0]


def put(cloud, api, kind, **more):
    return plain(cloud.client.put_gateway_response(restApiId=api, responseType=kind, **more))


def get(cloud, api, kind):
    return plain(cloud.client.get_gateway_response(restApiId=api, responseType=kind))


def test_an_api_has_all_defaults(cloud, api):
    items = cloud.client.get_gateway_responses(restApiId=api)["items"]
    assert len(items) == 21
    assert all(one["defaultResponse"] for one in items)
    assert items[0] == {
        "responseType": "ACCESS_DENIED",
        "statusCode": "403",
        "responseParameters": {},
        "responseTemplates": TEMPLATE,
        "defaultResponse": True,
    }
    assert [one["responseType"] for one in items if "statusCode" not in one] == [
        "DEFAULT_4XX",
        "DEFAULT_5XX",
    ]


def test_what_is_not_said_is_as_the_default(cloud, api):
    assert put(cloud, api, "MISSING_AUTHENTICATION_TOKEN", statusCode="404") == {
        "responseType": "MISSING_AUTHENTICATION_TOKEN",
        "statusCode": "404",
        "responseParameters": {},
        "responseTemplates": TEMPLATE,
        "defaultResponse": False,
    }
    shown = put(cloud, api, "MISSING_AUTHENTICATION_TOKEN", responseParameters=PARAMETERS)
    assert (shown["statusCode"], shown["responseTemplates"]) == ("403", TEMPLATE)


def test_others_follow_their_family_unless_they_have_their_own(cloud, api):
    put(cloud, api, "DEFAULT_5XX", statusCode="599", responseParameters=PARAMETERS)
    put(cloud, api, "AUTHORIZER_FAILURE", responseParameters={"gatewayresponse.header.foo": "'bar'"})
    followed = get(cloud, api, "INTEGRATION_FAILURE")
    assert followed["defaultResponse"]
    assert (followed["statusCode"], followed["responseParameters"]) == ("599", PARAMETERS)
    own = get(cloud, api, "AUTHORIZER_FAILURE")
    assert (own["statusCode"], own["responseParameters"]) == (
        "500",
        {"gatewayresponse.header.foo": "'bar'"},
    )
    assert get(cloud, api, "THROTTLED")["statusCode"] == "429"


def test_deleting_brings_the_default_back(cloud, api):
    put(cloud, api, "THROTTLED", statusCode="420")
    at = {"restApiId": api, "responseType": "THROTTLED"}
    gone = cloud.client.delete_gateway_response(**at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert get(cloud, api, "THROTTLED")["statusCode"] == "429"
    assert refused(cloud.client.delete_gateway_response, **at) == (
        MISSING,
        "Gateway response type not defined on api",
    )


def test_a_default_becomes_ones_own_by_a_patch(cloud, api):
    at = {"restApiId": api, "responseType": "DEFAULT_4XX"}
    shown = cloud.client.update_gateway_response(
        **at, patchOperations=[patch("replace", "/statusCode", "444")]
    )
    assert plain(shown) == {
        "responseType": "DEFAULT_4XX",
        "statusCode": "444",
        "responseParameters": {},
        "responseTemplates": TEMPLATE,
        "defaultResponse": False,
    }
    changed = cloud.client.update_gateway_response(
        **at,
        patchOperations=[
            patch("add", "/responseTemplates/application~1xml", "<x/>"),
            patch("add", "/responseParameters/gatewayresponse.header.X", "'y'"),
        ],
    )
    assert changed["responseTemplates"] == TEMPLATE | {"application/xml": "<x/>"}
    assert changed["responseParameters"] == {"gatewayresponse.header.X": "'y'"}


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (patch("add", "/statusCode", "444"), (BAD, "Invalid patch path /statusCode")),
        (patch("remove", "/statusCode"), (BAD, "Invalid patch path /statusCode")),
        (
            patch("replace", "/responseParameters/gatewayresponse.header.X", "'y'"),
            (MISSING, "Invalid parameter name specified"),
        ),
        ({"op": "add"}, (BAD, "Invalid patch path null")),
        (patch("add", "/wrongPath", "x"), (BAD, "Invalid patch path /wrongPath")),
        (
            patch("replace", "/responseTemplates/application~1json"),
            (BAD, "Invalid null or empty value in responseTemplates"),
        ),
        (
            patch("replace", "/responseParameters/gatewayresponse.header.X"),
            (BAD, "Invalid null or empty value in responseParameters"),
        ),
        (patch("replace", "/statusCode", "999"), (BAD, "Invalid status code specified: 999")),
    ],
)
def test_wrong_patches_are_refused_in_aws_sentences(cloud, api, operation, answer):
    at = {"restApiId": api, "responseType": "DEFAULT_4XX"}
    assert refused(cloud.client.update_gateway_response, **at, patchOperations=[operation]) == answer


def test_a_wrong_type_or_mapping_is_refused(cloud, api):
    asked = refused(cloud.client.put_gateway_response, restApiId=api, responseType="FAKE_RESPONSE_TYPE")
    assert asked[0] == "ValidationException"
    asked = refused(
        cloud.client.put_gateway_response,
        restApiId=api,
        responseType="THROTTLED",
        responseParameters={"gatewayresponse.header.x": "nonsense"},
    )
    assert asked[0] == BAD


def test_an_api_that_is_not_there(cloud):
    for call in (cloud.client.get_gateway_response, cloud.client.delete_gateway_response):
        assert refused(call, restApiId="nope", responseType="THROTTLED")[0] == MISSING
    assert refused(cloud.client.get_gateway_responses, restApiId="nope")[0] == MISSING
