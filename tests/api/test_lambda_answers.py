"""What Lambda's control plane answers through the front door, member by member, as AWS was seen to answer."""

import base64
import hashlib
import re
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from tests.support import PYTHON, ROLE, create, deploy, package

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CODE = "def handler(event, context):\n    return event\n"
QUICK = {"Delay": 0.05, "MaxAttempts": 600}


@pytest.fixture
def aws(cumulo_empty):
    return cumulo_empty.client("lambda")


def status_of(answer):
    return answer.pop("ResponseMetadata")["HTTPStatusCode"]


def steady(configuration):
    """A configuration without what differs from moment to moment."""
    return {
        name: value for name, value in configuration.items() if name not in {"RevisionId", "LastModified"}
    }


def expected(name, code, **changes):
    return {
        "FunctionName": name,
        "FunctionArn": ARN + name,
        "Runtime": PYTHON,
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(code),
        "CodeSha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    } | changes


PENDING = {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}
ACTIVE = {"State": "Active", "LastUpdateStatus": "Successful"}
UPDATING = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}


def test_a_function_from_its_creation_to_its_end(aws):
    code = package(CODE)
    made = aws.create_function(
        FunctionName="f", Runtime=PYTHON, Handler="app.handler", Role=ROLE, Code={"ZipFile": code}
    )
    assert status_of(made) == 201
    runtime = made["RuntimeVersionConfig"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", runtime["RuntimeVersionArn"])
    plain = expected("f", code, RuntimeVersionConfig=runtime)
    assert steady(made) == plain | PENDING
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", made["LastModified"])

    aws.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig=QUICK)
    shown = aws.get_function(FunctionName="f")
    assert status_of(shown) == 200
    assert shown.keys() == {"Configuration", "Code"}
    assert steady(shown["Configuration"]) == plain | ACTIVE
    assert shown["Configuration"]["RevisionId"] != made["RevisionId"]
    assert shown["Code"].keys() == {"RepositoryType", "Location"}
    with urlopen(shown["Code"]["Location"]) as source:
        assert source.read() == code
    alone = aws.get_function_configuration(FunctionName="f")
    assert status_of(alone) == 200
    assert alone == shown["Configuration"]

    changed = aws.update_function_configuration(
        FunctionName="f",
        Description="Changed",
        Timeout=10,
        MemorySize=512,
        Environment={"Variables": {"ENV_A": "a"}},
    )
    assert status_of(changed) == 200
    settings = {
        "Description": "Changed",
        "Timeout": 10,
        "MemorySize": 512,
        "Environment": {"Variables": {"ENV_A": "a"}},
    }
    assert steady(changed) == plain | settings | UPDATING
    aws.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig=QUICK)
    settled = aws.get_function_configuration(FunctionName="f")
    assert settled["RevisionId"] not in {changed["RevisionId"], shown["Configuration"]["RevisionId"]}

    other = package(CODE + "# other\n")
    changed = aws.update_function_code(FunctionName="f", ZipFile=other)
    assert status_of(changed) == 200
    assert steady(changed) == expected("f", other, RuntimeVersionConfig=runtime) | settings | UPDATING
    aws.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig=QUICK)

    gone = aws.delete_function(FunctionName="f")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as error:
        aws.get_function(FunctionName="f")
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_an_empty_environment_is_shown_once_it_was_given(aws):
    assert "Environment" not in create(aws, "none", CODE)
    assert create(aws, "empty", CODE, Environment={"Variables": {}})["Environment"] == {"Variables": {}}
    deploy(aws, "cleared", CODE, Environment={"Variables": {"AB": "c"}})
    changed = aws.update_function_configuration(FunctionName="cleared", Environment={"Variables": {}})
    assert changed["Environment"] == {"Variables": {}}
    listed = {found["FunctionName"]: found for found in aws.list_functions()["Functions"]}
    assert listed["empty"]["Environment"] == {"Variables": {}}
    assert "Environment" not in listed["none"]


def test_the_runtime_changes_with_its_version_at_once(aws):
    made = deploy(aws, "f", CODE, Runtime="python3.11")
    changed = aws.update_function_configuration(FunctionName="f", Runtime="python3.12")
    assert changed["Runtime"] == "python3.12"
    assert changed["RuntimeVersionConfig"] != made["RuntimeVersionConfig"]


