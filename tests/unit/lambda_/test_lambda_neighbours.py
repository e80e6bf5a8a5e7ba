"""Tags, concurrency, the account, policies, and what Terraform reads on every refresh."""

import json

import pytest
from tests.unit.lambda_.lambda_control_kit import ARN, CALLER, CODE, Cloud, refused, run

from cumulo.base.caller import Caller


def test_tags_are_added_changed_and_removed(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            first = await cloud.active(Tags={"a": "1"})
            await cloud.call("TagResource", Resource=ARN + "f", Tags={"a": "2", "b": "3"})
            assert (await cloud.call("ListTags", Resource=ARN + "f"))["Tags"] == {"a": "2", "b": "3"}
            assert (await cloud.config())["RevisionId"] != first["RevisionId"]
            await cloud.call("UntagResource", Resource=ARN + "f", TagKeys=["a", "never"])
            assert (await cloud.call("ListTags", Resource=ARN + "f"))["Tags"] == {"b": "3"}
            for arn, tags, code, words in (
                (ARN + "f", {str(n): "" for n in range(50)}, "InvalidParameterValueException", "exceeds"),
                (ARN + "f", {"AWS:x": ""}, "InvalidParameterValueException", "aws:"),
                (ARN + "f", {"x": "y" * 257}, "ValidationException", "256"),
                (ARN + "f", {}, "InvalidParameterValueException", "cannot be processed"),
                (ARN + "f:1", {"x": "y"}, "InvalidParameterValueException", "aliases and versions"),
                (ARN + "none", {"x": "y"}, "ResourceNotFoundException", "Function not found"),
                (
                    ARN.replace("eu-west-1", "us-east-1") + "f",
                    {"x": "y"},
                    "ResourceNotFoundException",
                    "not reachable",
                ),
                ("f", {"x": "y"}, "ValidationException", "resource"),
            ):
                error = await refused(cloud.call("TagResource", Resource=arn, Tags=tags))
                assert (error.code, words in error.message) == (code, True), error
            assert (await cloud.call("ListTags", Resource=ARN + "f"))["Tags"] == {"b": "3"}

    run(main)


def test_tags_do_not_change_while_an_update_is_in_progress(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            cloud.runtimes.gate.clear()
            await cloud.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=4)
            error = await refused(cloud.call("TagResource", Resource=ARN + "f", Tags={"a": "1"}))
            assert error.code == "ResourceConflictException"

    run(main)


def test_concurrency_is_reserved_as_far_as_enough_is_left_for_others(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active("f")
            await cloud.active("g")
            assert await cloud.call("GetFunctionConcurrency", FunctionName="f") == {}
            put = await cloud.call(
                "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=900
            )
            assert put == {"ReservedConcurrentExecutions": 900}
            await cloud.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=899)
            error = await refused(
                cloud.call("PutFunctionConcurrency", FunctionName="g", ReservedConcurrentExecutions=2)
            )
            assert error.message == (
                "Specified ReservedConcurrentExecutions for function decreases account's "
                "UnreservedConcurrentExecution below its minimum value of [100]."
            )
            settings = await cloud.call("GetAccountSettings")
            assert settings["AccountLimit"] == {
                "TotalCodeSize": 322122547200,
                "CodeSizeUnzipped": 262144000,
                "CodeSizeZipped": 52428800,
                "ConcurrentExecutions": 1000,
                "UnreservedConcurrentExecutions": 101,
            }
            assert settings["AccountUsage"] == {"TotalCodeSize": 2 * len(CODE), "FunctionCount": 2}
            await cloud.call("DeleteFunctionConcurrency", FunctionName="f")
            assert await cloud.call("GetFunctionConcurrency", FunctionName="f") == {}
            other = Caller(account="999999999999", region=CALLER.region)
            assert (await cloud.call("GetAccountSettings", other))["AccountUsage"]["FunctionCount"] == 0

    run(main)


def test_a_policy_grows_and_shrinks_by_statements(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Publish=True)
            given = {
                "FunctionName": "f",
                "StatementId": "s3",
                "Action": "lambda:InvokeFunction",
                "Principal": "s3.amazonaws.com",
                "SourceArn": "arn:aws:s3:::bucket",
                "SourceAccount": "123456789012",
            }
            added = await cloud.call("AddPermission", **given)
            assert json.loads(added["Statement"]) == {
                "Sid": "s3",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "lambda:InvokeFunction",
                "Resource": ARN + "f",
                "Condition": {
                    "StringEquals": {"AWS:SourceAccount": "123456789012"},
                    "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
                },
            }
            error = await refused(cloud.call("AddPermission", **given))
            assert (error.code, "(s3) provided already exists" in error.message) == (
                "ResourceConflictException",
                True,
            )
            await cloud.call("AddPermission", **given | {"StatementId": "acc", "Principal": "111122223333"})
            shown = await cloud.call("GetPolicy", FunctionName="f")
            policy = json.loads(shown["Policy"])
            assert [s["Sid"] for s in policy["Statement"]] == ["s3", "acc"]
            assert policy["Statement"][1]["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
            error = await refused(
                cloud.call("RemovePermission", FunctionName="f", StatementId="s3", RevisionId="x")
            )
            assert error.code == "PreconditionFailedException"
            await cloud.call(
                "RemovePermission", FunctionName="f", StatementId="s3", RevisionId=shown["RevisionId"]
            )
            await cloud.call("RemovePermission", FunctionName="f", StatementId="acc")
            assert (await refused(cloud.call("GetPolicy", FunctionName="f"))).status == 404
            await cloud.call("AddPermission", **given | {"Qualifier": "1"})
            assert (await refused(cloud.call("GetPolicy", FunctionName="f"))).status == 404
            assert ARN + "f:1" in (await cloud.call("GetPolicy", FunctionName="f:1"))["Policy"]
            long = given | {"SourceArn": "arn:aws:s3:::" + "b" * 9000}
            await cloud.call("AddPermission", **long | {"StatementId": "l1"})
            await cloud.call("AddPermission", **long | {"StatementId": "l2"})
            error = await refused(cloud.call("AddPermission", **long | {"StatementId": "l3"}))
            assert error.code == "PolicyLengthExceededException"

    run(main)


EMPTY = {
    "ListAliases": "Aliases",
    "ListFunctionUrlConfigs": "FunctionUrlConfigs",
    "ListFunctionEventInvokeConfigs": "FunctionEventInvokeConfigs",
    "ListProvisionedConcurrencyConfigs": "ProvisionedConcurrencyConfigs",
    "ListEventSourceMappings": "EventSourceMappings",
}
MISSING = {
    "GetFunctionUrlConfig": "The resource you requested does not exist.",
    "GetFunctionEventInvokeConfig": f"The function {ARN}f:$LATEST doesn't have an EventInvokeConfig",
    "GetAlias": f"Cannot find alias arn: {ARN}f:prod",
    "GetProvisionedConcurrencyConfig": "No Provisioned Concurrency Config found for this function",
}


def test_what_terraform_reads_on_every_refresh_is_there(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            assert await cloud.call("GetFunctionCodeSigningConfig", FunctionName="f") == {"FunctionName": "f"}
            management = await cloud.call("GetRuntimeManagementConfig", FunctionName="f")
            assert management == {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN + "f:$LATEST"}
            assert await cloud.call("GetFunctionRecursionConfig", FunctionName="f") == {
                "RecursiveLoop": "Terminate"
            }
            for operation, member in EMPTY.items():
                assert await cloud.call(operation, FunctionName="f") == {member: []}
            for operation, sentence in MISSING.items():
                more = {"Name": "prod"} if operation == "GetAlias" else {}
                more |= {"Qualifier": "prod"} if "Provisioned" in operation else {}
                error = await refused(cloud.call(operation, FunctionName="f", **more))
                assert (error.status, error.message) == (404, sentence)

    run(main)


@pytest.mark.parametrize(
    "operation", [*EMPTY, *MISSING, "GetFunctionCodeSigningConfig", "GetFunctionRecursionConfig"]
)
def test_refresh_reads_know_that_a_function_is_missing(tmp_path, operation):
    async def main():
        async with Cloud(tmp_path) as cloud:
            if operation == "ListEventSourceMappings":
                return
            error = await refused(cloud.call(operation, FunctionName="f", Name="a"))
            assert error.message.startswith(f"Function not found: {ARN}f")

    run(main)


def test_every_operation_is_one_of_the_model(tmp_path):
    from tests.unit.lambda_.lambda_control_kit import MODEL

    async def main():
        async with Cloud(tmp_path) as cloud:
            operations = cloud.control.operations()
            assert set(operations) <= set(MODEL.operation_names)
            assert "Invoke" not in operations
            assert (
                cloud.control.operations({"Invoke": operations["ListTags"]})["Invoke"]
                is operations["ListTags"]
            )
            assert cloud.control.service().name == "lambda"

    run(main)
