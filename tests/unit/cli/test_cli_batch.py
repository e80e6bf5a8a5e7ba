"""cumulo batch: what is drawn and told of jobs, and how it waits for them."""

import io
import json
from typing import Any

import pytest
from fake_cloud import Answer, Asked, answer, fake_cloud
from rich.console import Console
from test_cli_reading import say

from cumulo.base.clock import VirtualClock
from cumulo.cli.batch_drawing import connected, draw
from cumulo.cli.batch_graph import with_needs
from cumulo.cli.batch_jobs import STATES, counts_of, reason_of, told_counts
from cumulo.cli.batch_tables import tables
from cumulo.cli.batch_wait import exit_code, report, rows, wait

ENDED_WITH = {
    "statusReason": "Essential container in task exited",
    "container": {"exitCode": 7, "reason": "oops"},
}


def job(name: str, status: str = "PENDING", *needs: Any, **more: Any) -> dict[str, Any]:
    depends = [one if isinstance(one, dict) else {"jobId": one} for one in needs]
    return {"jobId": name, "jobName": name.upper(), "status": status, "dependsOn": depends, **more}


def array(name: str, size: int, *needs: Any, **counts: int) -> dict[str, Any]:
    return job(name, "PENDING", *needs, arrayProperties={"size": size, "statusSummary": counts})


def by_id(*jobs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["jobId"]: one for one in jobs}


# -- the graph -----------------------------------------------------------------------------------------------


def test_boxes_have_states_and_arrows_say_how():
    jobs = [
        array("a", 10, SUCCEEDED=10),
        array("b", 10, {"jobId": "a", "type": "N_TO_N"}, {"type": "SEQUENTIAL"}, RUNNING=3, PENDING=7),
        job("c", "PENDING", "b", "a:4"),
        job("d", "RUNNING", nodeProperties={"numNodes": 3}),
    ]
    assert draw(jobs, limit=9).splitlines()[:8] == [
        "flowchart LR",
        '    j0["A<br/>array of 10: 10 SUCCEEDED"]:::PENDING',
        '    j1["B<br/>array of 10, one after another: 3 RUNNING, 7 PENDING"]:::PENDING',
        '    j2["C<br/>PENDING"]:::PENDING',
        '    j3["D<br/>3 nodes: RUNNING"]:::RUNNING',
        "    j0 -->|N_TO_N| j1",
        "    j1 --> j2",
        "    j0 -->|child 4| j2",
    ]


def test_what_is_forgotten_is_a_box_of_its_own():
    drawn = draw([job("c", "PENDING", "gone-for-long")], limit=9)
    assert '    j1["gone-for<br/>forgotten"]:::GONE' in drawn
    assert "    j1 --> j0" in drawn


def test_no_more_is_drawn_than_was_asked_for_and_what_is_connected_comes_first():
    jobs = [
        *(job(f"alone{number}", createdAt=number) for number in range(50)),
        job("a"),
        job("b", "PENDING", "a"),
    ]
    drawn = draw(jobs, limit=3, notes=["49 jobs are left out."])
    assert drawn.count(":::") == 3
    assert '"A<br/>' in drawn
    assert '"B<br/>' in drawn
    assert drawn.endswith("    %% 49 jobs are left out.")


def test_a_job_is_connected_to_what_is_before_and_after_it_and_to_nothing_else():
    jobs = by_id(job("a"), job("b", "PENDING", "a"), job("c", "PENDING", "b"), job("sibling", "PENDING", "a"))
    assert list(connected(jobs, "b")) == ["a", "b", "c"]


def test_what_jobs_wait_for_is_looked_up_in_other_queues_and_once():
    other = by_id(job("x", "PENDING", "y", "gone"), job("y"))
    asked: list[list[str]] = []

    def look(names: Any) -> dict[str, dict[str, Any]]:
        asked.append(list(names))
        return {name: other[name] for name in names if name in other}

    assert list(with_needs(by_id(job("a", "PENDING", "x")), look)) == ["a", "x", "y"]
    assert asked == [["x"], ["gone", "y"]]


