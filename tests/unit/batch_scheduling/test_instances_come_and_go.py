"""How many instances there are: for what waits, for the minimum, for a while after."""

from batch_scheduling_kit import LARGE, SMALL, Desk

from cumulo.services.batch.scheduling.facts import Need


def a_desk(**fields):
    desk = Desk()
    desk.environment(**fields)
    desk.queue()
    return desk


def test_what_waits_is_counted_once_while_instances_are_on_their_way():
    desk = a_desk(kinds=(SMALL,))
    desk.submit("a", "b", "c")
    assert desk.launches() == [("m5.large", 2)]
    assert desk.launches() == []
    desk.launched(SMALL, 2)
    assert desk.launches() == []
    desk.submit("d")
    assert desk.launches() == []
    desk.submit("e")
    assert desk.launches() == [("m5.large", 1)]
    assert desk.scheduler.vcpus("ce") == 6000


def test_the_maximum_holds_and_the_next_environment_takes_the_rest():
    desk = Desk()
    desk.environment("first", max_vcpus=4000, kinds=(SMALL,))
    desk.environment("second", max_vcpus=8000, kinds=(SMALL,))
    desk.queue("q", "first", "second")
    desk.submit(*(f"j{number}" for number in range(100)))
    assert [(one.environment, one.count) for one in desk.decide()] == [("first", 2), ("second", 4)]


def test_a_job_of_a_million_children_is_no_more_work_than_one():
    desk = a_desk(max_vcpus=1_000_000, kinds=(LARGE,))
    desk.scheduler.submit_array("a", range(1_000_000), "q", Need(vcpus=1000, memory=1), now=0.0)
    assert desk.launches() == [("m5.4xlarge", 62)]
    assert desk.scheduler.waiting("q") == 1_000_000


def test_instances_are_launched_for_all_nodes_less_those_that_are_idle():
    desk = a_desk(kinds=(LARGE,))
    desk.room("i")
    desk.submit("gang", need=Need(vcpus=2000, memory=1, nodes=3))
    assert desk.launches() == [("m5.4xlarge", 2)]
    assert desk.terminated(1000.0) == []  # the idle one is kept for it


def test_the_minimum_is_there_without_jobs_even_when_disabled_and_kept():
    desk = a_desk(min_vcpus=4000, kinds=(SMALL,), open=False)
    assert desk.launches() == [("m5.large", 2)]
    desk.launched(SMALL, 2)
    for number in range(3):
        desk.room(f"i{number}", SMALL)
    assert len(desk.terminated(60.0)) == 1
    assert desk.terminated(600.0) == []
    desk.environment(min_vcpus=0, kinds=(SMALL,), open=False)
    assert len(desk.terminated(60.0)) == 2


def test_what_a_client_desires_is_launched_once_and_goes_when_idle():
    desk = a_desk(kinds=(SMALL,))
    desk.environment(kinds=(SMALL,), desired_vcpus=4000)
    assert desk.launches() == [("m5.large", 2)]
    desk.launched(SMALL, 2)
    desk.room("i1", SMALL)
    desk.room("i2", SMALL)
    assert sorted(desk.terminated(60.0)) == ["i1", "i2"]
    desk.scheduler.remove_room("ce", "i1")
    desk.scheduler.remove_room("ce", "i2")
    assert desk.decide(600.0) == []


def test_an_idle_instance_goes_after_its_time_and_one_that_runs_something_never():
    desk = a_desk(kinds=(SMALL,), idle_seconds=60.0)
    desk.room("i1", SMALL)
    desk.room("i2", SMALL)
    desk.submit("a")
    assert desk.started(30.0) == ["a"]
    assert desk.scheduler.due_at() == 60.0
    assert desk.terminated(30.0) == ["i2"]
    assert desk.scheduler.vcpus("ce") == 2000
    assert desk.terminated(1000.0) == []
    desk.ended("a")
    assert desk.terminated(59.0) == []
    assert desk.terminated(1.0) == ["i1"]


def test_a_draining_instance_gets_nothing_and_goes_as_soon_as_it_is_empty():
    desk = a_desk(kinds=(SMALL,), min_vcpus=2000, max_vcpus=8000)
    desk.room("old", SMALL)
    desk.submit("a")
    assert desk.started() == ["a"]
    desk.room("old", SMALL, ready=False, draining=True)
    desk.submit("b")
    assert desk.launches() == [("m5.large", 1)]
    desk.ended("a")
    assert desk.terminated() == ["old"]


def test_one_that_is_not_ready_is_counted_and_given_no_tasks():
    desk = a_desk(kinds=(SMALL,))
    desk.submit("a")
    assert desk.launches() == [("m5.large", 1)]
    desk.launched(SMALL, 1)
    desk.room("i", SMALL, ready=False)
    assert desk.decide() == []
    desk.room("i", SMALL)
    assert desk.started() == ["a"]


def test_what_never_arrives_is_launched_anew():
    desk = a_desk(kinds=(SMALL,))
    desk.submit("a")
    assert desk.launches() == [("m5.large", 1)]
    desk.launched(SMALL, 1)
    assert desk.launches(299.0) == []
    assert desk.launches(1.0) == [("m5.large", 1)]


def test_an_instance_that_goes_is_replaced_for_what_waits():
    desk = a_desk(kinds=(SMALL,), kind="SPOT", max_vcpus=2000)
    desk.room("i", SMALL)
    desk.submit("a", "b", "c")
    assert desk.started() == ["a", "b"]
    desk.scheduler.remove_room("ce", "i")
    assert desk.launches() == [("m5.large", 1)]
    desk.ended("a", "b")
    assert desk.decide() == []


def test_idle_small_instances_make_way_for_a_head_that_needs_a_large_one():
    desk = a_desk(max_vcpus=16_000, min_vcpus=4000)
    desk.room("i1", SMALL)
    desk.room("i2", SMALL)
    desk.submit("busy")
    assert desk.started() == ["busy"]
    desk.submit("large", need=Need(vcpus=9000, memory=1))
    desk.submit("small", need=Need(vcpus=2000, memory=1))
    assert desk.terminated() == ["i2"]
    assert desk.scheduler.waiting("q") == 2
    desk.ended("busy")
    assert desk.terminated() == ["i1"]
    desk.scheduler.remove_room("ce", "i1")
    assert desk.decide() == []
    desk.scheduler.remove_room("ce", "i2")
    assert desk.launches() == [("m5.4xlarge", 1)]
