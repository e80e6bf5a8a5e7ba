"""Authorizers, and models."""

import json

import pytest
from tests.unit.apigatewayv2.v2_api import INVOKE, ROLE, refused, shown

BAD, CONFLICT, NOT_FOUND = "BadRequestException", "ConflictException", "NotFoundException"
JWT = {
    "Name": "tokens",
    "AuthorizerType": "JWT",
    "IdentitySource": ["$request.header.Authorization"],
    "JwtConfiguration": {"Audience": ["me"], "Issuer": "https://issuer.example.com"},
}
REQUEST = {
    "Name": "asks",
    "AuthorizerType": "REQUEST",
    "AuthorizerUri": INVOKE,
    "AuthorizerPayloadFormatVersion": "2.0",
    "IdentitySource": ["$request.header.X-Who"],
}
WEBSOCKET = {
    "Name": "asks",
    "AuthorizerType": "REQUEST",
    "AuthorizerUri": INVOKE,
    "IdentitySource": ["route.request.header.Auth", "route.request.querystring.Name"],
}


def test_a_jwt_authorizer_shows_what_was_set(it, aws):
    api_id = it.http()
    made = aws.create_authorizer(ApiId=api_id, **JWT)
    assert shown(made) == JWT | {"AuthorizerId": made["AuthorizerId"]}
    assert shown(aws.get_authorizer(ApiId=api_id, AuthorizerId=made["AuthorizerId"])) == shown(made)
    assert aws.get_authorizers(ApiId=api_id)["Items"] == [shown(made)]


def test_a_request_authorizer_keeps_answers_for_five_minutes_unless_told_otherwise(it, aws):
    api_id = it.http()
    made = aws.create_authorizer(
        ApiId=api_id, **REQUEST, EnableSimpleResponses=True, AuthorizerCredentialsArn=ROLE
    )
    assert made["AuthorizerResultTtlInSeconds"] == 300
    assert made["EnableSimpleResponses"] is True
    assert made["AuthorizerCredentialsArn"] == ROLE
    other = aws.create_authorizer(ApiId=api_id, **REQUEST | {"Name": "b"}, AuthorizerResultTtlInSeconds=0)
    assert other["AuthorizerResultTtlInSeconds"] == 0
    third = aws.create_authorizer(ApiId=api_id, **REQUEST | {"Name": "c", "IdentitySource": []})
    assert third["AuthorizerResultTtlInSeconds"] == 0


def test_an_authorizer_of_a_websocket_api_shows_what_was_set(it, aws):
    api_id = it.websocket()
    made = aws.create_authorizer(ApiId=api_id, **WEBSOCKET)
    assert shown(made) == WEBSOCKET | {"AuthorizerId": made["AuthorizerId"]}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {name: value for name, value in JWT.items() if name != "JwtConfiguration"},
            "JwtConfiguration must not be null for JWT Authorizer",
        ),
        (
            JWT | {"JwtConfiguration": {"Audience": ["me"], "Issuer": "issuer"}},
            "Invalid issuer: Issuer is not a valid URL for JWT Authorizer",
        ),
        (
            JWT | {"JwtConfiguration": {"Issuer": "https://issuer"}},
            "Audience must not be empty for JWT Authorizer",
        ),
        (
            JWT | {"IdentitySource": ["$context.identity.sourceIp"]},
            "Invalid identity source expression: $context.identity.sourceIp",
        ),
        (JWT | {"IdentitySource": []}, "Exactly one identity source must be specified for JWT Authorizer"),
        (
            {name: value for name, value in REQUEST.items() if name != "AuthorizerPayloadFormatVersion"},
            "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer",
        ),
        (
            {name: value for name, value in REQUEST.items() if name != "AuthorizerUri"},
            "AuthorizerUri is a required field in an Authorizer",
        ),
        (
            REQUEST | {"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": True},
            'EnableSimpleResponses can only be set for AuthorizerPayloadFormatVersion "2.0".',
        ),
        (
            REQUEST | {"IdentitySource": ["route.request.header.x"]},
            "Invalid identity source expression: route.request.header.x",
        ),
        (
            REQUEST | {"IdentitySource": [], "AuthorizerResultTtlInSeconds": 10},
            "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)",
        ),
    ],
)
def test_what_an_authorizer_of_an_http_api_cannot_be_told(it, aws, settings, sentence):
    api_id = it.http()
    with refused() as refusal:
        aws.create_authorizer(ApiId=api_id, **settings)
    assert refusal == (BAD, sentence)
    assert aws.get_authorizers(ApiId=api_id)["Items"] == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (JWT, "Only REQUEST authorizer type is supported on WEBSOCKET protocol Apis."),
        (
            WEBSOCKET | {"IdentitySource": ["$request.header.x"]},
            "Invalid request identity source expression: $request.header.x",
        ),
        (
            WEBSOCKET | {"AuthorizerPayloadFormatVersion": "2.0"},
            "AuthorizerPayloadFormatVersion is not currently supported for WEBSOCKET APIs.",
        ),
    ],
)
def test_what_an_authorizer_of_a_websocket_api_cannot_be_told(it, aws, settings, sentence):
    with refused() as refusal:
        aws.create_authorizer(ApiId=it.websocket(), **settings)
    assert refusal == (BAD, sentence)


