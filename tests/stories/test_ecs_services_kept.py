"""Services of real containers: kept through crashes and kills, rolled back when they fail, gone when deleted."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import WAITER, a_region, fargate, network, push_tools, shell
from tests.support import BIN, Process, until

pytestmark = needs_local
SLEEPS = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One cloud for all of these."""
    folder: Path = tmp_path_factory.mktemp("services")
    with a_region(folder / "data", log=folder / "log") as cloud:
        yield cloud


@pytest.fixture
def aws(region: Process) -> Any:
    """A client of ECS, with a cluster."""
    ecs = region.client("ecs")
    ecs.create_cluster(clusterName="default")
    return ecs


@pytest.fixture(scope="module")
def image(region: Process) -> str:
    """A shell."""
    return push_tools(region)


def create(aws: Any, cloud: Process, name: str, definition: str, **more: Any) -> None:
    aws.create_service(
        serviceName=name,
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=network(cloud),
        **({"desiredCount": 2} | more),
    )


def shown(aws: Any, name: str) -> dict[str, Any]:
    return dict(aws.describe_services(services=[name])["services"][0])


def stable(aws: Any, name: str) -> dict[str, Any]:
    """Wait as clients do, and until its deployment is complete."""
    aws.get_waiter("services_stable").wait(services=[name], WaiterConfig=WAITER)
    until(
        lambda: shown(aws, name)["deployments"][0]["rolloutState"] == "COMPLETED", f"{name} is complete", 60
    )
    return shown(aws, name)


def tasks(aws: Any, name: str) -> list[dict[str, Any]]:
    arns = aws.list_tasks(serviceName=name)["taskArns"]
    return list(aws.describe_tasks(tasks=arns)["tasks"]) if arns else []


def delete(aws: Any, name: str) -> None:
    aws.delete_service(service=name, force=True)
    aws.get_waiter("services_inactive").wait(services=[name], WaiterConfig=WAITER)
    until(lambda: not tasks(aws, name), f"the tasks of {name} are gone")


def test_a_service_runs_rolls_and_goes(aws: Any, region: Process, image: str) -> None:
    create(aws, region, "roll", fargate(aws, "roll", shell(image, SLEEPS)), enableECSManagedTags=True)
    view = stable(aws, "roll")
    assert (view["runningCount"], view["pendingCount"]) == (2, 0)
    first = {one["taskArn"] for one in tasks(aws, "roll")}
    (arn, _) = first
    found = aws.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"][0]
    assert found["group"] == "service:roll"
    assert found["startedBy"] == view["deployments"][0]["id"]
    assert {"key": "aws:ecs:serviceName", "value": "roll"} in found["tags"]
    aws.update_service(service="roll", taskDefinition=fargate(aws, "roll", shell(image, SLEEPS)))
    view = stable(aws, "roll")
    assert view["taskDefinition"].endswith("roll:2")
    second = tasks(aws, "roll")
    assert len(second) == 2
    assert not first & {one["taskArn"] for one in second}
    ended = aws.describe_tasks(tasks=sorted(first))["tasks"]
    assert {one["stopCode"] for one in ended} == {"ServiceSchedulerInitiated"}
    assert all(
        one["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/") for one in ended
    )
    delete(aws, "roll")
    assert shown(aws, "roll")["status"] == "INACTIVE"


def test_a_task_that_ends_is_replaced(aws: Any, region: Process, image: str) -> None:
    create(aws, region, "ends", fargate(aws, "ends", shell(image, SLEEPS)))
    stable(aws, "ends")
    gone = tasks(aws, "ends")[0]["taskArn"]
    aws.stop_task(task=gone)

    def replaced() -> bool:
        running = [one["taskArn"] for one in tasks(aws, "ends") if one["lastStatus"] == "RUNNING"]
        return len(running) == 2 and gone not in running

    until(replaced, "the task is replaced", 60)
    delete(aws, "ends")


