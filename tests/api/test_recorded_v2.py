"""HTTP and WebSocket APIs: sentences as AWS, or those who asked it, write them, and APIs that have no stage."""

import pytest
from tests.recorded_kit import ask, refusal, shown, unchecked

BAD, NOT_FOUND = "BadRequestException", "NotFoundException"


@pytest.fixture(scope="module")
def aws(cumulo):
    return unchecked(cumulo, "apigatewayv2")


@pytest.fixture
def api(aws):
    made = aws.create_api(Name="recorded", ProtocolType="HTTP")["ApiId"]
    yield made
    aws.delete_api(ApiId=made)


def test_a_new_api(aws):
    made = shown(aws.create_api(Name="n", ProtocolType="HTTP"), "ApiEndpoint", "CreatedDate")
    assert made == {
        "ApiId": made["ApiId"], "ApiKeySelectionExpression": "$request.header.x-api-key", "Name": "n", "Tags": {},
        "DisableExecuteApiEndpoint": False, "IpAddressType": "ipv4", "ProtocolType": "HTTP",
        "RouteSelectionExpression": "$request.method $request.path",
    }  # fmt: skip


def test_protocols(aws):
    asked = refusal(aws.create_api, Name="n", ProtocolType="?")
    assert asked == (BAD, "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]")


@pytest.mark.parametrize(
    ("operation", "member", "noun"),
    [
        ("get_route", "RouteId", "Route"), ("get_integration", "IntegrationId", "Integration"),
        ("get_authorizer", "AuthorizerId", "Authorizer"), ("get_model", "ModelId", "Model"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(aws, api, operation, member, noun):
    asked = refusal(getattr(aws, operation), ApiId=api, **{member: "unknown"})
    assert asked == (NOT_FOUND, f"Invalid {noun} identifier specified unknown")


def test_what_else_is_not_there(aws, api):
    asked = refusal(aws.get_vpc_link, VpcLinkId="unknown")
    assert asked == (NOT_FOUND, "Invalid VpcLink identifier specified unknown")
    assert refusal(aws.get_stage, ApiId=api, StageName="no") == (
        NOT_FOUND,
        "Invalid stage identifier specified",
    )
    asked = refusal(aws.get_api, ApiId="nope")
    assert asked == (NOT_FOUND, "Invalid API identifier specified 000000000000:nope")


def test_an_authorizer_of_functions_needs_a_payload_format(aws, api):
    uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
    values = {"AuthorizerType": "REQUEST", "AuthorizerUri": uri, "IdentitySource": [], "Name": "a"}
    asked = refusal(aws.create_authorizer, ApiId=api, **values)
    assert asked == (BAD, "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer")


def test_parameters_that_are_sent_empty_go(aws, api):
    uri = "http://www.example.com"
    made = aws.create_integration(
        ApiId=api, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=uri, PayloadFormatVersion="1.0",
        RequestParameters={"append:header.one": "$context.requestId", "remove:querystring.two": "''"},
        ResponseParameters={"404": {"append:header.error": "$stageVariables.a"}, "500": {"overwrite:statuscode": "403"}},
    )  # fmt: skip
    assert made["RequestParameters"]["remove:querystring.two"] == "''"
    made = aws.update_integration(
        ApiId=api, IntegrationId=made["IntegrationId"], ResponseParameters={"404": {}},
        RequestParameters={"append:header.one": "$context.accountId", "remove:querystring.two": ""},
    )  # fmt: skip
    assert made["RequestParameters"] == {"append:header.one": "$context.accountId"}
    assert made["ResponseParameters"] == {"500": {"overwrite:statuscode": "403"}}


def test_an_api_without_a_deployment_has_nothing(cumulo, aws, api):
    nothing = (404, b'{"message":"Not Found"}')
    assert ask(cumulo, api, "/x")[::2] == nothing
    aws.create_stage(ApiId=api, StageName="$default")
    assert ask(cumulo, api, "/x")[::2] == nothing
    assert ask(cumulo, "nope123456", "/x")[::2] == (403, b'{"message":"Forbidden"}')
