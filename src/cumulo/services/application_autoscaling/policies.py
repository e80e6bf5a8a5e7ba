"""Scaling policies: target tracking and steps."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

from cumulo.base.arn import Arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import not_implemented
from cumulo.base.ids import Ids
from cumulo.base.ports.metrics import Alarms
from cumulo.services.application_autoscaling.metrics import alarms_of, followed
from cumulo.services.application_autoscaling.model import ECS, ScalingPolicy, Subject
from cumulo.services.application_autoscaling.plan import Patience
from cumulo.services.application_autoscaling.records import Records, fits, paged, prefix_of, subject_of
from cumulo.services.application_autoscaling.refusals import invalid, no_policy
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

STEP, TRACKING, PREDICTIVE = "StepScaling", "TargetTrackingScaling", "PredictiveScaling"
POLICIES_MAX = 50  # of one target
STEPS_MAX = 20
_METRICS = ("PredefinedMetricSpecification", "CustomizedMetricSpecification")
_NOT_PREDICTED = "predictive scaling is not built"


class Policies:
    """The operations on policies."""

    def __init__(
        self, records: Records, clock: Clock, ids: Ids, *, alarms: Alarms, patience: Patience
    ) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids
        self._alarms = alarms
        self._patience = patience

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's name."""
        return {
            "PutScalingPolicy": Operation(self.put, note="predictive scaling and metric math are refused"),
            "DeleteScalingPolicy": Operation(self.delete),
            "DescribeScalingPolicies": Operation(self.describe),
            "GetPredictiveScalingForecast": Operation(self.forecast, Coverage.REFUSED, _NOT_PREDICTED),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutScalingPolicy."""
        subject = subject_of(caller, values)
        name = values["PolicyName"]
        before = self._records.policies.get(join_key(subject.key, name))
        kind = values.get("PolicyType") or (before.kind if before else STEP)
        if kind == PREDICTIVE:
            raise not_implemented("application-autoscaling", "PutScalingPolicy", _NOT_PREDICTED)
        self._records.target(subject)
        configuration = _configuration(subject, kind, values)
        if before is not None and before.kind != kind:
            raise invalid("The type of a scaling policy cannot be changed")
        others = [one for one in self._records.policies.scan(join_key(subject.key, "")) if one.name != name]
        if kind == TRACKING and any(_same_metric(one, configuration) for one in others):
            raise invalid(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed."
            )
        if before is None and len(others) >= POLICIES_MAX:
            raise invalid(f"A scalable target has at most {POLICIES_MAX} scaling policies")
        policy = ScalingPolicy(
            subject=subject,
            name=name,
            arn=before.arn if before else self._arn(caller, subject, name),
            kind=kind,
            configuration=configuration,
            alarms=(before.alarms if before else self._alarm_names(subject)) if kind == TRACKING else (),
            created_at=before.created_at if before else self._clock.now(),
            last_out=before.last_out if before else 0.0,
            last_in=before.last_in if before else 0.0,
        )
        if kind == TRACKING and subject.namespace == ECS:
            await self._put_alarms(caller, policy)
        self._records.policies.put(policy.key, policy)
        await self._records.store.commit()
        return {"PolicyARN": policy.arn, "Alarms": _alarm_views(policy)}

    async def _put_alarms(self, caller: Caller, policy: ScalingPolicy) -> None:
        wanted = alarms_of(policy.subject, policy.arn, policy.configuration, policy.alarms, self._patience)
        for alarm in wanted:
            await self._alarms.put_alarm(caller.account, caller.region, alarm)
        if len(wanted) < len(policy.alarms):
            await self._alarms.delete_alarms(caller.account, caller.region, policy.alarms[1:])

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteScalingPolicy: with the alarms that it made."""
        subject = subject_of(caller, values)
        policy = self._records.policies.get(join_key(subject.key, values["PolicyName"]))
        if policy is None:
            raise no_policy(subject, values["PolicyName"])
        await self._alarms.delete_alarms(caller.account, caller.region, policy.alarms)
        self._records.policies.delete(policy.key)
        await self._records.store.commit()
        return {}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeScalingPolicies."""
        names = values.get("PolicyNames")
        found = [
            one
            for one in self._records.policies.scan(prefix_of(caller, values))
            if fits(one.subject, values) and (not names or one.name in names)
        ]
        answer = paged("ScalingPolicies", found, lambda one: one.key, _view, values)
        for view in answer["ScalingPolicies"]:
            if view["PolicyType"] == STEP:
                view["Alarms"] = await self._clients_alarms(caller, view["PolicyARN"])
        return answer

    async def _clients_alarms(self, caller: Caller, policy_arn: str) -> list[dict[str, str]]:
        """Those that clients have made for a step policy."""
        made = await self._alarms.alarms_with(caller.account, caller.region, policy_arn)
        return [_alarm_view(caller.account, caller.region, one.name) for one in made]

    async def forecast(self, caller: Caller, values: Values) -> Values | None:
        """GetPredictiveScalingForecast: refused."""
        del caller, values
        raise not_implemented("application-autoscaling", "GetPredictiveScalingForecast", _NOT_PREDICTED)

    def _arn(self, caller: Caller, subject: Subject, name: str) -> str:
        resource = f"scalingPolicy:{self._ids.uuid()}:resource/{subject.namespace}/{subject.resource}:policyName/{name}"
        return str(Arn("autoscaling", caller.region, caller.account, resource, partition_of(caller.region)))

    def _alarm_names(self, subject: Subject) -> tuple[str, ...]:
        return tuple(
            f"TargetTracking-{subject.resource}-{which}-{self._ids.uuid()}"
            for which in ("AlarmHigh", "AlarmLow")
        )


def _configuration(subject: Subject, kind: str, values: Values) -> Mapping[str, Any]:
    steps = values.get("StepScalingPolicyConfiguration")
    tracking = values.get("TargetTrackingScalingPolicyConfiguration")
    if kind == STEP:
        if steps is None or tracking is not None:
            raise invalid("StepScalingPolicyConfiguration must be specified for the policy type StepScaling")
        _check_steps(steps)
        return dict(steps)
    if tracking is None or steps is not None:
        raise invalid(
            "TargetTrackingScalingPolicyConfiguration must be specified for the policy type TargetTrackingScaling"
        )
    if subject.namespace == ECS:
        followed(subject, tracking)
    if not 0 < float(tracking["TargetValue"]) < math.inf:
        raise invalid("TargetValue must be greater than 0")
    if min(tracking.get("ScaleOutCooldown", 0), tracking.get("ScaleInCooldown", 0)) < 0:
        raise invalid("Cooldown must not be negative")
    return dict(tracking)


def _same_metric(policy: ScalingPolicy, configuration: Mapping[str, Any]) -> bool:
    """Whether a target-tracking policy follows the metric that a configuration names."""
    return policy.kind == TRACKING and all(
        policy.configuration.get(name) == configuration.get(name) for name in _METRICS
    )


def _check_steps(said: Mapping[str, Any]) -> None:
    steps = said.get("StepAdjustments", [])
    if not said.get("AdjustmentType"):
        raise invalid("AdjustmentType must be specified")
    if not steps:
        raise invalid("At least one StepAdjustment must be specified")
    if len(steps) > STEPS_MAX:
        raise invalid(f"There are at most {STEPS_MAX} StepAdjustments")
    spans = sorted(
        (
            one.get("MetricIntervalLowerBound", -math.inf),
            one.get("MetricIntervalUpperBound", math.inf),
        )
        for one in steps
    )
    if any(low >= high for low, high in spans):
        raise invalid("The lower bound of a step adjustment must be less than its upper bound")
    for (_, high), (low, _) in itertools.pairwise(spans):
        if low < high:
            raise invalid("StepAdjustment intervals can't overlap")
        if low > high:
            raise invalid("There can't be a gap between StepAdjustment intervals")


def _alarm_views(policy: ScalingPolicy) -> list[dict[str, str]]:
    shown = policy.alarms[:1] if policy.configuration.get("DisableScaleIn") else policy.alarms
    account, region = policy.subject.account, policy.subject.region
    return [_alarm_view(account, region, name) for name in shown if policy.subject.namespace == ECS]


def _alarm_view(account: str, region: str, name: str) -> dict[str, str]:
    arn = Arn("cloudwatch", region, account, f"alarm:{name}", partition_of(region))
    return {"AlarmName": name, "AlarmARN": str(arn)}


def _view(policy: ScalingPolicy) -> dict[str, Any]:
    member = (
        "StepScalingPolicyConfiguration"
        if policy.kind == STEP
        else "TargetTrackingScalingPolicyConfiguration"
    )
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": policy.subject.namespace,
        "ResourceId": policy.subject.resource,
        "ScalableDimension": policy.subject.dimension,
        "PolicyType": policy.kind,
        member: policy.configuration,
        "Alarms": _alarm_views(policy),
        "CreationTime": policy.created_at,
    }