# -- waiting -------------------------------------------------------------------------------------------------


class Going:
    """Jobs that go on with each look."""

    def __init__(self, **lives: list[str]) -> None:
        self.lives = lives
        self.asked: list[list[str]] = []
        self.clock = VirtualClock()

    def look(self, names: Any) -> dict[str, dict[str, Any]]:
        self.asked.append(list(names))
        return {name: job(name, self.lives[name].pop(0)) for name in names}

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        names = list(self.lives)
        return wait(self.look, names, timeout, lambda _: None, self.clock, self.clock.advance)


def test_waiting_ends_with_the_last_and_asks_no_more_for_who_has_ended():
    going = Going(a=["RUNNING", "SUCCEEDED"], b=["PENDING", "RUNNING", "FAILED"])
    found = going.wait()
    assert {name: one["status"] for name, one in found.items()} == {"a": "SUCCEEDED", "b": "FAILED"}
    assert going.asked == [["a", "b"], ["a", "b"], ["b"]]
    assert exit_code(found.values()) == 1


def test_waiting_ends_when_its_time_is_over():
    going = Going(a=["RUNNING"] * 9)
    start = going.clock.monotonic()
    assert exit_code(going.wait(1.25).values()) == 124
    assert going.clock.monotonic() - start == 1.25


def test_all_that_succeed_are_a_success():
    assert exit_code(Going(a=["SUCCEEDED"], b=["SUCCEEDED"]).wait().values()) == 0


def test_the_end_of_a_job_is_told_with_its_reasons():
    failed = job("a", "FAILED", startedAt=1000, stoppedAt=3500) | ENDED_WITH
    failed["container"] = {**failed["container"], "logStreamName": "d/default/1"}
    assert list(report(failed, [])) == [
        "A  a  FAILED  in 2.5 s",
        "  Essential container in task exited, oops, exit code 7",
        "  what it printed: /aws/batch/job d/default/1",
    ]
    whole = array("b", 30, SUCCEEDED=10, FAILED=20) | {
        "status": "FAILED",
        "statusReason": "Array Child Job failed",
    }
    child = {"jobId": "b:3", "arrayProperties": {"index": 3}, **ENDED_WITH}
    assert list(report(whole, [child])) == [
        "B  b  FAILED  (10 SUCCEEDED, 20 FAILED)",
        "  Array Child Job failed",
        "  3: Essential container in task exited, oops, exit code 7",
        "  and 19 more",
    ]


def test_children_that_failed_for_the_same_reason_are_one_line():
    whole = array("b", 30, FAILED=30) | {"status": "FAILED"}
    children = [{"jobId": f"b:{n}", "arrayProperties": {"index": n}, **ENDED_WITH} for n in range(13)]
    children[1] = children[1] | {"container": {}}
    assert list(report(whole, children))[2:] == [
        "  0, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more: Essential container in task exited, oops, exit code 7",
        "  1: Essential container in task exited",
        "  and 17 more",
    ]


def test_bars_are_one_for_each_job_and_one_for_all_of_many():
    few = by_id(array("a", 10, SUCCEEDED=4, RUNNING=6), job("b", "FAILED"))
    assert rows(few) == [("A a", 10, 4, "4 SUCCEEDED, 6 RUNNING"), ("B b", 1, 1, "1 FAILED")]
    many = by_id(*(job(f"j{number}", "SUCCEEDED" if number % 2 else "RUNNING") for number in range(40)))
    assert rows(many) == [("40 jobs", 40, 20, "20 SUCCEEDED, 20 RUNNING")]


def test_counts_that_aws_has_not_made_yet_are_the_arrays_own_state():
    assert counts_of(array("a", 10)) == {"PENDING": 10}
    assert told_counts({"RUNNING": 2, "FAILED": 1, "SUBMITTED": 3}) == "1 FAILED, 2 RUNNING, 3 SUBMITTED"
    assert reason_of({}) == "no reason was given"


