"""ECS on Docker: a daemon that dies under tasks, and comes back; and what Docker cannot do is refused by name."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import dockerd as daemons
from tests.containers_kit import BUSYBOX
from tests.ecs_faults_kit import SLEEPS, counting, delete, runs, service, shown, stable, tasks
from tests.ecs_kit import fargate, push_tools, reset, run, running, shell, stopped
from tests.support import Process, until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        bool(daemons.why_not()) or not BUSYBOX, reason=daemons.why_not() or "no static busybox"
    ),
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemons.Daemon]:
    with daemons.dockerd(tmp_path_factory.mktemp("docker")) as made:
        yield made


@pytest.fixture(scope="module")
def cloud(daemon: daemons.Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("cloud")
    server = Process(folder / "data", "--engine", "docker", "--overcommit", "16")
    server.environment = {"DOCKER_HOST": daemon.address}
    server.start()
    try:
        server.client("ecs").create_cluster(clusterName="default")
        yield server
        reset(server)
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]
    finally:
        with contextlib.suppress(Exception):
            server.stop()


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def containers(daemon: daemons.Daemon) -> list[int]:
    """The processes of this daemon's containers."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                entry.name.isdigit()
                and daemon.cgroup in (entry / "cgroup").read_text()
                and daemons.lives(int(entry.name))
            ):
                found.append(int(entry.name))
    return found


def test_a_service_converges_after_the_daemon_died_under_it(
    cloud: Process, image: str, daemon: daemons.Daemon
) -> None:
    aws = cloud.client("ecs")
    service(aws, cloud, "kept", counting(aws, "kept", image, SLEEPS))
    stable(aws, "kept")
    daemon.kill()
    # Clients are answered all the while; new tasks wait for the engine, or end with its name.
    aws.update_service(service="kept", desiredCount=3)
    assert shown(aws, "kept")["desiredCount"] == 3
    daemon.start()
    stable(aws, "kept", 120)
    live = tasks(aws, "kept")
    assert len(live) == 3
    assert all(one["lastStatus"] == "RUNNING" for one in live)
    assert set(runs(cloud).values()) == {1}, "no container of a task ran twice"
    delete(aws, "kept")
    until(lambda: not containers(daemon), "nothing runs any more", 30)


def test_a_server_and_a_daemon_that_die_together(cloud: Process, image: str, daemon: daemons.Daemon) -> None:
    aws = cloud.client("ecs")
    service(aws, cloud, "both", counting(aws, "both", image, SLEEPS))
    stable(aws, "both")
    cloud.kill()
    daemon.kill()
    daemon.start()
    cloud.start()
    aws = cloud.client("ecs")
    stable(aws, "both", 120)
    assert len(tasks(aws, "both")) == 2
    assert set(runs(cloud).values()) == {1}
    delete(aws, "both")
    until(lambda: not containers(daemon), "nothing runs any more", 30)


def test_a_container_that_is_killed_is_replaced(cloud: Process, image: str, daemon: daemons.Daemon) -> None:
    aws = cloud.client("ecs")
    definition = fargate(aws, "shot", shell(image, SLEEPS))
    arn = run(aws, cloud, definition)["taskArn"]
    running(aws, arn)
    for pid in containers(daemon):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    done = stopped(aws, arn)
    assert (done["stopCode"], done["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
