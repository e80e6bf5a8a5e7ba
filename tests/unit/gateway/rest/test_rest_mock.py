"""MOCK integrations, and what every answer has."""

import pytest
from tests.gateway_kit import World
from tests.rest_kit import ask, compiled, method, mock

from cumulo.gateway.definitions.rest import IntegrationResponse
from cumulo.gateway.rest.mock import status_in


def test_a_mock_answers_its_template() -> None:
    world = World()
    api = compiled(world, {"/pets": mock({"id": 42})})
    answer = ask(api, "GET", "/pets")
    assert answer.status == 200
    assert answer.json == {"id": 42}
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-amzn-requestid") and answer.header("x-amz-apigw-id")
    assert answer.header("x-amzn-trace-id") is None
    assert world.observer.seen[0]["status"] == 200


def test_an_unknown_path_or_method_misses_a_token() -> None:
    api = compiled(World(), {"/pets": mock({})})
    for name, path in (("GET", "/nobody"), ("POST", "/pets")):
        answer = ask(api, name, path)
        assert answer.status == 403
        assert answer.body == b'{"message":"Missing Authentication Token"}'
        assert answer.header("x-amzn-errortype") == "MissingAuthenticationTokenException"


def test_a_mock_without_a_status_is_a_mistake_of_the_api() -> None:
    api = compiled(World(), {"/": mock({}, request_templates={"application/json": "{}"})})
    answer = ask(api)
    assert answer.status == 500
    assert answer.body == b'{"message": "Internal server error"}'
    assert answer.header("x-amzn-errortype") == "InternalServerErrorException"


def test_the_status_selects_the_integration_response() -> None:
    responses = {
        "200": IntegrationResponse(status_code="200", response_templates={"application/json": "fine"}),
        "404": IntegrationResponse(
            status_code="404", selection_pattern="4\\d{2}", response_templates={"application/json": "lost"}
        ),
    }
    template = '{"statusCode": $input.params("code")}'
    api = compiled(
        World(),
        {"/": mock(request_templates={"application/json": template}, integration_responses=responses)},
    )
    assert ask(api, "GET", "/?code=201").body == b"fine"
    lost = ask(api, "GET", "/?code=404")
    assert (lost.status, lost.body) == (404, b"lost")


def test_templates_see_the_request_and_override_the_answer() -> None:
    template = (
        "#set($context.responseOverride.status = 418)"
        "#set($context.responseOverride.header.X-Tea = \"$input.params('kind')\")"
        '{"path": "$input.params(\'id\')", "stage": "$stageVariables.name", "id": "$context.resourcePath"}'
    )
    responses = {
        "200": IntegrationResponse(status_code="200", response_templates={"application/json": template})
    }
    api = compiled(
        World(),
        {"/{id}": mock(integration_responses=responses)},
        stage={"variables": {"name": "green"}},
    )
    answer = ask(api, "GET", "/7?kind=oolong")
    assert answer.status == 418
    assert answer.header("x-tea") == "oolong"
    assert answer.json == {"path": "7", "stage": "green", "id": "/{id}"}


def test_a_request_override_reaches_the_response_template() -> None:
    # recorded on AWS by LocalStack: test_integration_mock_with_request_overrides_in_response_template
    request = '#set($context.requestOverride.path.group = "$input.params(\'g\')"){"statusCode": 200}'
    response = "#if($context.requestOverride.path.group == 'one')path one#{else}other#end"
    responses = {
        "200": IntegrationResponse(status_code="200", response_templates={"application/json": response})
    }
    api = compiled(
        World(),
        {"/": mock(request_templates={"application/json": request}, integration_responses=responses)},
    )
    assert ask(api, "GET", "/?g=one").body == b"path one"
    assert ask(api, "GET", "/?g=two").body == b"other"


@pytest.mark.parametrize("passthrough", ["NEVER", "WHEN_NO_TEMPLATES"])
def test_a_body_that_no_template_is_for_is_of_an_unsupported_type(passthrough: str) -> None:
    api = compiled(World(), {"/": method(mock({}, passthrough_behavior=passthrough), "POST")})
    answer = ask(api, "POST", "/", {"Content-Type": "text/xml"}, b"<a/>")
    assert answer.status == 415
    assert answer.body == b'{"message": "Unsupported Media Type"}'


def test_without_a_match_the_body_passes_through() -> None:
    api = compiled(World(), {"/": method(mock({}), "POST")})
    answer = ask(api, "POST", "/", {"Content-Type": "text/plain"}, b'{"statusCode": 200}')
    assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"statusCode": 200}', 200),
        (b'{"statusCode": "204"}', 204),
        (b"{statusCode: 201}", 201),
        (b"{'statusCode': 202,}", 202),
        (b"{}", None),
        (b"[]", None),
        (b'{"statusCode": true}', None),
        (b"", None),
    ],
)
def test_the_status_is_read_leniently(body: bytes, status: int | None) -> None:
    assert status_in(body) == status