def test_the_word_waits_and_ends_as_the_job_did():
    lives = ["RUNNABLE", "RUNNING", "FAILED"]

    def handle(asked: Asked) -> Answer:
        assert asked.path == "/v1/describejobs"
        assert asked.values == {"jobs": ["a"]}
        return answer({"jobs": [job("a", lives.pop(0)) | ENDED_WITH]})

    with fake_cloud(handle) as cloud:
        said = say(cloud, "batch", "wait", "arn:aws:batch:us-east-1:1:job/a")
    assert said.exit_code == 1
    assert "oops, exit code 7" in said.output


def test_a_job_that_is_not_there_is_said():
    with fake_cloud(lambda _: answer({"jobs": []})) as cloud:
        said = say(cloud, "batch", "wait", "x")
    assert said.exit_code == 1
    assert said.output == "There is no job x: it was never submitted here, or is forgotten.\n"


@pytest.mark.parametrize("words", [(), ("a", "--queue", "q")])
def test_a_graph_is_of_a_job_or_of_a_queue(words):
    assert say("http://127.0.0.1:1", "batch", "graph", *words).exit_code == 2


# -- top -----------------------------------------------------------------------------------------------------

PLACE = {"account": "1", "region": "us-east-1", "state": "ENABLED", "status": "VALID", "reason": ""}
QUEUE = {
    **PLACE, "arn": "q", "name": "heavy", "priority": 9, "environments": ["spot"],
    "jobs": dict.fromkeys(STATES, 0) | {"RUNNABLE": 23, "SUCCEEDED": 123456},
    "minute": {"started": 4, "succeeded": 1200, "failed": 2}, "blocked": "MISCONFIGURATION:X",
    "shares": [{"share": "red", "weight": 0.5, "running_vcpus": 4.0, "average_vcpus": 3.25, "waiting": 10}],
}  # fmt: skip
COMING = {"id": "i-2", "type": "m5.large", "state": "STARTING", "tasks": 0, "vcpus": 2.0}
READY = COMING | {
    "id": "i-1",
    "state": "READY",
    "tasks": 1,
    "free_vcpus": 0.5,
    "memory": 8000,
    "free_memory": 7000,
}
ENVIRONMENT = {
    **PLACE, "arn": "e", "name": "spot", "type": "SPOT", "min_vcpus": 0, "max_vcpus": 16, "vcpus": 4.0,
    "used_vcpus": 1.5, "instance_count": 2, "instances": [READY, COMING],
}  # fmt: skip


def printed(seen: dict[str, Any], columns: int = 80) -> list[str]:
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(tables(seen, columns=columns))
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_a_small_terminal_shows_all_figures():
    assert printed({"queues": [QUEUE], "environments": [ENVIRONMENT]}) == [
        "QUEUE PRI PENDING RUNNABLE STARTING RUNNING DONE FAILED /MIN",
        "heavy 9 0 23 0 0 123456 0 1202",
        "heavy: MISCONFIGURATION:X",
        "",
        "SHARE WEIGHT vCPUs AVERAGE RUNNABLE",
        "heavy / red 0.5 4 3.25 10",
        "",
        "ENVIRONMENT TYPE STATE USED vCPUs MAX TASKS FREE MiB",
        "spot SPOT VALID 1.5 4 16 1",
        "i-1 m5.large READY 1.5 2 1 7000",
        "i-2 m5.large STARTING 0 2 0",
    ]


def test_a_wide_one_shows_where_queues_run_and_several_places_are_told_apart():
    lines = printed({"queues": [QUEUE, QUEUE | {"region": "eu-west-1"}], "environments": []}, 140)
    assert lines[0].endswith(" /MIN ON")
    assert lines[1].startswith("1/us-east-1/heavy 9")
    assert lines[2].startswith("1/eu-west-1/heavy 9")
    assert lines[1].endswith(" spot")


