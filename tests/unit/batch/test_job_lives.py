"""What becomes of jobs: dependencies, arrays, retries, nodes, and those who want them ended."""

import pytest
from batch_jobs_kit import CONTAINER, EXITED, refused

from cumulo.services.batch.model import Attempt, AttemptContainer
from cumulo.services.batch.plan_events import Ended, Expired, Refused, Stop, Stuck, SubmitArray, TimedOut
from cumulo.services.batch.retry import has_succeeded, is_retried


@pytest.fixture(autouse=True)
def definition(it):
    it.register()


def summary(it, parent):
    counts = it.show(parent)["arrayProperties"]["statusSummary"]
    return {status: count for status, count in counts.items() if count}


# -- dependencies --------------------------------------------------------------------------------------------


def test_a_job_waits_for_all_of_its_dependencies(it):
    first, second = it.submit(), it.submit()
    last = it.submit(dependsOn=[{"jobId": first}, {"jobId": second}])
    assert it.status(last) == "PENDING"
    it.whole_run(first)
    assert it.status(last) == "PENDING"
    it.submitted()
    it.whole_run(second)
    assert it.status(last) == "RUNNABLE"
    assert it.submitted() == [last]


def test_a_failed_dependency_fails_everything_behind_it(it):
    first = it.submit()
    second = it.submit(dependsOn=[{"jobId": first}])
    third = it.submit(dependsOn=[{"jobId": second}])
    array = it.submit(dependsOn=[{"jobId": first}], arrayProperties={"size": 3})
    it.whole_run(first, 1)
    for one in (second, third):
        assert (it.status(one), it.show(one)["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert it.show(array)["statusReason"] == "Array Child Job failed"
    assert it.show(f"{array}:2")["statusReason"] == "Dependent Job failed"
    late = it.submit(dependsOn=[{"jobId": first}])
    assert it.status(late) == "FAILED"


def test_a_dependency_that_has_succeeded_is_no_hindrance(it):
    first = it.submit()
    it.whole_run(first)
    assert it.status(it.submit(dependsOn=[{"jobId": first}])) == "RUNNABLE"


def test_children_wait_for_their_counterparts(it):
    first = it.submit(arrayProperties={"size": 3})
    second = it.submit(arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    last = it.submit(dependsOn=[{"jobId": second}])
    assert summary(it, second) == {"PENDING": 3}
    it.whole_run(f"{first}:1")
    assert summary(it, second) == {"PENDING": 2, "RUNNABLE": 1}
    assert it.status(f"{second}:1") == "RUNNABLE"
    for name in (f"{second}:1", f"{first}:0", f"{first}:2", f"{second}:0", f"{second}:2"):
        it.whole_run(name)
    assert it.status(second) == "SUCCEEDED"
    assert it.status(last) == "RUNNABLE"
    refused(
        it.submit,
        "must be an array job of size 4, and has size 3.",
        arrayProperties={"size": 4},
        dependsOn=[{"jobId": first, "type": "N_TO_N"}],
    )


def test_a_child_without_its_counterpart_fails_and_so_does_its_array(it):
    first = it.submit(arrayProperties={"size": 2})
    second = it.submit(arrayProperties={"size": 2}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    it.whole_run(f"{first}:0", 1)
    assert it.show(f"{second}:0")["statusReason"] == "Dependent Job failed"
    it.whole_run(f"{first}:1")
    it.whole_run(f"{second}:1")
    assert (it.status(first), it.status(second)) == ("FAILED", "FAILED")
    assert summary(it, second) == {"SUCCEEDED": 1, "FAILED": 1}


def test_children_go_one_after_the_other(it):
    array = it.submit(arrayProperties={"size": 4}, dependsOn=[{"type": "SEQUENTIAL"}])
    assert it.submitted() == [f"{array}:0"]
    it.whole_run(f"{array}:0")
    assert it.submitted() == [f"{array}:1"]
    it.whole_run(f"{array}:1", 1)
    assert it.show(f"{array}:3")["statusReason"] == "Dependent Job failed"
    assert it.status(array) == "FAILED"
    assert it.show(array)["dependsOn"] == [{"type": "SEQUENTIAL"}]


# -- arrays --------------------------------------------------------------------------------------------------


def test_an_array_counts_its_children_and_fails_when_all_have_ended(it):
    array = it.submit(arrayProperties={"size": 3})
    assert SubmitArray(array, 3) in it.actions
    it.start(f"{array}:1")
    assert summary(it, array) == {"RUNNABLE": 2, "STARTING": 1}
    it.run(f"{array}:1")
    it.end(f"{array}:1", 3)
    assert it.status(array) == "PENDING"
    for index in (0, 2):
        it.whole_run(f"{array}:{index}")
    shown = it.show(array)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert summary(it, array) == {"SUCCEEDED": 2, "FAILED": 1}
    assert (array, "PENDING", "FAILED") in it.changes


def test_children_are_listed_in_their_states(it, batch):
    array = it.submit(arrayProperties={"size": 4})
    it.start(f"{array}:2")
    it.run(f"{array}:2")
    assert it.listed(arrayJobId=array) == [f"{array}:2"]
    assert it.listed(arrayJobId=array, jobStatus="RUNNABLE") == [f"{array}:{index}" for index in (0, 1, 3)]
    page = batch.list_jobs(arrayJobId=array, jobStatus="RUNNABLE", maxResults=2)
    rest = batch.list_jobs(arrayJobId=array, jobStatus="RUNNABLE", maxResults=2, nextToken=page["nextToken"])
    assert [one["arrayProperties"]["index"] for one in rest["jobSummaryList"]] == [3]
    assert "nextToken" not in rest


# -- retries -------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_followed_by_another(it):
    job = it.submit(retryStrategy={"attempts": 2})
    it.submitted()
    it.whole_run(job, 1)
    assert it.status(job) == "RUNNABLE"
    assert it.submitted() == [job]
    it.start(job)
    assert it.records.get(job).run.token == f"{job}/2"
    it.run(job)
    it.end(job, 1)
    assert it.status(job) == "FAILED"
    assert len(it.show(job)["attempts"]) == 2


def test_conditions_decide_in_their_order():
    spot = {"attempts": 5, "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onExitCode": "4*", "onReason": "x", "action": "exit"},
        {"onReason": "*", "action": "EXIT"},
    ]}  # fmt: skip

    def attempt(status, code, reason=""):
        return Attempt(status_reason=status, containers=(AttemptContainer(exit_code=code, reason=reason),))

    assert is_retried(spot, attempt("Host EC2 (instance i-1) terminated.", None), 1)
    assert not is_retried(spot, attempt(EXITED, 1), 1)
    assert not is_retried(spot, attempt("Host EC2 (instance i-1) terminated.", None), 5)
    code = {"attempts": 5, "evaluateOnExit": [{"onExitCode": "4*", "onReason": "x", "action": "exit"}]}
    assert not is_retried(code, attempt(EXITED, 42, "x"), 1)
    assert is_retried(code, attempt(EXITED, 42, "y"), 1)  # no condition holds
    assert is_retried(code, attempt(EXITED, None, "x"), 1)
    assert not is_retried({}, attempt(EXITED, 1), 1)


def test_several_containers_succeed_together():
    def attempt(*codes, reason=""):
        ends = [AttemptContainer(name=str(n), exit_code=code, reason=reason) for n, code in enumerate(codes)]
        return Attempt(containers=tuple(ends))

    assert has_succeeded(attempt(0, 1), essential=("0",))
    assert has_succeeded(attempt(0, 143))
    assert not has_succeeded(attempt(0, 1))
    assert not has_succeeded(attempt(137, 143))
    assert not has_succeeded(attempt(None))
    assert not has_succeeded(attempt())
    assert not has_succeeded(attempt(0, 137, reason="OutOfMemoryError: container killed due to memory usage"))


def test_a_timeout_is_final(it):
    job = it.submit(retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 60})
    it.start(job)
    it.run(job)
    it.desk.note(TimedOut(job, f"{job}/1"))
    assert it.stops() == [(job, "Job attempt duration exceeded timeout")]
    assert it.status(job) == "RUNNING"
    it.end(job, 137)
    shown = it.show(job)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")


def test_what_comes_too_late_changes_nothing(it):
    job = it.submit(retryStrategy={"attempts": 2})
    it.whole_run(job, 1)
    it.start(job)
    before = it.show(job)
    late = Ended(job=job, token=f"{job}/1", attempt=Attempt())
    assert (
        it.desk.note(late, TimedOut(job, f"{job}/1"), Refused(job, f"{job}/1"))
        == [type(it.desk.note(late)[0])()] * 3
    )
    it.start(job)
    assert it.show(job) == before


def test_a_job_without_room_waits_again(it):
    job = it.submit()
    it.start(job)
    it.desk.note(Refused(job, f"{job}/1"))
    assert it.status(job) == "RUNNABLE"
    assert it.show(job)["attempts"] == []


def test_why_a_job_is_stuck_is_said_and_forgotten(it):
    job = it.submit()
    it.desk.note(Stuck(job, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - x"))
    assert it.show(job)["statusReason"].startswith("CAPACITY:")
    it.start(job)
    assert "statusReason" not in it.show(job)


# -- ending jobs ---------------------------------------------------------------------------------------------


def test_cancel_ends_what_has_not_started(it, batch):
    job = it.submit()
    batch.cancel_job(jobId=job, reason="not now")
    shown = it.show(job)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "not now")
    assert (shown["isCancelled"], shown["isTerminated"]) == (True, False)
    summary_ = batch.list_jobs(jobQueue="queue", jobStatus="FAILED")["jobSummaryList"][0]
    assert summary_["isCancelled"] is True
    assert "isTerminated" not in summary_
    batch.cancel_job(jobId=job, reason="again")
    batch.cancel_job(jobId="nobody", reason="again")
    assert it.show(job)["statusReason"] == "not now"


@pytest.mark.parametrize("running", [False, True])
def test_cancel_leaves_alone_what_has_started_and_terminate_stops_it(it, batch, running):
    job = it.submit(retryStrategy={"attempts": 3})
    it.start(job)
    if running:
        it.run(job)
    before = it.show(job)
    batch.cancel_job(jobId=job, reason="not now")
    assert it.show(job) == before
    batch.terminate_job(jobId=job, reason="enough")
    assert it.stops() == [(job, "enough")]
    assert it.show(job)["isTerminated"] is True
    it.end(job, 0)
    shown = it.show(job)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "enough")
    assert len(shown["attempts"]) == 1


@pytest.mark.parametrize("verb", ["cancel_job", "terminate_job"])
def test_a_pending_job_ends_when_its_dependencies_have(it, batch, verb):
    first = it.submit()
    second = it.submit(dependsOn=[{"jobId": first}])
    getattr(batch, verb)(jobId=second, reason="no need")
    shown = it.show(second)
    assert shown["status"] == "PENDING"
    assert shown["isCancelled"] or shown["isTerminated"]
    it.whole_run(first)
    shown = it.show(second)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "no need")


