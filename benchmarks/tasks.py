"""From RunTask to a running process, against `runc run` of the same bundle and against `docker run`; 100 tasks at once.

A task tells that its process runs by making a file in a volume that the machine sees, too.  Rounds take turns.
"""

import contextlib
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import bundles, dockerd, tools

ROUNDS = 11
MANY = 100
BATCH = 10  # the most that one RunTask starts
AT_ONCE = 4  # `runc run` side by side
FILES = "fs-0123456789abcdef0"
REFERENCE = "bench.example/busybox:1"
SECONDS_MAX = 60.0
# It makes its file, and ends as soon as it is asked to: the first process of a container hears only what it listens for.
PROGRAM = "trap 'exit 0' TERM; : > /seen/$MARK; /bin/busybox sleep 300 & wait"
SLEEP = ("/bin/busybox", "sleep", "300")
Row = tuple[str, str, str, float, float, bool]


class Cloud:
    """A cloud with a cluster and a task definition whose tasks make a file, and stay."""

    def __init__(self, endpoint: str, data: Path, archive: Path, child: "subprocess.Popen[str]") -> None:
        self._endpoint = endpoint
        self._pid = child.pid
        self.data = data
        self.seen = data / "efs" / FILES
        self.aws = tools.client("ecs", endpoint)
        tools.client("ecr", endpoint).create_repository(repositoryName="bench")
        words = ["image", "import", str(archive), "bench:1", "--endpoint", endpoint]
        subprocess.run([str(tools.BIN / "cumulo"), *words], check=True, capture_output=True)
        subnet = tools.client("ec2", endpoint).describe_subnets()["Subnets"][0]["SubnetId"]
        self._network = {"awsvpcConfiguration": {"subnets": [subnet]}}
        self.aws.create_cluster(clusterName="default")
        container = {
            "name": "main",
            "image": f"localhost:{urlsplit(endpoint).port}/bench:1",
            "command": ["/bin/busybox", "sh", "-c", PROGRAM],
            "mountPoints": [{"sourceVolume": "seen", "containerPath": "/seen"}],
        }
        self.aws.register_task_definition(
            family="bench",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn="arn:aws:iam::000000000000:role/r",
            volumes=[{"name": "seen", "efsVolumeConfiguration": {"fileSystemId": FILES}}],
            containerDefinitions=[container],
        )

    def run(self, mark: str, count: int = 1) -> list[str]:
        """RunTask; the ARNs."""
        mine = {"name": "main", "environment": [{"name": "MARK", "value": mark}]}
        answer = self.aws.run_task(
            taskDefinition="bench",
            launchType="FARGATE",
            networkConfiguration=self._network,
            count=count,
            overrides={"containerOverrides": [mine]},
        )
        assert not answer["failures"], answer["failures"]
        return [one["taskArn"] for one in answer["tasks"]]

    def start_seconds(self, mark: str) -> tuple[float, str]:
        """From the call to the file; and the task."""
        began = time.perf_counter()
        (arn,) = self.run(mark)
        _until((self.seen / mark).exists, 0.0005)
        return time.perf_counter() - began, arn

    def stop_seconds(self, *arns: str) -> float:
        """From the first StopTask to the last STOPPED."""
        began = time.perf_counter()
        for arn in arns:
            self.aws.stop_task(task=arn)
        pause = 0.002 if len(arns) == 1 else 0.05
        _until(lambda: all(one["lastStatus"] == "STOPPED" for one in self._tasks(arns)), pause)
        return time.perf_counter() - began

    def all_run(self, count: int) -> None:
        """Wait until so many do."""
        _until(lambda: self.aws.describe_clusters()["clusters"][0]["runningTasksCount"] == count, 0.02)

    def resident_kib(self) -> int:
        """What the server has in memory."""
        line = Path(f"/proc/{self._pid}/status").read_text().split("VmRSS:")[1]
        return int(line.split()[0])

    def empty(self) -> None:
        """End every task, however far it has come: those of a cloud with a folder of its own would outlive it."""
        reset(self._endpoint)

    def _tasks(self, arns: tuple[str, ...]) -> list[dict[str, Any]]:
        return list(self.aws.describe_tasks(tasks=list(arns))["tasks"])


