"""Stages and deployments: what answers, and from when on."""

import asyncio

import pytest
from tests.unit.apigatewayv2.v2_api import ACCOUNT, FUNCTION, LOG_GROUP, refused, shown

BAD, CONFLICT, NOT_FOUND = "BadRequestException", "ConflictException", "NotFoundException"
FORMAT = "$context.identity.sourceIp $context.requestId"


def keys(compiled):
    return {one.route_key for one in compiled.definition.routes}


def test_a_stage_of_an_http_api_shows_what_was_set(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /pets")
    settings = {
        "AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": FORMAT},
        "DefaultRouteSettings": {
            "DetailedMetricsEnabled": True,
            "ThrottlingBurstLimit": 10,
            "ThrottlingRateLimit": 5.5,
        },
        "Description": "where it answers",
        "RouteSettings": {"GET /pets": {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 0.5}},
        "StageName": "prod-1",
        "StageVariables": {"alias": "live"},
        "Tags": {"team": "one"},
    }
    made = aws.create_stage(ApiId=api_id, **settings)
    assert {name: made[name] for name in settings} == settings
    assert "DeploymentId" not in made
    assert shown(aws.get_stage(ApiId=api_id, StageName="prod-1")) == shown(made)
    assert aws.get_stages(ApiId=api_id)["Items"] == [shown(made)]


def test_what_a_stage_says_when_nobody_says_anything(it, aws):
    made = aws.create_stage(ApiId=it.http(), StageName="a")
    assert made["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False}
    assert (made["RouteSettings"], made["StageVariables"], made["Tags"]) == ({}, {}, {})
    made = aws.create_stage(ApiId=it.websocket(), StageName="a")
    assert made["DefaultRouteSettings"] == {
        "DataTraceEnabled": False,
        "DetailedMetricsEnabled": False,
        "LoggingLevel": "OFF",
    }


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"StageName": "bad name!"}, (BAD, "Stage name only allows a-zA-Z0-9_")),
        ({"StageName": "there"}, (CONFLICT, "Stage already exists")),
        ({"StageName": "a", "DeploymentId": "missing"}, (BAD, "Deployment id does not exist")),
        (
            {"StageName": "a", "DeploymentId": "missing", "AutoDeploy": True},
            (BAD, "Deployment ID cannot be set on this stage {api} because AutoDeploy is enabled."),
        ),
        (
            {"StageName": "a", "RouteSettings": {"GET /x": {}}},
            (NOT_FOUND, "Unable to find Route by key GET /x within the provided RouteSettings"),
        ),
        (
            {"StageName": "a", "DefaultRouteSettings": {"LoggingLevel": "INFO"}},
            (BAD, "Execution logs are not supported on protocolType HTTP"),
        ),
        (
            {
                "StageName": "a",
                "AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": "$context.status"},
            },
            (BAD, "Access Log format must include either $context.requestId or $context.extendedRequestId"),
        ),
        (
            {
                "StageName": "a",
                "AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": "a\n$context.requestId"},
            },
            (
                BAD,
                "Access Log format must be single line, new line character is allowed only at end of the format",
            ),
        ),
        (
            {"StageName": "a", "AccessLogSettings": {"DestinationArn": FUNCTION, "Format": FORMAT}},
            (BAD, "Invalid ARN specified in the request. ARN must be of a CloudWatch Logs log group"),
        ),
    ],
)
def test_what_a_stage_cannot_be_told(it, aws, settings, error):
    api_id = it.http()
    aws.create_stage(ApiId=api_id, StageName="there")
    with refused() as refusal:
        aws.create_stage(ApiId=api_id, **settings)
    assert refusal == (error[0], error[1].format(api=f"{ACCOUNT}:{api_id}"))
    assert [one["StageName"] for one in aws.get_stages(ApiId=api_id)["Items"]] == ["there"]


def test_client_certificates_are_refused_by_name(it, aws):
    with refused() as refusal:
        aws.create_stage(ApiId=it.websocket(), StageName="a", ClientCertificateId="abc")
    assert (refusal.code, refusal.status) == ("NotImplemented", 501)
    assert "ClientCertificateId" in refusal.message


def test_a_websocket_api_has_no_default_stage_and_logs_only_with_a_role(it, aws):
    api_id = it.websocket()
    with refused() as refusal:
        aws.create_stage(ApiId=api_id, StageName="$default")
    assert refusal.code == BAD
    logging = {"DefaultRouteSettings": {"LoggingLevel": "INFO", "DataTraceEnabled": True}}
    aws.create_stage(ApiId=api_id, StageName="a", **logging)
    it.roles.clear()
    for more in (logging, {"AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": FORMAT}}):
        with refused() as refusal:
            aws.create_stage(ApiId=api_id, StageName="b", **more)
        assert refusal == (BAD, "CloudWatch Logs role ARN must be set in account settings to enable logging")


