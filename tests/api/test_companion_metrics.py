"""Metrics and alarms of the cloud's own, through the companion that clients ask, too."""

from collections.abc import Iterator

import pytest
from tests.api.test_companions import Cloud

from cumulo.base.clock import SystemClock
from cumulo.base.ports.metrics import Alarm, Datum
from cumulo.companions.metrics import CloudWatch

NOW = SystemClock().now()
ACCOUNT, REGION = "111122223333", "eu-west-1"
WHOSE = {"ClusterName": "c", "ServiceName": "s"}


@pytest.fixture
def cloud(tmp_path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path)
    yield cloud
    cloud.close()


def datum(value: float, at: float, name: str = "CPUUtilization") -> Datum:
    return Datum(name=name, dimensions=WHOSE, value=value, unit="Percent", at=at)


def test_metrics_do_not_start_moto_where_nobody_has_asked_for_any(cloud):
    cloud.do(CloudWatch(cloud.companions).put(ACCOUNT, REGION, "AWS/ECS", [datum(1, 0)]))
    assert cloud.do(CloudWatch(cloud.companions).alarms_with(ACCOUNT, REGION, "arn:x")) == []
    assert not cloud.companions.started


def test_what_is_put_is_read_by_clients_and_by_us(cloud):
    watch, client = CloudWatch(cloud.companions), cloud.client("cloudwatch", ACCOUNT, REGION)
    assert client.list_metrics()["Metrics"] == []
    minute = NOW // 60 * 60 - 300
    cloud.do(
        watch.put(
            ACCOUNT, REGION, "AWS/ECS", [datum(10, minute), datum(30, minute + 1), datum(50, minute + 60)]
        )
    )
    seen = client.get_metric_statistics(
        Namespace="AWS/ECS",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": k, "Value": v} for k, v in WHOSE.items()],
        StartTime=minute,
        EndTime=minute + 120,
        Period=60,
        Statistics=["Average"],
    )["Datapoints"]
    assert sorted(point["Average"] for point in seen) == [20, 50]
    asked = {"namespace": "AWS/ECS", "name": "CPUUtilization", "dimensions": WHOSE, "statistic": "Average"}
    points = cloud.do(watch.statistic(ACCOUNT, REGION, **asked, period=60, start=minute, end=minute + 120))
    assert points == [(minute, 20), (minute + 60, 50)]


def test_alarms_are_kept_found_by_their_action_and_told_their_state(cloud):
    watch, client = CloudWatch(cloud.companions), cloud.client("cloudwatch", ACCOUNT, REGION)
    action = "arn:aws:autoscaling:eu-west-1:111122223333:scalingPolicy:x"
    alarm = Alarm(
        name="high", namespace="AWS/ECS", metric="CPUUtilization", dimensions=WHOSE, periods=3, datapoints=3,
        threshold=75.0, actions=(action,),
    )  # fmt: skip
    client.list_metrics()
    cloud.do(watch.put_alarm(ACCOUNT, REGION, alarm))
    (found,) = cloud.do(watch.alarms_with(ACCOUNT, REGION, action))
    assert (found.name, found.threshold, found.dimensions, found.periods) == ("high", 75.0, WHOSE, 3)
    cloud.do(watch.set_alarm_state(ACCOUNT, REGION, "high", "ALARM", "so it is"))
    assert client.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert cloud.do(watch.alarms_with(ACCOUNT, REGION, action))[0].state_since > NOW - 60
    cloud.do(watch.delete_alarms(ACCOUNT, REGION, ["high", "none"]))
    assert client.describe_alarms()["MetricAlarms"] == []


def test_alarms_outlive_the_companion_and_metrics_of_the_cloud_do_not_fill_its_journal(cloud, tmp_path):
    watch = CloudWatch(cloud.companions)
    cloud.client("cloudwatch", ACCOUNT, REGION).list_metrics()
    cloud.do(
        watch.put_alarm(ACCOUNT, REGION, Alarm(name="kept", namespace="N", metric="M", actions=("arn:a",)))
    )
    size = (tmp_path / "companions.jsonl").stat().st_size
    cloud.do(watch.put(ACCOUNT, REGION, "AWS/ECS", [datum(1, NOW)]))
    assert (tmp_path / "companions.jsonl").stat().st_size == size


def test_a_set_of_values_counts_as_many(cloud):
    watch, client = CloudWatch(cloud.companions), cloud.client("cloudwatch", ACCOUNT, REGION)
    client.list_metrics()
    minute = NOW // 60 * 60 - 300
    several = Datum(
        name="M", dimensions=WHOSE, value=150, unit="Percent", at=minute, count=2, minimum=50, maximum=100
    )
    cloud.do(watch.put(ACCOUNT, REGION, "AWS/ECS", [several]))
    asked = {
        "namespace": "AWS/ECS",
        "name": "M",
        "dimensions": WHOSE,
        "period": 60,
        "start": minute,
        "end": minute + 60,
    }
    assert cloud.do(watch.statistic(ACCOUNT, REGION, **asked, statistic="Average")) == [(minute, 75)]
    assert cloud.do(watch.statistic(ACCOUNT, REGION, **asked, statistic="Maximum")) == [(minute, 100)]


def test_a_metric_is_the_one_with_just_these_dimensions(cloud):
    watch = CloudWatch(cloud.companions)
    cloud.client("cloudwatch", ACCOUNT, REGION).list_metrics()
    minute = NOW // 60 * 60
    both = {"Further": "x", **WHOSE}
    data = [Datum(name="CPUUtilization", dimensions=one, value=10.0, at=minute) for one in (WHOSE, both)]
    cloud.do(watch.put(ACCOUNT, REGION, "Exact", data))
    asked = {"namespace": "Exact", "name": "CPUUtilization", "statistic": "Sum", "period": 60}
    for whose in (WHOSE, both, dict(reversed(both.items()))):
        points = cloud.do(
            watch.statistic(ACCOUNT, REGION, **asked, dimensions=whose, start=minute - 60, end=minute + 120)
        )
        assert points == [(minute, 10.0)]