def test_ecs_deploy_deploys_and_waits(aws: Any, region: Process, image: str) -> None:
    create(aws, region, "tool", fargate(aws, "tool", shell(image, SLEEPS)), desiredCount=1)
    stable(aws, "tool")
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(
        [str(BIN / "ecs"), "deploy", "default", "tool", "-e", "main", "NAME", "value", "--timeout", "120"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, "Deployment successful" in done.stdout) == (0, True), done.stdout + done.stderr
    view = shown(aws, "tool")
    assert len(view["deployments"]) == view["runningCount"] == 1
    definition = aws.describe_task_definition(taskDefinition=view["taskDefinition"])["taskDefinition"]
    assert definition["containerDefinitions"][0]["environment"] == [{"name": "NAME", "value": "value"}]
    scaled = subprocess.run(
        [str(BIN / "ecs"), "scale", "default", "tool", "2", "--timeout", "120"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert scaled.returncode == 0, scaled.stdout + scaled.stderr
    assert shown(aws, "tool")["runningCount"] == 2
    delete(aws, "tool")


def test_a_deployment_that_fails_is_rolled_back(aws: Any, region: Process, image: str) -> None:
    create(aws, region, "fails", fargate(aws, "fails", shell(image, SLEEPS)), deploymentConfiguration=BREAKER)
    stable(aws, "fails")
    kept = {one["taskArn"] for one in tasks(aws, "fails")}
    aws.update_service(service="fails", taskDefinition=fargate(aws, "fails", shell(image, "exit 3")))
    until(lambda: shown(aws, "fails")["taskDefinition"].endswith("fails:1"), "it is rolled back", 120)
    stable(aws, "fails")
    assert {one["taskArn"] for one in tasks(aws, "fails")} == kept
    found = aws.list_service_deployments(service="fails")["serviceDeployments"]
    assert [one["status"] for one in found] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    messages = " ".join(one["message"] for one in shown(aws, "fails")["events"])
    assert "deployment failed: tasks failed to start." in messages
    assert "rolling back to deployment ecs-svc/" in messages
    delete(aws, "fails")


def test_a_kill_in_the_middle_of_a_deployment_changes_nothing_of_its_end(tmp_path: Path) -> None:
    with a_region(tmp_path / "data", log=tmp_path / "log") as cloud:
        aws = cloud.client("ecs")
        aws.create_cluster(clusterName="default")
        image = push_tools(cloud)
        create(aws, cloud, "kept", fargate(aws, "kept", shell(image, SLEEPS)), desiredCount=3)
        stable(aws, "kept")
        aws.update_service(service="kept", taskDefinition=fargate(aws, "kept", shell(image, SLEEPS)))
        until(lambda: len(shown(aws, "kept")["deployments"]) == 2 and len(tasks(aws, "kept")) > 3, "it rolls")
        cloud.kill()
        cloud.start()
        aws = cloud.client("ecs")
        view = stable(aws, "kept")
        assert view["taskDefinition"].endswith("kept:2")
        assert view["runningCount"] == len(tasks(aws, "kept")) == 3
        started = aws.list_tasks(serviceName="kept", desiredStatus="STOPPED")["taskArns"]
        assert len(started) == 3  # the old ones: none was started twice
        delete(aws, "kept")


def test_containers_that_are_killed_while_nobody_looks_are_replaced(tmp_path: Path) -> None:
    with a_region(tmp_path / "data", log=tmp_path / "log") as cloud:
        aws = cloud.client("ecs")
        aws.create_cluster(clusterName="default")
        image = push_tools(cloud)
        script = f"echo killed-by-the-test; {SLEEPS}"
        create(aws, cloud, "dies", fargate(aws, "dies", shell(image, script)))
        stable(aws, "dies")
        before = {one["taskArn"] for one in tasks(aws, "dies")}
        cloud.kill()
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and b"killed-by-the-test" in _command(process):
                os.kill(int(process.name), signal.SIGKILL)
        cloud.start()
        aws = cloud.client("ecs")
        until(
            lambda: len([one for one in tasks(aws, "dies") if one["taskArn"] not in before]) == 2,
            "both are replaced",
            60,
        )
        stable(aws, "dies")
        delete(aws, "dies")


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
