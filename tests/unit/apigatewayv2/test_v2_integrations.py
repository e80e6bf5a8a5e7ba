"""Integrations, and the responses of integrations."""

import pytest
from tests.unit.apigatewayv2.v2_api import ACCOUNT, FUNCTION, INVOKE, REGION, ROLE, refused, shown

BAD, CONFLICT, NOT_FOUND = "BadRequestException", "ConflictException", "NotFoundException"
PROXY = {"IntegrationType": "AWS_PROXY", "IntegrationUri": INVOKE, "PayloadFormatVersion": "2.0"}
URL = {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "https://example.com/a", "IntegrationMethod": "GET"}
SQS = {
    "IntegrationType": "AWS_PROXY",
    "IntegrationSubtype": "SQS-SendMessage",
    "PayloadFormatVersion": "1.0",
    "CredentialsArn": ROLE,
    "RequestParameters": {"QueueUrl": "https://queue", "MessageBody": "$request.body"},
}
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/x/1/2"
MAPPING = "Invalid mapping expression specified: Validation Result: warnings : [], errors : [{}]"


def test_a_function_of_an_http_api_shows_what_was_set_and_what_follows(it, aws):
    api_id = it.http()
    made = aws.create_integration(
        ApiId=api_id,
        **PROXY,
        Description="it calls",
        RequestParameters={"append:header.a": "$context.requestId", "overwrite:path": "/x"},
        ResponseParameters={"500": {"overwrite:statuscode": "403", "remove:header.b": "''"}},
    )
    assert shown(made) == {
        "ConnectionType": "INTERNET",
        "Description": "it calls",
        "IntegrationId": made["IntegrationId"],
        "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": INVOKE,
        "PayloadFormatVersion": "2.0",
        "RequestParameters": {"append:header.a": "$context.requestId", "overwrite:path": "/x"},
        "ResponseParameters": {"500": {"overwrite:statuscode": "403", "remove:header.b": "''"}},
        "TimeoutInMillis": 30000,
    }
    where = {"ApiId": api_id, "IntegrationId": made["IntegrationId"]}
    assert shown(aws.get_integration(**where)) == shown(made)
    assert aws.get_integrations(ApiId=api_id)["Items"] == [shown(made)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"IntegrationType": "MOCK"},
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations (AWS_PROXY, "
            "HTTP_PROXY)",
        ),
        (
            {"IntegrationType": "AWS_PROXY", "IntegrationUri": INVOKE},
            "PayloadFormatVersion is a required parameter for integration",
        ),
        (PROXY | {"PayloadFormatVersion": "3.0"}, "Unsupported PayloadFormatVersion: 3.0"),
        (
            URL | {"PayloadFormatVersion": "2.0"},
            "PayloadFormatVersion 2.0 is not supported for integration of type HTTP_PROXY",
        ),
        (
            {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "https://example.com"},
            "HttpMethod parameter method must be specified for integrationType HTTPPROXY",
        ),
        (URL | {"IntegrationUri": "ftp://x"}, "Invalid HTTP endpoint specified for URI"),
        (URL | {"IntegrationMethod": "FETCH"}, "Invalid HttpMethod specified: FETCH"),
        (
            PROXY | {"IntegrationUri": "arn:aws:s3:::bucket"},
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        ),
        (
            URL | {"ConnectionType": "VPC_LINK"},
            "ConnectionId must be set to vpcLinkId for ConnectionType VPC_LINK",
        ),
        (
            URL | {"ConnectionType": "VPC_LINK", "ConnectionId": "link"},
            "For VpcLink VPC_LINK, integration uri should be a valid ELB listener ARN or a valid Cloud Map service ARN.",
        ),
        (
            PROXY | {"RequestTemplates": {"application/json": "x"}},
            "RequestTemplates is not currently supported for HTTP APIs.",
        ),
        (PROXY | {"CredentialsArn": "me"}, "Invalid ARN specified in the request"),
        (
            PROXY | {"RequestParameters": {"integration.request.header.x": "'1'"}},
            MAPPING.format(
                "Invalid Request Actioned Parameter destination specified: integration.request.header.x"
            ),
        ),
        (
            PROXY | {"RequestParameters": {"append:header.Authorization": "x"}},
            MAPPING.format("Operations on header authorization are restricted"),
        ),
        (
            PROXY | {"ResponseParameters": {"200": {"append:overwrite.static": "x"}}},
            MAPPING.format(
                "Invalid Response Actioned Parameter destination specified: append:overwrite.static"
            ),
        ),
        (
            PROXY | {"RequestParameters": {"append:header.a": "$request.nothing{"}},
            MAPPING.format("Invalid mapping expression specified: $request.nothing{"),
        ),
        (
            SQS | {"RequestParameters": {"QueueUrl": "q", "MessageBody": "$request.x}"}},
            MAPPING.format("Invalid mapping expression specified: $request.x}"),
        ),
        (PROXY | {"ResponseParameters": {"99": {"append:header.a": "x"}}}, "Status Code 99 is not valid"),
        (SQS | {"IntegrationSubtype": "S3-PutObject"}, "Operation: S3-PutObject is not supported."),
        (SQS | {"PayloadFormatVersion": "2.0"}, "Operation: SQS-SendMessage is not supported."),
        (
            {name: value for name, value in SQS.items() if name != "CredentialsArn"},
            "Role ARN must be specified for AWS integration configuration with Subtype: SQS-SendMessage",
        ),
        (
            SQS | {"RequestParameters": {"QueueUrl": "q"}},
            "Operation: SQS-SendMessage requires enabling passthrough, or defining all of the following parameters: "
            "[QueueUrl, MessageBody]",
        ),
        (
            SQS | {"RequestParameters": SQS["RequestParameters"] | {"Colour": "red"}},
            "Operation: SQS-SendMessage does not support the following parameters: [Colour]",
        ),
    ],
)
def test_what_an_integration_of_an_http_api_cannot_be_told(it, aws, settings, sentence):
    api_id = it.http()
    with refused() as refusal:
        aws.create_integration(ApiId=api_id, **settings)
    assert refusal == (BAD, sentence)
    assert aws.get_integrations(ApiId=api_id)["Items"] == []


