"""Application Auto Scaling over services and metrics that a test holds in its hands."""

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.metrics import Alarm
from cumulo.services.application_autoscaling.house import ScalingHouse
from cumulo.services.application_autoscaling.model import ScalableTarget, ScalingPolicy, Subject, Suspended
from cumulo.services.application_autoscaling.plan import (
    AlarmFacts,
    Patience,
    Wanted,
    breaching,
    combine,
    evaluated,
    step,
    track,
)
from cumulo.state.store import Store

CALLER = Caller(account="000000000000", region="us-east-1")
ABOUT = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/web/app",
    "ScalableDimension": "ecs:service:DesiredCount",
}
SUBJECT = Subject("000000000000", "us-east-1", "ecs", "service/web/app", "ecs:service:DesiredCount")
TRACKING = {
    "TargetValue": 50.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
}
STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "Cooldown": 60,
    "StepAdjustments": [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 3},
    ],
}


class World:
    """A service whose count can be set, one metric, alarms."""

    def __init__(self):
        self.counts = {"service/web/app": 2}
        self.refuses = ""
        self.value = lambda at: None
        self.alarms = {}

    def desired_count(self, account, region, resource):
        return self.counts.get(resource)

    async def set_desired_count(self, account, region, resource, count):
        if self.refuses:
            raise AwsError("InvalidParameterException", self.refuses)
        self.counts[resource] = count

    async def put(self, account, region, namespace, data):
        raise AssertionError("it only reads")

    async def statistic(self, account, region, *, period, start, end, **which):
        self.asked = which
        moments = range(int(start), int(end), period)
        return [(at, self.value(at)) for at in moments if self.value(at) is not None]

    async def put_alarm(self, account, region, alarm):
        self.alarms[alarm.name] = alarm

    async def delete_alarms(self, account, region, names):
        for name in names:
            self.alarms.pop(name, None)

    async def alarms_with(self, account, region, action):
        return [one for one in self.alarms.values() if any(a.startswith(action) for a in one.actions)]

    async def set_alarm_state(self, account, region, name, state, reason):
        from msgspec.structs import replace

        self.alarms[name] = replace(self.alarms[name], state=state)