def test_terminate_takes_the_children(it, batch):
    array = it.submit(arrayProperties={"size": 4})
    it.start(f"{array}:0")
    it.run(f"{array}:0")
    it.whole_run(f"{array}:1")
    batch.terminate_job(jobId=array, reason="enough")
    assert summary(it, array) == {"RUNNING": 1, "SUCCEEDED": 1, "FAILED": 2}
    assert it.stops() == [(f"{array}:0", "enough")]
    assert it.show(f"{array}:3")["isTerminated"] is True
    assert it.status(array) == "PENDING"
    it.end(f"{array}:0", 143)
    shown = it.show(array)
    assert (shown["status"], shown["statusReason"], shown["isTerminated"]) == ("FAILED", "enough", True)


def test_cancel_of_an_array_lets_running_children_go_on(it, batch):
    array = it.submit(arrayProperties={"size": 3})
    it.start(f"{array}:0")
    batch.cancel_job(jobId=array, reason="enough")
    assert summary(it, array) == {"STARTING": 1, "FAILED": 2}
    assert it.stops() == []
    it.run(f"{array}:0")
    it.end(f"{array}:0")
    assert it.show(array)["isCancelled"] is True


def test_one_child_can_be_ended(it, batch):
    array = it.submit(arrayProperties={"size": 2})
    batch.terminate_job(jobId=f"{array}:1", reason="this one")
    assert it.show(f"{array}:1")["statusReason"] == "this one"
    assert it.status(f"{array}:0") == "RUNNABLE"


