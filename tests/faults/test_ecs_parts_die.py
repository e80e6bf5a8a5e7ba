"""What tasks consist of is killed from outside: services replace them and say why, and nothing is left behind."""

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import kill, needs_local, pods
from tests.ecs_faults_kit import (
    SLEEPS,
    counting,
    delete,
    events,
    held,
    kill_all,
    processes_of,
    resident_mib,
    runs,
    service,
    stable,
    tasks,
)
from tests.ecs_kit import a_region, fargate, network, push_tools, run, running, shell, stopped
from tests.support import Process, until

from cumulo.engines.local.opening import instance_of

ROUNDS = int(os.environ.get("CUMULO_LEAK_ROUNDS", "10"))
pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("parts")
    with a_region(folder / "data", "--overcommit", "32", log=folder / "log") as server:
        server.client("ecs").create_cluster(clusterName="default")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def monitors(cloud: Process) -> list[int]:
    """The pids of this cloud's monitors."""
    return _programs(cloud, "conmon")


def _programs(cloud: Process, *names: str) -> list[int]:
    mine = (str(cloud.data).encode(), instance_of(cloud.data / "engine").encode())
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
        except OSError:
            continue
        program = words[0].rpartition(b"/")[2].decode()
        if program in names and any(one in word for one in mine for word in words):
            found.append(int(entry.name))
    return found


def replaced(aws: Any, name: str, before: set[str]) -> bool:
    now = {one["taskArn"] for one in tasks(aws, name) if one["lastStatus"] == "RUNNING"}
    return len(now) == len(before) and not now & before


@pytest.mark.parametrize("victim", ["main", "monitor"])
def test_a_service_replaces_what_was_killed_and_says_why(cloud: Process, image: str, victim: str) -> None:
    aws = cloud.client("ecs")
    name = f"shot-{victim}"
    service(aws, cloud, name, counting(aws, name, image, f"echo {name}; {SLEEPS}"))
    stable(aws, name)
    before = {one["taskArn"] for one in tasks(aws, name)}
    pids = processes_of(name)
    assert len([pid for pid in pids if pid not in monitors(cloud)]) == 2
    kill_all([pid for pid in pids if pid not in monitors(cloud)] if victim == "main" else monitors(cloud))
    until(lambda: replaced(aws, name, before), "both are replaced", 40)
    for arn in before:
        done = stopped(aws, arn)
        (one,) = done["containers"]
        assert (done["stopCode"], done["stoppedReason"]) == ("EssentialContainerExited", "Essential container in task exited")  # fmt: skip
        assert one["exitCode"] == 137, one
        assert ("monitor" in one.get("reason", "")) == (victim == "monitor"), one
    until(lambda: not set(pids) & set(processes_of(name)), "nothing of the dead is left")
    said = events(aws, name)
    assert f"(service {name}) has started 2 tasks" in said or said.count("has started 1 tasks") >= 2
    stable(aws, name)
    delete(aws, name)
    assert set(runs(cloud).values()) == {1}