def test_ten_stages_are_enough(it, aws):
    api_id = it.http()
    for number in range(10):
        aws.create_stage(ApiId=api_id, StageName=f"s{number}")
    with refused() as refusal:
        aws.create_stage(ApiId=api_id, StageName="eleventh")
    assert refusal.code == "TooManyRequestsException"


def test_an_update_changes_only_what_is_sent(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /a")
    where = {"ApiId": api_id, "StageName": "a"}
    aws.create_stage(
        **where,
        Description="old",
        DefaultRouteSettings={"ThrottlingBurstLimit": 7},
        RouteSettings={"GET /a": {"ThrottlingRateLimit": 3.0}},
        StageVariables={"one": "1", "two": "2"},
        AccessLogSettings={"DestinationArn": f"{LOG_GROUP}:*", "Format": FORMAT},
    )
    it.clock.advance(60)
    seen = aws.update_stage(
        **where,
        DefaultRouteSettings={"ThrottlingRateLimit": 2.0},
        RouteSettings={"GET /a": {"ThrottlingBurstLimit": 4}},
        StageVariables={"one": "", "three": "3"},
    )
    assert seen["DefaultRouteSettings"] == {
        "DetailedMetricsEnabled": False,
        "ThrottlingBurstLimit": 7,
        "ThrottlingRateLimit": 2.0,
    }
    assert seen["RouteSettings"] == {"GET /a": {"ThrottlingBurstLimit": 4, "ThrottlingRateLimit": 3.0}}
    assert seen["StageVariables"] == {"two": "2", "three": "3"}
    assert seen["Description"] == "old"
    assert seen["AccessLogSettings"] == {"DestinationArn": LOG_GROUP, "Format": FORMAT}
    assert (seen["LastUpdatedDate"] - seen["CreatedDate"]).total_seconds() == 60
    aws.delete_route_settings(**where, RouteKey="GET /a")
    aws.delete_access_log_settings(**where)
    seen = aws.get_stage(**where)
    assert seen["RouteSettings"] == {}
    assert "AccessLogSettings" not in seen
    with refused() as refusal:
        aws.delete_route_settings(**where, RouteKey="GET /a")
    assert refusal.code == NOT_FOUND


# -- deployments -----------------------------------------------------------------------------------------------


def test_a_stage_answers_with_the_deployment_that_it_names_until_it_names_another(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /one")
    first = aws.create_deployment(ApiId=api_id, Description="first")
    assert shown(first) == {
        "AutoDeployed": False,
        "CreatedDate": first["CreatedDate"],
        "DeploymentId": first["DeploymentId"],
        "DeploymentStatus": "DEPLOYED",
        "Description": "first",
    }
    aws.create_stage(ApiId=api_id, StageName="a")
    assert it.compiled(api_id, "a") is None
    aws.update_stage(ApiId=api_id, StageName="a", DeploymentId=first["DeploymentId"])
    it.route(api_id, "GET /two")
    assert keys(it.compiled(api_id, "a")) == {"GET /one"}
    second = aws.create_deployment(ApiId=api_id, StageName="a")
    assert keys(it.compiled(api_id, "a")) == {"GET /one", "GET /two"}
    stage = aws.get_stage(ApiId=api_id, StageName="a")
    assert stage["DeploymentId"] == second["DeploymentId"]
    assert (
        stage["LastDeploymentStatusMessage"]
        == f"Successfully deployed stage with deployment ID '{second['DeploymentId']}'"
    )
    aws.update_stage(ApiId=api_id, StageName="a", DeploymentId=first["DeploymentId"])
    assert keys(it.compiled(api_id, "a")) == {"GET /one"}
    it.reopen()
    assert keys(it.compiled(api_id, "a")) == {"GET /one"}


def test_what_a_stage_says_reaches_the_data_plane_at_once(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /one")
    aws.create_stage(ApiId=api_id, StageName="a", AutoDeploy=True)
    before = it.compiled(api_id, "a")
    aws.update_stage(ApiId=api_id, StageName="a", StageVariables={"x": "1"})
    assert it.compiled(api_id, "a").stage.variables == {"x": "1"}
    again = it.compiled(api_id, "a")
    assert again is not before
    aws.reset_authorizers_cache(ApiId=api_id, StageName="a")
    assert it.compiled(api_id, "a") is not again
    aws.delete_stage(ApiId=api_id, StageName="a")
    assert it.compiled(api_id, "a") is None
    with refused() as refusal:
        aws.get_stage(ApiId=api_id, StageName="a")
    assert refusal == (NOT_FOUND, "Invalid stage identifier specified")


def test_every_change_is_deployed_where_a_stage_deploys_by_itself(it, aws):
    api_id = it.http()
    aws.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    stage = aws.get_stage(ApiId=api_id, StageName="$default")
    assert (
        stage["LastDeploymentStatusMessage"]
        == "Deployment attempt failed: Unable to deploy API because no routes exist in this API"
    )
    assert it.compiled(api_id) is None
    integration = it.function(api_id)
    route = it.route(api_id, "GET /", Target=f"integrations/{integration}")
    assert keys(it.compiled(api_id)) == {"GET /"}
    aws.update_integration(ApiId=api_id, IntegrationId=integration, TimeoutInMillis=100)
    assert it.compiled(api_id).definition.integrations[integration].timeout_in_millis == 100
    aws.update_api(
        ApiId=api_id, CorsConfiguration={"AllowOrigins": ["*"]}, DisableExecuteApiEndpoint=True, Name="n"
    )
    assert it.compiled(api_id).definition.cors.allow_origins == ("*",)
    place = it.stages.find(api_id, "$default").place
    assert (place.kind, place.disable_execute_api_endpoint, place.api_name) == ("HTTP", True, "n")
    made = aws.get_deployments(ApiId=api_id)["Items"]
    assert {one["AutoDeployed"] for one in made} == {True}
    assert {one["Description"] for one in made} == {
        "Automatic deployment triggered by changes to the Api configuration"
    }
    aws.delete_route(ApiId=api_id, RouteId=route)
    assert keys(it.compiled(api_id)) == {"GET /"}, "what cannot be deployed leaves what was"


def test_a_stage_that_begins_to_deploy_by_itself_has_a_deployment_at_once(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /one")
    aws.create_stage(ApiId=api_id, StageName="a")
    aws.create_stage(ApiId=api_id, StageName="b")
    seen = aws.update_stage(ApiId=api_id, StageName="a", AutoDeploy=True)
    assert seen["DeploymentId"]
    assert keys(it.compiled(api_id, "a")) == {"GET /one"}
    assert it.compiled(api_id, "b") is None
    with refused() as refusal:
        aws.create_deployment(ApiId=api_id, StageName="a")
    assert "because AutoDeploy is enabled" in refusal.message
    aws.update_stage(ApiId=api_id, StageName="a", AutoDeploy=False)
    it.route(api_id, "GET /two")
    assert keys(it.compiled(api_id, "a")) == {"GET /one"}


def test_automatic_deployments_that_nobody_names_do_not_pile_up(it, aws):
    api_id = it.http()
    aws.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    it.route(api_id, "GET /first")
    kept = aws.create_deployment(ApiId=api_id, Description="by hand")["DeploymentId"]
    for number in range(40):
        it.clock.advance(1)
        it.route(api_id, f"GET /{number}")
    made = aws.get_deployments(ApiId=api_id, MaxResults="100")["Items"]
    assert len(made) == 22  # 20 of the past, the one that answers, and the one by hand
    assert kept in {one["DeploymentId"] for one in made}
    assert len(keys(it.compiled(api_id))) == 41


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("http", "Unable to deploy API because no routes exist in this API"),
        ("websocket", "At least one route is required before deploying the Api"),
    ],
)
def test_an_api_without_routes_is_not_deployed(it, aws, kind, sentence):
    api_id = getattr(it, kind)()
    with refused() as refusal:
        aws.create_deployment(ApiId=api_id)
    assert refusal == (BAD, sentence)


def test_a_deployment_that_a_stage_names_stays(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /")
    where = {"ApiId": api_id, "DeploymentId": aws.create_deployment(ApiId=api_id)["DeploymentId"]}
    aws.create_stage(**where, StageName="a")
    with refused() as refusal:
        aws.delete_deployment(**where)
    assert refusal == (BAD, "Active stages pointing to this deployment must be moved or deleted")
    assert aws.update_deployment(**where, Description="d")["Description"] == "d"
    aws.delete_stage(ApiId=api_id, StageName="a")
    aws.delete_deployment(**where)
    for ask in (aws.get_deployment, aws.update_deployment, aws.delete_deployment):
        with refused() as refusal:
            ask(**where)
        assert refusal == (NOT_FOUND, "Invalid Deployment identifier specified")


def test_a_deployment_for_a_stage_that_is_not_there_is_not_made(it, aws):
    api_id = it.http()
    it.route(api_id, "GET /")
    with refused() as refusal:
        aws.create_deployment(ApiId=api_id, StageName="missing")
    assert refusal == (NOT_FOUND, "Invalid stage identifier specified")
    assert aws.get_deployments(ApiId=api_id)["Items"] == []


def test_a_reset_forgets_everything(it, aws):
    api_id = it.http(Target=FUNCTION)
    asyncio.run(it.house.reset())
    assert aws.get_apis()["Items"] == []
    assert it.stages.of(api_id) == []
    it.reopen()
    assert it.client.get_apis()["Items"] == []


def test_the_data_plane_knows_of_http_apis_without_stages(it, aws):
    api_id = it.http()
    socket = aws.create_api(Name="ws", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.a")
    assert it.stages.is_http(api_id) and not it.stages.is_http(socket["ApiId"])
    aws.delete_api(ApiId=api_id)
    assert not it.stages.is_http(api_id)
