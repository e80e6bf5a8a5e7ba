"""Batch as a whole: thousands of children, events of every step, the bill, how everything stands, and other clients.

CUMULO_CHILDREN=10000 makes the array as large as AWS allows.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.batch_kit import (
    ec2_job,
    ended,
    environment,
    fargate_job,
    job,
    queue,
    reached,
    submit,
    succeeded,
)
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, push_tools, reset
from tests.support import Process, until

CHILDREN = int(os.environ.get("CUMULO_CHILDREN", "300"))
SECONDS_EACH = 0.5  # at most, on a machine that others use, too
pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("batch")
    with a_region(folder / "data", "--overcommit", "16", "--pace", "60", log=folder / "log") as server:
        environment(server, "fargate", most=4)
        queue(server, "light", "fargate")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def page(cloud: Process, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{cloud.endpoint}/_cumulo/{path}", timeout=30) as answer:
        return dict(json.loads(answer.read()))


def test_every_step_of_a_job_is_an_event(cloud: Process, image: str) -> None:
    sqs, events = cloud.client("sqs"), cloud.client("events")
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="steps", EventPattern=json.dumps({"source": ["aws.batch"]}))
    events.put_targets(Rule="steps", Targets=[{"Id": "1", "Arn": arn}])
    fargate_job(cloud, "told", image, "exit 0")
    name = submit(cloud, "light", "told")
    succeeded(cloud, name)
    found: list[dict[str, Any]] = []

    def all_heard() -> bool:
        for message in sqs.receive_message(QueueUrl=heard, MaxNumberOfMessages=10).get("Messages", ()):
            found.append(json.loads(message["Body"]))  # noqa: PERF401 - as they come
        return "SUCCEEDED" in [one["detail"]["status"] for one in found]

    until(all_heard, f"its end is told: {found}", 30)
    events.remove_targets(Rule="steps", Ids=["1"])
    events.delete_rule(Name="steps")
    assert {one["detail-type"] for one in found} == {"Batch Job State Change"}
    assert [one["detail"]["status"] for one in found] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert all(one["detail"]["jobId"] == name for one in found)
    assert found[-1]["detail"]["container"]["exitCode"] == 0


def test_thousands_of_children_end(cloud: Process, image: str) -> None:
    fargate_job(cloud, "nothing", image, "true")
    began = time.monotonic()
    name = submit(cloud, "light", "nothing", arrayProperties={"size": CHILDREN})
    assert time.monotonic() - began < 2
    ended(cloud, name, 30 + CHILDREN * SECONDS_EACH)
    summary = job(cloud, name)["arrayProperties"]["statusSummary"]
    assert summary["SUCCEEDED"] == CHILDREN
    print(f"{CHILDREN} children in {time.monotonic() - began:.1f} s")


def test_how_everything_stands_is_shown(cloud: Process, image: str) -> None:
    fargate_job(cloud, "sleeping", image, "sleep 600")
    fargate_job(cloud, "after", image, "true")
    first = submit(cloud, "light", "sleeping", "first")
    second = submit(cloud, "light", "after", "second", dependsOn=[{"jobId": first}])
    reached(cloud, first, "RUNNING")
    top = page(cloud, "batch")
    (light,) = (one for one in top["queues"] if one["name"] == "light")
    assert light["jobs"]["RUNNING"] == 1
    assert light["jobs"]["PENDING"] == 1
    (fargate,) = (one for one in top["environments"] if one["name"] == "fargate")
    assert (fargate["type"], fargate["vcpus"], fargate["max_vcpus"]) == ("FARGATE", 0.25, 4)
    cloud.client("batch").terminate_job(jobId=first, reason="seen")
    assert ended(cloud, second)["statusReason"] == "Dependent Job failed"


def test_spot_is_cheaper_and_instances_are_counted_once(cloud: Process, image: str) -> None:
    environment(cloud, "spot", "SPOT")
    queue(cloud, "cheap", "spot", tags={"team": "blue"})
    ec2_job(cloud, "short", image, "sleep 2")
    succeeded(cloud, submit(cloud, "cheap", "short"))
    (used,) = (one for one in page(cloud, "batch/savings")["used"] if one["queue"].endswith("/cheap"))
    assert (used["kind"], used["attempts"]) == ("SPOT", 1)
    assert 0 < used["paid"] < used["on_demand"]
    assert used["saved"] == pytest.approx(used["on_demand"] - used["paid"])
    bill = page(cloud, "bill?service=batch&group=tag:team")
    assert {one["kind"] for one in bill["lines"] if one["resource"].endswith("/cheap")} == {
        "spot_vcpu",
        "spot_gb",
    }
    assert all(float(one["list_amount"]) == 0 for one in bill["lines"])
    assert "blue" in [one["name"] for one in bill["groups"]]


def test_a_cluster_is_there_for_all_to_see_and_goes_with_its_environment(cloud: Process, image: str) -> None:
    aws, ecs = cloud.client("batch"), cloud.client("ecs")
    environment(cloud, "passing", "EC2")
    queue(cloud, "brief", "passing")
    ec2_job(cloud, "quick", image, "true")
    succeeded(cloud, submit(cloud, "brief", "quick"))
    (cluster,) = (one for one in ecs.list_clusters()["clusterArns"] if "AWSBatch-passing-" in one)
    assert ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    aws.update_job_queue(jobQueue="brief", state="DISABLED")
    until(
        lambda: aws.describe_job_queues(jobQueues=["brief"])["jobQueues"][0]["status"] == "VALID", "updated"
    )
    aws.delete_job_queue(jobQueue="brief")
    until(lambda: not aws.describe_job_queues(jobQueues=["brief"])["jobQueues"], "the queue is gone")
    aws.update_compute_environment(computeEnvironment="passing", state="DISABLED")

    def described() -> list[dict[str, Any]]:
        found = aws.describe_compute_environments(computeEnvironments=["passing"])
        return list(found["computeEnvironments"])

    until(lambda: described()[0]["status"] == "VALID", "updated")
    aws.delete_compute_environment(computeEnvironment="passing")
    until(lambda: not described(), "the environment is gone", 60)
    until(lambda: cluster not in ecs.list_clusters()["clusterArns"], "its cluster is gone", 60)


def test_the_aws_cli_runs_a_job(cloud: Process, image: str) -> None:
    fargate_job(cloud, "byhand", image, "true")
    python = Path(sys.executable).parent
    cli = python / "aws"
    if not cli.exists():
        pytest.skip("the AWS CLI is not installed")
    env = os.environ | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": cloud.endpoint,
    }
    words = ["batch", "submit-job", "--job-name", "cli", "--job-queue", "light", "--job-definition", "byhand"]
    done = subprocess.run([cli, *words], env=env, capture_output=True, text=True, check=True)
    succeeded(cloud, json.loads(done.stdout)["jobId"])


def test_after_a_reset_everything_begins_anew(tmp_path: Path) -> None:
    with a_region(tmp_path / "data", "--overcommit", "16", log=tmp_path / "log") as cloud:
        for turn in range(2):
            image = push_tools(cloud)
            environment(cloud, "again", most=1)
            environment(cloud, "instances", "EC2")
            queue(cloud, "again", "again")
            queue(cloud, "heavy", "instances")
            fargate_job(cloud, "sleeping", image, "sleep 600")
            ec2_job(cloud, "quick", image, "true")
            name = submit(cloud, "again", "sleeping", arrayProperties={"size": 10})
            until(
                lambda name=name: job(cloud, name)["arrayProperties"]["statusSummary"]["RUNNING"] == 4,
                "4 run",
                60,
            )
            succeeded(cloud, submit(cloud, "heavy", "quick"))
            assert submit(cloud, "again", "sleeping").count("-") == 4, turn
            reset(cloud)
            aws = cloud.client("batch")
            assert not aws.describe_job_queues()["jobQueues"]
            assert not aws.describe_compute_environments()["computeEnvironments"]
            assert not cloud.client("ecs").list_clusters()["clusterArns"]
        assert "Traceback" not in cloud.log.read_text(), cloud.log.read_text()[-5000:]
