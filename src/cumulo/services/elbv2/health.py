"""What checks say of a target, and what clients are told of it.  Pure."""

from typing import Final

import msgspec

from cumulo.services.elbv2.model import Group, Health, HealthCheck, Registration, Standing

NOT_IN_USE: Final = "Target group is not configured to receive traffic from the load balancer"


class Outcome(msgspec.Struct, frozen=True):
    """How one check ended.  `reason` and `description` are AWS's for one that failed."""

    passed: bool
    reason: str = ""
    description: str = ""


class Told(msgspec.Struct, frozen=True):
    """A target's state as DescribeTargetHealth shows it."""

    state: str
    reason: str = ""
    description: str = ""


DRAINING: Final = Told("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
UNUSED: Final = Told("unused", "Target.NotInUse", NOT_IN_USE)
PASSED: Final = Outcome(True)
TIMED_OUT: Final = Outcome(False, "Target.Timeout", "Request timed out")
FAILED: Final = Outcome(False, "Target.FailedHealthChecks", "Health checks failed")
INTERNAL: Final = Outcome(False, "Elb.InternalError", "Health checks failed due to an internal error")


def answered(status: int, codes: str) -> Outcome:
    """The outcome of a check that was answered with a status."""
    if fits(status, codes):
        return PASSED
    return Outcome(False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


def fits(status: int, codes: str) -> bool:
    """Whether a status is among `200`, `200-299`, `200,202`."""
    for part in codes.split(","):
        low, dash, high = part.partition("-")
        if int(low) <= status <= int(high if dash else low):
            return True
    return False


def judged(standing: Standing, outcome: Outcome, check: HealthCheck) -> Standing:
    """A target's standing after one more check.

    A new target is healthy after the first check that it passes.  Later, as many checks in a row as the thresholds say
    turn it over; `against` counts those that contradict what it is.
    """
    if standing.health is Health.INITIAL:
        if outcome.passed:
            return _HEALTHY
        against = standing.against + 1
        if against >= check.unhealthy:
            return _unhealthy(outcome)
        return Standing(
            reason="Elb.InitialHealthChecking",
            description="Initial health checks in progress",
            against=against,
        )
    if standing.health is Health.HEALTHY:
        if outcome.passed:
            return _HEALTHY
        against = standing.against + 1
        if against >= check.unhealthy:
            return _unhealthy(outcome)
        return msgspec.structs.replace(_HEALTHY, against=against)
    if not outcome.passed:
        return _unhealthy(outcome)
    against = standing.against + 1
    return _HEALTHY if against >= check.healthy else msgspec.structs.replace(standing, against=against)


def told(one: Registration, group: Group, *, in_use: bool) -> Told:
    """A target's state for clients."""
    if one.is_draining:
        return DRAINING
    if not in_use:
        return UNUSED
    if not group.check.enabled:
        return Told("unavailable", "Target.HealthCheckDisabled", "Health checks are disabled")
    standing = one.standing
    return Told(str(standing.health), standing.reason, standing.description)


def may_serve(one: Registration, group: Group) -> bool:
    """Whether a target takes new requests as long as any other does: it is healthy, or nobody checks."""
    if one.is_draining:
        return False
    return one.standing.health is Health.HEALTHY or not group.check.enabled


_HEALTHY: Final = Standing(health=Health.HEALTHY, reason="", description="")


def _unhealthy(outcome: Outcome) -> Standing:
    return Standing(health=Health.UNHEALTHY, reason=outcome.reason, description=outcome.description)