def test_a_container_that_is_killed_beside_others_ends_its_task(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    definition = fargate(
        aws, "pair",
        shell(image, f"echo pair-first; {SLEEPS}", name="first"),
        shell(image, f"echo pair-second; {SLEEPS}", name="second", essential=False),
    )  # fmt: skip
    arn = run(aws, cloud, definition)["taskArn"]
    running(aws, arn)
    kill_all(_mains("pair-second"))
    until(lambda: _container(aws, arn, "second")["lastStatus"] == "STOPPED", "the second has ended")
    assert aws.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING", "it was not essential"
    kill_all(_mains("pair-first"))
    done = stopped(aws, arn)
    assert done["stopCode"] == "EssentialContainerExited"
    assert {one["name"]: one["exitCode"] for one in done["containers"]} == {"first": 137, "second": 137}


def _mains(mark: str) -> list[int]:
    """Processes of containers with this mark; those that only start or watch them have it too, for a moment."""
    return [
        pid for pid in processes_of(mark) if Path(f"/proc/{pid}/exe").resolve().name == "sh" or _is_shell(pid)
    ]


def _is_shell(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith((b"sh\0", b"/bin/sh\0"))
    except OSError:
        return False


def _container(aws: Any, arn: str, name: str) -> dict[str, Any]:
    (found,) = aws.describe_tasks(tasks=[arn])["tasks"]
    return next(one for one in found["containers"] if one["name"] == name)


def test_runtimes_and_monitors_die_at_any_moment_and_a_service_comes_up_anyway(
    cloud: Process, image: str
) -> None:
    aws = cloud.client("ecs")
    dice = random.Random(3)
    stop = threading.Event()
    killed: list[int] = []

    def killer() -> None:
        while not stop.is_set():
            for pid in _programs(cloud, "crun", "runc", "conmon"):
                if dice.random() < 0.1:
                    kill(pid)
                    killed.append(pid)
            stop.wait(dice.random() * 0.03)

    service(aws, cloud, "hard", counting(aws, "hard", image, SLEEPS), desiredCount=3)
    thread = threading.Thread(target=killer)
    thread.start()
    try:
        until(lambda: len(killed) > 25, "much has died", 40)
    finally:
        stop.set()
        thread.join()
    stable(aws, "hard")
    assert all(count == 1 for count in runs(cloud).values())
    live = {one["taskArn"].split("/")[-1] for one in tasks(aws, "hard")}
    until(lambda: len(pods(cloud.data)) == len(live) == 3, "only the pods of its tasks are there", 20)
    delete(aws, "hard")


def test_many_tasks_started_and_killed_at_once_leave_nothing(cloud: Process, image: str) -> None:
    aws = cloud.client("ecs")
    definition = fargate(aws, "many", shell(image, f"echo many-at-once; {SLEEPS}", stopTimeout=2))

    def round_(kill_them: bool) -> set[str]:
        arns: list[str] = []
        for _ in range(3):
            answer = aws.run_task(taskDefinition=definition, launchType="FARGATE", networkConfiguration=network(cloud), count=10)  # fmt: skip
            assert not answer["failures"], answer["failures"]
            arns += [one["taskArn"] for one in answer["tasks"]]
        described = [running(aws, arn) for arn in arns]
        addresses = {
            one["value"]
            for it in described
            for one in it["attachments"][0]["details"]
            if one["name"] == "privateIPv4Address"
        }
        assert len(addresses) == 30
        if kill_them:
            kill_all(_mains("many-at-once"))
        else:
            for arn in arns:
                aws.stop_task(task=arn)
        for arn in arns:
            stopped(aws, arn)
        until(lambda: not pods(cloud.data), "no pod is left", 30)
        return addresses

    round_(kill_them=True)
    until(lambda: not processes_of("many-at-once"), "nothing runs", 20)
    before, mib = held(cloud), resident_mib(cloud)
    used: set[str] = set()
    for number in range(ROUNDS):
        used |= round_(kill_them=number % 2 == 0)
    until(lambda: _no_more(held(cloud), before), Held(cloud, before), 30)
    grown = resident_mib(cloud) - mib
    print(f"{ROUNDS} rounds of 30 tasks: {grown:.1f} MiB more")
    assert grown < 10 + 3 * ROUNDS, "what is kept of a stopped task is small"


class Held:
    """A message that is made when it is needed."""

    def __init__(self, cloud: Process, before: dict[str, int]) -> None:
        self.cloud = cloud
        self.before = before

    def __str__(self) -> str:
        return f"nothing is held any more: {held(self.cloud)}, before {self.before}"


def _no_more(now: dict[str, int], before: dict[str, int]) -> bool:
    slack = {"threads": 8, "descriptors": 8}
    return all(count <= before.get(kind, 0) + slack.get(kind, 0) for kind, count in now.items())
