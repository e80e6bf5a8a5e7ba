"""Calling functions for integrations."""

import asyncio

import pytest
from tests.gateway_kit import ACCOUNT, FUNCTION, World, place

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.integrations.functions import FunctionCall, FunctionFailed, Why, function_arn

PATH = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions"
SOURCE = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:abcdef1234/$default/GET/pets"


@pytest.mark.parametrize(
    ("uri", "arn"),
    [
        (FUNCTION, FUNCTION),
        (f"{FUNCTION}:live", f"{FUNCTION}:live"),
        (f"{PATH}/{FUNCTION}/invocations", FUNCTION),
        (f"{PATH}/{FUNCTION}:${{stageVariables.alias}}/invocations", f"{FUNCTION}:live"),
        (f"{PATH}/{FUNCTION}:${{stageVariables.missing}}/invocations", FUNCTION),
        (FUNCTION.replace("hello", "${stageVariables.function}"), FUNCTION),
        (f"{PATH.replace('2015-03-31', '2021-11-15')}/{FUNCTION}/response-streaming-invocations", FUNCTION),
    ],
)
def test_a_uri_means_a_function(uri, arn):
    assert function_arn(uri, {"alias": "live", "function": "hello"}) == arn


@pytest.mark.parametrize(
    "uri", ["", "http://example.com", "arn:aws:sqs:us-east-1:123456789012:queue", f"{PATH}/hello/invocations",
            "arn:aws:apigateway:us-east-1:s3:path/bucket/key", "arn:aws:lambda:us-east-1:1:layer:x"]
)  # fmt: skip
def test_a_uri_that_means_no_function_is_told(uri):
    assert function_arn(uri, {}) is None


def call(world: World, **options) -> FunctionCall:
    return FunctionCall(FUNCTION, source_arn=SOURCE, place=place(), tools=world.tools, **options)


def failure(world: World, seconds: float = 5.0, **options) -> FunctionFailed:
    with pytest.raises(FunctionFailed) as caught:
        asyncio.run(call(world, **options).invoke(b"{}", seconds=seconds))
    return caught.value


def test_a_function_answers():
    world = World()
    world.invoker.functions[FUNCTION] = lambda event: {"got": event}
    result = asyncio.run(call(world).invoke(b'{"a": 1}', seconds=5))
    assert result.payload == b'{"got": {"a": 1}}'


def test_what_a_function_raised_is_its_answer():
    world = World()
    raised = InvokeResult(payload=b'{"errorMessage": "no"}', function_error="Unhandled")
    world.invoker.functions[FUNCTION] = lambda event: raised
    assert asyncio.run(call(world).invoke(b"{}", seconds=5)) is raised


def test_an_unknown_function_is_not_found():
    assert failure(World()).why is Why.NOT_FOUND


def test_a_function_without_capacity_is_throttled():
    world = World()

    def busy(event):
        raise AwsError("TooManyRequestsException", "Rate Exceeded.", status=429)

    world.invoker.functions[FUNCTION] = busy
    fault = failure(world)
    assert (fault.why, fault.status) == (Why.THROTTLED, 429)


def test_a_function_that_takes_too_long_is_not_waited_for():
    world = World()
    world.invoker.functions[FUNCTION] = lambda event: asyncio.Event().wait()
    assert failure(world, seconds=0.001).why is Why.TIMED_OUT


def test_permissions_are_asked_for_in_a_shared_cloud():
    world = World(shared=True)
    world.functions.denied.add(FUNCTION)
    assert failure(world).why is Why.NOT_ALLOWED
    assert world.functions.asked == [(FUNCTION, SOURCE)]
    assert world.invoker.events == []


def test_a_role_needs_no_permission_of_the_function():
    world = World(shared=True)
    world.functions.denied.add(FUNCTION)
    world.invoker.functions[FUNCTION] = lambda event: 1
    role = "arn:aws:iam::123456789012:role/caller"
    assert asyncio.run(call(world, credentials=role).invoke(b"{}", seconds=5)).payload == b"1"
