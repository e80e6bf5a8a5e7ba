"""Routes, and the responses of routes."""

import pytest
from tests.unit.apigatewayv2.v2_api import refused, shown

BAD, CONFLICT, NOT_FOUND = "BadRequestException", "ConflictException", "NotFoundException"
MALFORMED = (
    "The provided route key is not formatted properly for HTTP protocol. "
    'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
)


def test_a_route_shows_what_was_set(it, aws):
    api_id = it.http()
    target = f"integrations/{it.function(api_id)}"
    authorizer = it.jwt(api_id)
    made = aws.create_route(
        ApiId=api_id,
        RouteKey="GET /pets/{id}",
        Target=target,
        AuthorizationType="JWT",
        AuthorizerId=authorizer,
        AuthorizationScopes=["read"],
        OperationName="pet",
    )
    assert shown(made) == {
        "ApiKeyRequired": False,
        "AuthorizationScopes": ["read"],
        "AuthorizationType": "JWT",
        "AuthorizerId": authorizer,
        "OperationName": "pet",
        "RouteId": made["RouteId"],
        "RouteKey": "GET /pets/{id}",
        "Target": target,
    }
    assert shown(aws.get_route(ApiId=api_id, RouteId=made["RouteId"])) == shown(made)
    assert aws.get_routes(ApiId=api_id)["Items"] == [shown(made)]


@pytest.mark.parametrize(
    "key",
    [
        "GET",
        "/items",
        "FETCH /items",
        "GET items",
        "$connect",
        "get /x",
        "GET /a b",
        "GET /{a",
        "GET /{p+}/x",
        "GET /{a}/{a}",
    ],
)
def test_keys_that_an_http_api_cannot_have(it, aws, key):
    api_id = it.http()
    with refused() as refusal:
        it.route(api_id, key)
    assert refusal == (BAD, MALFORMED)
    assert aws.get_routes(ApiId=api_id)["Items"] == []


@pytest.mark.parametrize("key", ["$default", "ANY /{proxy+}", "GET /", "GET /a/{b}/c-d.e", "POST /x/"])
def test_keys_that_an_http_api_can_have(it, aws, key):
    api_id = it.http()
    it.route(api_id, key)
    assert aws.get_routes(ApiId=api_id)["Items"][0]["RouteKey"] == key


def test_a_key_is_there_once(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /a/{x}")
    route_id = it.route(api_id, "GET /b")
    with refused() as refusal:
        it.route(api_id, "GET /a/{x}")
    assert refusal == (CONFLICT, "Route with key GET /a/{x} already exists for this API")
    assert refusal.status == 409
    with refused() as refusal:
        it.route(api_id, "GET /a/{y}")
    assert refusal == (
        CONFLICT,
        'The provided route key "GET /a/{y}" has a conflicting variable on the same hierarchical level as "GET /a/{x}"',
    )
    with refused() as refusal:
        aws.update_route(ApiId=api_id, RouteId=route_id, RouteKey="GET /a/{x}")
    assert refusal.code == CONFLICT
    it.route(api_id, "GET /a/{x+}")
    it.route(api_id, "POST /a/{y}")
    aws.update_route(ApiId=api_id, RouteId=route_id, RouteKey="GET /b")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (
            {"Target": "integrations"},
            (
                BAD,
                "Unexpected or malformed target in route. Correct format should be integrations/<integration_id>.",
            ),
        ),
        ({"Target": "integrations/missing"}, (NOT_FOUND, "Invalid Integration identifier specified missing")),
        ({"ApiKeyRequired": True}, (BAD, "ApiKeyRequired is not currently supported for HTTP APIs.")),
        (
            {"RequestParameters": {"route.request.header.x": {"Required": True}}},
            (BAD, "RequestParameters is not currently supported for HTTP APIs."),
        ),
        (
            {"AuthorizationType": "JWT"},
            (
                BAD,
                "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer.",
            ),
        ),
        (
            {"AuthorizationType": "CUSTOM", "AuthorizerId": "missing"},
            (
                BAD,
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a "
                "valid authorizer.",
            ),
        ),
        (
            {"AuthorizationScopes": ["a"]},
            (
                BAD,
                "Invalid Route authorization type specified. Authorization Scopes are only valid for COGNITO_USER_POOLS and "
                "JWT authorization types",
            ),
        ),
    ],
)
def test_what_a_route_of_an_http_api_cannot_be_told(it, aws, settings, error):
    api_id = it.http()
    with refused() as refusal:
        it.route(api_id, "GET /", **settings)
    assert refusal == error
    assert aws.get_routes(ApiId=api_id)["Items"] == []


def test_the_authorizer_must_be_of_the_kind_that_the_route_wants(it):
    api_id = it.http()
    jwt, asks = it.jwt(api_id), it.lambda_authorizer(api_id)
    for kind, wrong, right in (("JWT", asks, jwt), ("CUSTOM", jwt, asks)):
        with refused() as refusal:
            it.route(api_id, f"GET /{kind}", AuthorizationType=kind, AuthorizerId=wrong)
        assert refusal.code == BAD
        it.route(api_id, f"GET /{kind}", AuthorizationType=kind, AuthorizerId=right)