class Kit:
    """A house under a clock that stands still."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = VirtualClock(1_800_000_000.0)
        self.world = World()

    def run(self, work):
        async def main():
            store = Store(self.folder / "cumulo.db", synchronous="OFF")
            self.house = ScalingHouse(
                store=store,
                clock=self.clock,
                ids=Ids(random.Random(5)),
                services=self.world,
                metrics=self.world,
                alarms=self.world,
            )
            self.operations = self.house.service().operations
            try:
                return await work()
            finally:
                await store.close()

        return asyncio.run(main())

    async def call(self, name, **values):
        return await self.operations[name].run(CALLER, values)

    async def register(self, **changes):
        return await self.call(
            "RegisterScalableTarget", **(ABOUT | {"MinCapacity": 1, "MaxCapacity": 10} | changes)
        )

    async def minutes(self, count):
        for _ in range(count):
            self.clock.advance(60)
            await self.house.scaler.tick()

    @property
    def count(self):
        return self.world.counts["service/web/app"]


@pytest.fixture
def kit(tmp_path):
    return Kit(tmp_path)


def test_a_busy_service_grows_in_proportion_and_a_quiet_one_shrinks_later(kit):
    async def work():
        await kit.register()
        put = await kit.call("PutScalingPolicy", **ABOUT, PolicyName="p", PolicyType="TargetTrackingScaling",
                             TargetTrackingScalingPolicyConfiguration=TRACKING)  # fmt: skip
        assert len(put["Alarms"]) == 2
        kit.world.value = lambda _at: 90.0
        await kit.minutes(1)
        assert kit.count == 4  # 2 x 90 / 50, rounded up
        assert kit.world.asked["dimensions"] == {"ClusterName": "web", "ServiceName": "app"}
        assert kit.world.alarms[put["Alarms"][0]["AlarmName"]].state == "ALARM"
        since = kit.clock.now()
        kit.world.value = lambda at: 90.0 if at < since else 20.0
        await kit.minutes(14)
        assert kit.count == 4
        await kit.minutes(2)
        assert kit.count == 2
        (newest, oldest) = (await kit.call("DescribeScalingActivities", **ABOUT))["ScalingActivities"]
        assert newest["Description"] == "Setting desired count to 2."
        assert oldest["StatusMessage"] == (
            "Successfully set desired count to 4. Change successfully fulfilled by ecs."
        )
        assert "AlarmHigh" in oldest["Cause"]
        assert "triggered policy p" in oldest["Cause"]

    kit.run(work)


def test_a_policy_survives_a_restart_and_its_cooldown_with_it(kit):
    async def first():
        await kit.register()
        await kit.call("PutScalingPolicy", **ABOUT, PolicyName="p", PolicyType="TargetTrackingScaling",
                       TargetTrackingScalingPolicyConfiguration=TRACKING)  # fmt: skip
        kit.world.value = lambda _at: 100.0
        await kit.minutes(1)
        assert kit.count == 4

    async def second():
        await kit.minutes(1)
        assert kit.count == 4  # what was added has not shown its effect yet
        await kit.minutes(5)
        assert kit.count == 8

    kit.run(first)
    kit.run(second)


def test_steps_act_by_how_far_the_alarm_is_breached(kit):
    from cumulo.base.ports.metrics import Alarm

    async def work():
        await kit.register()
        arn = (await kit.call("PutScalingPolicy", **ABOUT, PolicyName="s", PolicyType="StepScaling",
                              StepScalingPolicyConfiguration=STEPS))["PolicyARN"]  # fmt: skip
        kit.world.alarms["mine"] = Alarm(name="mine", namespace="N", metric="M", threshold=50, actions=(arn,))
        kit.world.value = lambda _at: 60.0
        await kit.minutes(1)
        assert kit.count == 3
        kit.world.value = lambda _at: 75.0
        await kit.minutes(3)
        assert kit.count > 5
        assert (
            "monitor alarm mine in state ALARM triggered policy s"
            in (await kit.call("DescribeScalingActivities", **ABOUT))["ScalingActivities"][0]["Cause"]
        )

    kit.run(work)


def test_an_alarm_that_is_set_by_hand_triggers_its_policy_once(kit):
    from cumulo.base.ports.metrics import Alarm

    async def work():
        await kit.register()
        arn = (await kit.call("PutScalingPolicy", **ABOUT, PolicyName="s", PolicyType="StepScaling",
                              StepScalingPolicyConfiguration=STEPS))["PolicyARN"]  # fmt: skip
        now = kit.clock.now()
        kit.world.alarms["mine"] = Alarm(
            name="mine",
            namespace="N",
            metric="M",
            threshold=50,
            actions=(arn,),
            state="ALARM",
            state_since=now,
        )
        await kit.minutes(5)
        assert kit.count == 3

    kit.run(work)


def test_a_schedule_sets_bounds_and_the_count_follows(kit):
    async def work():
        await kit.register()
        await kit.call("PutScheduledAction", **ABOUT, ScheduledActionName="up", Schedule="rate(5 minutes)",
                       ScalableTargetAction={"MinCapacity": 6})  # fmt: skip
        await kit.minutes(4)
        assert kit.count == 2
        await kit.minutes(1)
        assert kit.count == 6
        target = (await kit.call("DescribeScalableTargets", ServiceNamespace="ecs"))["ScalableTargets"][0]
        assert (target["MinCapacity"], target["MaxCapacity"]) == (6, 10)
        kit.world.counts["service/web/app"] = 7
        await kit.minutes(4)
        assert kit.count == 7

    kit.run(work)


def test_what_failed_is_an_activity_too(kit):
    async def work():
        await kit.register(MinCapacity=0)
        await kit.call("PutScheduledAction", **ABOUT, ScheduledActionName="off", Schedule="rate(1 minute)",
                       ScalableTargetAction={"MaxCapacity": 0})  # fmt: skip
        kit.world.refuses = "no"
        await kit.minutes(1)
        (activity,) = (await kit.call("DescribeScalingActivities", **ABOUT))["ScalingActivities"]
        assert activity["StatusCode"] == "Failed"
        assert kit.count == 2

    kit.run(work)


@pytest.mark.parametrize(
    ("operation", "values", "code", "said"),
    [
        ("RegisterScalableTarget", {"ResourceId": "service/web/none"}, "ValidationException", "doesn't exist"),
        ("RegisterScalableTarget", {"MinCapacity": 5, "MaxCapacity": 1}, "ValidationException", "cannot be less"),
        ("DeregisterScalableTarget", {}, "ObjectNotFoundException", "No scalable target found"),
        ("PutScalingPolicy", {"PolicyName": "p", "PolicyType": "TargetTrackingScaling",
                              "TargetTrackingScalingPolicyConfiguration": TRACKING},
         "ObjectNotFoundException", "No scalable target registered for service namespace: ecs, resource ID: "),
        ("DeleteScalingPolicy", {"PolicyName": "p"}, "ObjectNotFoundException", "No scaling policy found"),
        ("DeleteScheduledAction", {"ScheduledActionName": "p"}, "ObjectNotFoundException", "No scheduled action"),
        ("PutScalingPolicy", {"PolicyName": "p", "PolicyType": "PredictiveScaling"}, "NotImplemented", "predictive"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_aws_words(kit, operation, values, code, said):
    async def work():
        with pytest.raises(AwsError) as caught:
            await kit.call(operation, **(ABOUT | {"MinCapacity": 1, "MaxCapacity": 2} | values))
        assert caught.value.code == code
        assert said in caught.value.message

    kit.run(work)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"StepAdjustments": []}, "At least one"),
        ({"StepAdjustments": [{"MetricIntervalUpperBound": 5, "ScalingAdjustment": 1},
                              {"MetricIntervalLowerBound": 4, "ScalingAdjustment": 1}]}, "overlap"),
        ({"StepAdjustments": [{"MetricIntervalUpperBound": 5, "ScalingAdjustment": 1},
                              {"MetricIntervalLowerBound": 6, "ScalingAdjustment": 1}]}, "gap"),
    ],
)  # fmt: skip
def test_steps_must_fit_together(kit, change, said):
    async def work():
        await kit.register()
        with pytest.raises(AwsError) as caught:
            await kit.call("PutScalingPolicy", **ABOUT, PolicyName="s", PolicyType="StepScaling",
                           StepScalingPolicyConfiguration=STEPS | change)  # fmt: skip
        assert said in caught.value.message

    kit.run(work)


# -- the plan ------------------------------------------------------------------------------------------------

PATIENCE = Patience()


def a_target(least=1, most=50, **suspended):
    return ScalableTarget(
        subject=SUBJECT, arn="", minimum=least, maximum=most, role_arn="", suspended=Suspended(**suspended)
    )


def a_policy(configuration=TRACKING, **fields):
    return ScalingPolicy(subject=SUBJECT, name="p", arn="", kind="", configuration=configuration, **fields)


values = st.lists(st.one_of(st.none(), st.floats(0, 500)), min_size=15, max_size=15)


@given(values, st.integers(1, 50), st.floats(0, 2000))
def test_tracking_stays_within_bounds_and_moves_towards_its_target(history, current, now):
    wish = track(a_target(), a_policy(), current, history, now + 1000, PATIENCE)
    if wish is None:
        return
    assert 1 <= wish.capacity <= 50
    if wish.out:
        assert wish.capacity > current
        assert min(history[-3:]) > 50
    else:
        assert wish.capacity < current
        assert max(history) < 45
        # It would not have to grow again at once: the load fits.
        assert wish.capacity * 50 >= current * history[-1] - 1e-6 or wish.capacity == 50


@given(values, st.integers(1, 50))
def test_what_is_suspended_or_disabled_does_not_happen(history, current):
    assert (
        track(a_target(dynamic_out=True, dynamic_in=True), a_policy(), current, history, 9e9, PATIENCE)
        is None
    )
    never_in = track(
        a_target(), a_policy(TRACKING | {"DisableScaleIn": True}), current, history, 9e9, PATIENCE
    )
    assert never_in is None or never_in.out


@given(
    st.lists(
        st.one_of(st.none(), st.builds(Wanted, st.integers(1, 20), st.just(""), out=st.booleans())),
        max_size=4,
    )
)
def test_several_policies_favour_availability(wishes):
    chosen = combine(wishes)
    outs = [one.capacity for one in wishes if one and one.out]
    if outs:
        assert chosen.capacity == max(outs)
    elif chosen is not None:
        assert None not in wishes
        assert chosen.capacity == max(one.capacity for one in wishes)


@pytest.mark.parametrize(
    ("kind", "adjustment", "current", "least", "wanted"),
    [
        ("ChangeInCapacity", 2, 5, 0, 7),
        ("ExactCapacity", 9, 5, 0, 9),
        ("PercentChangeInCapacity", 50, 5, 0, 7),  # 2.5 is cut to 2
        ("PercentChangeInCapacity", 10, 5, 0, 6),  # 0.5 is one
        ("PercentChangeInCapacity", 10, 5, 3, 8),
        ("PercentChangeInCapacity", -50, 5, 0, 3),
    ],
)
def test_kinds_of_adjustment(kind, adjustment, current, least, wanted):
    said = {
        "AdjustmentType": kind,
        "MinAdjustmentMagnitude": least,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": adjustment}],
    }
    assert step(a_target(), a_policy(said), current, 0.0, "a", 9e9).capacity == wanted


@given(
    st.lists(st.one_of(st.none(), st.floats(-100, 100)), max_size=10),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["missing", "breaching", "notBreaching", "ignore"]),
)
def test_an_alarm_needs_its_datapoints(history, periods, datapoints, missing):
    alarm = AlarmFacts(
        name="a", threshold=0, comparison="GreaterThanThreshold", periods=periods,
        datapoints=min(datapoints, periods), missing=missing,
    )  # fmt: skip
    found = breaching(alarm, history)
    window = history[-periods:]
    beyond = [one for one in window if one is not None and one > 0]
    if found is not None:
        assert found == beyond[-1]
        assert len(beyond) + (window.count(None) if missing == "breaching" else 0) >= alarm.datapoints
    elif len(window) == periods:
        assert len(beyond) < alarm.datapoints or not beyond
    assert not math.isnan(found or 0)


def test_an_alarm_looks_at_the_newest_values_that_there_are():
    assert evaluated([1, 2, 3, 4, 5], 3) == [3, 4, 5]
    assert evaluated([1, 2, 3, 4, None], 3) == [2, 3, 4]  # the newest is late
    assert evaluated([1, None, 3, None, 5], 3) == [1, 3, 5]
    assert evaluated([None, None, 3, None, 5], 3) == [3, None, 5]
    assert evaluated([], 3) == []


def test_waiting_follows_the_pace(tmp_path):
    quick = Patience(period=1, pace=60.0)
    assert quick.cooldown({}, "ScaleInCooldown") == 5.0
    assert quick.cooldown({"ScaleInCooldown": 120}, "ScaleInCooldown") == 2.0
    assert (quick.alarm_period(60), quick.alarm_period(10), quick.alarm_period(300)) == (1, 1, 5)
    assert Patience().cooldown({}, "Cooldown") == 300.0


def test_targets_belong_to_their_namespace(kit):
    async def work():
        for wrong in (
            {"ResourceId": "banana/web/app"},
            {"ResourceId": "service/web"},
            {"ServiceNamespace": "rds"},
            {"ScalableDimension": "rds:cluster:ReadReplicaCount"},
        ):
            with pytest.raises(AwsError) as caught:
                await kit.register(**wrong)
            assert caught.value.message.startswith(
                "Unsupported service namespace, resource type or scalable dimension: "
            )
            assert caught.value.code == "ValidationException"

    kit.run(work)


def test_step_policies_show_the_alarms_of_clients(kit):
    async def work():
        await kit.register()
        made = await kit.call(
            "PutScalingPolicy", **ABOUT, PolicyName="steps", StepScalingPolicyConfiguration=STEPS
        )
        await kit.world.put_alarm("", "", Alarm(name="deep", actions=(made["PolicyARN"],)))
        shown = await kit.call("DescribeScalingPolicies", ServiceNamespace="ecs")
        assert shown["ScalingPolicies"][0]["Alarms"] == [
            {"AlarmName": "deep", "AlarmARN": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:deep"}
        ]

    kit.run(work)


def test_two_policies_do_not_follow_the_same_metric(kit):
    async def work():
        await kit.register()

        async def put(name, configuration):
            return await kit.call("PutScalingPolicy", **ABOUT, PolicyName=name, PolicyType="TargetTrackingScaling",
                                  TargetTrackingScalingPolicyConfiguration=configuration)  # fmt: skip

        await put("cpu", TRACKING)
        await put("cpu", TRACKING | {"TargetValue": 60.0})
        with pytest.raises(AwsError) as caught:
            await put("again", TRACKING)
        assert caught.value.message == (
            "Only one TargetTrackingScaling policy for a given metric specification is allowed."
        )
        memory = {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}
        await put("memory", TRACKING | {"PredefinedMetricSpecification": memory})
        assert len(kit.world.alarms) == 4

    kit.run(work)
