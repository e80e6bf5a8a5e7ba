"""APIs: what they are told, what they show, and quick create."""

import re

import pytest
from tests.unit.apigatewayv2.v2_api import ACCOUNT, FUNCTION, INVOKE, ROLE, refused, shown

BAD = "BadRequestException"


def test_an_http_api_shows_what_aws_shows_of_a_new_one(aws):
    made = aws.create_api(Name="web", ProtocolType="HTTP")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    api_id = made["ApiId"]
    assert re.fullmatch(r"[a-z0-9]{10}", api_id)
    assert shown(made) == {
        "ApiId": api_id,
        "ApiEndpoint": f"http://{api_id}.execute-api.localhost:4566",
        "ApiKeySelectionExpression": "$request.header.x-api-key",
        "CreatedDate": made["CreatedDate"],
        "DisableExecuteApiEndpoint": False,
        "IpAddressType": "ipv4",
        "Name": "web",
        "ProtocolType": "HTTP",
        "RouteSelectionExpression": "$request.method $request.path",
        "Tags": {},
    }
    assert shown(aws.get_api(ApiId=api_id)) == shown(made)


def test_a_websocket_api_has_an_address_for_websockets(aws):
    made = aws.create_api(
        Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )
    assert made["ApiEndpoint"] == f"ws://{made['ApiId']}.execute-api.localhost:4566"
    assert made["RouteSelectionExpression"] == "$request.body.action"


def test_everything_that_was_set_is_shown(aws):
    cors = {
        "AllowCredentials": True,
        "AllowHeaders": ["x-one"],
        "AllowMethods": ["GET", "*"],
        "AllowOrigins": ["https://example.com", "http://localhost:3000"],
        "ExposeHeaders": ["x-two"],
        "MaxAge": 300,
    }
    settings = {
        "CorsConfiguration": cors,
        "Description": "what it is for",
        "DisableExecuteApiEndpoint": True,
        "IpAddressType": "dualstack",
        "Tags": {"team": "one"},
        "Version": "1.0",
    }
    api_id = aws.create_api(Name="web", ProtocolType="HTTP", **settings)["ApiId"]
    seen = aws.get_api(ApiId=api_id)
    assert {name: seen[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"Name": "", "ProtocolType": "HTTP"}, "Invalid API name specified"),
        ({"Name": "x" * 129, "ProtocolType": "HTTP"}, "Name must have length less than or equal to 128"),
        ({"Name": "a", "ProtocolType": "WEBSOCKET"}, "Invalid routeSelectionExpression"),
        (
            {"Name": "a", "ProtocolType": "HTTP", "RouteSelectionExpression": "$request.body.action"},
            'Route selection expression is currently limited to "${request.method} ${request.path}"',
        ),
        (
            {"Name": "a", "ProtocolType": "HTTP", "ApiKeySelectionExpression": "s3l3ction"},
            "Invalid apiKeySelectionExpression",
        ),
        (
            {
                "Name": "a",
                "ProtocolType": "HTTP",
                "CorsConfiguration": {"AllowOrigins": ["capacitor://localhost"]},
            },
            "Invalid format for origin capacitor://localhost",
        ),
        (
            {
                "Name": "a",
                "ProtocolType": "HTTP",
                "CorsConfiguration": {"AllowOrigins": ["*"], "AllowCredentials": True},
            },
            "allow-credentials is not supported if 'allow-origin' is *",
        ),
        (
            {
                "Name": "a",
                "ProtocolType": "WEBSOCKET",
                "RouteSelectionExpression": "$request.body.a",
                "CorsConfiguration": {"AllowOrigins": ["*"]},
            },
            "Cors is not supported for WEBSOCKET protocolType",
        ),
        (
            {"Name": "a", "ProtocolType": "HTTP", "Tags": {"aws:x": "y"}},
            "Invalid tag key: aws:x. aws: prefixed tag key names are not allowed for external use.",
        ),
        (
            {
                "Name": "a",
                "ProtocolType": "WEBSOCKET",
                "RouteSelectionExpression": "$request.body.a",
                "Target": FUNCTION,
            },
            "Target is not currently supported for WEBSOCKET APIs.",
        ),
    ],
)
def test_what_an_api_cannot_be_told(aws, settings, sentence):
    with refused() as refusal:
        aws.create_api(**settings)
    assert refusal == (BAD, sentence)
    assert aws.get_apis()["Items"] == []