def test_an_update_changes_only_what_is_sent_and_none_forgets_the_authorizer(it, aws):
    api_id = it.http()
    authorizer = it.jwt(api_id)
    route_id = it.route(
        api_id,
        "GET /",
        AuthorizationType="JWT",
        AuthorizerId=authorizer,
        AuthorizationScopes=["a"],
        OperationName="one",
    )
    seen = aws.update_route(ApiId=api_id, RouteId=route_id, OperationName="two")
    assert (seen["AuthorizerId"], seen["AuthorizationScopes"]) == (authorizer, ["a"])
    seen = aws.update_route(ApiId=api_id, RouteId=route_id, AuthorizationType="NONE")
    assert seen["AuthorizationType"] == "NONE"
    assert "AuthorizerId" not in seen
    assert "AuthorizationScopes" not in seen
    assert seen["OperationName"] == "two"


def test_a_route_that_is_not_there(it, aws):
    api_id = it.http()
    for ask in (aws.get_route, aws.delete_route, aws.update_route):
        with refused() as refusal:
            ask(ApiId=api_id, RouteId="missing")
        assert refusal == (NOT_FOUND, "Invalid Route identifier specified missing")


def test_an_api_has_at_most_300_routes(it, aws):
    api_id = it.websocket()
    for number in range(300):
        it.route(api_id, f"r{number}")
    with refused() as refusal:
        it.route(api_id, "one more")
    assert refusal.code == "TooManyRequestsException"
    assert refusal.message.startswith("Maximum number of Routes for this API has been reached.")
    pages = aws.get_paginator("get_routes").paginate(ApiId=api_id).build_full_result()["Items"]
    assert len({one["RouteId"] for one in pages}) == 300


# -- WebSocket APIs ------------------------------------------------------------------------------------------


def test_a_route_of_a_websocket_api_shows_what_was_set(it, aws):
    api_id = it.websocket()
    settings = {
        "ApiKeyRequired": True,
        "AuthorizationType": "AWS_IAM",
        "ModelSelectionExpression": "action",
        "OperationName": "connect",
        "RequestModels": {"action": "Model"},
        "RequestParameters": {"route.request.querystring.token": {"Required": True}},
        "RouteKey": "$connect",
        "RouteResponseSelectionExpression": "$default",
    }
    route_id = aws.create_route(ApiId=api_id, **settings)["RouteId"]
    seen = aws.get_route(ApiId=api_id, RouteId=route_id)
    assert {name: seen[name] for name in settings} == settings
    aws.update_route(
        ApiId=api_id, RouteId=route_id, RequestParameters={"route.request.header.x": {"Required": False}}
    )
    aws.delete_route_request_parameter(
        ApiId=api_id, RouteId=route_id, RequestParameterKey="route.request.querystring.token"
    )
    seen = aws.get_route(ApiId=api_id, RouteId=route_id)
    assert seen["RequestParameters"] == {"route.request.header.x": {"Required": False}}
    with refused() as refusal:
        aws.delete_route_request_parameter(ApiId=api_id, RouteId=route_id, RequestParameterKey="x")
    assert refusal.code == NOT_FOUND


@pytest.mark.parametrize(
    ("key", "settings", "sentence"),
    [
        (
            "send",
            {"AuthorizationType": "AWS_IAM"},
            "Currently, authorization is restricted to the $connect route only",
        ),
        (
            "send",
            {"RouteResponseSelectionExpression": "$other"},
            "Currently, only $default is supported as a RouteResponseSelectionExpression.",
        ),
        (
            "$connect",
            {"RequestParameters": {"header.x": {"Required": True}}},
            "Invalid mapping expression specified: header.x",
        ),
    ],
)
def test_what_a_route_of_a_websocket_api_cannot_be_told(it, key, settings, sentence):
    api_id = it.websocket()
    with refused() as refusal:
        it.route(api_id, key, **settings)
    assert refusal == (BAD, sentence)


def test_route_responses(it, aws):
    api_id = it.websocket()
    where = {"ApiId": api_id, "RouteId": it.route(api_id, "send")}
    made = aws.create_route_response(
        **where,
        RouteResponseKey="$default",
        ModelSelectionExpression="x",
        ResponseModels={"x": "Model"},
        ResponseParameters={"route.response.header.a": {"Required": True}},
    )
    which = where | {"RouteResponseId": made["RouteResponseId"]}
    assert shown(aws.get_route_response(**which)) == shown(made)
    assert aws.get_route_responses(**where)["Items"] == [shown(made)]
    assert made["ResponseParameters"] == {"route.response.header.a": {"Required": True}}
    seen = aws.update_route_response(**which, ModelSelectionExpression="y")
    assert shown(seen) == shown(made) | {"ModelSelectionExpression": "y"}
    with refused() as refusal:
        aws.create_route_response(**where, RouteResponseKey="$default")
    assert refusal.code == CONFLICT
    with refused() as refusal:
        aws.create_route_response(**where, RouteResponseKey="other")
    assert refusal == (BAD, "Currently, only $default is supported as a RouteResponseKey.")
    aws.delete_route_response(**which)
    with refused() as refusal:
        aws.get_route_response(**which)
    assert refusal == (NOT_FOUND, f"Invalid RouteResponse identifier specified {which['RouteResponseId']}")


def test_an_http_api_has_no_route_responses(it, aws):
    api_id = it.http()
    with refused() as refusal:
        aws.create_route_response(
            ApiId=api_id, RouteId=it.route(api_id, "GET /"), RouteResponseKey="$default"
        )
    assert refusal == (BAD, "RouteResponses are currently not supported for this API protocol type.")
