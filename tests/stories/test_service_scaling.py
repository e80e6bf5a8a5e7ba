"""Services that grow and shrink by themselves, in a cloud where a minute passes in a second."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, push_tools, shell
from tests.elb_kit import free_port
from tests.stories.test_ecs_services_balanced import Load, balanced, web
from tests.stories.test_ecs_services_kept import SLEEPS, create, delete, shown, stable
from tests.support import Process, until

from cumulo.base.clock import SystemClock

pytestmark = needs_local
BUSY = "trap 'exit 0' TERM; while true; do :; done"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One hurried cloud for all of these."""
    folder: Path = tmp_path_factory.mktemp("scaling")
    with a_region(folder / "data", "--pace", "60", log=folder / "log") as cloud:
        cloud.client("ecs").create_cluster(clusterName="default")
        yield cloud


@pytest.fixture(scope="module")
def image(region: Process) -> str:
    """A shell, and a web server."""
    return push_tools(region)


class Scaled:
    """A service of one task that may have up to three."""

    def __init__(self, cloud: Process, name: str, definition: str, **more: Any) -> None:
        self.ecs, self.scaling = cloud.client("ecs"), cloud.client("application-autoscaling")
        self.name = name
        self.about = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/default/{name}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        create(self.ecs, cloud, name, definition, **({"desiredCount": 1} | more))
        stable(self.ecs, name)
        self.scaling.register_scalable_target(**self.about, MinCapacity=1, MaxCapacity=3)

    def track(self, goal: float, metric: dict[str, str]) -> dict[str, Any]:
        """A target-tracking policy that does not rest; what the API says to it."""
        return dict(
            self.scaling.put_scaling_policy(
                **self.about,
                PolicyName="follow",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": goal,
                    "PredefinedMetricSpecification": metric,
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 60,
                },
            )
        )

    @property
    def wanted(self) -> int:
        """The desired count."""
        return int(shown(self.ecs, self.name)["desiredCount"])

    def reaches(self, count: int, seconds: float = 60.0) -> None:
        until(lambda: self.wanted == count, f"{self.name} wants {count}", seconds)

    def activities(self) -> list[dict[str, Any]]:
        """Newest first."""
        about = {key: self.about[key] for key in ("ServiceNamespace", "ResourceId")}
        return list(self.scaling.describe_scaling_activities(**about)["ScalingActivities"])

    def end(self) -> None:
        self.scaling.deregister_scalable_target(**self.about)
        delete(self.ecs, self.name)


def test_a_service_grows_with_the_requests_of_its_load_balancer_and_shrinks_without(
    region: Process, image: str
) -> None:
    port = free_port()
    group, host = balanced(region, port)
    balancing = {"targetGroupArn": group, "containerName": "web", "containerPort": 8080}
    it = Scaled(region, "web", web(region.client("ecs"), image, 1), loadBalancers=[balancing])
    balancer = region.client("elbv2").describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    label = f"{balancer.partition('loadbalancer/')[2]}/{group.rpartition(':')[2]}"
    policy = it.track(2.0, {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label})
    with Load(port, host, clients=3).going() as load:
        it.reaches(3)
        until(lambda: shown(it.ecs, "web")["runningCount"] == 3, "three tasks run")
        asked = sum(load.answers.values())
        until(lambda: sum(load.answers.values()) > asked + 20, "all answer")
    assert load.faults == []
    high, low = (one["AlarmName"] for one in policy["Alarms"])
    cloudwatch = region.client("cloudwatch")
    it.reaches(1)
    until(lambda: "AlarmLow" in it.activities()[0]["Cause"], "it is written down")
    causes = [one["Cause"] for one in it.activities()]
    assert causes[0] == f"monitor alarm {low} in state ALARM triggered policy follow"
    assert causes[-1] == f"monitor alarm {high} in state ALARM triggered policy follow"
    names = {one["MetricName"] for one in cloudwatch.list_metrics(Namespace="AWS/ApplicationELB")["Metrics"]}
    assert {"RequestCount", "RequestCountPerTarget", "HealthyHostCount", "TargetResponseTime"} <= names
    assert {"HTTPCode_Target_2XX_Count"} <= names
    it.end()
    assert cloudwatch.describe_alarms(AlarmNames=[high, low])["MetricAlarms"] == []


def test_a_service_grows_when_its_processors_are_busy(region: Process, image: str) -> None:
    it = Scaled(region, "busy", fargate(region.client("ecs"), "busy", shell(image, BUSY)))
    it.track(5.0, {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"})
    it.reaches(3)
    assert {one["StatusCode"] for one in it.activities()} == {"Successful"}
    it.end()


def test_a_service_grows_at_the_time_that_was_said(region: Process, image: str) -> None:
    it = Scaled(region, "timed", fargate(region.client("ecs"), "timed", shell(image, SLEEPS)))
    soon = datetime.fromtimestamp(SystemClock().now() + 3, UTC)
    it.scaling.put_scheduled_action(
        **it.about,
        ScheduledActionName="noon",
        Schedule=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        ScalableTargetAction={"MinCapacity": 2},
    )
    it.reaches(2)
    until(it.activities, "it is written down")
    assert it.activities()[0]["Cause"] == (
        "scheduled action name noon was triggered: minimum capacity was set to 2"
    )
    until(lambda: shown(it.ecs, "timed")["runningCount"] == 2, "two tasks run")
    it.end()


def test_a_service_grows_by_steps_when_somebody_sets_the_alarm(region: Process, image: str) -> None:
    it = Scaled(region, "steps", fargate(region.client("ecs"), "steps", shell(image, SLEEPS)))
    policy = it.scaling.put_scaling_policy(
        **it.about,
        PolicyName="steps",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "Cooldown": 60,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
        },
    )["PolicyARN"]
    cloudwatch = region.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="deep-queue",
        Namespace="Shop",
        MetricName="Depth",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[policy],
    )
    cloudwatch.set_alarm_state(AlarmName="deep-queue", StateValue="ALARM", StateReason="to see it")
    it.reaches(3)
    until(it.activities, "it is written down")
    assert it.activities()[0]["Cause"] == "monitor alarm deep-queue in state ALARM triggered policy steps"
    described = it.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert [one["AlarmName"] for one in described[0]["Alarms"]] == ["deep-queue"]
    it.end()
