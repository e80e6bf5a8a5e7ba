"""Secrets and parameters as task definitions name them, read from the real companions."""

import json
from collections.abc import Iterator

import pytest
from tests.api.test_companions import Cloud

from cumulo.base.errors import AwsError
from cumulo.companions.parameters import ParameterReader
from cumulo.companions.secrets import SecretReader

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


def test_parameters_are_decrypted_by_name_and_by_arn(cloud: Cloud):
    ssm = cloud.client("ssm", ACCOUNT, REGION)
    ssm.put_parameter(Name="/db/password", Value="deep", Type="SecureString")
    ssm.put_parameter(Name="flat", Value="plain", Type="String")
    reader = ParameterReader(cloud.companions)
    prefix = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
    for name, value in (
        ("/db/password", "deep"),
        (f"{prefix}/db/password", "deep"),
        ("flat", "plain"),
        (f"{prefix}/flat", "plain"),
    ):
        assert cloud.do(reader.parameter(ACCOUNT, REGION, name)) == value
    assert cloud.do(reader.parameter(ACCOUNT, "us-east-1", f"{prefix}/flat")) == "plain"
    with pytest.raises(AwsError) as refused:
        cloud.do(reader.parameter(ACCOUNT, REGION, "/none"))
    assert refused.value.code == "ParameterNotFound"


def test_parts_and_versions_of_secrets(cloud: Cloud):
    client = cloud.client("secretsmanager", ACCOUNT, REGION)
    made = client.create_secret(Name="db", SecretString=json.dumps({"user": "anna", "port": 5432}))
    arn, first = made["ARN"], made["VersionId"]
    client.put_secret_value(SecretId="db", SecretString=json.dumps({"user": "berta"}))
    reader = SecretReader(cloud.companions)
    for asked, value in (
        (arn, '{"user": "berta"}'),
        (f"{arn}:user::", "berta"),
        (f"{arn}:user:AWSPREVIOUS:", "anna"),
        (f"{arn}:port::{first}", "5432"),
        (f"{arn}:::{first}", '{"user": "anna", "port": 5432}'),
    ):
        assert cloud.do(reader.secret(ACCOUNT, REGION, asked)) == value
    with pytest.raises(AwsError, match="did not contain json key none"):
        cloud.do(reader.secret(ACCOUNT, REGION, f"{arn}:none::"))
