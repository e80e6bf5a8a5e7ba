"""Broken constraints are all named, in AWS's sentences."""

import pytest
from wire_door import MODELS

from cumulo.wire.patterns import Patterns
from cumulo.wire.validate import Manner, Validators, message


def faults(service, operation, values, lenient=()):
    model = MODELS.service(service)
    return Validators(model, Patterns(), lenient).faults(model.operations[operation])(values)


def said(service, operation, values):
    return message(faults(service, operation, values))


def test_one_fault_is_one_error():
    pattern = MODELS.service("logs").shape_named("LogGroupName").pattern
    assert said("logs", "CreateLogGroup", {"logGroupName": "a b"}) == (
        "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


def test_all_faults_are_named_in_one_message():
    got = said("logs", "PutRetentionPolicy", {"logGroupName": ""})
    assert got.startswith("3 validation errors detected: Value null at 'retentionInDays' failed to satisfy ")
    assert "constraint: Member must not be null; Value '' at 'logGroupName' failed" in got
    assert "Member must have length greater than or equal to 1; Value ''" in got


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"MemorySize": 1}, "Value '1' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"),
        ({"Timeout": 0}, "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"),
        ({"Description": "x" * 257}, "Member must have length less than or equal to 256"),
        ({"PackageType": "Tar"}, "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: [Zip, Image]"),
        ({"Architectures": ["z80"]}, "Value '[z80]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
        ({"Architectures": [None]}, "Value '[null]' at 'architectures'"),
        ({"FileSystemConfigs": [{"Arn": "x", "LocalMountPath": "/mnt/a"}]}, "Value 'x' at 'fileSystemConfigs.1.member.arn'"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"] * 17}}, "at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must have length less than or equal to 16"),
        ({"KMSKeyArn": "?"}, "Value '?' at 'kMSKeyArn'"),
    ],
)  # fmt: skip
def test_each_constraint_has_its_sentence(values, sentence):
    full = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}, **values}
    assert sentence in said("lambda", "CreateFunction", full)
    assert len(faults("lambda", "CreateFunction", full)) == 1


def test_map_keys_and_values_are_summed_up():
    values = {"logGroupName": "g", "tags": {"?": "v" * 257}}
    keys, value = (fault.sentence for fault in faults("logs", "CreateLogGroup", values))
    assert keys.startswith("Value '{?=vvv")
    assert (
        "at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less"
        in keys
    )
    assert "Map value must satisfy constraint: [Member must have length less than or equal to 256, " in value
    assert value.endswith("Member must not be null]")


def test_a_sensitive_value_is_not_shown():
    values = {"FunctionName": "f", "Environment": {"Variables": {"1bad": "secret"}}}
    (fault,) = faults("lambda", "UpdateFunctionConfiguration", values)
    assert fault.sentence.startswith(
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must"
    )
    assert "secret" not in fault.sentence


def test_a_raw_payload_is_not_measured():
    assert faults("lambda", "Invoke", {"FunctionName": "f", "Payload": b"x" * 7_000_000}) == []


def test_faults_are_bounded():
    values = {"logGroupName": "g", "logStreamName": "s", "logEvents": [{}] * 10_000}
    assert 1 < len(faults("logs", "PutLogEvents", values)) < 500


# -- services that tell of their input in another manner --------------------------------------------------------------

NAMED = Manner(names_input=True, in_buckets=True, tells_null=False, sparse=frozenset({"responseTemplates"}))


def named(operation, values):
    model = MODELS.service("apigateway")
    found = Validators(model, Patterns(), manner=NAMED).faults(model.operations[operation])(values)
    return [fault.sentence for fault in found]


def test_members_of_the_body_stand_within_the_input_and_before_those_of_the_path():
    values = {
        "restApiId": "a",
        "resourceId": "b",
        "httpMethod": "GET",
        "statusCode": "x",
        "contentHandling": "y",
    }
    assert named("PutIntegrationResponse", values) == [
        "Value 'y' at 'putIntegrationResponseInput.contentHandling' failed to satisfy constraint: "
        "Member must satisfy enum value set: [CONVERT_TO_TEXT, CONVERT_TO_BINARY]",
        "Value 'x' at 'statusCode' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [1-5]\\d\\d",
    ]  # fmt: skip


def test_what_is_missing_stands_within_the_input_too():
    assert named("CreateRestApi", {}) == [
        "Value null at 'createRestApiInput.name' failed to satisfy constraint: Member must not be null"
    ]


def test_choices_can_stand_as_a_java_hash_table_gives_them():
    (sentence,) = named(
        "PutIntegration", {"restApiId": "a", "resourceId": "b", "httpMethod": "GET", "type": "x"}
    )
    assert sentence.endswith("enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]")


def test_members_of_a_list_are_told_of_without_null():
    (sentence,) = named("CreateRestApi", {"name": "n", "endpointConfiguration": {"types": ["x"]}})
    assert sentence.endswith(
        "Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]"
    )


def test_some_maps_may_hold_null():
    where = {"restApiId": "a", "resourceId": "b", "httpMethod": "GET", "statusCode": "200"}
    assert named("PutIntegrationResponse", where | {"responseTemplates": {"application/json": None}}) == []
    assert len(named("PutIntegrationResponse", where | {"responseParameters": {"a": None}})) == 1
