"""What a Fargate task leaves behind: its lines on the bill, once, and events that reach their target."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import (
    a_cloud,
    base_layer,
    image_of,
    make_repository,
    needs_local,
    push_all,
    registry,
)
from tests.support import CUMULO, ROLE, Process, until

pytestmark = needs_local


def _definition(cloud: Process, script: str) -> None:
    layers = [base_layer()]
    image, packed = image_of(layers, Entrypoint=["/bin/busybox", "sh", "-c"])
    uri = make_repository(cloud, "app")
    with registry(cloud) as client:
        push_all(client, "app", "1", image, packed)
    cloud.client("ecs").register_task_definition(
        family="app",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="0.25 vCPU",
        memory="0.5 GB",
        executionRoleArn=ROLE,
        containerDefinitions=[{"name": "main", "image": f"{uri}:1", "command": [script]}],
    )


def _hear(cloud: Process) -> str:
    """A queue that gets every event of ECS; its URL."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = str(sqs.create_queue(QueueName="heard")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="ecs", EventPattern=json.dumps({"source": ["aws.ecs"]}))
    events.put_targets(Rule="ecs", Targets=[{"Id": "1", "Arn": arn}])
    return url


def _heard(cloud: Process, url: str) -> list[dict[str, Any]]:
    found = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(one["Body"]) for one in found.get("Messages", [])]


def _begin(cloud: Process) -> str:
    ecs = cloud.client("ecs")
    ecs.create_cluster()
    subnets = [one["SubnetId"] for one in cloud.client("ec2").describe_subnets()["Subnets"][:1]]
    answer = ecs.run_task(
        taskDefinition="app",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}},
    )
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def _task(cloud: Process, arn: str) -> dict[str, Any]:
    return dict(cloud.client("ecs").describe_tasks(tasks=[arn])["tasks"][0])


def _bill(cloud: Process, *options: str) -> str:
    done = subprocess.run(
        [*CUMULO, "bill", "--endpoint", cloud.endpoint, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("killed", [False, True])
def test_a_task_is_on_the_bill_and_in_the_events(tmp_path: Path, killed: bool) -> None:
    with a_cloud(tmp_path / "data") as cloud:
        _definition(cloud, "trap 'exit 0' TERM; while true; do sleep 0.1; done")
        url = _hear(cloud)
        arn = _begin(cloud)
        until(lambda: _task(cloud, arn)["lastStatus"] == "RUNNING", "the task runs")
        if killed:
            cloud.kill()
            cloud.start()
        cloud.client("ecs").stop_task(task=arn, reason="enough")
        until(lambda: _task(cloud, arn)["lastStatus"] == "STOPPED", "the task has stopped", 60)
        lines = json.loads(_bill(cloud, "--json"))["lines"]
        used = {one["kind"]: float(one["quantity"]) for one in lines if one["service"] == "ecs"}
        # Less than a minute counts as one, and no more than once.
        assert used == {
            "fargate_linux_x86_vcpu": pytest.approx(0.25 / 60),
            "fargate_linux_x86_gb": pytest.approx(0.5 / 60),
        }
        assert {one["resource"] for one in lines if one["service"] == "ecs"} == {arn}
        assert "fargate_linux_x86_vcpu" in _bill(cloud)
        if killed:
            return  # companions forget at a kill
        statuses: list[str] = []

        def ended() -> bool:
            for event in _heard(cloud, url):
                assert event["source"] == "aws.ecs"
                assert event["resources"] == [arn]
                statuses.append(event["detail"]["lastStatus"])
            return "STOPPED" in statuses

        until(ended, "the last event", 60)
        assert "RUNNING" in statuses
