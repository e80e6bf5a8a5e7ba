"""kill -9 of the server during many short jobs: every job that was submitted ends, and each success is counted once.

CUMULO_KILL_ROUNDS=20 makes it long: 2,000 jobs in 20 rounds.
"""

import contextlib
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.batch_kit import (
    MOUNTED,
    container,
    ec2_job,
    environment,
    fargate_job,
    files,
    job,
    jobs,
    queue,
    submit,
    succeeded,
)
from tests.containers_kit import GONE, needs_local
from tests.ecs_kit import a_region, push_tools
from tests.faults.test_kill_the_server import start_and_kill_early
from tests.support import Process, until

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "3"))
JOBS_OF_ROUND = 100 if ROUNDS >= 20 else 20
pytestmark = needs_local
# A line each time that a container of the job runs.
NOTES = "echo $AWS_BATCH_JOB_ATTEMPT >> /files/$AWS_BATCH_JOB_ID"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    with a_region(tmp_path / "data", "--overcommit", "16", log=tmp_path / "log") as server:
        environment(server, "killed", most=8)
        queue(server, "short", "killed")
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


class Submitter(threading.Thread):
    """Submits single jobs and arrays until it is told to stop, or the server is gone; remembers what was answered."""

    def __init__(self, cloud: Process, most: int) -> None:
        super().__init__()
        self.cloud = cloud
        self.most = most
        self.known: dict[str, int] = {}  # ids, and how many children

    def run(self) -> None:
        """See the class."""
        with contextlib.suppress(*GONE):
            while sum(self.known.values()) < self.most:
                size = 10 if self.most - sum(self.known.values()) >= 20 and len(self.known) % 2 else 1
                more: dict[str, Any] = {"arrayProperties": {"size": size}} if size > 1 else {}
                name = submit(self.cloud, "short", "note", f"n-{uuid.uuid4()}", **more)
                self.known[name] = size


def names_of(known: dict[str, int]) -> list[str]:
    """The jobs that have a container of their own."""
    return [name if size == 1 else f"{name}:{index}" for name, size in known.items() for index in range(size)]


def left(aws: Any, names: list[str]) -> list[dict[str, Any]]:
    """Those that have not succeeded."""
    found = jobs(aws, names)
    assert len(found) == len(names), "a job that was submitted is lost"
    assert not [one for one in found if one["status"] == "FAILED"], [
        (one["statusReason"], one["attempts"]) for one in found if one["status"] == "FAILED"
    ][:3]
    return [one for one in found if one["status"] != "SUCCEEDED"]


def test_no_job_is_lost_or_counted_twice(cloud: Process) -> None:
    source = random.Random(int(os.environ.get("CUMULO_SEED", "7")))
    image = push_tools(cloud)
    fargate_job(cloud, "note", image, NOTES, container=MOUNTED)
    known: dict[str, int] = {}
    for _ in range(ROUNDS):
        submitter = Submitter(cloud, JOBS_OF_ROUND)
        submitter.start()
        time.sleep(source.uniform(0.2, 3.0))
        cloud.kill()
        submitter.join()
        known |= submitter.known
        if source.random() < 0.5:
            start_and_kill_early(cloud, source.uniform(0.2, 1.5))
        cloud.start()
    aws = cloud.client("batch")
    names = names_of(known)
    assert len(names) >= ROUNDS
    until(lambda: not left(aws, names), "all jobs end", 60 + len(names))
    everything = jobs(aws, list(known))
    assert all(one["status"] == "SUCCEEDED" for one in everything)
    ran = Counter({path.name: path.read_text().count("\n") for path in files(cloud).iterdir()})
    twice = {name: ran[name] for name in names if ran[name] != len(job(cloud, name)["attempts"])}
    assert not twice, twice  # each run of a container is an attempt that is known, and no other
    for parent, size in known.items():
        if size > 1:
            summary = job(cloud, parent)["arrayProperties"]["statusSummary"]
            assert summary["SUCCEEDED"] == size
    listed = aws.get_paginator("list_jobs").paginate(jobQueue="short", jobStatus="SUCCEEDED")
    succeeded = [one["jobId"] for page in listed for one in page["jobSummaryList"]]
    assert len(succeeded) == len(set(succeeded))
    assert set(known) <= set(succeeded)
    until(lambda: not tasks_left(cloud), "no task is left", 60)


def test_jobs_on_instances_and_nodes_go_on_after_a_kill(cloud: Process) -> None:
    """Each writes a line when it begins and one when it ends; the kill comes in between."""
    image = push_tools(cloud)
    environment(cloud, "there", "EC2")
    queue(cloud, "heavy", "there")
    script = (
        "echo begun >> /files/$AWS_BATCH_JOB_ID; until [ -e /files/go ]; do sleep 0.1; done; "
        "echo done >> /files/$AWS_BATCH_JOB_ID"
    )
    ec2_job(cloud, "long", image, script, container=MOUNTED)
    ranges = [{"targetNodes": "0:", "container": container(image, script, memory=64, **MOUNTED)}]
    cloud.client("batch").register_job_definition(
        jobDefinitionName="nodes",
        type="multinode",
        nodeProperties={"numNodes": 2, "mainNode": 0, "nodeRangeProperties": ranges},
    )
    single, nodes = submit(cloud, "heavy", "long"), submit(cloud, "heavy", "nodes")
    names = [single, f"{nodes}#0", f"{nodes}#1"]
    until(lambda: all((files(cloud) / name).is_file() for name in names), "all have begun", 60)
    cloud.kill()
    cloud.start()
    assert job(cloud, single)["status"] == "RUNNING"
    (files(cloud) / "go").touch()
    for name in (single, nodes):
        assert len(succeeded(cloud, name)["attempts"]) == 1
    assert (files(cloud) / single).read_text() == "begun\ndone\n"
    assert (files(cloud) / f"{nodes}#0").read_text() == "begun\ndone\n"
    again = succeeded(cloud, submit(cloud, "heavy", "long"))
    before = job(cloud, single)["container"]["containerInstanceArn"]
    assert again["container"]["containerInstanceArn"].split("/")[1] == before.split("/")[1]


def tasks_left(cloud: Process) -> list[str]:
    ecs = cloud.client("ecs")
    return [
        arn
        for cluster in ecs.list_clusters()["clusterArns"]
        for arn in ecs.list_tasks(cluster=cluster)["taskArns"]
    ]