def test_a_network_is_shown_and_an_empty_one_too(aws, cumulo_empty):
    ec2 = cumulo_empty.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="g", Description="d")["GroupId"]
    made = deploy(aws, "f", CODE, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [group]})
    assert made["VpcConfig"] == {
        "SubnetIds": [subnet],
        "SecurityGroupIds": [group],
        "VpcId": vpc,
        "Ipv6AllowedForDualStack": False,
    }
    nowhere = {"SubnetIds": ["subnet-0123456789"], "SecurityGroupIds": [group]}
    with pytest.raises(ClientError) as error:
        aws.update_function_configuration(FunctionName="f", VpcConfig=nowhere)
    assert "InvalidSubnetID.NotFound" in error.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as error:
        create(aws, "g", CODE, VpcConfig=nowhere)
    assert error.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound."
        " EC2 Error Message: The subnet ID 'subnet-0123456789' does not exist",
    }
    changed = aws.update_function_configuration(
        FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []}
    )
    assert changed["VpcConfig"] == {
        "SubnetIds": [],
        "SecurityGroupIds": [],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    }


def test_versions_are_published_listed_and_deleted(aws):
    deploy(aws, "f", CODE, Description="zero")
    first = aws.publish_version(FunctionName="f", Description="one")
    assert status_of(first) == 201
    assert (first["Version"], first["FunctionArn"]) == ("1", ARN + "f:1")
    assert (first["Description"], first["State"], first["LastUpdateStatus"]) == (
        "one",
        "Active",
        "Successful",
    )
    again = aws.publish_version(FunctionName="f")
    assert again["Version"] == "1", "nothing has changed since"
    assert again["RevisionId"] == first["RevisionId"]
    for names in (
        {"FunctionName": "f", "Qualifier": "1"},
        {"FunctionName": "f:1"},
        {"FunctionName": ARN + "f:1"},
    ):
        shown = aws.get_function_configuration(**names)
        assert (status_of(shown), shown) == (200, first)

    updated = aws.update_function_code(FunctionName="f", ZipFile=package(CODE + "#\n"), Publish=True)
    assert status_of(updated) == 200
    assert (updated["Version"], updated["FunctionArn"]) == ("2", ARN + "f:2")
    assert {name: updated.get(name) for name in PENDING} == PENDING
    assert "LastUpdateStatus" not in updated
    aws.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="2", WaiterConfig=QUICK)

    listed = aws.list_versions_by_function(FunctionName="f")["Versions"]
    assert [(found["Version"], found["FunctionArn"]) for found in listed] == [
        ("$LATEST", ARN + "f:$LATEST"),
        ("1", ARN + "f:1"),
        ("2", ARN + "f:2"),
    ]
    momentary = {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
    assert not any(momentary & found.keys() for found in listed), "lists tell nothing of the moment"

    assert aws.delete_function(FunctionName="f", Qualifier="1")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.delete_function(FunctionName="f", Qualifier="1")["ResponseMetadata"]["HTTPStatusCode"] == 204
    found = aws.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in found] == ["$LATEST", "2"]


def test_creation_with_publish_answers_version_1_under_the_unqualified_arn(aws):
    made = create(aws, "f", CODE, Publish=True)
    assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", ARN + "f", "Pending")
    aws.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="1", WaiterConfig=QUICK)
    assert aws.get_function(FunctionName="f")["Configuration"]["Version"] == "$LATEST"
    latest = aws.get_function(FunctionName="f", Qualifier="$LATEST")["Configuration"]
    assert latest["FunctionArn"] == ARN + "f:$LATEST"


def test_snap_start_is_on_for_published_versions_alone(aws):
    deploy(aws, "f", CODE, Runtime="python3.12", SnapStart={"ApplyOn": "PublishedVersions"})
    latest = aws.get_function_configuration(FunctionName="f")["SnapStart"]
    assert latest == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    version = aws.publish_version(FunctionName="f")["SnapStart"]
    assert version == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}


def test_a_dry_run_shows_the_change_and_makes_none(aws):
    deploy(aws, "f", CODE)
    before = aws.get_function_configuration(FunctionName="f")
    code = package(CODE + "# dry\n")
    shown = aws.update_function_code(FunctionName="f", ZipFile=code, DryRun=True)
    assert shown["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    after = aws.get_function_configuration(FunctionName="f")
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])