@pytest.mark.parametrize("milliseconds", [49, 30_001])
def test_a_timeout_has_bounds(it, aws, milliseconds):
    api_id = it.http()
    with refused() as refusal:
        aws.create_integration(ApiId=api_id, **PROXY, TimeoutInMillis=milliseconds)
    assert refusal.code == BAD


@pytest.mark.parametrize(
    "uri",
    [
        FUNCTION,
        f"{FUNCTION}:live",
        INVOKE,
        INVOKE.replace(FUNCTION, f"{FUNCTION}:${{stageVariables.alias}}"),
        INVOKE.replace("hello", "${stageVariables.fn}"),
    ],
)
def test_the_ways_in_which_a_function_is_named(it, aws, uri):
    api_id = it.http()
    assert it.function(api_id, IntegrationUri=uri)
    assert aws.get_integrations(ApiId=api_id)["Items"][0]["IntegrationUri"] == uri


def test_first_class_integrations_have_no_method_and_no_uri(it, aws):
    api_id = it.http()
    made = aws.create_integration(ApiId=api_id, **SQS)
    assert made["IntegrationSubtype"] == "SQS-SendMessage"
    assert made["RequestParameters"] == SQS["RequestParameters"]
    assert "IntegrationMethod" not in made
    assert "IntegrationUri" not in made


