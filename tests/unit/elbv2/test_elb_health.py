"""What checks make of a target, and when each is checked."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.services.elbv2.check_schedule import Schedule
from cumulo.services.elbv2.health import FAILED, PASSED, TIMED_OUT, answered, fits, judged, told
from cumulo.services.elbv2.model import Group, Health, HealthCheck, Registration, Standing

CHECK = HealthCheck(healthy=3, unhealthy=2)
GROUP = Group(account="1", region="r", name="g", arn="g", target_type="ip", created_at=0, check=CHECK)
TARGET = Registration(group="g", id="10.0.0.1", port=80, registered_at=0)


def after(*outcomes, standing=None, check=CHECK):
    standing = standing or Standing()
    for outcome in outcomes:
        standing = judged(standing, outcome, check)
    return standing


def test_a_new_target_is_healthy_after_one_check():
    assert after(PASSED).health is Health.HEALTHY
    assert after(FAILED, PASSED).health is Health.HEALTHY


def test_a_new_target_is_unhealthy_after_the_threshold_and_initial_until_then():
    once = after(FAILED)
    assert (once.health, once.reason) == (Health.INITIAL, "Elb.InitialHealthChecking")
    twice = after(FAILED, TIMED_OUT)
    assert (twice.health, twice.reason, twice.description) == (
        Health.UNHEALTHY,
        "Target.Timeout",
        "Request timed out",
    )


def test_thresholds_count_checks_in_a_row():
    healthy = after(PASSED)
    assert after(FAILED, PASSED, FAILED, standing=healthy).health is Health.HEALTHY
    assert after(FAILED, FAILED, standing=healthy).health is Health.UNHEALTHY
    down = after(FAILED, FAILED)
    assert after(PASSED, PASSED, standing=down).health is Health.UNHEALTHY
    assert after(PASSED, PASSED, FAILED, PASSED, PASSED, standing=down).health is Health.UNHEALTHY
    assert after(PASSED, PASSED, PASSED, standing=down) == after(PASSED)


@given(st.lists(st.booleans(), max_size=40), st.integers(2, 10), st.integers(2, 10))
def test_a_target_turns_over_exactly_after_a_run_as_long_as_its_threshold(results, healthy, unhealthy):
    check = HealthCheck(healthy=healthy, unhealthy=unhealthy)
    standing, run, last = Standing(), 0, None
    for passed in results:
        before = standing
        standing = judged(standing, PASSED if passed else FAILED, check)
        run = run + 1 if passed is last else 1
        last = passed
        if standing.health is not before.health:
            first = before.health is Health.INITIAL
            assert (standing.health is Health.HEALTHY) == passed
            assert run >= (1 if first and passed else healthy if passed else unhealthy)
        elif before.health is Health.HEALTHY:
            assert passed or run < unhealthy
        elif before.health is Health.UNHEALTHY:
            assert not passed or run < healthy


@pytest.mark.parametrize(
    ("codes", "yes", "no"),
    [("200", [200], [201, 404]), ("200-299", [200, 299], [199, 300]), ("200,202-204", [200, 203], [201])],
)
def test_codes_pass_by_number_and_range(codes, yes, no):
    assert all(fits(one, codes) for one in yes)
    assert not any(fits(one, codes) for one in no)
    assert answered(no[0], codes).description == f"Health checks failed with these codes: [{no[0]}]"


def test_what_clients_are_told():
    assert told(TARGET, GROUP, in_use=True).reason == "Elb.RegistrationInProgress"
    assert told(TARGET, GROUP, in_use=False).reason == "Target.NotInUse"
    unchecked = msgspec.structs.replace(GROUP, check=HealthCheck(enabled=False))
    assert told(TARGET, unchecked, in_use=True).state == "unavailable"
    leaving = msgspec.structs.replace(TARGET, drains_until=5.0)
    assert told(leaving, GROUP, in_use=True).reason == "Target.DeregistrationInProgress"
    fine = msgspec.structs.replace(TARGET, standing=after(PASSED))
    assert told(fine, GROUP, in_use=True) == told(fine, GROUP, in_use=True)
    assert (told(fine, GROUP, in_use=True).state, told(fine, GROUP, in_use=True).reason) == ("healthy", "")


def test_new_targets_are_due_at_once_and_then_once_an_interval():
    schedule = Schedule()
    schedule.want(["a"], 100.0)
    assert schedule.take_due(100.0, 9) == ["a"]
    assert schedule.take_due(1000.0, 9) == []  # it is being checked
    schedule.done("a", began=100.0, interval=30.0, initial=False)
    assert schedule.next_at() == 130.0
    schedule.want(["a", "b"], 110.0)
    assert schedule.take_due(110.0, 9) == ["b"]
    assert sorted([*schedule.take_due(130.0, 9)]) == ["a"]


def test_initial_targets_are_looked_at_every_second_but_fail_once_an_interval():
    schedule = Schedule()
    schedule.want(["a"], 0.0)
    counted = []
    now = 0.0
    while now < 60.0:
        for key in schedule.take_due(now, 9):
            if schedule.counts(key, began=now, interval=30.0):
                counted.append(now)
            schedule.done(key, began=now, interval=30.0, initial=True)
        now += 0.5
    assert counted == [0.0, 30.0]
    assert schedule.next_at() == 60.0


def test_a_target_that_goes_while_it_is_checked_does_not_come_back():
    schedule = Schedule()
    schedule.want(["a"], 0.0)
    schedule.take_due(0.0, 9)
    schedule.want([], 1.0)
    schedule.done("a", began=0.0, interval=5.0, initial=False)
    assert len(schedule) == 0


def test_no_more_are_taken_than_there_is_room_for():
    schedule = Schedule()
    schedule.want([f"{one}" for one in range(10)], 0.0)
    assert len(schedule.take_due(0.0, 4)) == 4
    assert len(schedule.take_due(0.0, 9)) == 6
