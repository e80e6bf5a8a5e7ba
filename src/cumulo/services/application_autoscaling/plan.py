"""How large something should be: pure.

Target tracking follows AWS's rules as documented: out when the metric was above the target for some minutes in a row, in
when it was below nine tenths of it for longer; proportional; availability first.  Scale-out during its cool-down only
adds what is more than the last one added.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulo.services.application_autoscaling.model import ScalableTarget, ScalingPolicy

COOLDOWN_SECONDS = 300.0  # AWS's default for services of ECS
SCALE_IN_SHARE = 0.9
PERCENT = "PercentChangeInCapacity"
EXACT = "ExactCapacity"


FURTHER_PERIODS = 3  # that are looked at beyond those that an alarm needs, for what is late or missing


class Patience(msgspec.Struct, frozen=True):
    """How many periods of how many seconds a metric must be high or low: AWS's alarms of target tracking.

    pace   how many times quicker than AWS's all waiting is: of alarms that clients made, and cool-downs
    """

    period: int = 60
    high: int = 3
    low: int = 15
    pace: float = 1.0

    def cooldown(self, said: Mapping[str, Any], name: str) -> float:
        """Seconds of a cool-down that a policy names, or leaves to the default."""
        return float(said.get(name, COOLDOWN_SECONDS)) / self.pace

    def alarm_period(self, seconds: int) -> int:
        """Seconds of a period of a client's alarm."""
        return max(1, round(seconds / self.pace))


AS_AWS = Patience()


class Wanted(msgspec.Struct, frozen=True):
    """A new size, and why."""

    capacity: int
    cause: str
    out: bool


def evaluated(values: Sequence[float | None], periods: int) -> list[float | None]:
    """The values that an alarm over so many periods looks at: the newest that there are, as CloudWatch takes them.

    When there are too few in all that was retrieved, those of the last periods, with their gaps.
    """
    there = [value for value in values if value is not None]
    return list((there if len(there) >= periods else values)[-periods:])


def bounded(target: ScalableTarget, capacity: int) -> int:
    """The capacity within the target's bounds."""
    return min(max(capacity, target.minimum), target.maximum)


def track(
    target: ScalableTarget,
    policy: ScalingPolicy,
    current: int,
    values: Sequence[float | None],
    now: float,
    patience: Patience,
) -> Wanted | None:
    """What a target-tracking policy wants.

    values   of the metric in the last periods, oldest first, None where there was none; at least `patience.low` of them
             for a scale-in
    """
    said = policy.configuration
    goal = float(said["TargetValue"])
    recent = list(values)[-patience.high :]
    if len(recent) == patience.high and all(value is not None and value > goal for value in recent):
        return _track_out(target, policy, current, _last(recent) / goal, now, patience)
    long = list(values)[-patience.low :]
    low = len(long) == patience.low and all(
        value is not None and value < goal * SCALE_IN_SHARE for value in long
    )
    if low and not said.get("DisableScaleIn"):
        return _track_in(target, policy, current, _last(long) / goal, now, patience)
    return None


def _track_out(
    target: ScalableTarget,
    policy: ScalingPolicy,
    current: int,
    ratio: float,
    now: float,
    patience: Patience,
) -> Wanted | None:
    if target.suspended.dynamic_out:
        return None
    wanted = bounded(target, max(math.ceil(current * ratio), current + 1))
    if now < policy.last_out + patience.cooldown(policy.configuration, "ScaleOutCooldown"):
        # What the last one added counts: its effect is still to come.
        wanted = bounded(target, max(math.ceil((current - policy.out_added) * ratio), 0))
    if wanted <= current:
        return None
    return Wanted(wanted, _alarm_cause(policy, 0), out=True)


def _track_in(
    target: ScalableTarget,
    policy: ScalingPolicy,
    current: int,
    ratio: float,
    now: float,
    patience: Patience,
) -> Wanted | None:
    if target.suspended.dynamic_in:
        return None
    since = max(policy.last_in, policy.last_out)
    if now < since + patience.cooldown(policy.configuration, "ScaleInCooldown"):
        return None
    wanted = bounded(target, math.ceil(current * ratio))
    if wanted >= current:
        return None
    return Wanted(wanted, _alarm_cause(policy, 1), out=False)