def test_a_ttl_has_bounds(it, aws):
    with refused() as refusal:
        aws.create_authorizer(ApiId=it.http(), **REQUEST, AuthorizerResultTtlInSeconds=3601)
    assert refusal.code == BAD


def test_an_update_changes_only_what_is_sent(it, aws):
    where = {"ApiId": it.http()}
    where["AuthorizerId"] = aws.create_authorizer(**where, **REQUEST, EnableSimpleResponses=True)[
        "AuthorizerId"
    ]
    seen = aws.update_authorizer(
        **where,
        AuthorizerPayloadFormatVersion="1.0",
        EnableSimpleResponses=False,
        IdentitySource=["$request.querystring.User", "$context.routeKey"],
        AuthorizerResultTtlInSeconds=0,
    )
    assert seen["Name"] == "asks"
    assert seen["AuthorizerResultTtlInSeconds"] == 0
    assert seen["IdentitySource"] == ["$request.querystring.User", "$context.routeKey"]
    assert shown(aws.get_authorizer(**where)) == shown(seen)


def test_names_are_there_once_and_ten_are_enough(it, aws):
    api_id = it.http()
    it.jwt(api_id)
    with refused() as refusal:
        it.jwt(api_id)
    assert refusal.code == BAD
    assert refusal.message.startswith("Authorizer name must be unique.")
    for number in range(9):
        it.jwt(api_id, f"a{number}")
    with refused() as refusal:
        it.jwt(api_id, "eleventh")
    assert refusal.code == "TooManyRequestsException"


def test_an_authorizer_that_a_route_names_stays(it, aws):
    api_id = it.http()
    authorizer = it.jwt(api_id, "mine")
    route = it.route(api_id, "POST /pdf", AuthorizationType="JWT", AuthorizerId=authorizer)
    with refused() as refusal:
        aws.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer)
    assert refusal == (CONFLICT, "Cannot delete authorizer 'mine', is referenced in route: POST /pdf")
    aws.delete_route(ApiId=api_id, RouteId=route)
    aws.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer)
    with refused() as refusal:
        aws.get_authorizer(ApiId=api_id, AuthorizerId=authorizer)
    assert refusal == (NOT_FOUND, f"Invalid Authorizer identifier specified {authorizer}")


# -- models ----------------------------------------------------------------------------------------------------

SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {"name": {"type": "string"}, "sizes": {"type": "array", "items": {"type": "integer"}}},
}


def test_models(it, aws):
    api_id = it.websocket()
    where = {"ApiId": api_id}
    made = aws.create_model(
        **where, Name="Pet", ContentType="application/json", Description="a pet", Schema=json.dumps(SCHEMA)
    )
    which = where | {"ModelId": made["ModelId"]}
    assert shown(aws.get_model(**which)) == shown(made)
    assert aws.get_models(**where)["Items"] == [shown(made)]
    seen = aws.update_model(**which, Name="Animal", Description="")
    assert seen["Name"] == "Animal"
    assert "Description" not in seen
    assert json.loads(seen["Schema"]) == SCHEMA
    template = aws.get_model_template(**which)["Value"]
    assert template.startswith('#set($inputRoot = $input.path(\'$\'))\n{\n  "name" : "foo",\n  "sizes" : [\n')
    assert "#foreach($elem in $inputRoot)" in template
    route = it.route(api_id, "send", RequestModels={"x": "Animal"})
    with refused() as refusal:
        aws.delete_model(**which)
    assert refusal == (CONFLICT, "Cannot delete model 'Animal', is referenced in route: send")
    aws.delete_route(**where, RouteId=route)
    aws.delete_model(**which)
    with refused() as refusal:
        aws.get_model_template(**which)
    assert refusal == (NOT_FOUND, f"Invalid Model identifier specified {which['ModelId']}")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"Name": "a-b", "Schema": "{}"}, BAD),
        ({"Name": "ab", "Schema": "no json"}, BAD),
        ({"Name": "ab", "Schema": "[]"}, BAD),
        ({"Name": "ab", "Schema": "[" * 20000}, BAD),
        ({"Name": "there", "Schema": "{}"}, CONFLICT),
    ],
)
def test_models_that_cannot_be(it, aws, settings, code):
    api_id = it.websocket()
    aws.create_model(ApiId=api_id, Name="there", Schema="{}")
    with refused() as refusal:
        aws.create_model(ApiId=api_id, **settings)
    assert refusal.code == code


def test_an_http_api_has_no_models(it, aws):
    with refused() as refusal:
        aws.create_model(ApiId=it.http(), Name="Pet", Schema="{}")
    assert refusal == (BAD, "Currently, Models are not permitted for APIs with a protocol type of HTTP")
