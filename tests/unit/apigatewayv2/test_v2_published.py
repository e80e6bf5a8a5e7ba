"""What the control plane publishes, answered by the real data plane of HTTP APIs."""

import asyncio

from tests.gateway_kit import World, visit
from tests.unit.apigatewayv2.v2_api import FUNCTION, INVOKE

from cumulo.gateway.http.compile import compile_http
from cumulo.services.apigatewayv2 import publishing


def answer(it, world, api_id, stage, asked):
    """What a stage answers, compiled as app.py does it."""
    published = it.stages.find(api_id, stage).compiled
    compiled = compile_http(published.definition, published.stage, world.tools)
    return asyncio.run(compiled.answer(asked))


def test_a_quick_created_api_calls_its_function(it):
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: {"statusCode": 200}
    api_id = it.http(Target=FUNCTION)
    response = answer(it, world, api_id, "$default", visit("GET", "/a/b?c=d"))
    assert response.status == 200
    ((function, event),) = world.invoker.events
    assert function == FUNCTION
    assert event["routeKey"] == "$default"
    assert event["rawQueryString"] == "c=d"


def test_a_route_that_was_added_answers_with_the_stage_s_variables(it, aws):
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: {"statusCode": 200}
    api_id = it.http()
    aws.create_stage(ApiId=api_id, StageName="live", AutoDeploy=True, StageVariables={"colour": "red"})
    integration = it.function(api_id, IntegrationUri=INVOKE)
    it.route(api_id, "GET /pets/{id}", Target=f"integrations/{integration}")
    assert answer(it, world, api_id, "live", visit("GET", "/pets/7", stage="live")).status == 200
    assert answer(it, world, api_id, "live", visit("POST", "/pets/7", stage="live")).status == 404
    (event,) = [event for _, event in world.invoker.events]
    assert event["pathParameters"] == {"id": "7"}
    assert event["stageVariables"] == {"colour": "red"}


def test_a_snapshot_survives_what_becomes_of_the_api(it, aws):
    api_id = it.http(Target=FUNCTION)
    definition = it.house.definition_of(api_id)
    snapshot = publishing.encode(definition)
    aws.update_api(ApiId=api_id, Name="other")
    assert publishing.decode(snapshot) == definition
    assert it.house.definition_of(api_id) != definition
