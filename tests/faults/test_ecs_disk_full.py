"""The disk of the data folder is full: new tasks and services are refused and change nothing, what runs goes on."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import needs_local, pods
from tests.ecs_faults_kit import (
    SLEEPS,
    Balanced,
    delete,
    kill_all,
    processes_of,
    service,
    shown,
    small_disk,
    stable,
    tasks,
    web,
)
from tests.ecs_kit import a_region, fargate, network, push_tools, run, running, shell, stopped
from tests.elb_kit import free_port
from tests.faults.test_containers_disk_full import healthy, leave, make_room
from tests.support import Process, until

DISK_MIB = 384
pytestmark = needs_local


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disk"), DISK_MIB) as mount:
        yield mount


@pytest.fixture(scope="module")
def cloud(disk: Path) -> Iterator[Process]:
    with a_region(disk / "data", "--overcommit", "16", log=disk.parent / "server.log") as server:
        server.client("ecs").create_cluster(clusterName="default")
        try:
            yield server
        finally:
            make_room(disk)
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def until_refused(work: Callable[[int], Any], most: int = 400) -> tuple[int, ClientError]:
    """Do it until the disk refuses; how often it was done, and the error."""
    for number in range(most):
        try:
            work(number)
        except ClientError as error:
            return number, error
    raise AssertionError("the disk never refused")


def check(error: ClientError) -> None:
    """A clear 5xx."""
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
    assert error.response["Error"]["Message"]


def test_new_tasks_and_services_are_refused_and_what_runs_goes_on(
    cloud: Process, disk: Path, image: str
) -> None:
    aws = cloud.client("ecs")
    balanced = Balanced(cloud, free_port())
    service(aws, cloud, "web", web(aws, "web", image, "v1"), loadBalancers=balanced.wanted())
    stable(aws, "web")
    until(lambda: balanced.version() == "v1", "it is served")
    definition = fargate(aws, "more", shell(image, f"echo on-a-full-disk; {SLEEPS}"))
    configuration = network(cloud)
    told: list[str] = []

    def run_task(number: int) -> None:
        answer = aws.run_task(
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=configuration,
            startedBy="x" * 60,
        )
        if number >= 25:
            aws.tag_resource(
                resourceArn=answer["tasks"][0]["taskArn"], tags=[{"key": "k", "value": "v" * 250}]
            )
        told.append(answer["tasks"][0]["taskArn"])

    leave(disk, 0)
    try:
        # The store has some pages in reserve; a description of a cluster fills them without a container.
        _, error = until_refused(lambda n: aws.register_task_definition(family=f"f{n}", containerDefinitions=[shell(image, "x" * 20_000, memory=64)]))  # fmt: skip
        check(error)
        with contextlib.suppress(ClientError):
            run_task(0)
        _, error = until_refused(run_task, 40)
        check(error)
        _, error = until_refused(lambda n: service(aws, cloud, f"new-{n}", definition))
        check(error)
        assert healthy(cloud)
        for _ in range(20):
            assert balanced.version() == "v1"
        listed = set(aws.list_tasks(family="more")["taskArns"]) - {
            one["taskArn"] for name in _services(aws) for one in tasks(aws, name)
        }
        assert listed <= set(told), "what was refused is not there"
        assert "new-0" not in _services(aws) or shown(aws, "new-0")["status"] == "ACTIVE"
    finally:
        make_room(disk)
    for arn in told:
        running(aws, arn)
        aws.stop_task(task=arn)
    for arn in told:
        stopped(aws, arn)
    for name in _services(aws):
        stable(aws, name)
    assert {one for one in _services(aws) if one.startswith("new-")} <= {"new-0", "new-1", "new-2"}
    for name in _services(aws):
        if name != "web":
            delete(aws, name)
    until(lambda: len(pods(cloud.data)) == 2, "only the web's pods are left", 30)


def _services(aws: Any) -> list[str]:
    return [arn.rpartition("/")[2] for arn in aws.list_services()["serviceArns"]]


def test_what_dies_on_a_full_disk_is_replaced_when_there_is_room(
    cloud: Process, disk: Path, image: str
) -> None:
    aws = cloud.client("ecs")
    service(aws, cloud, "dies", fargate(aws, "dies", shell(image, f"echo dies-when-full; {SLEEPS}")))
    stable(aws, "dies")
    before = {one["taskArn"] for one in tasks(aws, "dies")}
    leave(disk, 0)
    try:
        kill_all(processes_of("dies-when-full"))
        until(lambda: not processes_of("dies-when-full"), "both are dead")
        assert healthy(cloud)
    finally:
        make_room(disk)

    def replaced() -> bool:
        now = {one["taskArn"] for one in tasks(aws, "dies") if one["lastStatus"] == "RUNNING"}
        return len(now) == 2 and not now & before

    until(replaced, "both are replaced", 60)
    delete(aws, "dies")


def test_a_restart_on_a_full_disk_loses_no_task(cloud: Process, disk: Path, image: str) -> None:
    aws = cloud.client("ecs")
    definition = fargate(aws, "stays", shell(image, SLEEPS))
    arns = [run(aws, cloud, definition)["taskArn"] for _ in range(3)]
    for arn in arns:
        running(aws, arn)
    leave(disk, 0)
    try:
        cloud.kill()
        with contextlib.suppress(AssertionError):  # an engine that cannot be opened says so
            cloud.start()
    finally:
        make_room(disk)
    assert cloud.child is not None
    with contextlib.suppress(Exception):
        cloud.child.wait(1)
    if cloud.child.poll() is not None:
        cloud.stop()
        cloud.start()
    aws = cloud.client("ecs")
    for arn in arns:
        assert running(aws, arn)["lastStatus"] == "RUNNING"
        aws.stop_task(task=arn)
    for arn in arns:
        assert stopped(aws, arn)["containers"][0]["exitCode"] == 0
    stable(aws, "web")
    delete(aws, "web")