def test_a_private_integration_needs_a_link_that_is_there(it, aws):
    api_id = it.http()
    private = {
        "IntegrationType": "HTTP_PROXY",
        "IntegrationMethod": "ANY",
        "IntegrationUri": LISTENER,
        "ConnectionType": "VPC_LINK",
        "TlsConfig": {"ServerNameToVerify": "www.example.com"},
    }
    with refused() as refusal:
        aws.create_integration(ApiId=api_id, **private, ConnectionId="missing")
    assert refusal == (NOT_FOUND, "Invalid VpcLink identifier specified missing")
    link = aws.create_vpc_link(Name="link", SubnetIds=["subnet-a"])["VpcLinkId"]
    made = aws.create_integration(ApiId=api_id, **private, ConnectionId=link)
    assert (made["ConnectionId"], made["TlsConfig"]) == (link, {"ServerNameToVerify": "www.example.com"})
    seen = aws.update_integration(
        ApiId=api_id,
        IntegrationId=made["IntegrationId"],
        ConnectionType="INTERNET",
        IntegrationUri="https://example.com",
        TlsConfig={"ServerNameToVerify": ""},
    )
    assert "ConnectionId" not in seen
    assert "TlsConfig" not in seen


def test_an_update_changes_what_is_sent_and_takes_parameters_away_that_are_empty(it, aws):
    api_id = it.http()
    where = {
        "ApiId": api_id,
        "IntegrationId": it.function(
            api_id,
            Description="old",
            RequestParameters={"append:header.a": "1", "append:header.b": "2"},
            ResponseParameters={"404": {"append:header.c": "3"}, "500": {"append:header.d": "4"}},
        ),
    }
    seen = aws.update_integration(
        **where,
        Description="",
        RequestParameters={"append:header.a": "", "append:header.e": "5"},
        ResponseParameters={"404": {}},
        TimeoutInMillis=1000,
    )
    assert "Description" not in seen
    assert seen["RequestParameters"] == {"append:header.b": "2", "append:header.e": "5"}
    assert seen["ResponseParameters"] == {"500": {"append:header.d": "4"}}
    assert seen["TimeoutInMillis"] == 1000
    assert seen["PayloadFormatVersion"] == "2.0"
    with refused() as refusal:
        aws.update_integration(**where, PayloadFormatVersion="7")
    assert refusal.code == BAD
    assert shown(aws.get_integration(**where)) == shown(seen)


def test_an_integration_that_a_route_names_stays(it, aws):
    api_id = it.http()
    integration = it.function(api_id)
    route = it.route(api_id, "GET /", Target=f"integrations/{integration}")
    with refused() as refusal:
        aws.delete_integration(ApiId=api_id, IntegrationId=integration)
    assert refusal == (
        CONFLICT,
        f"Cannot delete Integration because it is referenced by the following Routes with Ids: [{route}]",
    )
    aws.delete_route(ApiId=api_id, RouteId=route)
    aws.delete_integration(ApiId=api_id, IntegrationId=integration)
    with refused() as refusal:
        aws.delete_integration(ApiId=api_id, IntegrationId=integration)
    assert refusal == (NOT_FOUND, f"Invalid Integration identifier specified {integration}")


# -- WebSocket APIs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "selection"),
    [
        ({"IntegrationType": "MOCK"}, "${integration.response.statuscode}"),
        (
            {"IntegrationType": "AWS", "IntegrationMethod": "POST", "IntegrationUri": INVOKE},
            "${integration.response.body.errorMessage}",
        ),
        ({"IntegrationType": "AWS_PROXY", "IntegrationUri": INVOKE}, None),
        (URL, None),
        (URL | {"IntegrationType": "HTTP"}, "${integration.response.statuscode}"),
    ],
)
def test_defaults_of_a_websocket_api(it, aws, settings, selection):
    made = aws.create_integration(ApiId=it.websocket(), **settings)
    assert made["TimeoutInMillis"] == 29000
    assert made["PassthroughBehavior"] == "WHEN_NO_MATCH"
    assert made["PayloadFormatVersion"] == "1.0"
    assert made["ConnectionType"] == "INTERNET"
    assert made.get("IntegrationResponseSelectionExpression") == selection


