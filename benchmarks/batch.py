"""Batch: SubmitJob by the second, and no-op jobs from end to end against a shell loop of `runc run` at the same parallelism.

MiniStack calls a job SUCCEEDED without running anything, so only its SubmitJob can be compared; moto runs jobs in Docker.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import bundles, tools
from benchmarks.tasks import REFERENCE, Row, reset

JOBS = 200
AT_ONCE = 8  # jobs, and calls of `runc run`, side by side
SUBMITTED = 500
SECONDS_MAX = 300.0
NOTHING = ("/bin/busybox", "true")
ROLE = "arn:aws:iam::000000000000:role/r"


class Region:
    """A cloud with a queue on Fargate in which so many jobs run at once."""

    def __init__(self, endpoint: str, archive: Path) -> None:
        self.aws = tools.client("batch", endpoint)
        tools.client("ecr", endpoint).create_repository(repositoryName="bench")
        words = ["image", "import", str(archive), "bench:1", "--endpoint", endpoint]
        subprocess.run([str(tools.BIN / "cumulo"), *words], check=True, capture_output=True)
        ec2 = tools.client("ec2", endpoint)
        places = {
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        }
        resources = {"type": "FARGATE", "maxvCpus": AT_ONCE // 4, **places}
        self.aws.create_compute_environment(
            computeEnvironmentName="bench", type="MANAGED", computeResources=resources
        )
        _until(
            lambda: self.aws.describe_compute_environments()["computeEnvironments"][0]["status"] == "VALID"
        )
        order = [{"order": 1, "computeEnvironment": "bench"}]
        self.aws.create_job_queue(jobQueueName="bench", priority=1, computeEnvironmentOrder=order)
        _until(lambda: self.aws.describe_job_queues()["jobQueues"][0]["status"] == "VALID")
        define(self.aws, f"localhost:{urlsplit(endpoint).port}/bench:1")

    def run(self, size: int) -> float:
        """From SubmitJob of an array to the end of its last child."""
        began = time.perf_counter()
        name = self.aws.submit_job(
            jobName="many", jobQueue="bench", jobDefinition="bench", arrayProperties={"size": size}
        )["jobId"]
        _until(lambda: self._has_ended(name))
        return time.perf_counter() - began

    def _has_ended(self, name: str) -> bool:
        job = self.aws.describe_jobs(jobs=[name])["jobs"][0]
        assert job["status"] != "FAILED", job
        return bool(job["status"] == "SUCCEEDED")


def define(aws: Any, image: str) -> None:
    """Register the definition of a job that does nothing."""
    aws.register_job_definition(
        jobDefinitionName="bench",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={
            "image": image,
            "command": list(NOTHING),
            "executionRoleArn": ROLE,
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
        },
    )


def submits(aws: Any, queue: str, **more: Any) -> float:
    """SubmitJob by the second, by one client."""
    began = time.perf_counter()
    for number in range(SUBMITTED):
        aws.submit_job(jobName=f"job-{number}", jobQueue=queue, jobDefinition="bench", **more)
    return SUBMITTED / (time.perf_counter() - began)


def rows() -> Iterator[Row]:
    """What `Table.row` takes.  Nothing where it cannot be measured."""
    if why_not := bundles.missing():
        print(f"batch: not measured, {why_not}")
        return
    with tempfile.TemporaryDirectory(prefix="cumulo-bench-") as place:
        folder = Path(place)
        root = bundles.busybox_root(folder / "root")
        archive = bundles.archive(root, REFERENCE, folder / "image.tar")
        data = folder / "data"
        with tools.cumulo("--data", str(data), "--engine", "local", "--overcommit", "100") as (endpoint, _):
            runc = None
            try:
                region = Region(endpoint, archive)
                runc = _runc(region, folder, root, data)
                floor = runc.many_seconds(JOBS, AT_ONCE, *NOTHING, detach=False)
                took = region.run(JOBS)
                floor = min(floor, runc.many_seconds(JOBS, AT_ONCE, *NOTHING, detach=False))
                yield (f"Batch: {JOBS} no-op jobs", f"{JOBS / took:.1f}/s", f"{AT_ONCE} x runc run {JOBS / floor:.1f}/s", floor / took, 0.5, True)  # fmt: skip
                yield from _submitting(region)
            finally:
                reset(endpoint)
                if runc is not None:
                    runc.close()


def _runc(region: Region, folder: Path, root: Path, data: Path) -> bundles.Runc:
    """`runc run` of what the engine makes of a job: its bundle is read while it runs."""
    name = region.aws.submit_job(
        jobName="first",
        jobQueue="bench",
        jobDefinition="bench",
        containerOverrides={"command": ["/bin/busybox", "sleep", "300"]},
    )["jobId"]
    pods = data / "engine" / "pods"
    _until(lambda: list(pods.glob("*/containers/*/config.json")))
    runc = bundles.Runc(folder / "runc", root, next(pods.glob("*/containers/*/config.json")))
    region.aws.terminate_job(jobId=name, reason="its bundle was seen")
    _until(lambda: region.aws.describe_jobs(jobs=[name])["jobs"][0]["status"] == "FAILED")
    return runc


def _submitting(region: Region) -> Iterator[Row]:
    """A queue that is not served: what it costs to take a job, and to keep it."""
    region.aws.update_compute_environment(computeEnvironment="bench", state="DISABLED")
    ours = submits(region.aws, "bench")
    with tools.ministack() as (endpoint, _):
        peer = tools.client("batch", endpoint)
        resources = {"type": "FARGATE", "maxvCpus": 4, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]}
        peer.create_compute_environment(
            computeEnvironmentName="bench", type="MANAGED", computeResources=resources
        )
        order = [{"order": 1, "computeEnvironment": "bench"}]
        peer.create_job_queue(jobQueueName="bench", priority=1, computeEnvironmentOrder=order)
        define(peer, "bench:1")
        theirs = submits(peer, "bench")
    yield ("SubmitJob, one client", f"{ours:.0f}/s", f"MiniStack (runs nothing) {theirs:.0f}/s", ours / theirs, 0.3, True)  # fmt: skip


def _until(condition: Any) -> None:
    deadline = time.perf_counter() + SECONDS_MAX
    while not condition():
        assert time.perf_counter() < deadline, f"not within {SECONDS_MAX} s"
        time.sleep(0.02)


if __name__ == "__main__":
    tools.end_orderly()
    for row in rows():
        print(*row)