def reset(endpoint: str) -> None:
    """POST /_cumulo/reset."""
    request = urllib.request.Request(f"{endpoint}/_cumulo/reset", method="POST")
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=SECONDS_MAX):
        pass


def _until(condition: Any, pause: float) -> None:
    deadline = time.perf_counter() + SECONDS_MAX
    while not condition():
        assert time.perf_counter() < deadline, f"not within {SECONDS_MAX} s"
        time.sleep(pause)


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
        with tools.cumulo("--data", str(data), *options) as (endpoint, child):
            cloud = Cloud(endpoint, data, archive, child)
            runc = None
            try:
                _, first = cloud.start_seconds("first")  # the image is pulled, the engine is open
                config = next((data / "engine" / "pods").glob("*/containers/*/config.json"))
                runc = bundles.Runc(folder / "runc", root, config)
                cloud.stop_seconds(first)
                yield from _one_by_one(cloud, runc, folder, archive)
                yield from _many(cloud, runc)
            finally:
                cloud.empty()
                if runc is not None:
                    runc.close()


def _one_by_one(cloud: Cloud, runc: bundles.Runc, folder: Path, archive: Path) -> Iterator[Row]:
    took: dict[str, list[float]] = {"task": [], "stop": [], "runc": [], "docker": []}
    why_no_docker = dockerd.why_not()
    with contextlib.ExitStack() as stack:
        docker: list[str] = []
        if not why_no_docker:
            docker = ["docker", "--host", stack.enter_context(dockerd.dockerd(folder)).address]
            _call(docker, "load", "--input", str(archive))
            _call(docker, "network", "create", "bench")  # a task has an address of its own, too
        for number in range(ROUNDS):
            seconds, arn = cloud.start_seconds(f"r{number}")
            took["task"].append(seconds)
            took["stop"].append(cloud.stop_seconds(arn))
            took["runc"].append(runc.seconds(*SLEEP, detach=True))
            if docker:
                took["docker"].append(_docker_seconds(docker))
    ms = {name: statistics.median(times) * 1000 for name, times in took.items() if times}
    yield ("RunTask to running process", f"{ms['task']:.1f} ms", f"runc run {ms['runc']:.1f} ms", ms["task"] / ms["runc"], 2, False)  # fmt: skip
    if why_no_docker:
        print(f"docker run: not measured, {why_no_docker}")
    else:
        yield ("  the same against Docker", f"{ms['task']:.1f} ms", f"docker run {ms['docker']:.0f} ms", ms["docker"] / ms["task"], 5, True)  # fmt: skip
    print(f"  {'StopTask to STOPPED':<32} {ms['stop']:>13.1f} ms  (no budget)")


def _docker_seconds(docker: list[str]) -> float:
    limits = ("--cpus", "0.25", "--memory", "512m", "--memory-swap", "512m")
    began = time.perf_counter()
    _call(docker, "run", "--detach", "--name", "bench", "--network", "bench", *limits, REFERENCE, *SLEEP)
    took = time.perf_counter() - began
    _call(docker, "rm", "--force", "bench")
    return took


def _call(docker: list[str], *words: str) -> None:
    done = subprocess.run([*docker, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _many(cloud: Cloud, runc: bundles.Runc) -> Iterator[Row]:
    """100 tasks asked for at once, until all run; against as many `runc run`, as quick as the machine can."""
    floor = runc.many_seconds(MANY, AT_ONCE, *SLEEP)
    before = cloud.resident_kib()
    began = time.perf_counter()
    arns = [arn for _ in range(MANY // BATCH) for arn in cloud.run("many", BATCH)]
    asked = time.perf_counter() - began
    cloud.all_run(MANY)
    took = time.perf_counter() - began
    each = (cloud.resident_kib() - before) / MANY
    stopped = cloud.stop_seconds(*arns)
    yield (f"{MANY} tasks at once, until all run", f"{took:.2f} s", f"{AT_ONCE} x runc run {floor:.2f} s", took / floor, 2, False)  # fmt: skip
    print(f"  asked for in {asked:.2f} s, stopped in {stopped:.2f} s, {each:.0f} KiB of the server each")


if __name__ == "__main__":
    tools.end_orderly()
    for row in rows():
        print(*row)
