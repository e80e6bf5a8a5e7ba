"""Which metric a target-tracking policy follows, and the alarms that it shows; pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.ports.metrics import Alarm
from cumulo.services.application_autoscaling.model import Subject
from cumulo.services.application_autoscaling.plan import SCALE_IN_SHARE, Patience
from cumulo.services.application_autoscaling.refusals import invalid

_OF_SERVICES = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
    "ECSServiceAverageCPUUtilizationHighResolution": "CPUUtilization",
    "ECSServiceAverageMemoryUtilizationHighResolution": "MemoryUtilization",
}


class Followed(msgspec.Struct, frozen=True):
    """A metric and its statistic."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str


def followed(subject: Subject, configuration: Mapping[str, Any]) -> Followed:
    """The metric of a target-tracking policy of an ECS service.  ValidationException."""
    predefined = configuration.get("PredefinedMetricSpecification")
    customized = configuration.get("CustomizedMetricSpecification")
    if bool(predefined) == bool(customized):
        raise invalid(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified"
        )
    if customized:
        if customized.get("Metrics"):
            raise invalid(
                "Metric math in CustomizedMetricSpecification is not evaluated by Cumulo: name one metric"
            )
        if not (customized.get("MetricName") and customized.get("Namespace") and customized.get("Statistic")):
            raise invalid("MetricName, Namespace and Statistic must be specified")
        dimensions = {one["Name"]: one["Value"] for one in customized.get("Dimensions", ())}
        return Followed(
            customized["Namespace"], customized["MetricName"], dimensions, customized["Statistic"]
        )
    return _predefined(subject, predefined or {})


def _predefined(subject: Subject, said: Mapping[str, Any]) -> Followed:
    kind, label = said["PredefinedMetricType"], said.get("ResourceLabel", "")
    if kind in _OF_SERVICES:
        _, cluster, service = subject.resource.split("/", 2)
        whose = {"ClusterName": cluster, "ServiceName": service}
        return Followed("AWS/ECS", _OF_SERVICES[kind], whose, "Average")
    if kind != "ALBRequestCountPerTarget":
        raise invalid(f"{kind} is not a valid metric type for {subject.namespace}")
    balancer, mark, group = label.partition("/targetgroup/")
    if not mark or balancer.count("/") != 2 or not balancer.startswith("app/") or group.count("/") != 1:
        raise invalid(
            "ResourceLabel must be app/<load-balancer-name>/<load-balancer-id>/targetgroup/<name>/<id>"
        )
    whose = {"LoadBalancer": balancer, "TargetGroup": f"targetgroup/{group}"}
    return Followed("AWS/ApplicationELB", "RequestCountPerTarget", whose, "Sum")


def alarms_of(
    subject: Subject,
    policy_arn: str,
    configuration: Mapping[str, Any],
    names: tuple[str, ...],
    patience: Patience,
) -> list[Alarm]:
    """The alarms that AWS makes for a target-tracking policy: high, and low unless scale-in is disabled."""
    metric = followed(subject, configuration)
    goal = float(configuration["TargetValue"])
    high = Alarm(
        name=names[0],
        namespace=metric.namespace,
        metric=metric.name,
        dimensions=metric.dimensions,
        statistic=metric.statistic,
        period=patience.period,
        periods=patience.high,
        datapoints=patience.high,
        threshold=goal,
        comparison="GreaterThanThreshold",
        actions=(policy_arn,),
        description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy_arn}.",
    )
    low = msgspec.structs.replace(
        high,
        name=names[-1],
        periods=patience.low,
        datapoints=patience.low,
        threshold=goal * SCALE_IN_SHARE,
        comparison="LessThanThreshold",
    )
    return [high] if configuration.get("DisableScaleIn") else [high, low]