def combine(wishes: Sequence[Wanted | None]) -> Wanted | None:
    """Of several target-tracking policies: out when one wants out, as far as the greatest; in when all want in."""
    out = [wish for wish in wishes if wish is not None and wish.out]
    if out:
        return max(out, key=lambda wish: wish.capacity)
    into = [wish for wish in wishes if wish is not None]
    if into and len(into) == len(wishes):
        return max(into, key=lambda wish: wish.capacity)
    return None


def _alarm_cause(policy: ScalingPolicy, which: int) -> str:
    alarm = policy.alarms[which] if which < len(policy.alarms) else policy.name
    return f"monitor alarm {alarm} in state ALARM triggered policy {policy.name}"


def _last(values: Sequence[float | None]) -> float:
    return next((value for value in reversed(values) if value is not None), 0.0)


def step(
    target: ScalableTarget,
    policy: ScalingPolicy,
    current: int,
    breach: float,
    alarm: str,
    now: float,
    patience: Patience = AS_AWS,
) -> Wanted | None:
    """What a step policy wants when its alarm's metric differs from the threshold by `breach`."""
    said = policy.configuration
    adjustment = _adjustment(said.get("StepAdjustments", ()), breach)
    if adjustment is None:
        return None
    capacity = _adjusted(said, current, adjustment)
    out = capacity > current
    if (out and target.suspended.dynamic_out) or (not out and target.suspended.dynamic_in):
        return None
    cooldown = patience.cooldown(said, "Cooldown")
    if out and now < policy.last_out + cooldown:
        capacity = min(capacity, current - policy.out_added + (capacity - current))
    if not out and now < max(policy.last_in, policy.last_out) + cooldown:
        return None
    wanted = bounded(target, capacity)
    if wanted == current or (wanted > current) != out:
        return None
    return Wanted(wanted, f"monitor alarm {alarm} in state ALARM triggered policy {policy.name}", out=out)


def _adjustment(steps: Sequence[Mapping[str, Any]], breach: float) -> int | None:
    for one in steps:
        lower = one.get("MetricIntervalLowerBound", -math.inf)
        upper = one.get("MetricIntervalUpperBound", math.inf)
        # A bound belongs to the interval that is farther from the threshold.
        fits = lower <= breach < upper if breach >= 0 else lower < breach <= upper
        if fits:
            return int(one["ScalingAdjustment"])
    return None


def _adjusted(said: Mapping[str, Any], current: int, adjustment: int) -> int:
    kind = said.get("AdjustmentType")
    if kind == EXACT:
        return adjustment
    if kind != PERCENT:
        return current + adjustment
    change = current * adjustment / 100
    # Between 0 and 1 it is one; beyond it is cut, towards zero.
    whole = int(math.copysign(1, change)) if 0 < abs(change) < 1 else int(change)
    least = int(said.get("MinAdjustmentMagnitude", 0))
    if whole and abs(whole) < least:
        whole = int(math.copysign(least, whole))
    return current + whole


class AlarmFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm of CloudWatch watches."""

    name: str
    threshold: float
    comparison: str
    periods: int
    datapoints: int
    missing: str = "missing"


def breaching(alarm: AlarmFacts, values: Sequence[float | None]) -> float | None:
    """By how much the newest value differs from the threshold when the alarm should be in ALARM; None otherwise."""
    window = list(values)[-alarm.periods :]
    bad = [value for value in window if value is not None and _beyond(alarm, value)]
    missing = sum(1 for value in window if value is None)
    counted = len(bad) + (missing if alarm.missing == "breaching" else 0)
    if len(window) < alarm.periods or not bad or counted < alarm.datapoints:
        return None
    return bad[-1] - alarm.threshold


def _beyond(alarm: AlarmFacts, value: float) -> bool:
    return {
        "GreaterThanOrEqualToThreshold": value >= alarm.threshold,
        "GreaterThanThreshold": value > alarm.threshold,
        "LessThanThreshold": value < alarm.threshold,
        "LessThanOrEqualToThreshold": value <= alarm.threshold,
    }.get(alarm.comparison, False)
