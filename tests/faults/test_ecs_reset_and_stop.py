"""A reset, a stop and an ephemeral cloud while everything runs: nothing is left, and nothing that was kept is lost."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import GONE, needs_local, pods
from tests.ecs_faults_kit import (
    SLEEPS,
    Balanced,
    counting,
    delete,
    post,
    processes_of,
    runs,
    service,
    stable,
    tasks,
    web,
)
from tests.ecs_kit import a_region, fargate, network, push_tools, shell
from tests.elb_kit import free_port
from tests.leftovers import leftovers
from tests.support import Process, until

pytestmark = needs_local


class Crowd:
    """Clients that ask for tasks and services, until told to stop."""

    def __init__(self, cloud: Process, image: str) -> None:
        self.cloud = cloud
        self.stop = threading.Event()
        self.definition = fargate(cloud.client("ecs"), "crowd", shell(image, f"echo in-the-crowd; {SLEEPS}"))
        self.configuration = network(cloud)
        self.threads = [threading.Thread(target=self._loop, args=(number,)) for number in range(3)]
        for thread in self.threads:
            thread.start()

    def _loop(self, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            turn += 1
            with contextlib.suppress(*GONE):
                aws = self.cloud.client("ecs")
                if number == 0 and turn % 3 == 0:
                    aws.create_service(
                        serviceName=f"crowd-{turn}", taskDefinition=self.definition, launchType="FARGATE",
                        networkConfiguration=self.configuration, desiredCount=2,
                    )  # fmt: skip
                else:
                    aws.run_task(
                        taskDefinition=self.definition, launchType="FARGATE",
                        networkConfiguration=self.configuration, count=2,
                    )  # fmt: skip
            self.stop.wait(0.02)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    with a_region(tmp_path / "data", "--overcommit", "16", log=tmp_path / "log") as server:
        server.client("ecs").create_cluster(clusterName="default")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


def test_a_reset_while_everything_runs_leaves_an_empty_cloud(cloud: Process) -> None:
    aws = cloud.client("ecs")
    image = push_tools(cloud)
    balanced = Balanced(cloud, free_port())
    service(aws, cloud, "web", web(aws, "web", image, "v1"), loadBalancers=balanced.wanted())
    stable(aws, "web")
    for _ in range(2):
        crowd = Crowd(cloud, image)
        until(lambda: len(processes_of("in-the-crowd")) > 6, "many run", 30)
        assert post(cloud, "reset") == 200
        crowd.end()
        # What was asked for after the reset finds no cluster; what was under way must not outlive it.
        until(lambda: not pods(cloud.data) and not processes_of("in-the-crowd"), Left(cloud), 20)
        aws = cloud.client("ecs")
        assert aws.list_clusters()["clusterArns"] == []
        assert aws.list_task_definition_families()["families"] == []
        assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
        aws.create_cluster(clusterName="default")
        assert aws.list_tasks()["taskArns"] == []
        assert aws.list_services()["serviceArns"] == []
        image = push_tools(cloud)
    definition = fargate(aws, "after", shell(image, SLEEPS))
    service(aws, cloud, "after", definition)
    stable(aws, "after")
    assert len(pods(cloud.data)) == 2
    assert not (cloud.data / "efs").exists() or not list((cloud.data / "efs").iterdir()), (
        "files are forgotten too"
    )


class Left:
    """A message that is made when it is needed."""

    def __init__(self, cloud: Process) -> None:
        self.cloud = cloud

    def __str__(self) -> str:
        return f"nothing is left: {pods(self.cloud.data)} {processes_of('in-the-crowd')}"


def test_a_stop_while_tasks_start_loses_nothing_and_doubles_nothing(cloud: Process) -> None:
    aws = cloud.client("ecs")
    image = push_tools(cloud)
    definition = counting(aws, "kept", image, SLEEPS)
    service(aws, cloud, "kept", definition, desiredCount=4)
    told: set[str] = set()

    def ask() -> None:
        with contextlib.suppress(*GONE):
            for _ in range(20):
                answer = cloud.client("ecs").run_task(
                    taskDefinition=definition, launchType="FARGATE", networkConfiguration=configuration
                )
                told.update(one["taskArn"] for one in answer["tasks"])

    configuration = network(cloud)
    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: len(told) > 3, "some were told of")
    assert cloud.stop() == 0
    thread.join()
    cloud.start()
    aws = cloud.client("ecs")
    stable(aws, "kept")
    until(lambda: all(one["lastStatus"] == "RUNNING" for one in _described(aws, told)), "all run", 60)
    assert set(runs(cloud).values()) == {1}
    every = aws.list_tasks(family="kept")["taskArns"]
    until(lambda: len(runs(cloud)) == len(every), "each has begun", 20)
    assert len(tasks(aws, "kept")) == 4
    for arn in every:
        if arn not in {one["taskArn"] for one in tasks(aws, "kept")}:
            aws.stop_task(task=arn)
    delete(aws, "kept")


def _described(aws: Any, arns: set[str]) -> list[dict[str, Any]]:
    found = aws.describe_tasks(tasks=sorted(arns))
    assert not found["failures"]
    return list(found["tasks"])


def test_an_ephemeral_cloud_leaves_nothing_whenever_it_is_stopped(tmp_path: Path) -> None:
    for seconds in (0.0, 1.0):
        home = tmp_path / f"t{seconds}"
        home.mkdir()
        cloud = Ephemeral(tmp_path / f"unused-{seconds}", home)
        cloud.start()
        try:
            aws = cloud.client("ecs")
            aws.create_cluster(clusterName="default")
            image = push_tools(cloud)
            balanced = Balanced(cloud, free_port())
            service(aws, cloud, "web", web(aws, "web", image, "v1"), loadBalancers=balanced.wanted())
            crowd = Crowd(cloud, image)
            time.sleep(seconds)
            assert list(home.iterdir()), "its folder is here"
        finally:
            assert cloud.stop() == 0, cloud.log.read_text()[-3000:]
            crowd.end()
        assert list(home.iterdir()) == []
        assert "Traceback" not in cloud.log.read_text(), cloud.log.read_text()[-5000:]
        until(lambda home=home: not leftovers(home), LeftOf(home), 15)


class LeftOf:
    """A message that is made when it is needed."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __str__(self) -> str:
        return f"nothing is left: {leftovers(self.data)}"


class Ephemeral(Process):
    """A cloud without a folder of its own; its temporary one is below `home`."""

    def __init__(self, data: Path, home: Path) -> None:
        super().__init__(data, "--engine", "local", "--overcommit", "16", "--ephemeral")
        self.environment = {"TMPDIR": str(home)}
