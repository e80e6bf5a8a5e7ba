"""The AWS CLI and ecs-deploy do with ECS what people do with them, and its answers are what AWS has been seen to give."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, network, push_tools, shell
from tests.support import BIN, Process, until

pytestmark = needs_local
SLEEP = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("clients") / "data") as made:
        made.client("ecs").create_cluster(clusterName="main")
        yield made


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def environment(cloud: Process) -> dict[str, str]:
    return os.environ | {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
    }


def tool(cloud: Process, *words: str, code: int = 0, seconds: float = 300) -> str:
    """A program of the environment; what it prints."""
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        env=environment(cloud),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def aws(cloud: Process, *words: str) -> Any:
    """`aws ecs ...`; its answer."""
    said = tool(cloud, "aws", "ecs", *words, "--output", "json")
    return json.loads(said) if said.strip() else {}


def vpc(cloud: Process) -> str:
    return json.dumps(network(cloud))


def test_a_task_is_run_awaited_stopped_and_described(cloud: Process, image: str):
    ecs = cloud.client("ecs")
    fargate(ecs, "cli", shell(image, SLEEP))
    ran = aws(
        cloud, "run-task", "--cluster", "main", "--task-definition", "cli", "--launch-type", "FARGATE",
        "--network-configuration", vpc(cloud), "--started-by", "cli", "--tags", "key=a,value=b",
    )  # fmt: skip
    assert ran["failures"] == []
    (task,) = ran["tasks"]
    assert (task["lastStatus"], task["desiredStatus"], task["version"]) == ("PROVISIONING", "RUNNING", 1)
    (container,) = task["containers"]
    assert container == {
        "containerArn": container["containerArn"],
        "taskArn": task["taskArn"],
        "name": "main",
        "image": image,
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "cpu": "0",
    }
    tool(cloud, "aws", "ecs", "wait", "tasks-running", "--cluster", "main", "--tasks", task["taskArn"])
    listed = aws(cloud, "list-tasks", "--cluster", "main", "--started-by", "cli")
    assert listed == {"taskArns": [task["taskArn"]]}
    stopping = aws(
        cloud, "stop-task", "--cluster", "main", "--task", task["taskArn"].split("/")[-1], "--reason", "enough"
    )["task"]  # fmt: skip
    assert (stopping["desiredStatus"], stopping["stopCode"]) == ("STOPPED", "UserInitiated")
    assert stopping["tags"] == []
    tool(cloud, "aws", "ecs", "wait", "tasks-stopped", "--cluster", "main", "--tasks", task["taskArn"])
    (described,) = aws(
        cloud, "describe-tasks", "--cluster", "main", "--tasks", task["taskArn"], "--include", "TAGS"
    )["tasks"]  # fmt: skip
    assert (described["stoppedReason"], described["healthStatus"]) == ("enough", "UNKNOWN")
    assert described["tags"] == [{"key": "a", "value": "b"}]
    assert described["attachments"][0]["status"] == "DELETED"


def test_a_service_is_made_awaited_scaled_and_deleted(cloud: Process, image: str):
    fargate(cloud.client("ecs"), "kept", shell(image, SLEEP))
    made = aws(
        cloud, "create-service", "--cluster", "main", "--service-name", "kept", "--task-definition", "kept",
        "--desired-count", "1", "--launch-type", "FARGATE", "--network-configuration", vpc(cloud),
    )["service"]  # fmt: skip
    (deployment,) = made["deployments"]
    assert deployment["rolloutState"] == "IN_PROGRESS"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    assert (made["platformVersion"], deployment["platformVersion"]) == ("LATEST", "1.4.0")
    assert (made["pendingCount"], made["runningCount"], made["events"]) == (0, 0, [])
    assert made["deploymentConfiguration"] == {
        "deploymentCircuitBreaker": {
            "enable": False,
            "rollback": False,
            "resetOnHealthyTask": True,
            "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
        },
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    words = ("--cluster", "main", "--services", "kept")
    tool(cloud, "aws", "ecs", "wait", "services-stable", *words)
    aws(cloud, "update-service", "--cluster", "main", "--service", "kept", "--desired-count", "2")
    tool(cloud, "aws", "ecs", "wait", "services-stable", *words)
    (service,) = aws(cloud, "describe-services", *words)["services"]
    assert (service["runningCount"], service["desiredCount"]) == (2, 2)
    deleted = aws(cloud, "delete-service", "--cluster", "main", "--service", "kept", "--force")["service"]
    assert (deleted["status"], deleted["desiredCount"]) == ("DRAINING", 0)
    tool(cloud, "aws", "ecs", "wait", "services-inactive", *words)
    assert aws(cloud, "list-services", "--cluster", "main") == {"serviceArns": []}


def test_a_deployment_by_codedeploy_is_refused_by_name(cloud: Process, tmp_path: Path):
    (tmp_path / "task.json").write_text('{"family": "x", "containerDefinitions": []}')
    (tmp_path / "app.json").write_text('{"version": 0.0, "Resources": []}')
    said = tool(
        cloud, "aws", "ecs", "deploy", "--cluster", "main", "--service", "nothing", "--task-definition",
        str(tmp_path / "task.json"), "--codedeploy-appspec", str(tmp_path / "app.json"), code=255,
    )  # fmt: skip
    assert "nothing" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("describe-task-definition", "--task-definition", "nothing"),
            "(ClientException) when calling the DescribeTaskDefinition operation: Unable to describe task definition.",
        ),
        (
            ("describe-task-definition", "--task-definition", "nothing:x"),
            "(InvalidParameterException) when calling the DescribeTaskDefinition operation: Invalid task definition: "
            "Invalid revision number.",
        ),
        (
            ("deregister-task-definition", "--task-definition", "nothing"),
            "(InvalidParameterException) when calling the DeregisterTaskDefinition operation: Revision is missing",
        ),
        (
            ("list-services", "--cluster", "nothing"),
            "(ClusterNotFoundException) when calling the ListServices operation: Cluster not found.",
        ),
        (
            ("describe-container-instances", "--cluster", "main", "--container-instances"),
            "(InvalidParameterException) when calling the DescribeContainerInstances operation: "
            "Container instance cannot be empty.",
        ),
        (
            ("update-service", "--cluster", "main", "--service", "nothing", "--desired-count", "1"),
            "(ServiceNotFoundException) when calling the UpdateService operation: Service not found.",
        ),
        (
            ("list-services", "--cluster", "main", "--launch-type", "MOON"),
            "(InvalidParameterException) when calling the ListServices operation: launch type should be one of "
            "[EC2,FARGATE,EXTERNAL,FMI,MANAGED_INSTANCES]",
        ),
    ],
)
def test_what_aws_refuses_is_refused_in_its_words(cloud: Process, words: tuple[str, ...], sentence: str):
    assert sentence in tool(cloud, "aws", "ecs", *words, code=255)


def test_ecs_deploy_deploys_scales_updates_and_runs(cloud: Process, image: str):
    ecs = cloud.client("ecs")
    fargate(ecs, "deployed", shell(image, SLEEP))
    ecs.create_service(
        cluster="main",
        serviceName="deployed",
        taskDefinition="deployed",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(cloud),
    )
    said = tool(
        cloud, "ecs", "deploy", "main", "deployed", "-e", "main", "COLOUR", "blue", "--timeout", "120"
    )
    assert "Deployment successful" in said
    found = ecs.describe_task_definition(taskDefinition="deployed")["taskDefinition"]
    assert found["revision"] == 2
    assert found["containerDefinitions"][0]["environment"] == [{"name": "COLOUR", "value": "blue"}]
    assert "Scaling successful" in tool(cloud, "ecs", "scale", "main", "deployed", "2")
    service = ecs.describe_services(cluster="main", services=["deployed"])["services"][0]
    assert service["runningCount"] == 2
    assert "Successfully created revision" in tool(cloud, "ecs", "update", "deployed", "-e", "main", "A", "b")
    asked = network(cloud)["awsvpcConfiguration"]
    subnets = [word for one in asked["subnets"] for word in ("--subnet", one)]
    group = cloud.client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
    said = tool(
        cloud, "ecs", "run", "main", "deployed", "--launchtype", "FARGATE", *subnets, "--securitygroup", group,
        "--public-ip",
    )  # fmt: skip
    assert "Successfully started 1 instances" in said
    until(lambda: len(ecs.list_tasks(cluster="main", family="deployed")["taskArns"]) == 3, "it runs", 60)
