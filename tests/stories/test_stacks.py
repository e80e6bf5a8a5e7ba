"""Stacks of CloudFormation: what would be made where nobody finds it is refused, the rest is the companion's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support import Process


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A cloud that runs no containers."""
    process = Process(tmp_path_factory.mktemp("stacks") / "data", "--engine", "none")
    process.start()
    yield process
    process.stop()


def template(kind: str, **properties: Any) -> str:
    return json.dumps({"Resources": {"One": {"Type": kind, "Properties": properties}}})


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::ECS::Cluster",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGatewayV2::Api",
        "AWS::Serverless::HttpApi",
    ],
)
def test_a_stack_of_what_the_companion_cannot_make_here_is_refused_and_leaves_nothing(
    cloud: Process, kind: str
) -> None:
    client = cloud.client("cloudformation")
    with pytest.raises(ClientError) as caught:
        client.create_stack(StackName="ours", TemplateBody=template(kind))
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert error["Message"].startswith(f"Template format error: Unrecognized resource types: [{kind}].")
    assert client.list_stacks()["StackSummaries"] == []


def test_a_template_in_s3_is_looked_at_too(cloud: Process) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="assets")
    s3.put_object(Bucket="assets", Key="t.json", Body=template("AWS::ECS::Service").encode())
    with pytest.raises(ClientError) as caught:
        cloud.client("cloudformation").create_stack(
            StackName="ours", TemplateURL="https://assets.s3.us-east-1.amazonaws.com/t.json"
        )
    assert "[AWS::ECS::Service]" in caught.value.response["Error"]["Message"]


def test_other_stacks_are_made(cloud: Process) -> None:
    client = cloud.client("cloudformation")
    client.create_stack(StackName="plain", TemplateBody=template("AWS::S3::Bucket", BucketName="plain"))
    assert client.describe_stacks(StackName="plain")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    assert "plain" in {one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]}
