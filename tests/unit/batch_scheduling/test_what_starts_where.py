"""Queues, environments, nodes: which job starts, and where."""

from batch_scheduling_kit import LARGE, ONE, SMALL, Desk

from cumulo.services.batch.scheduling.environments import PASSES_MAX
from cumulo.services.batch.scheduling.facts import Fair, Need, Start


def a_desk(**fields):
    desk = Desk()
    desk.environment(**fields)
    desk.queue()
    return desk


def test_a_queue_of_higher_priority_goes_first_and_equal_ones_by_the_age_of_their_heads():
    desk = a_desk(kind="UNMANAGED", kinds=())
    desk.queue("high", priority=2)
    desk.queue("same")
    desk.submit("a")
    desk.now = 1
    desk.submit("b", queue="same")
    desk.now = 2
    desk.submit("c")
    desk.submit("d", queue="high")
    desk.room("i")
    assert desk.started() == ["d", "a", "b", "c"]


def test_the_first_environment_with_room_is_taken_and_a_disabled_one_is_not():
    desk = Desk()
    desk.environment("first", "FARGATE", max_vcpus=1000)
    desk.environment("second", "FARGATE", max_vcpus=1000)
    desk.queue("q", "first", "second")
    desk.submit("a", "b", "c")
    assert [(one.job, one.environment) for one in desk.decide()] == [("a", "first"), ("b", "second")]
    desk.environment("first", "FARGATE", max_vcpus=1000, open=False)
    desk.ended("a", "b")
    assert desk.decide() == [Start("c", "second", ("",))]


def test_no_more_is_started_than_asked_for_and_the_rest_comes_at_once():
    desk = a_desk(kind="FARGATE")
    desk.submit(*(f"j{number}" for number in range(10)))
    assert len(desk.decide(starts_max=4)) == 4
    assert desk.scheduler.due_at() == desk.now
    assert len(desk.decide(starts_max=40)) == 6
    assert desk.scheduler.due_at() is None


def test_nodes_start_all_or_none_each_with_an_instance_to_itself():
    desk = a_desk(min_vcpus=48_000)
    desk.room("i1")
    desk.room("i2")
    desk.submit("small")
    assert desk.started() == ["small"]
    desk.submit("gang", need=Need(vcpus=1000, memory=1000, nodes=2))
    assert desk.started() == []
    desk.room("i3")
    (start,) = [one for one in desk.decide() if isinstance(one, Start)]
    assert sorted(start.instances) == ["i2", "i3"]
    desk.submit("more", *(f"m{number}" for number in range(20)))
    assert len(desk.started()) == 15  # what the small one left of i1; the nodes' instances are theirs
    desk.ended("gang")
    assert len(desk.started()) == 6


def test_two_gangs_do_not_each_keep_half_of_the_instances():
    desk = a_desk(max_vcpus=64_000)
    desk.queue("other")
    for number in range(4):
        desk.room(f"i{number}")
    desk.submit(*(f"s{number}" for number in range(64)))
    assert len(desk.started()) == 64
    gang = Need(vcpus=1000, memory=1000, nodes=3)
    desk.submit("gang1", need=gang)
    desk.submit("gang2", queue="other", need=gang)
    assert desk.started() == []
    for number in range(64):
        desk.ended(f"s{number}")
        started = desk.started()
        if started:
            break
    assert started == ["gang1"]
    desk.ended(*(f"s{number}" for number in range(64)))
    assert desk.started() == []
    desk.ended("gang1")
    assert desk.started() == ["gang2"]


def test_a_head_that_waits_is_passed_by_what_does_not_take_its_place_and_only_so_often():
    desk = a_desk(kind="UNMANAGED", kinds=())
    desk.room("i1")
    desk.room("i2")
    desk.submit("long1", "long2", need=Need(vcpus=9000, memory=1))
    assert desk.started() == ["long1", "long2"]
    desk.submit("large", need=Need(vcpus=16_000, memory=1))
    passed = 0
    for number in range(PASSES_MAX + 20):
        desk.submit(f"s{number}")
        if desk.started(1.0):
            passed += 1
            desk.ended(f"s{number}")
    assert passed == PASSES_MAX
    desk.ended("long1")
    assert desk.started() == ["large", *(f"s{number}" for number in range(PASSES_MAX, PASSES_MAX + 7))]


