from tests.unit.apigateway.rest_kit import FUNCTION_URI, patch


def test_an_api_is_made_deployed_and_published(cloud):
    api_id, root = cloud.api()
    c = cloud.client
    pets = c.create_resource(restApiId=api_id, parentId=root, pathPart="pets")["id"]
    cloud.method(api_id, pets)
    c.put_integration(
        restApiId=api_id,
        resourceId=pets,
        httpMethod="GET",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=FUNCTION_URI,
    )
    made = c.create_deployment(restApiId=api_id, stageName="dev")
    seen = cloud.compiled(api_id, "dev")
    assert [one.path for one in seen.definition.resources] == ["/", "/pets"]
    assert seen.definition.resources[1].methods["GET"].integration.uri == FUNCTION_URI
    assert seen.stage.deployment_id == made["id"]
    c.update_stage(
        restApiId=api_id,
        stageName="dev",
        patchOperations=[patch("replace", "/~1pets/GET/metrics/enabled", "true")],
    )
    cloud.reopen()
    assert cloud.compiled(api_id, "dev").stage.method_settings["pets/GET"].metrics_enabled