def test_an_environment_that_is_invalid_says_why_and_many_instances_are_cut_short():
    many = ENVIRONMENT | {
        "status": "INVALID",
        "reason": "no role",
        "instances": [READY] * 20,
        "instance_count": 300,
    }
    lines = printed({"queues": [], "environments": [many]})
    assert lines[-1] == "spot: no role"
    assert lines[-2] == "and 292 more"


def test_nothing_is_said_in_a_sentence():
    assert printed({"queues": [], "environments": []}) == [
        "There are no job queues and no compute environments."
    ]


def test_the_page_is_shown_as_it_is():
    def handle(asked: Asked) -> Answer:
        assert asked.path.startswith("/_cumulo/batch?account=&region=")
        return answer({"queues": [QUEUE], "environments": []})

    with fake_cloud(handle) as cloud:
        told = say(cloud, "batch", "top", "--json", "--region", "us-east-1")
        assert json.loads(told.output) == {"queues": [QUEUE], "environments": []}
        assert "heavy / red" in say(cloud, "batch", "top").output


def aws_only(asked: Asked) -> Answer:
    """A cloud that has AWS's operations, and no page."""
    arn = "arn:aws:batch:us-east-1:1:"
    target = asked.target or asked.path
    if target.startswith("/_cumulo/"):
        return answer({"message": "not here"}, 403)
    if target == "/v1/describejobqueues":
        order = [{"order": 1, "computeEnvironment": f"{arn}compute-environment/spot"}]
        queue = {"jobQueueArn": f"{arn}job-queue/heavy", "jobQueueName": "heavy", "priority": 9, **PLACE}
        return answer({"jobQueues": [queue | {"computeEnvironmentOrder": order}]})
    if target == "/v1/describecomputeenvironments":
        name = {"computeEnvironmentArn": f"{arn}compute-environment/spot", "computeEnvironmentName": "spot"}
        resources = {"type": "SPOT", "minvCpus": 0, "maxvCpus": 16, "desiredvCpus": 2}
        return answer(
            {"computeEnvironments": [{**PLACE, **name, "computeResources": resources, "ecsClusterArn": "c"}]}
        )
    if target == "/v1/listjobs":
        runs = asked.values["jobStatus"] == "PENDING"
        return answer({"jobSummaryList": [array("a", 5, RUNNING=2, SUCCEEDED=3)] if runs else []})
    if target == "ListContainerInstances":
        return answer({"containerInstanceArns": ["one"]})
    assert target == "DescribeContainerInstances"

    def sized(vcpus: int) -> list[dict[str, Any]]:
        return [{"name": "CPU", "integerValue": vcpus * 1024}, {"name": "MEMORY", "integerValue": 7000}]

    one = {
        "ec2InstanceId": "i-1", "status": "ACTIVE", "runningTasksCount": 2, "pendingTasksCount": 0,
        "registeredResources": sized(2), "remainingResources": sized(1),
        "attributes": [{"name": "ecs.instance-type", "value": "m5.large"}],
    }  # fmt: skip
    return answer({"containerInstances": [one]})


def test_another_cloud_is_asked_through_awss_operations():
    with fake_cloud(aws_only) as cloud:
        told = json.loads(say(cloud, "batch", "top", "--json").output)
        (queue,), (environment,) = told["queues"], told["environments"]
        assert queue["jobs"] == dict.fromkeys(STATES, 0) | {"RUNNING": 2, "SUCCEEDED": 3}
        assert queue["environments"] == ["spot"]
        assert (environment["vcpus"], environment["used_vcpus"]) == (2, 1.0)
        assert environment["instances"][0]["tasks"] == 2
        assert "m5.large" in say(cloud, "batch", "top", "--once").output
        assert (
            json.loads(say(cloud, "batch", "top", "--json", "--region", "eu-west-1").output)["queues"] == []
        )
