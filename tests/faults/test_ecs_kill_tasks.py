"""kill -9 of the server while tasks are run and stopped: what was acknowledged runs, and runs once.

CUMULO_KILL_ROUNDS=50 makes it long.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import GONE, needs_local
from tests.ecs_faults_kit import GROUP, ME, counting, kill_all, logging, processes_of, runs
from tests.ecs_kit import a_region, fargate, network, push_tools, run, running, shell, stopped, task
from tests.faults.test_kill_the_server import start_and_kill_early
from tests.support import Process, until

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "3"))
LINES = 40
pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("killed")
    with a_region(folder / "data", "--overcommit", "16", log=folder / "log") as server:
        server.client("ecs").create_cluster(clusterName="default")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


class Asker(threading.Thread):
    """Asks for tasks, each request with a token of its own, which is asked again until it is acknowledged."""

    def __init__(self, cloud: Process, definition: str, round_: int) -> None:
        super().__init__()
        self.cloud = cloud
        self.definition = definition
        self.round = round_
        self.stop = threading.Event()
        self.wanted: dict[str, int] = {}
        self.told: dict[str, set[str]] = {}
        self.configuration = network(cloud)

    def run(self) -> None:
        """Until told to stop, or the server is gone."""
        for number in range(8):
            if self.stop.is_set():
                return
            token = f"round-{self.round}-{number}"
            self.wanted[token] = 1 + number % 3
            try:
                self.ask(token)
            except GONE:
                return

    def ask(self, token: str) -> None:
        """RunTask with a token; the same again gives the same tasks."""
        answer = self.cloud.client("ecs").run_task(
            taskDefinition=self.definition,
            launchType="FARGATE",
            networkConfiguration=self.configuration,
            count=self.wanted[token],
            clientToken=token,
        )
        if not answer["failures"]:
            arns = {one["taskArn"] for one in answer["tasks"]}
            assert self.told.setdefault(token, arns) == arns


def ended(aws: Any, arns: set[str]) -> list[dict[str, Any]] | None:
    found = aws.describe_tasks(tasks=sorted(arns))["tasks"]
    assert len(found) == len(arns)
    return found if all(one["lastStatus"] == "STOPPED" for one in found) else None


def printed(cloud: Process, stream: str) -> list[str]:
    client = cloud.client("logs")
    answer = client.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, limit=10_000)
    return [event["message"] for event in answer["events"]]


def test_tasks_run_once_and_say_everything_once(cloud: Process, image: str) -> None:
    source = random.Random(int(os.environ.get("CUMULO_SEED", "11")))
    script = f"for i in $(seq {LINES}); do echo line $i; [ $((i % 10)) = 0 ] && sleep 0.1; done; exit 7"
    definition = counting(cloud.client("ecs"), "once", image, script, **logging("once"))
    every: set[str] = set()
    before = sum(runs(cloud).values())
    for round_ in range(ROUNDS):
        asker = Asker(cloud, definition, round_)
        asker.start()
        time.sleep(source.uniform(0.05, 1.5))
        cloud.kill()
        asker.stop.set()
        asker.join()
        if round_ % 3 == 1:
            start_and_kill_early(cloud, source.uniform(0.3, 1.5))
        cloud.start()
        aws = cloud.client("ecs")
        acknowledged = {arn for arns in asker.told.values() for arn in arns}
        if acknowledged:
            found = aws.describe_tasks(tasks=sorted(acknowledged))
            assert not found["failures"]
        for token in asker.wanted:
            until(lambda asker=asker, token=token: asker.ask(token) or token in asker.told, f"there is room for {token}", 30)  # fmt: skip
        arns = {arn for arns in asker.told.values() for arn in arns}
        assert len(arns) == sum(asker.wanted.values())
        done = until(lambda arns=arns: ended(cloud.client("ecs"), arns), "all have ended", 60)
        every |= arns
        ran = runs(cloud)
        assert sum(ran.values()) - before == len(every)
        assert set(ran.values()) == {1}
        for one in done:
            assert one["stopCode"] == "EssentialContainerExited", one
            assert one["containers"][0]["exitCode"] == 7, one
            said = printed(cloud, f"once/main/{one['taskArn'].split('/')[-1]}")
            assert said == [f"line {n}" for n in range(1, LINES + 1)], (said, one)
    listed = cloud.client("ecs").list_tasks(family="once", desiredStatus="STOPPED")["taskArns"]
    assert len(listed) == min(len(every), 100), "nothing runs that nobody asked for"


def test_a_slow_container_that_is_stopped_has_its_time_and_no_more(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    script = ME + "trap 'echo asked >> /kept/slow-$me' TERM; echo up; while true; do sleep 0.1; done"
    definition = counting(aws, "slow", image, script, stopTimeout=4)
    arns = [run(aws, cloud, definition)["taskArn"] for _ in range(3)]
    for arn in arns:
        running(aws, arn)
    for arn in arns:
        aws.stop_task(task=arn, reason="enough")
    until(lambda: len(list((cloud.data / "efs").glob("*/slow-*"))) == 3, "all are asked", 20)
    cloud.kill()
    cloud.start()
    aws = cloud.client("ecs")
    for arn in arns:
        done = stopped(aws, arn)
        assert (done["stopCode"], done["stoppedReason"]) == ("UserInitiated", "enough")
        assert done["containers"][0]["exitCode"] == 137
        assert (done["executionStoppedAt"] - done["stoppingAt"]).total_seconds() >= 4


def test_what_ends_while_nobody_looks_is_known_right_afterwards(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    script = "echo begins; while [ ! -e /kept/end ]; do sleep 0.05; done; echo ends; exit 5"
    definition = counting(aws, "ends", image, script, **logging("ends"))
    arns = [run(aws, cloud, definition)["taskArn"] for _ in range(3)]
    for arn in arns:
        running(aws, arn)
    (folder,) = (cloud.data / "efs").iterdir()
    pids = processes_of("/kept/end")
    cloud.kill()
    (folder / "end").touch()
    until(lambda: not set(pids) & set(processes_of("/kept/end")), "the containers have ended")
    (folder / "end").unlink()
    cloud.start()
    aws = cloud.client("ecs")
    for arn in arns:
        done = stopped(aws, arn, 20)
        assert done["containers"][0]["exitCode"] == 5
        assert done["stopCode"] == "EssentialContainerExited"
        assert done["stoppedReason"] == "Essential container in task exited"
        assert printed(cloud, f"ends/main/{arn.split('/')[-1]}") == ["begins", "ends"]


def test_a_restart_policy_and_health_checks_go_on(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    check = {"command": ["CMD-SHELL", "test ! -e /tmp/sick"], "interval": 5, "timeout": 2, "retries": 1}
    script = "echo up; trap 'exit 0' TERM; while [ ! -e /tmp/sick2 ]; do sleep 0.1; done; exit 1"
    definition = counting(aws, "checked", image, script, healthCheck=check)
    arn = run(aws, cloud, definition)["taskArn"]
    until(lambda: task(aws, arn).get("healthStatus") == "HEALTHY", "it is healthy", 30)
    cloud.kill()
    cloud.start()
    aws = cloud.client("ecs")
    assert task(aws, arn)["healthStatus"] == "HEALTHY", "what was known is not forgotten"
    (pid,) = processes_of("sick2")
    Path("/proc", str(pid), "root", "tmp", "sick").touch()  # as the task sees it
    until(lambda: task(aws, arn)["healthStatus"] == "UNHEALTHY", "it is not healthy", 30)
    aws.stop_task(task=arn)
    assert stopped(aws, arn)["containers"][0]["exitCode"] == 0


def test_a_container_that_is_killed_from_outside_while_nobody_looks(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    definition = fargate(aws, "shot", shell(image, "echo shot-from-outside; while true; do sleep 0.1; done"))
    arn = run(aws, cloud, definition)["taskArn"]
    running(aws, arn)
    cloud.kill()
    kill_all(processes_of("shot-from-outside"))
    cloud.start()
    done = stopped(cloud.client("ecs"), arn, 20)
    assert done["containers"][0]["exitCode"] == 137
    assert done["stopCode"] == "EssentialContainerExited"