def test_a_protocol_that_there_is_not_is_refused_by_the_door(aws):
    with refused() as refusal:
        aws.create_api(Name="a", ProtocolType="?")
    assert refusal.code == BAD
    assert "Invalid protocol specified" in refusal.message


def test_an_api_of_somebody_else_or_of_another_region_is_not_there(it, aws):
    api_id = it.http()
    for other in (it.client_of("999999999999"), it.client_of(ACCOUNT, "eu-west-1")):
        with refused() as refusal:
            other.get_api(ApiId=api_id)
        assert refusal.code == "NotFoundException"
        assert refusal.status == 404
        assert refusal.message.startswith("Invalid API identifier specified ")
        assert other.get_apis()["Items"] == []
    assert [one["ApiId"] for one in aws.get_apis()["Items"]] == [api_id]


def test_an_update_changes_only_what_is_sent_and_empty_texts_clear(it, aws):
    api_id = it.http(Description="old", Version="1", CorsConfiguration={"AllowOrigins": ["*"]})
    seen = aws.update_api(ApiId=api_id, Name="new", Description="")
    assert seen["Name"] == "new"
    assert "Description" not in seen
    assert seen["Version"] == "1"
    assert seen["CorsConfiguration"] == {"AllowOrigins": ["*"]}
    assert shown(aws.get_api(ApiId=api_id)) == shown(seen)


def test_cors_is_replaced_as_a_whole_and_can_be_deleted(it, aws):
    api_id = it.http(CorsConfiguration={"AllowOrigins": ["*"], "MaxAge": 5})
    seen = aws.update_api(ApiId=api_id, CorsConfiguration={"AllowMethods": ["GET"]})
    assert seen["CorsConfiguration"] == {"AllowMethods": ["GET"]}
    aws.delete_cors_configuration(ApiId=api_id)
    assert "CorsConfiguration" not in aws.get_api(ApiId=api_id)


def test_a_deleted_api_takes_everything_with_it(it, aws):
    api_id = it.http(Target=FUNCTION)
    assert it.compiled(api_id) is not None
    assert aws.delete_api(ApiId=api_id)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert it.stages.of(api_id) == []
    for ask in (aws.get_api, aws.get_routes, aws.get_stages, aws.delete_api):
        with refused() as refusal:
            ask(ApiId=api_id)
        assert refusal == ("NotFoundException", f"Invalid API identifier specified {ACCOUNT}:{api_id}")
    assert it.house.count() == 0
    it.reopen()
    assert it.client.get_apis()["Items"] == []


def test_quick_create_of_a_function_makes_integration_route_and_stage(it, aws):
    api_id = it.http(Target=FUNCTION, CredentialsArn=ROLE)
    (integration,) = aws.get_integrations(ApiId=api_id)["Items"]
    assert integration == {
        "ApiGatewayManaged": True,
        "ConnectionType": "INTERNET",
        "CredentialsArn": ROLE,
        "IntegrationId": integration["IntegrationId"],
        "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": FUNCTION,
        "PayloadFormatVersion": "2.0",
        "TimeoutInMillis": 30000,
    }
    (route,) = aws.get_routes(ApiId=api_id)["Items"]
    assert route["RouteKey"] == "$default"
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert route["ApiGatewayManaged"] is True
    (stage,) = aws.get_stages(ApiId=api_id)["Items"]
    assert (stage["StageName"], stage["AutoDeploy"], stage["ApiGatewayManaged"]) == ("$default", True, True)
    compiled = it.compiled(api_id)
    assert compiled.kind == "HTTP"
    assert [one.route_key for one in compiled.definition.routes] == ["$default"]


