"""kill -9 of the server in the middle of what services do: they converge, and no task is started twice.

CUMULO_KILL_ROUNDS=50 makes it long.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import GONE, needs_local
from tests.ecs_faults_kit import (
    SLEEPS,
    Balanced,
    counting,
    delete,
    gone,
    runs,
    service,
    shown,
    stable,
    tasks,
    web,
)
from tests.ecs_kit import a_region, push_tools
from tests.elb_kit import free_port
from tests.faults.test_kill_the_server import start_and_kill_early
from tests.support import Process, until

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "2"))
pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("services")
    with a_region(folder / "data", "--overcommit", "16", "--pace", "10", log=folder / "log") as server:
        server.client("ecs").create_cluster(clusterName="default")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


@pytest.fixture
def dice() -> random.Random:
    return random.Random(int(os.environ.get("CUMULO_SEED", "5")))


def started_by(aws: Any, name: str, deployment: str) -> list[dict[str, Any]]:
    """Every task that a deployment has ever started."""
    every = tasks(aws, name) + tasks(aws, name, "STOPPED")
    return [one for one in every if one["startedBy"] == deployment]


def doing(work: Callable[[], Any]) -> threading.Thread:
    """What a client does while the server dies."""

    def run() -> None:
        with contextlib.suppress(*GONE):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_rolling_deployment_behind_a_load_balancer(cloud: Process, image: str, dice: random.Random) -> None:
    aws = cloud.client("ecs")
    balanced = Balanced(cloud, free_port())
    first = web(aws, "rolls", image, "v0")
    service(aws, cloud, "rolls", first, loadBalancers=balanced.wanted(), healthCheckGracePeriodSeconds=60)
    stable(aws, "rolls")
    until(lambda: balanced.version() == "v0", "it is served")
    for round_ in range(1, ROUNDS + 1):
        version = f"v{round_}"
        definition = web(aws, "rolls", image, version)
        aws.update_service(service="rolls", taskDefinition=definition)
        time.sleep(dice.choice([dice.uniform(0, 1), dice.uniform(0, 6)]))
        cloud.kill()
        if round_ % 3 == 2:
            start_and_kill_early(cloud, dice.uniform(0.3, 2.0))
        cloud.start()
        until(balanced.version, "somebody answers at the same address", 30)
        aws = cloud.client("ecs")
        view = stable(aws, "rolls")
        assert view["taskDefinition"] == definition
        made = started_by(aws, "rolls", view["deployments"][0]["id"])
        assert len(made) == 2, [(one["lastStatus"], one.get("stoppedReason")) for one in made]
        assert all(one["lastStatus"] == "RUNNING" for one in made)
        mine = {
            detail["value"]
            for one in made
            for detail in one["attachments"][0]["details"]
            if detail["name"] == "privateIPv4Address"
        }
        until(lambda mine=mine: balanced.targets() == mine, "the targets are its tasks", 20)
        assert {balanced.version() for _ in range(6)} == {version}
    assert set(runs(cloud).values()) == {1}
    delete(aws, "rolls")
    assert balanced.targets() == set()
    cloud.client("elbv2").delete_load_balancer(LoadBalancerArn=balanced.arn)


def test_a_service_that_is_created(cloud: Process, image: str, dice: random.Random) -> None:
    aws = cloud.client("ecs")
    definition = counting(aws, "made", image, SLEEPS)
    for round_ in range(ROUNDS):
        name = f"made-{round_}"
        asking = doing(partial(service, aws, cloud, name, definition, desiredCount=3))
        time.sleep(dice.uniform(0, 1.2))
        cloud.kill()
        asking.join()
        cloud.start()
        aws = cloud.client("ecs")
        if not aws.describe_services(services=[name])["services"]:
            service(aws, cloud, name, definition, desiredCount=3)
        view = stable(aws, name)
        assert len(started_by(aws, name, view["deployments"][0]["id"])) == 3
        delete(aws, name)
    assert set(runs(cloud).values()) == {1}


def test_a_service_that_is_scaled_in_and_out(cloud: Process, image: str, dice: random.Random) -> None:
    aws = cloud.client("ecs")
    service(aws, cloud, "scaled", counting(aws, "scaled", image, SLEEPS), desiredCount=4)
    stable(aws, "scaled")
    kept = {one["taskArn"] for one in tasks(aws, "scaled")}
    for _ in range(max(1, ROUNDS // 2)):
        for count in (1, 4):
            aws.update_service(service="scaled", desiredCount=count)
            time.sleep(dice.uniform(0, 0.8))
            cloud.kill()
            cloud.start()
            aws = cloud.client("ecs")
            stable(aws, "scaled")
            now = {one["taskArn"] for one in tasks(aws, "scaled")}
            assert len(now) == count
            assert (now < kept) if count == 1 else (kept < now), (
                "only what is needless ends, only what is missing begins"
            )
            kept = now
    assert set(runs(cloud).values()) == {1}
    delete(aws, "scaled")


def test_a_service_that_is_deleted(cloud: Process, image: str, dice: random.Random) -> None:
    aws = cloud.client("ecs")
    definition = counting(aws, "goes", image, SLEEPS)
    for round_ in range(ROUNDS):
        name = f"goes-{round_}"
        service(aws, cloud, name, definition, desiredCount=3)
        stable(aws, name)
        asking = doing(partial(aws.delete_service, service=name, force=True))
        time.sleep(dice.uniform(0, 0.8))
        cloud.kill()
        asking.join()
        cloud.start()
        aws = cloud.client("ecs")
        if shown(aws, name)["status"] == "ACTIVE":
            aws.delete_service(service=name, force=True)
        gone(aws, name)
        assert len(tasks(aws, name, "STOPPED")) == 3