def test_another_queue_of_lower_priority_passes_within_the_same_bound():
    desk = a_desk(kind="FARGATE", max_vcpus=4000)
    desk.queue("low", priority=0)
    desk.submit("three", need=Need(vcpus=3000, memory=1))
    assert desk.started() == ["three"]
    desk.submit("large", need=Need(vcpus=4000, memory=1))
    for number in range(PASSES_MAX):
        desk.submit(f"s{number}", queue="low")
        assert desk.started() == [f"s{number}"]
        desk.ended(f"s{number}")
    desk.submit("late", queue="low")
    assert desk.started() == []
    desk.ended("three")
    assert desk.started() == ["large"]
    desk.ended("large")
    assert desk.started() == ["late"]


def test_in_a_share_the_higher_priority_goes_first_and_the_lighter_weight_gets_more():
    desk = Desk()
    desk.environment(kind="FARGATE", max_vcpus=6000)
    desk.queue("q", fair=Fair(weights={"heavy": 1.0, "light": 0.5}))
    for number in range(6):
        desk.submit(f"h{number}", share="heavy", priority=number)
        desk.submit(f"l{number}", share="light")
    assert desk.started() == ["h5", "l0", "l1", "h4", "l2", "l3"]


def test_the_front_is_the_order_in_which_they_would_start():
    desk = Desk()
    desk.environment(kind="FARGATE", max_vcpus=6000)
    desk.queue("q", fair=Fair(weights={"heavy": 1.0, "light": 0.5}))
    desk.now = 5
    for number in range(6):
        desk.submit(f"h{number}", share="heavy")
    desk.scheduler.submit_array("l", range(6), "q", ONE, share="light", now=5)
    front = desk.scheduler.front("q", 7)
    assert [job for job, _ in front[:6]] == desk.started()
    assert {since for _, since in front} == {5}
    assert len(front) == 7
    desk.ended("h0")
    desk.decide(2.0)
    assert [since for _, since in desk.scheduler.front("q", 2)] == [7.0, 7.0]


def test_a_job_that_was_refused_is_tried_again_at_its_place_but_not_there_at_once():
    desk = a_desk(kind="UNMANAGED", kinds=())
    desk.room("i", SMALL)
    desk.submit("a", "b", "c")
    assert desk.started() == ["a", "b"]
    desk.scheduler.refused("a", "ce", desk.now)
    assert desk.scheduler.front("q")[0][0] == "a"
    assert desk.started() == []
    assert desk.scheduler.due_at() == 1.0
    assert desk.started(1.0) == ["a"]
    desk.scheduler.refused("a", "ce", desk.now)
    assert desk.started() == []
    assert desk.scheduler.due_at() == 3.0


def test_what_runs_after_a_restart_is_counted_whether_its_room_is_told_before_or_later():
    desk = a_desk(kind="UNMANAGED", kinds=())
    desk.scheduler.running("old1", "q", "ce", ONE, instances=("i",), now=0.0)
    desk.room("i", SMALL)
    desk.scheduler.running("old2", "q", "ce", ONE, instances=("i",), now=0.0)
    desk.submit("new")
    assert desk.started() == []
    desk.ended("old1")
    assert desk.started() == ["new"]


def test_a_queue_that_is_removed_takes_its_jobs_along():
    desk = a_desk(kind="FARGATE", max_vcpus=1000)
    desk.submit("a", "b")
    desk.scheduler.submit_array("c", range(5), "q", ONE, now=0.0)
    assert desk.started() == ["a"]
    desk.scheduler.remove_queue("q")
    desk.ended("a")
    desk.scheduler.withdraw("b")
    assert desk.decide() == []
    desk.queue()
    desk.submit("b")
    assert desk.started() == ["b"]


def test_gpus_and_types_are_respected():
    desk = a_desk(kind="UNMANAGED", kinds=())
    desk.room("i", LARGE)
    desk.submit("gpu", need=Need(vcpus=1000, memory=1, gpus=1))
    assert desk.started() == []
    desk.scheduler.put_room("ce", "g", "g5.xlarge", vcpus=4000, memory=16_000, gpus=1, ready=True, now=0.0)
    assert Start("gpu", "ce", ("g",)) in desk.decide()
    desk.submit("typed", need=Need(vcpus=1000, memory=1, kinds=("g5.xlarge",)))
    assert [one.instances for one in desk.decide() if isinstance(one, Start)] == [("g",)]