def test_quick_create_of_a_url_asks_it_with_any_method(it, aws):
    api_id = it.http(Target="https://example.com/x", RouteKey="GET /x")
    (integration,) = aws.get_integrations(ApiId=api_id)["Items"]
    assert integration["IntegrationType"] == "HTTP_PROXY"
    assert integration["IntegrationMethod"] == "ANY"
    assert integration["PayloadFormatVersion"] == "1.0"
    assert aws.get_routes(ApiId=api_id)["Items"][0]["RouteKey"] == "GET /x"


@pytest.mark.parametrize(
    "settings", [{"Target": "nonsense"}, {"Target": "arn:aws:s3:::bucket"}, {"RouteKey": "GET /x"}]
)
def test_a_quick_create_that_cannot_be_leaves_nothing(aws, settings):
    with refused() as refusal:
        aws.create_api(Name="a", ProtocolType="HTTP", **settings)
    assert refusal.code == BAD
    assert aws.get_apis()["Items"] == []


def test_a_quick_created_api_can_be_pointed_elsewhere(it, aws):
    api_id = it.http(Target="https://example.com")
    aws.update_api(ApiId=api_id, Target=INVOKE, RouteKey="ANY /{proxy+}")
    (integration,) = aws.get_integrations(ApiId=api_id)["Items"]
    assert (integration["IntegrationUri"], integration["IntegrationType"]) == (INVOKE, "AWS_PROXY")
    assert aws.get_routes(ApiId=api_id)["Items"][0]["RouteKey"] == "ANY /{proxy+}"
    assert it.compiled(api_id).definition.routes[0].route_key == "ANY /{proxy+}"
    other = it.http()
    with refused() as refusal:
        aws.update_api(ApiId=other, Target=FUNCTION)
    assert refusal.code == BAD


def test_what_quick_create_made_is_not_deleted_alone(it, aws):
    api_id = it.http(Target=FUNCTION)
    integration = aws.get_integrations(ApiId=api_id)["Items"][0]["IntegrationId"]
    route = aws.get_routes(ApiId=api_id)["Items"][0]["RouteId"]
    for delete in (
        lambda: aws.delete_integration(ApiId=api_id, IntegrationId=integration),
        lambda: aws.delete_route(ApiId=api_id, RouteId=route),
        lambda: aws.delete_stage(ApiId=api_id, StageName="$default"),
        lambda: aws.update_route(ApiId=api_id, RouteId=route, RouteKey="GET /"),
    ):
        with refused() as refusal:
            delete()
        assert refusal.code == BAD
        assert "managed by API Gateway" in refusal.message


def test_lists_come_in_pages(it, aws):
    made = sorted(it.http() for _ in range(30))
    first = aws.get_apis()
    assert len(first["Items"]) == 25
    rest = aws.get_apis(NextToken=first["NextToken"])
    assert [one["ApiId"] for one in first["Items"] + rest["Items"]] == made
    assert "NextToken" not in rest
    paged = aws.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": 7})
    assert [one["ApiId"] for one in paged.build_full_result()["Items"]] == made


def test_a_page_goes_on_after_what_was_deleted_meanwhile(it, aws):
    made = sorted(it.http() for _ in range(5))
    first = aws.get_apis(MaxResults="2")
    aws.delete_api(ApiId=made[1])
    assert [one["ApiId"] for one in aws.get_apis(NextToken=first["NextToken"])["Items"]] == made[2:]


@pytest.mark.parametrize("asked", [{"MaxResults": "0"}, {"MaxResults": "many"}, {"NextToken": "%%%"}])
def test_pages_that_cannot_be_asked_for(aws, asked):
    with refused() as refusal:
        aws.get_apis(**asked)
    assert refusal.code == BAD


def test_everything_is_there_after_a_restart(it, aws):
    api_id = it.http(Target=FUNCTION, Tags={"a": "b"})
    before = shown(aws.get_api(ApiId=api_id)), aws.get_stages(ApiId=api_id)["Items"]
    it.reopen()
    aws = it.client
    assert (shown(aws.get_api(ApiId=api_id)), aws.get_stages(ApiId=api_id)["Items"]) == before
    assert it.compiled(api_id).definition == it.house.definition_of(api_id)
