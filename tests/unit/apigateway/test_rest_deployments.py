import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING = "BadRequestException", "NotFoundException"


def test_an_api_without_methods_cannot_be_deployed(cloud):
    api_id, root = cloud.api()
    deploy = cloud.client.create_deployment
    assert refused(deploy, restApiId=api_id) == (BAD, "The REST API doesn't contain any methods")
    cloud.method(api_id, root)
    assert refused(deploy, restApiId=api_id, stageName="dev") == (BAD, "No integration defined for method")
    assert refused(deploy, restApiId="nope")[0] == MISSING
    assert cloud.client.get_stages(restApiId=api_id)["item"] == []


def test_a_private_api_needs_a_policy(cloud):
    api_id, root = cloud.api(endpointConfiguration={"types": ["PRIVATE"]})
    cloud.mock(api_id, root)
    assert refused(cloud.client.create_deployment, restApiId=api_id) == (
        BAD,
        "Private REST API doesn't have a resource policy attached to it",
    )


def test_a_deployment_never_changes_when_the_api_does(cloud):
    api_id, root, first = cloud.deployed()
    cloud.mock(api_id, root, "POST")
    assert set(cloud.compiled(api_id, "dev").definition.resources[0].methods) == {"GET"}
    second = cloud.client.create_deployment(restApiId=api_id, stageName="dev")["id"]
    assert set(cloud.compiled(api_id, "dev").definition.resources[0].methods) == {"GET", "POST"}
    cloud.client.delete_method(restApiId=api_id, resourceId=root, httpMethod="POST")
    cloud.reopen()
    assert set(cloud.compiled(api_id, "dev").definition.resources[0].methods) == {"GET", "POST"}
    assert first != second


def test_a_deployment_is_shown_and_its_description_changed(cloud):
    api_id, _, made = cloud.deployed(description="first")
    at = {"restApiId": api_id, "deploymentId": made}
    shown = plain(cloud.client.get_deployment(**at))
    assert shown.pop("createdDate")
    assert shown == {"id": made, "description": "first"}
    changed = cloud.client.update_deployment(
        **at, patchOperations=[patch("replace", "/description", "new-description")]
    )
    assert changed["description"] == "new-description"
    assert refused(cloud.client.update_deployment, **at, patchOperations=[patch("replace", "/id", "x")]) == (
        BAD,
        "Invalid patch path /id",
    )


def test_a_summary_shows_what_was_deployed(cloud):
    api_id, root, made = cloud.deployed()
    cloud.mock(api_id, root, "POST")
    shown = cloud.client.get_deployment(restApiId=api_id, deploymentId=made, embed=["apisummary"])
    assert shown["apiSummary"] == {"/": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}


def test_deployments_are_listed_the_newest_first(cloud):
    api_id, *_, first = cloud.deployed()
    cloud.clock.advance(1)
    second = cloud.client.create_deployment(restApiId=api_id)["id"]
    listed = cloud.client.get_deployments(restApiId=api_id)["items"]
    assert [one["id"] for one in listed] == [second, first]


def test_a_deployment_that_a_stage_points_to_stays(cloud):
    api_id, _, made = cloud.deployed()
    at = {"restApiId": api_id, "deploymentId": made}
    assert refused(cloud.client.delete_deployment, **at) == (
        BAD,
        "Active stages pointing to this deployment must be moved or deleted",
    )
    cloud.client.delete_stage(restApiId=api_id, stageName="dev")
    gone = cloud.client.delete_deployment(**at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(cloud.client.get_deployment, **at) == (
        MISSING,
        "Invalid Deployment identifier specified",
    )


def test_a_deployment_makes_its_stage_with_all_it_was_told(cloud):
    api_id, root = cloud.api()
    cloud.mock(api_id, root)
    cloud.client.create_deployment(
        restApiId=api_id,
        stageName="dev",
        stageDescription="the stage",
        description="the deployment",
        variables={"a": "1"},
        tracingEnabled=True,
        cacheClusterEnabled=True,
        cacheClusterSize="1.6",
    )
    shown = cloud.client.get_stage(restApiId=api_id, stageName="dev")
    assert shown["description"] == "the stage"
    assert shown["variables"] == {"a": "1"}
    assert (shown["tracingEnabled"], shown["cacheClusterSize"]) == (True, "1.6")
    assert cloud.compiled(api_id, "dev").stage.cache_size == "1.6"


def test_a_deployment_moves_its_stage_and_leaves_the_rest_of_it(cloud):
    api_id, _, first = cloud.deployed(variables={"a": "1"})
    second = cloud.client.create_deployment(restApiId=api_id, stageName="dev", variables={"b": "2"})["id"]
    shown = cloud.client.get_stage(restApiId=api_id, stageName="dev")
    assert shown["deploymentId"] == second != first
    assert shown["variables"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {},
            "Invalid deployment content specified.Non null and non empty stageName must be provided for canary deployment. "
            "Provided value is null",
        ),
        (
            {"stageName": "non-existing"},
            "Invalid deployment content specified.Stage non-existing must already be created before making a canary release "
            "deployment",
        ),
    ],
)
def test_a_canary_needs_a_stage(cloud, more, sentence):
    api_id, *_ = cloud.deployed()
    asked = refused(
        cloud.client.create_deployment, restApiId=api_id, canarySettings={"percentTraffic": 50.0}, **more
    )
    assert asked == (BAD, sentence)
    assert len(cloud.client.get_deployments(restApiId=api_id)["items"]) == 1


def test_a_canary_deployment_joins_its_stage(cloud):
    api_id, root, first = cloud.deployed(variables={"testVar": "default"})
    cloud.mock(api_id, root, "POST")
    second = cloud.client.create_deployment(
        restApiId=api_id,
        stageName="dev",
        canarySettings={"percentTraffic": 50.0, "stageVariableOverrides": {"testVar": "canary"}},
    )["id"]
    shown = cloud.client.get_stage(restApiId=api_id, stageName="dev")
    assert shown["deploymentId"] == first
    assert shown["canarySettings"] == {
        "deploymentId": second,
        "percentTraffic": 50.0,
        "stageVariableOverrides": {"testVar": "canary"},
        "useStageCache": False,
    }
    seen = cloud.compiled(api_id, "dev")
    assert set(seen.definition.resources[0].methods) == {"GET"}
    assert set(seen.canary.resources[0].methods) == {"GET", "POST"}
    assert refused(cloud.client.delete_deployment, restApiId=api_id, deploymentId=second)[0] == BAD


def test_the_name_and_the_closed_door_of_a_deployment_are_published(cloud):
    api_id, *_ = cloud.deployed()
    cloud.client.update_rest_api(
        restApiId=api_id, patchOperations=[patch("replace", "/disableExecuteApiEndpoint", "true")]
    )
    assert not cloud.published.find(api_id, "dev").place.disable_execute_api_endpoint
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    place = cloud.published.find(api_id, "dev").place
    assert (place.kind, place.api_name, place.disable_execute_api_endpoint) == ("REST", "pets", True)
