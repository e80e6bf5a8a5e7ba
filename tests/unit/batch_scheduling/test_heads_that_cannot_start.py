"""Why a head is stuck, in AWS's words; how long it may be; that its queue waits with it and others do not."""

import pytest
from batch_scheduling_kit import LARGE, ONE, SMALL, Desk

from cumulo.services.batch.scheduling.facts import Expire, Need

MAX_RESOURCE = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU"
    " requirement of the job."
)
REQUIREMENT = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can"
    " be met by the CE(s) attached to the job queue."
)
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]"


def a_desk(**fields):
    desk = Desk()
    desk.environment(**fields)
    desk.queue()
    return desk


@pytest.mark.parametrize(
    ("fields", "need", "reason"),
    [
        ({"max_vcpus": 8000}, Need(vcpus=9000, memory=1), MAX_RESOURCE),
        ({"max_vcpus": 8000, "kind": "FARGATE"}, Need(vcpus=9000, memory=1), MAX_RESOURCE),
        ({"max_vcpus": 8000}, Need(vcpus=3000, memory=1), MAX_RESOURCE),  # BEST_FIT: 16 vCPUs are too many
        ({"max_vcpus": 16_000}, Need(vcpus=1000, memory=9000, nodes=2), MAX_RESOURCE),
        ({}, Need(vcpus=17_000, memory=1), REQUIREMENT),
        ({}, Need(vcpus=1000, memory=65_000), REQUIREMENT),
        ({}, Need(vcpus=1000, memory=1, gpus=1), REQUIREMENT),
        ({"kind": "SPOT"}, Need(vcpus=1000, memory=1, nodes=2), REQUIREMENT),
        ({"invalid": True}, ONE, "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."),
    ],
)
def test_what_can_never_start_says_why(fields, need, reason):
    desk = a_desk(**fields)
    desk.submit("a", need=need)
    assert desk.told() == [("a", reason)]
    assert desk.launches() == []
    assert desk.told() == []


def test_a_progressive_environment_may_exceed_its_maximum_for_it():
    desk = a_desk(max_vcpus=8000, strategy="BEST_FIT_PROGRESSIVE")
    desk.submit("a", need=Need(vcpus=3000, memory=1))
    assert desk.launches() == [("m5.4xlarge", 1)]


def test_it_blocks_its_queue_until_it_is_withdrawn_and_no_other_queue():
    desk = a_desk(kind="FARGATE", max_vcpus=4000)
    desk.queue("low", priority=0)
    desk.submit("never", need=Need(vcpus=9000, memory=1))
    desk.submit("behind")
    desk.submit("other", queue="low")
    assert desk.started() == ["other"]
    desk.scheduler.withdraw("never")
    assert desk.started() == ["behind"]


def test_it_can_again_when_the_environment_is_made_larger():
    desk = a_desk(kind="FARGATE", max_vcpus=4000)
    desk.submit("a", need=Need(vcpus=5000, memory=1))
    assert desk.told() == [("a", MAX_RESOURCE)]
    desk.environment(kind="FARGATE", max_vcpus=5000)
    assert desk.started() == ["a"]


def test_failed_launches_are_a_reason_until_one_succeeds():
    desk = a_desk()
    desk.submit("a")
    assert desk.launches() == [("m5.large", 1)]
    desk.failed(SMALL, 1)
    assert desk.told() == [("a", CAPACITY)]
    assert desk.launches(10.0) == [("m5.large", 1)]
    desk.failed(SMALL, 1)
    assert desk.told() == []
    assert desk.launches(19.0) == []
    assert desk.launches(1.0) == [("m5.large", 1)]
    desk.launched(SMALL, 1)
    assert desk.told() == [("a", "")]
    desk.room("i", SMALL)
    assert desk.started() == ["a"]


def test_progressive_takes_the_next_type_and_is_stuck_when_none_is_left():
    desk = a_desk(strategy="BEST_FIT_PROGRESSIVE")
    desk.submit("a")
    assert desk.launches() == [("m5.large", 1)]
    desk.failed(SMALL, 1)
    actions = desk.decide()
    assert [(one.kind, one.count) for one in actions] == [("m5.4xlarge", 1)]
    desk.failed(LARGE, 1)
    ((job, reason),) = desk.told()
    assert job == "a"
    assert reason.startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")


def test_failed_launches_are_no_reason_while_something_runs_whose_place_it_can_have():
    desk = a_desk()
    desk.room("i", SMALL)
    desk.submit("a", "b", "c")
    assert desk.started() == ["a", "b"]
    desk.failed(SMALL, 1)
    assert desk.told() == []
    desk.ended("a")
    assert desk.started() == ["c"]


def test_a_limit_of_its_reason_cancels_the_head_and_the_next_one_has_its_own_time():
    desk = Desk()
    desk.environment(max_vcpus=8000)
    reason = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    desk.queue(limits=(("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", 600, "CANCEL"), (reason, 700, "CANCEL")))
    desk.submit("a", "b", need=Need(vcpus=9000, memory=1))
    assert desk.told() == [("a", MAX_RESOURCE)]
    assert desk.scheduler.due_at() == 700
    assert desk.expired(699.0) == []
    assert desk.expired(1.0) == [Expire("a", "CANCEL", reason)]
    assert desk.scheduler.waiting("q") == 1
    assert desk.expired(699.0) == []
    assert desk.expired(1.0) == [Expire("b", "CANCEL", reason)]


def test_no_limit_strikes_when_it_could_start_in_time():
    desk = Desk()
    desk.environment(kind="FARGATE", max_vcpus=8000)
    desk.queue(limits=(("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", 600, "CANCEL"),))
    desk.submit("a", need=Need(vcpus=9000, memory=1))
    desk.decide()
    desk.environment(kind="FARGATE", max_vcpus=9000)
    assert desk.started(300.0) == ["a"]
    assert desk.expired(300.0) == []