def test_templates_of_a_websocket_api(it, aws):
    api_id = it.websocket()
    settings = {
        "ContentHandlingStrategy": "CONVERT_TO_TEXT",
        "IntegrationMethod": "GET",
        "IntegrationType": "HTTP",
        "IntegrationUri": "http://www.example.com",
        "PassthroughBehavior": "NEVER",
        "RequestParameters": {"integration.request.querystring.stage": "'value1'"},
        "RequestTemplates": {"application/json": ""},
        "TemplateSelectionExpression": "$request.body.name",
    }
    made = aws.create_integration(ApiId=api_id, **settings)
    assert {name: made[name] for name in settings} == settings
    seen = aws.update_integration(
        ApiId=api_id, IntegrationId=made["IntegrationId"], RequestTemplates={"application/xml": "#set($a=1)"}
    )
    assert seen["RequestTemplates"] == {"application/xml": "#set($a=1)"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"IntegrationType": "AWS_PROXY", "IntegrationUri": INVOKE, "PayloadFormatVersion": "2.0"},
            "Unsupported PayloadFormatVersion: 2.0",
        ),
        (
            {"IntegrationType": "MOCK", "TimeoutInMillis": 29001},
            "Timeout should be between 50 ms and 29000 ms",
        ),
        (
            {"IntegrationType": "AWS", "IntegrationUri": INVOKE},
            "Enumeration value for HttpMethod must be non-empty",
        ),
        (
            {"IntegrationType": "AWS", "IntegrationMethod": "POST", "IntegrationUri": FUNCTION},
            "AWS ARN for integration must contain path or action",
        ),
        (
            {
                "IntegrationType": "AWS",
                "IntegrationMethod": "POST",
                "IntegrationUri": f"arn:aws:apigateway:{REGION}:sqs:path/{ACCOUNT}/queue",
            },
            "Role ARN must be specified for AWS integrations",
        ),
        (
            {"IntegrationType": "MOCK", "RequestParameters": {"append:header.a": "'1'"}},
            MAPPING.format("Invalid mapping expression parameter specified: append:header.a"),
        ),
    ],
)
def test_what_an_integration_of_a_websocket_api_cannot_be_told(it, aws, settings, sentence):
    with refused() as refusal:
        aws.create_integration(ApiId=it.websocket(), **settings)
    assert refusal == (BAD, sentence)


def test_integration_responses(it, aws):
    api_id = it.websocket()
    integration = aws.create_integration(ApiId=api_id, IntegrationType="MOCK")["IntegrationId"]
    where = {"ApiId": api_id, "IntegrationId": integration}
    settings = {
        "ContentHandlingStrategy": "CONVERT_TO_BINARY",
        "IntegrationResponseKey": "/4[0-9]+/",
        "ResponseTemplates": {"application/json": "{}"},
        "TemplateSelectionExpression": "$default",
    }
    made = aws.create_integration_response(**where, **settings)
    which = where | {"IntegrationResponseId": made["IntegrationResponseId"]}
    assert shown(made) == settings | {"IntegrationResponseId": made["IntegrationResponseId"]}
    assert shown(aws.get_integration_response(**which)) == shown(made)
    assert aws.get_integration_responses(**where)["Items"] == [shown(made)]
    seen = aws.update_integration_response(**which, IntegrationResponseKey="$default")
    assert shown(seen) == shown(made) | {"IntegrationResponseKey": "$default"}
    for key, code in (("$default", CONFLICT), ("200", BAD), ("/(/", BAD)):
        with refused() as refusal:
            aws.create_integration_response(**where, IntegrationResponseKey=key)
        assert refusal.code == code
    aws.delete_integration_response(**which)
    with refused() as refusal:
        aws.get_integration_response(**which)
    assert refusal == (
        NOT_FOUND,
        f"Invalid IntegrationResponse identifier specified {which['IntegrationResponseId']}",
    )


def test_an_http_api_has_no_integration_responses(it, aws):
    api_id = it.http()
    with refused() as refusal:
        aws.create_integration_response(
            ApiId=api_id, IntegrationId=it.function(api_id), IntegrationResponseKey="$default"
        )
    assert refusal == (BAD, "IntegrationResponses are currently not supported for this API protocol type.")
