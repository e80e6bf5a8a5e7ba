"""What the cloud's own services ask of companions: secrets, and events that really reach a rule's target."""

import json
from collections.abc import Iterator

import pytest
from tests.api.test_companions import Cloud

from cumulo.base.errors import AwsError
from cumulo.companions.events import EventBridge
from cumulo.companions.secrets import SecretReader

ACCOUNT, REGION = "111122223333", "eu-west-1"
DETAIL = {"result": "SUCCESS", "action-type": "PUSH"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


def put(cloud: Cloud, **changes) -> None:
    bus = EventBridge(cloud.companions)
    wanted = {
        "detail_type": "ECR Image Action",
        "detail": DETAIL,
        "resources": ["arn:x"],
        "at": 1_700_000_000.0,
    }
    cloud.do(bus.put(ACCOUNT, REGION, "aws.ecr", **(wanted | changes)))


def test_an_event_does_not_start_moto_where_nobody_can_listen(tmp_path):
    idle = Cloud(tmp_path)
    try:
        put(idle)
        assert not idle.companions.started
    finally:
        idle.close()


def test_an_event_reaches_a_queue_by_a_rule(cloud: Cloud):
    sqs, events = cloud.client("sqs", ACCOUNT, REGION), cloud.client("events", ACCOUNT, REGION)
    url = sqs.create_queue(QueueName="pushes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.ecr"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    put(cloud)
    put(cloud, detail_type="Other")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    bodies = [json.loads(message["Body"]) for message in found]
    assert {body["detail-type"] for body in bodies} == {"ECR Image Action", "Other"}
    body = next(body for body in bodies if body["detail-type"] == "ECR Image Action")
    assert body["source"] == "aws.ecr"
    assert body["region"] == REGION
    assert body["detail"] == DETAIL
    assert body["resources"] == ["arn:x"]


def test_a_secret_is_read_by_its_arn_and_a_missing_one_is_said_to_be(cloud: Cloud):
    secrets = cloud.client("secretsmanager", ACCOUNT, REGION)
    text = json.dumps({"username": "u", "accessToken": "t"})
    arn = secrets.create_secret(Name="ecr-pullthroughcache/hub", SecretString=text)["ARN"]
    binary = secrets.create_secret(Name="ecr-pullthroughcache/raw", SecretBinary=b"raw")["ARN"]
    reader = SecretReader(cloud.companions)
    assert cloud.do(reader.secret(ACCOUNT, REGION, arn)) == text
    assert cloud.do(reader.secret(ACCOUNT, REGION, binary)) == "raw"
    with pytest.raises(AwsError) as caught:
        cloud.do(reader.secret(ACCOUNT, "us-east-1", arn.replace(REGION, "us-east-1")))
    assert caught.value.code == "ResourceNotFoundException"
