"""AWS Batch at the command line: an array under `wait`, a job that fails, who waits for whom, and what `top` shows of it all."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.batch_kit import ec2_job, environment, fargate_job, queue, submit, succeeded
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, push_tools
from tests.support import CUMULO, Process, until

pytestmark = needs_local
FAIR = {
    "shareDecaySeconds": 600,
    "shareDistribution": [{"shareIdentifier": "red", "weightFactor": 0.5}],
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("batch")
    with a_region(folder / "data", "--overcommit", "16", log=folder / "log") as server:
        environment(server, "fargate")
        queue(server, "light", "fargate", priority=5)
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


def cumulo(cloud: Process, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CUMULO, "batch", *words, "--endpoint", cloud.endpoint],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_waiting_for_an_array_ends_with_it(cloud: Process, image: str) -> None:
    fargate_job(cloud, "works", image, "true")
    name = submit(cloud, "light", "works", "array", arrayProperties={"size": 5})
    waited = cumulo(cloud, "wait", name)
    assert (waited.returncode, waited.stderr) == (0, "")
    assert re.fullmatch(rf"array  {name}  SUCCEEDED  \(5 SUCCEEDED\)(  in [0-9.]+ s)?\n", waited.stdout)


def test_waiting_for_what_fails_says_why(cloud: Process, image: str) -> None:
    fargate_job(cloud, "third", image, "test $AWS_BATCH_JOB_ARRAY_INDEX != 2 || exit 7")
    fargate_job(cloud, "alone", image, "exit 3")
    array = submit(cloud, "light", "third", "array", arrayProperties={"size": 3})
    single = submit(cloud, "light", "alone", "single")
    waited = cumulo(cloud, "wait", array, single)
    assert waited.returncode == 1
    lines = waited.stdout.splitlines()
    assert lines[0].startswith(f"array  {array}  FAILED  (2 SUCCEEDED, 1 FAILED)")
    assert lines[1] == "  Array Child Job failed"
    assert lines[2] == "  2: Essential container in task exited, exit code 7"
    assert lines[3].startswith(f"single  {single}  FAILED")
    assert lines[4] == "  Essential container in task exited, exit code 3"
    assert re.fullmatch("  what it printed: /aws/batch/job alone/default/[0-9a-f]+", lines[5])
    told = [json.loads(line) for line in cumulo(cloud, "wait", array, single, "--json").stdout.splitlines()]
    assert [one["status"] for one in told] == ["FAILED", "FAILED"]
    assert told[0]["failures"][0]["jobId"] == f"{array}:2"
    missing = cumulo(cloud, "wait", "nothing")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "There is no job nothing: it was never submitted here, or is forgotten.\n"


def test_who_waits_for_whom_is_drawn_and_the_rest_is_shown(cloud: Process, image: str) -> None:
    fargate_job(cloud, "long", image, "sleep 600")
    fargate_job(cloud, "quick", image, "true")
    first = submit(cloud, "light", "quick", "first", arrayProperties={"size": 2})
    succeeded(cloud, first)
    second = submit(
        cloud,
        "light",
        "long",
        "second",
        arrayProperties={"size": 2},
        dependsOn=[{"jobId": first, "type": "N_TO_N"}],
    )
    submit(cloud, "light", "quick", "third", dependsOn=[{"jobId": second}])
    over = cumulo(cloud, "wait", second, "--timeout", "0.2")
    assert over.returncode == 124
    drawn = cumulo(cloud, "graph", f"{second}:1")
    assert drawn.returncode == 0, drawn.stderr
    lines = [line.strip() for line in drawn.stdout.splitlines()]
    assert lines[0] == "flowchart LR"
    assert lines[1] == 'j0["first<br/>array of 2: 2 SUCCEEDED"]:::SUCCEEDED'
    assert lines[2].startswith('j1["second<br/>array of 2: 2 ')
    assert lines[3:6] == ['j2["third<br/>PENDING"]:::PENDING', "j0 -->|N_TO_N| j1", "j1 --> j2"]
    whole = cumulo(cloud, "graph", "--queue", "light").stdout
    assert re.search(r"j\d+ -->\|N_TO_N\| j\d+", whole)
    assert '"single<br/>FAILED"' in whole
    cloud.client("batch").terminate_job(jobId=second, reason="enough")


def test_queues_shares_and_instances_are_shown(cloud: Process, image: str) -> None:
    fargate_job(cloud, "lasts", image, "sleep 600")
    array = submit(cloud, "light", "lasts", "array", arrayProperties={"size": 2})
    after = submit(cloud, "light", "lasts", "after", dependsOn=[{"jobId": array}])
    aws = cloud.client("batch")
    policy = aws.create_scheduling_policy(name="fair", fairsharePolicy=FAIR)["arn"]
    environment(cloud, "instances", "EC2")
    queue(cloud, "heavy", "instances", priority=9, schedulingPolicyArn=policy)
    ec2_job(cloud, "works-hard", image, "sleep 600")
    hard = submit(cloud, "heavy", "works-hard", "hard", shareIdentifier="red", schedulingPriorityOverride=1)

    def seen() -> dict[str, Any]:
        return dict(json.loads(cumulo(cloud, "top", "--json").stdout))

    def runs() -> bool:
        heavy, light = seen()["queues"]
        return heavy["jobs"]["RUNNING"] == 1 and light["jobs"]["RUNNING"] == 2

    until(runs, "the jobs run", 60)
    told = seen()
    heavy, light = told["queues"]
    assert (heavy["name"], light["name"]) == ("heavy", "light")
    assert light["jobs"]["PENDING"] == 1
    assert light["minute"]["started"] >= 2
    (share,) = heavy["shares"]
    assert (share["share"], share["weight"], share["running_vcpus"]) == ("red", 0.5, 1.0)
    fargate, instances = told["environments"]
    assert fargate["used_vcpus"] == 0.5
    (instance,) = instances["instances"]
    assert (instance["type"], instance["state"], instance["tasks"]) == ("m5.large", "READY", 1)
    shown = cumulo(cloud, "top").stdout
    for word in ("heavy / red", "light", instance["id"], "m5.large", "FARGATE"):
        assert word in shown, shown
    for job in (array, hard, after):
        aws.terminate_job(jobId=job, reason="enough")


class OnTerminal:
    """A word on a terminal of its own: what it shows, and keys for it."""

    def __init__(self, cloud: Process, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.child = subprocess.Popen(
            [*CUMULO, "batch", *words, "--endpoint", cloud.endpoint],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            close_fds=True,
            env={name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"},
        )
        os.close(theirs)
        self.shown = ""

    def shows(self, text: str) -> bool:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:  # it has ended
                break
        return text in self.shown

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def ends(self) -> int:
        until(lambda: self.shows("") and self.child.poll() is not None, "it ends", 60)
        self.shows("")
        os.close(self._ours)
        return int(self.child.returncode)


def test_on_a_terminal_top_goes_on_until_q_and_wait_draws_a_bar(cloud: Process, image: str) -> None:
    fargate_job(cloud, "rests", image, "sleep 3")
    name = submit(cloud, "light", "rests", "bar", arrayProperties={"size": 2})
    top = OnTerminal(cloud, "top", "--every", "0.2")
    until(lambda: top.shows("RUNNABLE"), "the table is there", 30)
    length = len(top.shown)
    until(lambda: top.shows("QUEUE") and len(top.shown) > length, "it is drawn again", 30)
    top.press("q")
    assert top.ends() == 0, top.shown
    waiting = OnTerminal(cloud, "wait", name)
    until(lambda: waiting.shows("/2"), "the bar is there", 30)
    assert waiting.ends() == 0, waiting.shown
    assert f"bar  {name}  SUCCEEDED  (2 SUCCEEDED)" in waiting.shown
