"""What Lambda refuses only for a moment: calls and updates of what is not ready."""

import pytest
from botocore.exceptions import ClientError
from tests.support import create, deploy

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CODE = "def handler(event, context):\n    return event\n"


@pytest.fixture
def aws(cumulo_empty):
    return cumulo_empty.client("lambda")


def first_refusal(call, attempts=20):
    """The first refusal of `call(n)`: what is refused only for a moment may be over before it is asked for."""
    for number in range(attempts):
        try:
            call(number)
        except ClientError as error:
            answer = error.response
            return (
                answer["ResponseMetadata"]["HTTPStatusCode"],
                answer["Error"]["Code"],
                answer["Error"]["Message"],
            )
    raise AssertionError("nothing was refused")


def test_an_update_waits_for_the_one_before(aws):
    def update_at_once(number):
        create(aws, f"f{number}", CODE)
        aws.update_function_configuration(FunctionName=f"f{number}", Timeout=5)

    pending = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    assert first_refusal(update_at_once) == (409, "ResourceConflictException", pending)

    deploy(aws, "g", CODE)
    busy = f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}g"
    told = first_refusal(
        lambda number: aws.update_function_configuration(FunctionName="g", Timeout=5 + number)
    )
    assert told == (409, "ResourceConflictException", busy)


def test_a_pending_function_is_not_called(aws):
    def call_at_once(number):
        create(aws, f"f{number}", CODE)
        aws.invoke(FunctionName=f"f{number}")

    status, code, said = first_refusal(call_at_once)
    assert (status, code) == (409, "ResourceConflictException")
    assert said.endswith("The function is currently in the following state: Pending")
