"""How callers may name functions."""

import pytest
from tests.unit.lambda_.lambda_control_kit import ARN, CALLER, Cloud, refused, run

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.names import target, unqualified


@pytest.mark.parametrize(
    "text",
    [
        "thumb",
        "function:thumb",
        "123456789012:function:thumb",
        "eu-west-1:123456789012:function:thumb",
        ARN + "thumb",
    ],
)
def test_every_form_names_the_same_function(text):
    found = target(CALLER, text, operation="GetFunction")
    assert (found.account, found.region, found.name, found.qualifier) == (
        "123456789012",
        "eu-west-1",
        "thumb",
        None,
    )
    for qualifier in ("$LATEST", "7", "prod"):
        found = target(CALLER, f"{text}:{qualifier}", operation="GetFunction")
        assert (found.name, found.qualifier, found.arn) == ("thumb", qualifier, f"{ARN}thumb:{qualifier}")
        assert target(CALLER, text, qualifier, operation="GetFunction") == found
        assert target(CALLER, f"{text}:{qualifier}", qualifier, operation="GetFunction") == found


@pytest.mark.parametrize(
    ("text", "qualifier", "code", "words"),
    [
        ("f:1", "2", "InvalidParameterValueException", "does not match the specified qualifier."),
        ("arn:aws:lambda:us-east-1:123456789012:function:f", None, "ResourceNotFoundException", "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')"),
        ("arn:aws:lambda:eu-west-1:999999999999:function:f", None, "AccessDeniedException", "lambda:GetFunction on resource: arn:aws:lambda:eu-west-1:999999999999:function:f"),
        ("a b", None, "ValidationException", "functionName"),
        ("", None, "ValidationException", "functionName"),
        ("../../etc", None, "ValidationException", "functionName"),
        ("f\n", None, "ValidationException", "functionName"),
    ],
)  # fmt: skip
def test_what_does_not_name_a_function_of_the_caller(text, qualifier, code, words):
    with pytest.raises(AwsError) as caught:
        target(CALLER, text, qualifier, operation="GetFunction")
    assert caught.value.code == code
    assert words in caught.value.message


def test_operations_on_whole_functions_refuse_qualifiers():
    with pytest.raises(AwsError, match="permitted on Lambda functions only"):
        unqualified(CALLER, "f:1", operation="PublishVersion")


def test_a_call_by_any_name_reaches_the_function_and_the_answer_is_kept_until_something_changes(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            plain = cloud.control.resolve(CALLER, "f", None)
            assert cloud.control.resolve(CALLER, "f", None) is plain
            assert plain.invoked_arn == ARN + "f"
            assert cloud.control.resolve(CALLER, ARN + "f", "$LATEST").invoked_arn == ARN + "f:$LATEST"
            await cloud.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=0)
            assert plain.reserved_concurrency is None
            assert cloud.control.resolve(CALLER, "f", None).reserved_concurrency == 0
            await cloud.call("DeleteFunction", FunctionName="f")
            assert (await refused(_resolve(cloud, "f"))).code == "ResourceNotFoundException"
            assert (await refused(_resolve(cloud, "g:prod"))).message == f"Function not found: {ARN}g:prod"

    run(main)


async def _resolve(cloud, name):
    return cloud.control.resolve(CALLER, name, None)
