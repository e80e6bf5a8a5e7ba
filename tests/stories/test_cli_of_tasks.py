"""What the command line shows of tasks: their output by service, task or family, their figures, their cost by tag."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, network, push_tools, run, running, shell, stopped
from tests.support import CUMULO, Process, until

pytestmark = needs_local
GROUP = "/cli"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("cli") / "data") as region:
        region.client("ecs").create_cluster()
        yield region


@pytest.fixture(scope="module")
def image(region: Process) -> str:
    return push_tools(region)


def logged(image: str, script: str, group: str = GROUP, *, create: bool = True) -> dict[str, Any]:
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"}
    more = {"awslogs-create-group": "true"} if create else {}
    return shell(image, script, logConfiguration={"logDriver": "awslogs", "options": options | more})


def cumulo(cloud: Process, *words: str) -> str:
    return subprocess.run(
        [*CUMULO, *words, "--endpoint", cloud.endpoint],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_logs_of_a_service_a_task_and_a_family(region: Process, image: str) -> None:
    ecs = region.client("ecs")
    definition = fargate(ecs, "talker", logged(image, "echo said by the service; exec sleep 600"))
    ecs.create_service(
        serviceName="talks",
        taskDefinition=definition,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(region),
        tags=[{"key": "team", "value": "shop"}],
    )
    other = fargate(ecs, "other", logged(image, "echo said by the task"))
    arn = run(ecs, region, other, tags=[{"key": "team", "value": "jobs"}])["taskArn"]
    stopped(ecs, arn)
    id_ = arn.rpartition("/")[2]
    for name in ("talks", "service/talks", "service/default/talks", "talker", "talker:1"):
        shown = until(lambda name=name: cumulo(region, "logs", name), f"{name} has printed")
        assert "said by the service" in shown, name
    for name in (id_, f"task/{id_}", arn, "other"):
        shown = cumulo(region, "logs", name)
        assert "said by the task" in shown, name
        assert ("service" in shown) == (name == "other"), name  # both have the stream prefix `s/main/`
    assert "said by the service" in cumulo(region, "logs", GROUP)
    missing = subprocess.run(
        [*CUMULO, "logs", "service/none", "--endpoint", region.endpoint],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (missing.returncode, missing.stderr) == (
        1,
        "No service none writes to CloudWatch Logs here.\n",
    )

    bill = json.loads(cumulo(region, "bill", "--group", "tag:team", "--json"))
    assert {"jobs"} <= {group["name"] for group in bill["groups"]}


def test_status_counts_tasks_and_says_what_is_wrong(region: Process, image: str) -> None:
    ecs = region.client("ecs")
    running(ecs, run(ecs, region, fargate(ecs, "sleeper", shell(image, "exec sleep 600")))["taskArn"])
    rows = json.loads(subprocess.run([*CUMULO, "status", "--json"], check=True, capture_output=True).stdout)
    (row,) = [one for one in rows if one["endpoint"] == region.endpoint]
    assert row["gauges"]["tasks"] >= 1
    assert {"services", "clusters", "load_balancers"} <= row["gauges"].keys()
    assert isinstance(row["notes"], list)


def test_a_task_whose_log_group_is_missing_does_not_start(region: Process, image: str) -> None:
    ecs = region.client("ecs")
    definition = fargate(ecs, "groupless", logged(image, "true", "/not-there", create=False))
    task = stopped(ecs, run(ecs, region, definition)["taskArn"])
    assert task["stopCode"] == "TaskFailedToStart"
    assert "The specified log group does not exist." in task["stoppedReason"]
    region.client("logs").create_log_group(logGroupName="/not-there")
    task = stopped(ecs, run(ecs, region, definition)["taskArn"])
    assert task["stopCode"] == "EssentialContainerExited"
