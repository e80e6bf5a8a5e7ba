"""Functions, by direct calls of the operations."""

import asyncio
import base64
import hashlib

from tests.unit.lambda_.lambda_control_kit import (
    ARN,
    CALLER,
    CODE,
    OTHER_CODE,
    ROLE,
    Cloud,
    refused,
    run,
    zipped,
)

from cumulo.base.caller import Caller


def test_a_new_function_is_pending_and_soon_active(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            created = await cloud.create()
            assert created == created | {
                "FunctionName": "f",
                "FunctionArn": ARN + "f",
                "Runtime": "python3.12",
                "Role": ROLE,
                "Handler": "app.handler",
                "CodeSize": len(CODE),
                "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
                "Description": "",
                "Timeout": 3,
                "MemorySize": 128,
                "EphemeralStorage": {"Size": 512},
                "TracingConfig": {"Mode": "PassThrough"},
                "PackageType": "Zip",
                "Architectures": ["x86_64"],
                "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
                "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
                "LastModified": "2023-11-14T22:13:20.000+0000",
                "Version": "$LATEST",
                "State": "Pending",
                "StateReason": "The function is being created.",
                "StateReasonCode": "Creating",
                "LastUpdateStatus": None,
            }
            await cloud.control.settled()
            shown = await cloud.config()
            assert (shown["State"], shown["StateReason"], shown["LastUpdateStatus"]) == (
                "Active",
                None,
                "Successful",
            )
            assert shown["RevisionId"] != created["RevisionId"]
            assert shown["RuntimeVersionConfig"]["RuntimeVersionArn"].startswith(
                "arn:aws:lambda:eu-west-1::runtime:"
            )
            assert "Environment" not in shown

    run(main)


def test_a_runtime_that_the_machine_has_not_makes_the_function_fail_with_a_reason(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.missing.add("ruby3.4")
            shown = await cloud.active(Runtime="ruby3.4")
            assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidRuntime")
            assert "apt-get install" in shown["StateReason"]
            error = await refused(_resolve(cloud, "f"))
            assert error.code == "ResourceConflictException"
            assert "apt-get install" in error.message
            cloud.runtimes.missing.clear()
            updated = await cloud.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=5)
            assert (updated["State"], updated["LastUpdateStatus"]) == ("Pending", "InProgress")
            await cloud.control.settled()
            assert (await cloud.config())["State"] == "Active"
            assert cloud.control.resolve(CALLER, "f", None).version.timeout_s == 5

    run(main)


def test_a_bug_in_a_preparation_fails_that_function_and_no_other(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.broken = True
            assert (await cloud.active("bad"))["StateReasonCode"] == "InternalError"
            cloud.runtimes.broken = False
            assert (await cloud.active("good"))["State"] == "Active"

    run(main)


def test_the_old_code_serves_until_the_new_is_ready(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            first = await cloud.active()
            old = cloud.control.resolve(CALLER, "f", None)
            cloud.runtimes.gate.clear()
            updated = await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
            assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
            assert updated["LastUpdateStatusReasonCode"] == "Creating"
            assert updated["CodeSha256"] != first["CodeSha256"]
            assert cloud.control.resolve(CALLER, "f", None) == old
            for operation, values in (
                ("UpdateFunctionCode", {"ZipFile": CODE}),
                ("UpdateFunctionConfiguration", {"Timeout": 9}),
                ("PublishVersion", {}),
            ):
                error = await refused(cloud.call(operation, FunctionName="f", **values))
                assert error.status == 409
                assert error.message == (
                    "The operation cannot be performed at this time. An update is in progress for resource: "
                    + ARN
                    + "f"
                )
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            new = cloud.control.resolve(CALLER, "f", None)
            assert new.code != old.code
            assert new.generation != old.generation
            assert (new.code / "app.py").read_text().endswith("return 2\n")
            assert cloud.fleet.retired == [old.generation]
            assert (await cloud.config())["LastUpdateStatus"] == "Successful"

    run(main)


def test_a_failed_update_leaves_the_old_one_serving(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            old = cloud.control.resolve(CALLER, "f", None)
            cloud.runtimes.missing.add("java21")
            await cloud.call(
                "UpdateFunctionConfiguration", FunctionName="f", Runtime="java21", Handler="A::b"
            )
            await cloud.control.settled()
            shown = await cloud.config()
            assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Failed")
            assert shown["LastUpdateStatusReasonCode"] == "InvalidRuntime"
            assert shown["Runtime"] == "java21"
            assert cloud.control.resolve(CALLER, "f", None) == old
            assert cloud.fleet.retired == []

    run(main)


def test_nothing_can_be_done_to_a_pending_function_but_reading_and_deleting(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.gate.clear()
            await cloud.create()
            sentence = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
            for operation in ("UpdateFunctionConfiguration", "PublishVersion"):
                error = await refused(cloud.call(operation, FunctionName="f"))
                assert (error.code, error.message) == ("ResourceConflictException", sentence)
            assert (await refused(_resolve(cloud, "f"))).message == sentence
            await cloud.call("DeleteFunction", FunctionName="f")
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            assert (await refused(cloud.config())).code == "ResourceNotFoundException"

    run(main)


def test_a_function_deleted_and_made_again_while_it_was_prepared_is_not_confused(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.gate.clear()
            cloud.runtimes.missing.add("python3.12")
            await cloud.create()
            assert await asyncio.to_thread(cloud.runtimes.entered.wait, 20)
            await cloud.call("DeleteFunction", FunctionName="f")
            await cloud.create(Code={"ZipFile": OTHER_CODE}, Runtime="python3.13")
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            ready = cloud.control.resolve(CALLER, "f", None)
            assert ready.version.runtime == "python3.13"
            assert cloud.control.host_of(ready.version).runtime == "python3.13"

    run(main)


def test_an_update_with_the_same_values_is_still_an_update(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            first = await cloud.active()
            second = await cloud.call(
                "UpdateFunctionConfiguration", FunctionName="f", Timeout=first["Timeout"]
            )
            assert second["RevisionId"] != first["RevisionId"]
            assert second["LastUpdateStatus"] == "InProgress"

    run(main)


def test_a_stale_revision_is_refused_and_the_latest_is_not(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            shown = await cloud.active()
            for operation, values in (
                ("UpdateFunctionCode", {"ZipFile": CODE}),
                ("UpdateFunctionConfiguration", {}),
                ("PublishVersion", {}),
            ):
                error = await refused(cloud.call(operation, FunctionName="f", RevisionId="x", **values))
                assert (error.code, error.status) == ("PreconditionFailedException", 412)
            await cloud.call("UpdateFunctionConfiguration", FunctionName="f", RevisionId=shown["RevisionId"])

    run(main)


def test_a_dry_run_checks_the_code_and_changes_nothing(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            before = await cloud.active()
            answer = await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE, DryRun=True)
            assert answer["CodeSha256"] != before["CodeSha256"]
            assert await cloud.config() == before
            error = await refused(
                cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=b"no zip", DryRun=True)
            )
            assert error.message.startswith("Could not unzip uploaded file.")

    run(main)


def test_a_name_can_be_used_once_in_a_region_of_an_account(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            error = await refused(cloud.create())
            assert (error.code, error.status) == ("ResourceConflictException", 409)
            assert error.message == "Function already exist: f"
            elsewhere = Caller(account=CALLER.account, region="us-east-1")
            assert (await refused(cloud.call("GetFunction", elsewhere, FunctionName="f"))).status == 404

    run(main)


def test_of_two_creations_at_once_one_wins(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            codes = [{"ZipFile": zipped({"app.py": str(n)})} for n in range(5)]
            made = await asyncio.gather(*(cloud.create(Code=code) for code in codes), return_exceptions=True)
            won = [answer for answer in made if isinstance(answer, dict)]
            assert len(won) == 1
            assert {answer.code for answer in made if not isinstance(answer, dict)} == {
                "ResourceConflictException"
            }
            await cloud.control.settled()
            assert (await cloud.config())["CodeSha256"] == won[0]["CodeSha256"]
            cloud.clock.advance(2000)
            assert await cloud.control._transitions.remove_unused_code() == 4

    run(main)


def test_of_two_updates_at_once_one_wins(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            cloud.runtimes.gate.clear()
            codes = [zipped({"app.py": str(n)}) for n in range(5)]
            made = await asyncio.gather(
                *(cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=code) for code in codes),
                return_exceptions=True,
            )
            assert sum(isinstance(answer, dict) for answer in made) == 1
            assert {answer.code for answer in made if not isinstance(answer, dict)} == {
                "ResourceConflictException"
            }

    run(main)


def test_code_comes_from_s3(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.objects.objects["bucket", "key", "7"] = CODE
            where = {"S3Bucket": "bucket", "S3Key": "key"}
            shown = await cloud.active(Code=where | {"S3ObjectVersion": "7"})
            assert shown["CodeSize"] == len(CODE)
            error = await refused(cloud.create("g", Code=where))
            assert error.code == "InvalidParameterValueException"
            assert error.message == (
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
                "S3 Error Message: The specified key does not exist."
            )

    run(main)


def test_what_the_source_of_code_may_not_be(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            for code, words in (
                ({}, "Please provide a source for function code."),
                ({"ZipFile": CODE, "S3Bucket": "b"}, "Please do not provide other FunctionCode parameters"),
                ({"S3Bucket": "b"}, "S3Key"),
                ({"ImageUri": "x"}, "Please don't provide ImageUri"),
                ({"ZipFile": b""}, "Uploaded file must be a non-empty zip"),
                ({"ZipFile": zipped()[:-30]}, "Could not unzip uploaded file."),
            ):
                error = await refused(cloud.create(Code=code))
                assert error.code == "InvalidParameterValueException"
                assert words in error.message
            error = await refused(cloud.create(Code={"ZipFile": b"P" * 52_428_801}))
            assert (error.code, error.status) == ("RequestEntityTooLargeException", 413)

    run(main)


def test_settings_that_aws_refuses_are_refused_in_its_words(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            big = {"A" * 10: "x" * 4096}
            for values, code, words in (
                ({"Runtime": "python9.9"}, "InvalidParameterValueException", "Value python9.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["),
                ({"Runtime": "python3.7"}, "InvalidParameterValueException", "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions."),
                ({"Handler": ""}, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages."),
                ({"MemorySize": 10241}, "InvalidParameterValueException", "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"),
                ({"Timeout": 901}, "ValidationException", "'timeout'"),
                ({"EphemeralStorage": {"Size": 10241}}, "ValidationException", "'ephemeralStorage.size'"),
                ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"),
                ({"Environment": {"Variables": big}}, "InvalidParameterValueException", 'exceeded the 4KB limit. String measured: {"AAAAAAAAAA":"xxx'),
                ({"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:a:1"]}, "InvalidParameterValueException", "Layer version arn:aws:lambda:eu-west-1:123456789012:layer:a:1 does not exist."),
                ({"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:a:1"]}, "InvalidParameterValueException", "Layers are expected to be in region eu-west-1."),
                ({"Layers": [f"arn:aws:lambda:eu-west-1:123456789012:layer:a:{n}" for n in (1, 2)]}, "InvalidParameterValueException", "Two different versions of the same layer"),
                ({"Layers": ["x"] * 6}, "InvalidParameterValueException", "Cannot reference more than 5 layers."),
                ({"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "nodejs22.x"}, "InvalidParameterValueException", "nodejs22.x is not supported for SnapStart enabled functions."),
                ({"Tags": {str(n): "" for n in range(51)}}, "InvalidParameterValueException", "Number of tags exceeds resource tag limit."),
                ({"Tags": {"aws:x": ""}}, "InvalidParameterValueException", "aws:"),
                ({"PackageType": "Image"}, "NotImplemented", "PackageType Image"),
                ({"DurableConfig": {"ExecutionTimeout": 1}}, "NotImplemented", "DurableConfig"),
                ({"CodeSigningConfigArn": "arn:x"}, "CodeSigningConfigNotFoundException", "arn:x"),
                ({"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "WARN"}}, "InvalidParameterValueException", "LogLevel is not supported"),
                ({"FunctionName": "f" * 65}, "InvalidParameterValueException", "less than or equal to 64"),
            ):  # fmt: skip
                error = await refused(cloud.create(**values))
                assert error.code == code, (values, error)
                assert words in error.message, (values, error)
            assert cloud.trees() == set()

    run(main)


def test_every_member_of_the_requests_is_known_to_act_to_be_shown_or_to_be_refused(tmp_path):
    from tests.unit.lambda_.lambda_control_kit import MODEL

    from cumulo.services.lambda_ import configuration as c

    known = (
        set(c._READERS) | set(c._REFUSED) | set(c._SHOWN)
        | {"FunctionName", "Runtime", "Layers", "LoggingConfig", "Code", "Publish", "PackageType", "Tags"}
        | {"CodeSigningConfigArn", "RevisionId", "DryRun", "ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"}
        | {"S3ObjectStorageMode", "ImageUri", "SourceKMSKeyArn", "CodeSha256", "Description"}
    )  # fmt: skip
    for operation in (
        "CreateFunction",
        "UpdateFunctionCode",
        "UpdateFunctionConfiguration",
        "PublishVersion",
    ):
        members = set(MODEL.operation_model(operation).input_shape.members)
        assert members <= known, members - known


def test_settings_are_kept_and_shown(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            given = {
                "Description": "d",
                "Timeout": 900,
                "MemorySize": 10240,
                "EphemeralStorage": {"Size": 10240},
                "Environment": {"Variables": {"A1": "b"}},
                "Architectures": ["arm64"],
                "TracingConfig": {"Mode": "Active"},
                "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:eu-west-1:123456789012:q"},
                "KMSKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/k",
                "FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:x", "LocalMountPath": "/mnt/x"}],
                "SnapStart": {"ApplyOn": "PublishedVersions"},
            }
            shown = await cloud.active(
                **given,
                VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
                LoggingConfig={"LogFormat": "JSON", "LogGroup": "/my/group", "ApplicationLogLevel": "WARN"},
            )
            assert shown == shown | (
                given | {"SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}}
            )
            assert shown["VpcConfig"] == {
                "SubnetIds": ["subnet-1"],
                "SecurityGroupIds": ["sg-1"],
                "VpcId": "",
                "Ipv6AllowedForDualStack": False,
            }
            assert shown["LoggingConfig"] == {
                "LogFormat": "JSON",
                "LogGroup": "/my/group",
                "ApplicationLogLevel": "WARN",
                "SystemLogLevel": "INFO",
            }
            host = cloud.control.host_of(cloud.control.resolve(CALLER, "f", None).version)
            assert "arm64" in host.warning
            changed = await cloud.call(
                "UpdateFunctionConfiguration",
                FunctionName="f",
                Timeout=1,
                VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
                Environment={"Variables": {}},
                KMSKeyArn="",
            )
            assert (changed["Timeout"], changed["MemorySize"], changed["Description"]) == (1, 10240, "d")
            assert "KMSKeyArn" not in changed
            assert changed["Environment"] == {"Variables": {}}
            assert changed["VpcConfig"] == {
                "SubnetIds": [],
                "SecurityGroupIds": [],
                "VpcId": "",
                "Ipv6AllowedForDualStack": False,
            }
            assert changed["FileSystemConfigs"] == given["FileSystemConfigs"]

    run(main)


def test_get_function_shows_tags_reservation_and_where_the_code_is(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Tags={"team": "a"})
            shown = await cloud.call("GetFunction", FunctionName="f")
            assert shown["Tags"] == {"team": "a"}
            assert shown["Concurrency"] is None
            assert shown["Code"]["RepositoryType"] == "S3"
            assert shown["Code"]["Location"].startswith("http://127.0.0.1:4566/_cumulo/lambda/code/")
            await cloud.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=5)
            shown = await cloud.call("GetFunction", FunctionName="f", Qualifier="$LATEST")
            assert shown["Concurrency"] == {"ReservedConcurrentExecutions": 5}
            assert shown["Configuration"]["FunctionArn"] == ARN + "f:$LATEST"

    run(main)


def test_functions_are_listed_by_the_page_without_what_is_about_the_moment(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            for number in range(53):
                await cloud.create(f"f{number:02}")
            await cloud.control.settled()
            first = await cloud.call("ListFunctions", MaxItems=1000)
            assert [f["FunctionName"] for f in first["Functions"]] == [f"f{n:02}" for n in range(50)]
            second = await cloud.call("ListFunctions", Marker=first["NextMarker"])
            assert [f["FunctionName"] for f in second["Functions"]] == ["f50", "f51", "f52"]
            assert second["NextMarker"] is None
            assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & first["Functions"][0].keys()
            assert (
                await refused(cloud.call("ListFunctions", Marker="what?"))
            ).code == "InvalidParameterValueException"
            everything = await cloud.call(
                "ListFunctions", FunctionVersion="ALL", MasterRegion="ALL", MaxItems=1
            )
            assert everything["Functions"][0]["FunctionArn"] == ARN + "f00:$LATEST"
            none = await cloud.call("ListFunctions", FunctionVersion="ALL", MasterRegion="us-west-2")
            assert none["Functions"] == []

    run(main)


def test_a_deleted_function_is_gone_with_all_that_belonged_to_it(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Publish=True)
            await cloud.call(
                "AddPermission",
                FunctionName="f",
                StatementId="s",
                Action="lambda:InvokeFunction",
                Principal="s3.amazonaws.com",
            )
            generations = {cloud.control.resolve(CALLER, "f", q).generation for q in ("$LATEST", "1")}
            await cloud.call("DeleteFunction", FunctionName="f")
            assert cloud.fleet.forgotten == ["f"]
            assert generations == set(cloud.fleet.retired)
            for operation in (
                "GetFunction",
                "DeleteFunction",
                "GetPolicy",
                "ListVersionsByFunction",
                "ListAliases",
            ):
                error = await refused(cloud.call(operation, FunctionName="f"))
                assert (error.code, error.message) == (
                    "ResourceNotFoundException",
                    f"Function not found: {ARN}f",
                )
            again = await cloud.active(Publish=True)
            assert again["Version"] == "$LATEST"
            assert (
                await refused(cloud.call("GetPolicy", FunctionName="f"))
            ).message == "The resource you requested does not exist."

    run(main)


async def _resolve(cloud: Cloud, name: str):
    return cloud.control.resolve(CALLER, name, None)
