"""How API Gateway names members that break the model: those of the body within the operation's input."""

import pytest
from tests.unit.apigateway.rest_kit import patch, refused

OPS = "Member must satisfy enum value set: [add, remove, move, test, replace, copy]"


def test_members_of_the_body_stand_within_the_input(cloud):
    api_id, _ = cloud.api()
    asked = refused(
        cloud.client.update_rest_api,
        restApiId=api_id,
        patchOperations=[patch("wrong", "/a"), patch("add", "/a"), patch("wrong", "/a")],
    )
    first, second = (
        f"Value 'wrong' at 'updateRestApiInput.patchOperations.{at}.member.op' failed to satisfy constraint: {OPS}"
        for at in (1, 3)
    )
    assert asked == ("ValidationException", f"2 validation errors detected: {first}; {second}")


def test_members_of_the_path_stand_alone(cloud):
    api_id, root = cloud.api()
    asked = refused(
        cloud.client.put_method_response,
        restApiId=api_id,
        resourceId=root,
        httpMethod="GET",
        statusCode="wrong",
    )
    assert asked == (
        "ValidationException",
        "1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [1-5]\\d\\d",
    )


@pytest.mark.parametrize("value", ["x", "y at 'type' failed ", "' at 'type' failed '"])
def test_a_value_that_speaks_like_an_error_is_shown_as_it_is(cloud, value):
    api_id, root = cloud.api()
    _, message = refused(
        cloud.client.put_integration, restApiId=api_id, resourceId=root, httpMethod="GET", type=value
    )
    assert message.startswith(
        f"1 validation error detected: Value '{value}' at 'putIntegrationInput.type' failed to satisfy constraint: "
    )


def test_what_is_missing_is_named_too(cloud):
    code, message = refused(cloud.client.create_rest_api)
    assert code == "ValidationException"
    assert "Value null at 'createRestApiInput.name' failed to satisfy constraint" in message