def test_log_levels_come_and_go_with_json(aws):
    deploy(aws, "f", CODE)
    changed = aws.update_function_configuration(FunctionName="f", LoggingConfig={"LogFormat": "JSON"})
    assert changed["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/f",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
    }
    aws.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig=QUICK)
    changed = aws.update_function_configuration(FunctionName="f", LoggingConfig={"LogFormat": "Text"})
    assert changed["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}


def test_functions_are_listed_page_by_page(aws):
    for name in ("c", "a", "b"):
        create(aws, name, CODE, Publish=name == "a")
    pages = aws.get_paginator("list_functions")
    names = [
        f["FunctionName"] for p in pages.paginate(PaginationConfig={"PageSize": 1}) for f in p["Functions"]
    ]
    assert names == ["a", "b", "c"]
    every = pages.paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1}).build_full_result()
    assert [(f["FunctionName"], f["Version"], f["FunctionArn"]) for f in every["Functions"]] == [
        ("a", "$LATEST", ARN + "a:$LATEST"),
        ("a", "1", ARN + "a:1"),
        ("b", "$LATEST", ARN + "b:$LATEST"),
        ("c", "$LATEST", ARN + "c:$LATEST"),
    ]
    versions = aws.get_paginator("list_versions_by_function")
    found = versions.paginate(FunctionName="a", PaginationConfig={"PageSize": 1}).build_full_result()
    assert [version["Version"] for version in found["Versions"]] == ["$LATEST", "1"]


def test_every_waiter_passes(aws):
    create(aws, "f", CODE, Publish=True)
    for name, extra in (
        ("function_exists", {}),
        ("function_active", {}),
        ("function_active_v2", {}),
        ("function_updated", {}),
        ("function_updated_v2", {}),
        ("published_version_active", {"Qualifier": "1"}),
    ):
        aws.get_waiter(name).wait(FunctionName="f", WaiterConfig=QUICK, **extra)


def test_tags_live_with_the_function(aws):
    made = deploy(aws, "f", CODE, Tags={"key_a": "value_a"})
    assert "Tags" not in made
    assert aws.get_function(FunctionName="f")["Tags"] == {"key_a": "value_a"}
    added = aws.tag_resource(Resource=ARN + "f", Tags={"key_b": "b", "key_a": "x"})
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.list_tags(Resource=ARN + "f")["Tags"] == {"key_a": "x", "key_b": "b"}
    removed = aws.untag_resource(Resource=ARN + "f", TagKeys=["key_a", "none"])
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.list_tags(Resource=ARN + "f")["Tags"] == {"key_b": "b"}


def test_reserved_concurrency_is_kept_shown_and_given_back(aws):
    deploy(aws, "f", CODE)
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName="f")
    put = aws.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=7)
    assert (status_of(put), put) == (200, {"ReservedConcurrentExecutions": 7})
    assert aws.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 7
    assert aws.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    limits = aws.get_account_settings()["AccountLimit"]
    assert limits["ConcurrentExecutions"] - limits["UnreservedConcurrentExecutions"] == 7
    gone = aws.delete_function_concurrency(FunctionName="f")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Concurrency" not in aws.get_function(FunctionName="f")


def test_the_account_is_shown_with_its_limits_and_usage(aws):
    code = package(CODE)
    deploy(aws, "f", CODE)
    shown = aws.get_account_settings()
    assert status_of(shown) == 200
    assert shown == {
        "AccountLimit": {
            "TotalCodeSize": 322_122_547_200,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 1000,
        },
        "AccountUsage": {"TotalCodeSize": len(code), "FunctionCount": 1},
    }


def test_a_function_may_be_named_by_arn_or_in_part(aws):
    for text, name in ((ARN + "whole", "whole"), ("000000000000:function:part", "part")):
        made = create(aws, text, CODE)
        assert (made["FunctionName"], made["FunctionArn"]) == (name, ARN + name)
        assert aws.get_function_configuration(FunctionName=text)["FunctionName"] == name


def test_what_terraform_reads_on_every_refresh(aws):
    deploy(aws, "f", CODE)
    shown = aws.get_function(FunctionName="f")
    assert shown["Configuration"]["LastUpdateStatus"] == "Successful"
    assert aws.list_versions_by_function(FunctionName="f", MaxItems=10_000)["Versions"]
    signing = aws.get_function_code_signing_config(FunctionName="f")
    assert (status_of(signing), signing) == (200, {"FunctionName": "f"})
    managed = aws.get_runtime_management_config(FunctionName="f")
    assert managed["UpdateRuntimeOn"] == "Auto"
    assert aws.get_function_recursion_config(FunctionName="f")["RecursiveLoop"] == "Terminate"
    assert aws.list_tags(Resource=ARN + "f")["Tags"] == {}
    for read in (aws.get_policy, aws.get_function_event_invoke_config, aws.get_function_url_config):
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            read(FunctionName="f")
