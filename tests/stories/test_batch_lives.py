"""Jobs of AWS Batch in real containers: what they are told, how they end, and what is shown of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.batch_kit import (
    MOUNTED,
    container,
    ec2_job,
    ended,
    environment,
    fargate_job,
    files,
    job,
    jobs,
    printed,
    queue,
    reached,
    submit,
    succeeded,
)
from tests.containers_kit import needs_local
from tests.ecs_faults_kit import post
from tests.ecs_kit import a_region, push_tools
from tests.support import Process, until

pytestmark = needs_local
EXITED = "Essential container in task exited"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("batch")
    with a_region(folder / "data", "--overcommit", "16", log=folder / "log") as server:
        environment(server, "fargate")
        environment(server, "instances", "EC2")
        queue(server, "light", "fargate")
        queue(server, "heavy", "instances")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def test_a_job_on_fargate_is_told_who_it_is_and_its_output_is_kept(cloud: Process, image: str) -> None:
    fargate_job(cloud, "who", image, "env", container={"environment": [{"name": "ONE", "value": "1"}]})
    own = {"environment": [{"name": "TWO", "value": "2"}]}
    found = succeeded(cloud, submit(cloud, "light", "who", containerOverrides=own))
    told = dict(line.partition("=")[::2] for line in until(lambda: printed(cloud, found), "it is told"))
    assert (
        told.items()
        >= {
            "AWS_BATCH_CE_NAME": "fargate",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "AWS_BATCH_JOB_ID": found["jobId"],
            "AWS_BATCH_JQ_NAME": "light",
            "ONE": "1",
            "TWO": "2",
        }.items()
    )
    assert found["container"]["logStreamName"].startswith("who/default/")
    assert found["createdAt"] <= found["startedAt"] <= found["stoppedAt"]
    assert found["statusReason"] == EXITED
    assert found["container"]["exitCode"] == 0
    assert found["container"]["networkInterfaces"][0]["privateIpv4Address"]


def test_a_job_on_an_instance_takes_parameters_and_more_memory(cloud: Process, image: str) -> None:
    ec2_job(
        cloud,
        "taking",
        image,
        "unused",
        parameters={"word": "given", "other": "stays"},
        container={"command": ["echo", "Ref::word", "Ref::other"]},
    )
    more = {"resourceRequirements": [{"type": "MEMORY", "value": "256"}]}
    asked = submit(cloud, "heavy", "taking", parameters={"word": "changed"}, containerOverrides=more)
    found = succeeded(cloud, asked)
    assert until(lambda: printed(cloud, found), "it has said something") == ["changed stays"]
    assert {"type": "MEMORY", "value": "256"} in found["container"]["resourceRequirements"]
    assert "/AWSBatch-instances-" in found["container"]["containerInstanceArn"]


def test_an_exit_code_decides_whether_there_is_another_attempt(cloud: Process, image: str) -> None:
    fargate_job(cloud, "coded", image, "exit $((AWS_BATCH_JOB_ATTEMPT + 40))")
    retry = {
        "attempts": 5,
        "evaluateOnExit": [
            {"onExitCode": "42", "action": "EXIT"},
            {"onExitCode": "4*", "onStatusReason": "Essential*", "action": "RETRY"},
        ],
    }
    found = ended(cloud, submit(cloud, "light", "coded", retryStrategy=retry))
    assert found["status"] == "FAILED"
    assert [one["container"]["exitCode"] for one in found["attempts"]] == [41, 42]
    assert found["container"]["exitCode"] == 42
    assert found["statusReason"] == EXITED


def test_a_job_that_eats_memory_is_killed_and_says_so(cloud: Process, image: str) -> None:
    ec2_job(
        cloud,
        "eating",
        image,
        "exec tail /dev/zero",
        container={"memory": 32},
    )
    found = ended(cloud, submit(cloud, "heavy", "eating"))
    assert found["status"] == "FAILED"
    assert found["container"]["exitCode"] == 137
    assert found["container"]["reason"].startswith("OutOfMemoryError")


def test_a_job_that_ignores_sigterm_is_terminated_all_the_same(cloud: Process, image: str) -> None:
    ec2_job(cloud, "stubborn", image, "trap '' TERM; echo up; while true; do sleep 1; done")
    name = submit(cloud, "heavy", "stubborn")
    reached(cloud, name, "RUNNING")
    aws = cloud.client("batch")
    aws.cancel_job(jobId=name, reason="never")  # too late for that: nothing happens
    assert job(cloud, name)["status"] == "RUNNING"
    aws.terminate_job(jobId=name, reason="enough of it")
    found = ended(cloud, name)
    assert (found["status"], found["statusReason"]) == ("FAILED", "enough of it")
    assert found["container"]["exitCode"] == 137
    assert found["isTerminated"]
    assert found["stoppedAt"] - found["startedAt"] >= 30_000


def test_an_attempt_that_lasts_too_long_is_stopped_and_not_retried(cloud: Process, image: str) -> None:
    fargate_job(cloud, "slow", image, "sleep 600", timeout={"attemptDurationSeconds": 60})
    name = submit(cloud, "light", "slow", retryStrategy={"attempts": 3})
    found = ended(cloud, name, 180)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(found["attempts"]) == 1
    assert found["container"]["exitCode"] in (137, 143)
    assert 60_000 <= found["stoppedAt"] - found["startedAt"] < 100_000


def test_an_image_that_is_not_there_fails_the_job(cloud: Process, image: str) -> None:
    fargate_job(cloud, "lost", image.replace("tools", "nowhere"), "true")
    found = ended(cloud, submit(cloud, "light", "lost"))
    assert found["status"] == "FAILED"
    assert found["statusReason"] == "Task failed to start"
    assert found["container"]["reason"].startswith("CannotPullContainerError")
    assert "exitCode" not in found["container"]


def test_several_containers_end_with_the_essential_one(cloud: Process, image: str) -> None:
    def one(name: str, script: str, **more: object) -> dict[str, object]:
        return {
            "name": name,
            "image": image,
            "command": ["sh", "-c", script],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
            **more,
        }

    cloud.client("batch").register_job_definition(
        jobDefinitionName="several",
        type="container",
        ecsProperties={
            "taskProperties": [
                {
                    "containers": [
                        one("before", "exit 0", essential=False),
                        one("aside", "sleep 600", essential=False),
                        one(
                            "main",
                            "echo did it",
                            dependsOn=[{"containerName": "before", "condition": "SUCCESS"}],
                        ),
                    ]
                }
            ]
        },
    )
    found = succeeded(cloud, submit(cloud, "heavy", "several"))
    told = {one["name"]: one for one in found["ecsProperties"]["taskProperties"][0]["containers"]}
    assert told["main"]["exitCode"] == 0
    assert told["before"]["exitCode"] == 0
    assert told["main"]["logStreamName"].startswith("several/main/")


def test_what_ecs_does_not_carry_fails_the_job_with_the_reason(cloud: Process, image: str) -> None:
    ec2_job(cloud, "odd", image, "true", container={"logConfiguration": {"logDriver": "syslog"}})
    found = ended(cloud, submit(cloud, "heavy", "odd"))
    assert found["status"] == "FAILED"
    assert found["statusReason"].startswith("ATTRIBUTE"), found


def test_a_pipeline_of_arrays_counts_words(cloud: Process, image: str) -> None:
    """10 mappers write numbers, 10 squarers (N_TO_N) square them, one reducer adds up: 0 + 1 + ... + 81."""
    mounted = MOUNTED
    fargate_job(
        cloud,
        "map",
        image,
        "echo $AWS_BATCH_JOB_ARRAY_INDEX > /files/in-$AWS_BATCH_JOB_ARRAY_INDEX",
        container=mounted,
    )
    fargate_job(
        cloud,
        "square",
        image,
        "n=$(cat /files/in-$AWS_BATCH_JOB_ARRAY_INDEX) && echo $((n * n)) > /files/out-$AWS_BATCH_JOB_ARRAY_INDEX",
        container=mounted,
    )
    reduce = "t=0; for f in /files/out-*; do t=$((t + $(cat $f))); done; echo $t > /files/sum"
    fargate_job(cloud, "reduce", image, reduce, container=mounted)
    first = submit(cloud, "light", "map", arrayProperties={"size": 10})
    second = submit(
        cloud, "light", "square", arrayProperties={"size": 10}, dependsOn=[{"jobId": first, "type": "N_TO_N"}]
    )
    last = submit(cloud, "light", "reduce", dependsOn=[{"jobId": second}])
    succeeded(cloud, last)
    assert (files(cloud) / "sum").read_text().strip() == str(sum(n * n for n in range(10)))
    whole = job(cloud, second)
    assert whole["status"] == "SUCCEEDED"
    assert whole["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 10
    child = job(cloud, f"{second}:3")
    assert child["arrayProperties"]["index"] == 3


def test_a_dependent_of_a_failed_job_fails_without_running(cloud: Process, image: str) -> None:
    fargate_job(cloud, "failing", image, "exit 1")
    fargate_job(cloud, "after", image, "touch /files/never", container=MOUNTED)
    first = submit(cloud, "light", "failing", arrayProperties={"size": 2})
    found = ended(cloud, submit(cloud, "light", "after", dependsOn=[{"jobId": first}]))
    assert (found["status"], found["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert not (files(cloud) / "never").exists()
    assert job(cloud, first)["statusReason"] == "Array Child Job failed"


def test_a_host_volume_and_propagated_tags(cloud: Process, image: str, tmp_path: Path) -> None:
    volume = {
        "volumes": [{"name": "there", "host": {"sourcePath": str(tmp_path)}}],
        "mountPoints": [{"sourceVolume": "there", "containerPath": "/there"}],
    }
    ec2_job(cloud, "hosted", image, "echo done > /there/file", container=volume)
    name = submit(cloud, "heavy", "hosted", tags={"team": "blue"}, propagateTags=True)
    found = succeeded(cloud, name)
    assert (tmp_path / "file").read_text() == "done\n"
    task = found["container"]["taskArn"]
    (told,) = cloud.client("ecs").describe_tasks(cluster=task.split("/")[1], tasks=[task], include=["TAGS"])[
        "tasks"
    ]
    tags = {one["key"]: one["value"] for one in told["tags"]}
    assert tags["team"] == "blue"
    assert tags["aws:batch:job-queue"] == "heavy"


def test_nodes_of_a_job_talk_to_one_another(cloud: Process, image: str) -> None:
    """The main node waits until every other one has reported to it over the network."""
    main = "nc -l -p 7000 > /tmp/one; nc -l -p 7001 > /tmp/two; cat /tmp/one /tmp/two"
    other = (
        "until echo node $AWS_BATCH_JOB_NODE_INDEX of $AWS_BATCH_JOB_NUM_NODES "
        "| nc -w 5 $AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS $((6999 + AWS_BATCH_JOB_NODE_INDEX)); "
        "do sleep 0.2; done; sleep 600"
    )
    cloud.client("batch").register_job_definition(
        jobDefinitionName="nodes",
        type="multinode",
        nodeProperties={
            "numNodes": 3,
            "mainNode": 0,
            "nodeRangeProperties": [
                {"targetNodes": "0:0", "container": container(image, main, memory=64)},
                {"targetNodes": "1:2", "container": container(image, other, memory=64)},
            ],
        },
    )
    name = submit(cloud, "heavy", "nodes")
    found = succeeded(cloud, name)
    assert found["nodeProperties"]["numNodes"] == 3
    first = job(cloud, f"{name}#0")
    assert until(lambda: printed(cloud, first), "the main node has said") == [
        "node 1 of 3",
        "node 2 of 3",
    ]
    nodes = jobs(cloud.client("batch"), [f"{name}#{number}" for number in range(3)])
    assert nodes[0]["status"] == "SUCCEEDED"
    assert all(one["status"] in ("SUCCEEDED", "FAILED") for one in nodes)


def test_a_spot_instance_that_is_taken_away_costs_an_attempt_and_no_job(cloud: Process, image: str) -> None:
    environment(cloud, "spot", "SPOT")
    queue(cloud, "cheap", "spot")
    script = "if [ $AWS_BATCH_JOB_ATTEMPT = 1 ]; then sleep 600; fi"
    ec2_job(cloud, "interrupted", image, script)
    retry = {
        "attempts": 3,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }
    name = submit(cloud, "cheap", "interrupted", retryStrategy=retry)
    found = reached(cloud, name, "RUNNING")
    arn = found["container"]["containerInstanceArn"]
    ecs = cloud.client("ecs")
    (there,) = ecs.describe_container_instances(cluster=arn.split("/")[1], containerInstances=[arn])[
        "containerInstances"
    ]
    cloud.client("ec2").terminate_instances(InstanceIds=[there["ec2InstanceId"]])
    done = succeeded(cloud, name)
    first, second = done["attempts"]
    assert first["statusReason"] == f"Host EC2 (instance {there['ec2InstanceId']}) terminated."
    assert second["container"]["exitCode"] == 0


def test_a_task_on_fargate_spot_that_is_taken_away_costs_an_attempt_and_no_job(
    cloud: Process, image: str
) -> None:
    environment(cloud, "fargate-spot", "FARGATE_SPOT")
    queue(cloud, "cheaper", "fargate-spot")
    fargate_job(cloud, "taken", image, "if [ $AWS_BATCH_JOB_ATTEMPT = 1 ]; then exec sleep 600; fi")
    name = submit(cloud, "cheaper", "taken", retryStrategy={"attempts": 2})
    task = reached(cloud, name, "RUNNING")["container"]["taskArn"]
    post(cloud, "interrupt", json.dumps({"target": task}).encode())
    first, second = succeeded(cloud, name, 60)["attempts"]
    assert first["statusReason"] == "Your Spot Task was interrupted."
    assert second["container"]["exitCode"] == 0