def test_a_limit_of_the_queue_ends_a_job(it):
    job = it.submit()
    it.desk.note(Expired(job, "CANCEL", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"))
    shown = it.show(job)
    assert shown["statusReason"] == (
        "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    )
    assert shown["isCancelled"] is True


def test_reasons_are_needed(it, batch):
    refused(batch.cancel_job, "Reason must be between 1 and 1024 characters.", jobId="x", reason="")
    refused(batch.terminate_job, "Reason must be between 1 and 1024", jobId="x", reason="r" * 1025)
    refused(batch.terminate_job, "jobId must be provided.", jobId="", reason="r")


# -- nodes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes(it, batch):
    """A job of three nodes, the second one its main node."""
    batch.register_job_definition(
        jobDefinitionName="nodes",
        type="multinode",
        retryStrategy={"attempts": 2},
        nodeProperties={
            "numNodes": 3,
            "mainNode": 1,
            "nodeRangeProperties": [
                {"targetNodes": "0:", "container": {**CONTAINER, "command": ["all"]}},
                {"targetNodes": "2:", "container": {**CONTAINER, "command": ["last"], "memory": 512}},
            ],
        },
    )
    return it.submit(definition="nodes")


def run_nodes(it, job):
    it.start(job, ("i-0", "i-1", "i-2"))
    it.run(f"{job}#1")
    for number in (0, 2):
        it.run(f"{job}#{number}")


def test_the_main_node_starts_first_and_decides(it, nodes):
    it.actions.clear()
    it.start(nodes, ("i-0", "i-1", "i-2"))
    assert it.orders() == [f"{nodes}#1"]
    assert it.status(f"{nodes}#0") == "RUNNABLE"
    it.run(f"{nodes}#1")
    assert it.orders() == [f"{nodes}#{number}" for number in (1, 0, 2)]
    assert it.records.get(f"{nodes}#2").run.instance == "i-2"
    assert it.records.get(f"{nodes}#2").run.token == f"{nodes}/1/2"
    assert it.status(nodes) == "RUNNING"
    for number in (0, 2):
        it.run(f"{nodes}#{number}")
    it.end(f"{nodes}#0", 7)
    assert it.status(nodes) == "RUNNING"
    it.end(f"{nodes}#1", 0)
    assert it.stops() == [(f"{nodes}#2", "The main node has ended")]
    assert it.status(nodes) == "RUNNING"
    it.end(f"{nodes}#2", 137)
    shown = it.show(nodes)
    assert shown["status"] == "SUCCEEDED"
    assert shown["attempts"][0]["container"]["exitCode"] == 0
    assert [it.status(f"{nodes}#{number}") for number in range(3)] == ["FAILED", "SUCCEEDED", "FAILED"]
    assert it.show(f"{nodes}#1")["nodeDetails"] == {"nodeIndex": 1, "isMainNode": True}


def test_all_nodes_run_again_when_the_main_one_failed(it, nodes):
    run_nodes(it, nodes)
    for number in (0, 2):
        it.end(f"{nodes}#{number}", 0)
    it.submitted()
    it.end(f"{nodes}#1", 1)
    assert it.status(nodes) == "RUNNABLE"
    assert it.submitted() == [nodes]
    assert {it.status(f"{nodes}#{number}") for number in range(3)} == {"RUNNABLE"}
    run_nodes(it, nodes)
    for number in (0, 1, 2):
        it.end(f"{nodes}#{number}", 1)
    assert it.status(nodes) == "FAILED"
    assert len(it.show(nodes)["attempts"]) == len(it.show(f"{nodes}#2")["attempts"]) == 2


def test_terminate_stops_every_node(it, batch, nodes):
    run_nodes(it, nodes)
    batch.terminate_job(jobId=nodes, reason="enough")
    assert [name for name, _ in it.stops()] == [f"{nodes}#{number}" for number in range(3)]
    for number in range(3):
        it.end(f"{nodes}#{number}", 143)
    shown = it.show(nodes)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "enough")


def test_nodes_have_what_their_range_says(it, nodes):
    assert it.show(f"{nodes}#0")["container"]["command"] == ["all"]
    assert it.show(f"{nodes}#2")["container"]["command"] == ["last"]
    ranges = it.show(nodes)["nodeProperties"]["nodeRangeProperties"]
    assert [one["container"]["memory"] for one in ranges] == [128, 512]
    from cumulo.services.batch.needs import need_of

    job = it.records.get(nodes)
    need = need_of(it.definitions.by_arn(job.definition), job)
    assert (need.memory, need.nodes) == (512, 3)


def test_nodes_are_listed(it, nodes):
    run_nodes(it, nodes)
    assert it.listed(multiNodeJobId=nodes) == [f"{nodes}#{number}" for number in range(3)]
    assert it.listed(jobQueue="queue") == [nodes]


def test_the_number_of_nodes_can_be_overridden_where_a_range_is_open(it, nodes):
    over = {
        "numNodes": 5,
        "nodePropertyOverrides": [{"targetNodes": "2:", "containerOverrides": {"command": ["other"]}}],
    }
    job = it.submit(definition="nodes", nodeOverrides=over)
    assert it.show(job)["nodeProperties"]["numNodes"] == 5
    assert it.show(f"{job}#4")["container"]["command"] == ["other"]
    refused(it.submit, "Main node index is out of range", definition="nodes", nodeOverrides={"numNodes": 1})
    bad = {"nodePropertyOverrides": [{"targetNodes": "0:0"}]}
    refused(
        it.submit,
        "NodeOverride targets should match job definition. Non matching targets - 0:0",
        definition="nodes",
        nodeOverrides=bad,
    )
    refused(it.submit, "cannot be multi-node", definition="nodes", arrayProperties={"size": 2})


# -- keeping -------------------------------------------------------------------------------------------------


def test_jobs_are_forgotten_a_week_after_their_end(it):
    import asyncio

    array = it.submit(arrayProperties={"size": 3})
    single = it.submit()
    waits = it.submit(dependsOn=[{"jobId": single}, {"jobId": array}])
    for index in range(3):
        it.whole_run(f"{array}:{index}")
    it.clock.advance(7 * 24 * 3600)
    assert asyncio.run(it.desk.forget()) == 0
    it.clock.advance(2 * 3600)
    assert it.records.forget(int(it.clock.now() * 1000), most=2) == 2
    assert it.status(array) == "SUCCEEDED"
    assert asyncio.run(it.desk.forget()) == 2
    assert it.client.describe_jobs(jobs=[array, f"{array}:0"])["jobs"] == []
    assert it.status(single) == "RUNNABLE"
    it.whole_run(single)
    assert it.status(waits) == "RUNNABLE"
    it.reopen()
    assert asyncio.run(it.desk.forget()) == 0


def test_after_a_restart_what_was_asked_is_asked_again(it, batch):
    single = it.submit()
    array = it.submit(arrayProperties={"size": 3})
    stopping = it.submit()
    it.start(stopping)
    it.run(stopping)
    batch.terminate_job(jobId=stopping, reason="enough")
    it.start(f"{array}:1")
    it.reopen()
    again = it.desk.unfinished()
    assert {one.job for one in again if type(one).__name__ == "Submit"} == {
        single,
        f"{array}:0",
        f"{array}:2",
    }
    assert [one.job for one in again if type(one).__name__ == "Order"] == [f"{array}:1"]
    assert Stop(stopping, f"{stopping}/1", f"arn:task/{stopping}", "enough") in again
