"""From RunTask to a running process, against `runc run` of the same bundle and against `docker run`; and 100 tasks at once.

A task tells that its process runs by making a file in a volume that the machine sees, too.  Rounds take turns.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import bundles, dockerd, tools

ROUNDS = 15
MANY = 100
BATCH = 10  # the most that one RunTask starts
FILES = "fs-0123456789abcdef0"
REFERENCE = "bench.example/busybox:1"
SECONDS_MAX = 120.0
# It makes its file, and ends as soon as it is asked to: the first process of a container hears only what it listens for.
PROGRAM = "trap 'exit 0' TERM; : > /seen/$MARK; /bin/busybox sleep 1000 & wait"
Row = tuple[str, str, str, float, float, bool]


class Cloud:
    """A cloud with a cluster and a task definition whose tasks make a file, and stay."""

    def __init__(self, endpoint: str, data: Path, archive: Path) -> None:
        self.data = data
        self.aws = tools.client("ecs", endpoint)
        tools.client("ecr", endpoint).create_repository(repositoryName="bench")
        port = urlsplit(endpoint).port
        image = f"localhost:{port}/bench:1"
        cumulo = [
            str(tools.BIN / "cumulo"),
            "image",
            "import",
            str(archive),
            "bench:1",
            "--endpoint",
            endpoint,
        ]
        subprocess.run(cumulo, check=True, capture_output=True)
        subnet = tools.client("ec2", endpoint).describe_subnets()["Subnets"][0]["SubnetId"]
        self.network = {"awsvpcConfiguration": {"subnets": [subnet]}}
        self.aws.create_cluster(clusterName="default")
        self.aws.register_task_definition(
            family="bench",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn="arn:aws:iam::000000000000:role/r",
            volumes=[{"name": "seen", "efsVolumeConfiguration": {"fileSystemId": FILES}}],
            containerDefinitions=[
                {
                    "name": "main",
                    "image": image,
                    "command": ["/bin/busybox", "sh", "-c", PROGRAM],
                    "stopTimeout": 5,
                    "mountPoints": [{"sourceVolume": "seen", "containerPath": "/seen"}],
                }
            ],
        )  # fmt: skip
        self.seen = data / "efs" / FILES

    def run(self, mark: str, count: int = 1) -> list[str]:
        """RunTask; the ARNs."""
        overrides = {
            "containerOverrides": [{"name": "main", "environment": [{"name": "MARK", "value": mark}]}]
        }
        answer = self.aws.run_task(
            taskDefinition="bench", launchType="FARGATE", networkConfiguration=self.network, count=count, overrides=overrides
        )  # fmt: skip
        assert not answer["failures"], answer["failures"]
        return [one["taskArn"] for one in answer["tasks"]]

    def seconds(self, mark: str) -> tuple[float, str]:
        """From the call to the file; and the task."""
        began = time.perf_counter()
        (arn,) = self.run(mark)
        _until((self.seen / mark).exists)
        return time.perf_counter() - began, arn

    def running(self) -> int:
        found: dict[str, Any] = self.aws.describe_clusters()["clusters"][0]
        return int(found["runningTasksCount"])

    def stop(self, arns: list[str]) -> None:
        """Stop tasks, and wait until they are gone."""
        for arn in arns:
            self.aws.stop_task(task=arn)
        for some in _batches(arns, 100):
            _until(lambda tasks=list(some): all(one["lastStatus"] == "STOPPED" for one in self._tasks(tasks)))

    def _tasks(self, arns: list[str]) -> list[dict[str, Any]]:
        return list(self.aws.describe_tasks(tasks=arns)["tasks"])


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _until(condition: Any) -> None:
    deadline = time.perf_counter() + SECONDS_MAX
    while not condition():
        assert time.perf_counter() < deadline, "not within two minutes"
        time.sleep(0.0005)


def rows() -> Iterator[Row]:
    """What `Table.row` takes.  Nothing where it cannot be measured."""
    if why_not := bundles.missing():
        print(f"tasks: not measured, {why_not}")
        return
    with tempfile.TemporaryDirectory(prefix="cumulo-bench-") as place:
        folder = Path(place)
        root = bundles.busybox_root(folder / "root")
        archive = bundles.archive(root, REFERENCE, folder / "image.tar")
        data = folder / "data"
        options = ("--engine", "local", "--overcommit", "100")
        with tools.cumulo("--data", str(data), *options) as (endpoint, _):
            cloud = Cloud(endpoint, data, archive)
            try:
                yield from _one_by_one(cloud, folder, root, archive)
                yield from _many(cloud)
            finally:
                cloud.stop(cloud.aws.list_tasks()["taskArns"])


def _one_by_one(cloud: Cloud, folder: Path, root: Path, archive: Path) -> Iterator[Row]:
    _, first = cloud.seconds("first")  # the image is pulled, the engine is open
    config = next((cloud.data / "engine" / "pods").glob("*/containers/*/config.json"))
    runc = bundles.Runc(folder / "runc", root, config)
    cloud.stop([first])
    why_no_docker = __import__("os").environ.get("NODOCKER") or dockerd.why_not()
    took: dict[str, list[float]] = {"task": [], "runc": [], "docker": []}

    def rounds(docker: list[str] | None) -> None:
        for number in range(ROUNDS):
            seconds, arn = cloud.seconds(f"r{number}")
            took["task"].append(seconds)
            cloud.stop([arn])
            took["runc"].append(runc.seconds("/bin/busybox", "sleep", "600", detach=True))
            if docker is not None:
                took["docker"].append(_docker_seconds(docker))

    try:
        if why_no_docker:
            rounds(None)
        else:
            with dockerd.dockerd(folder) as daemon:
                command = ["docker", "--host", daemon.address]
                subprocess.run([*command, "load", "--input", str(archive)], check=True, capture_output=True)
                rounds(command)
    finally:
        runc.close()
    ms = {name: statistics.median(times) * 1000 for name, times in took.items() if times}
    yield ("RunTask to running process", f"{ms['task']:.1f} ms", f"runc run {ms['runc']:.1f} ms", ms["task"] / ms["runc"], 2, False)  # fmt: skip
    if why_no_docker:
        print(f"docker run: not measured, {why_no_docker}")
    else:
        yield ("  the same against Docker", f"{ms['task']:.1f} ms", f"docker run {ms['docker']:.0f} ms", ms["docker"] / ms["task"], 5, True)  # fmt: skip


def _docker_seconds(command: list[str]) -> float:
    began = time.perf_counter()
    limits = ("--cpus", "0.25", "--memory", "512m", "--memory-swap", "512m")
    argv = [
        *command,
        "run",
        "--detach",
        "--name",
        "bench",
        *limits,
        REFERENCE,
        "/bin/busybox",
        "sleep",
        "600",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    took = time.perf_counter() - began
    subprocess.run([*command, "rm", "--force", "bench"], check=True, capture_output=True)
    return took


def _many(cloud: Cloud) -> Iterator[Row]:
    """100 tasks asked for at once, until all run; against as many, one after the other."""
    began = time.perf_counter()
    seconds, arn = cloud.seconds("alone")
    cloud.stop([arn])
    began = time.perf_counter()
    arns = [arn for _ in range(MANY // BATCH) for arn in cloud.run("many", BATCH)]
    asked = time.perf_counter() - began
    _until(lambda: cloud.running() == MANY)
    took = time.perf_counter() - began
    cloud.stop(arns)
    print(f"  {MANY} tasks: asked for in {asked * 1000:.0f} ms")
    yield (f"{MANY} tasks at once, until all run", f"{took:.2f} s", f"one by one {seconds * MANY:.2f} s", took / (seconds * MANY), 1, False)  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(*row)
