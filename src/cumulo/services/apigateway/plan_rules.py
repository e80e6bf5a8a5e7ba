"""What a usage plan may be, and how patches change it.  Pure.

/apiStages/a1b2c3d4e5:dev/throttle/~1pets~1{id}/GET/rateLimit     the throttle of one method; TF sends its slashes as they are
"""

from collections.abc import Sequence
from typing import Any, Final

from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, replace, without
from cumulo.services.apigateway.key_model import PlanStage, Quota, Throttle, UsagePlan
from cumulo.services.apigateway.patches import (
    ALL,
    Field,
    Patch,
    Table,
    bounded,
    number,
    unescape,
    value,
    whole,
)
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Values

_PERIODS: Final = {"DAY": 0, "WEEK": 6, "MONTH": 27}
_OFFSETS: Final = {
    "DAY": "Usage Plan quota offset must be zero in the DAY period",
    "WEEK": "Usage Plan quota offset must be between zero and six inclusive in the WEEK period",
    "MONTH": "Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period",
}


def plan_view(plan: UsagePlan, *, tags: bool) -> Values:
    """A plan as clients see it."""
    view = filled(
        id=plan.id,
        name=plan.name,
        description=plan.description,
        throttle=_throttle_view(plan.throttle) if plan.throttle is not None else None,
        productCode=plan.product_code,
        tags=dict(plan.tags),
    )
    if tags:
        view["tags"] = dict(plan.tags)
    view["apiStages"] = [_stage_view(one) for one in plan.stages]
    quota = plan.quota
    if quota is not None:
        view["quota"] = {"limit": quota.limit, "offset": quota.offset, "period": quota.period}
    return view


def throttle_of(given: Values | None) -> Throttle | None:
    """A throttle as clients give it."""
    if given is None:
        return None
    rate, burst = given.get("rateLimit"), given.get("burstLimit")
    return Throttle(rate=None if rate is None else float(rate), burst=burst)


def quota_of(given: Values | None) -> Quota | None:
    """A quota as clients give it.  BadRequestException for half of one."""
    if given is None:
        return None
    if "limit" not in given or "period" not in given:
        raise refusals.bad_request("Usage Plan quota must have a limit and a period")
    return Quota(limit=given["limit"], period=given["period"], offset=given.get("offset", 0))


def stage_of_plan(given: Values) -> PlanStage:
    """A stage of a plan as clients give it."""
    throttles = {key: throttle_of(one) for key, one in given.get("throttle", {}).items()}
    return PlanStage(
        api_id=given.get("apiId", ""),
        stage=given.get("stage", ""),
        throttles={method_key(key): one for key, one in throttles.items() if one is not None},
    )


def check_plan(plan: UsagePlan) -> None:
    """BadRequestException for what AWS does not take; which stages there are is not looked at."""
    if not plan.name.strip():
        raise refusals.bad_request("Usage Plan name cannot be empty")
    for throttle in (plan.throttle, *(one for stage in plan.stages for one in stage.throttles.values())):
        if throttle is not None:
            _check_throttle(throttle)
    named = [(one.api_id, one.stage) for one in plan.stages]
    if len(set(named)) != len(named):
        raise refusals.conflict("An API stage can only be once in a Usage Plan")
    quota = plan.quota
    if quota is None:
        return
    if quota.period not in _PERIODS:
        raise refusals.bad_request(
            f"Invalid quota period: {quota.period}. Must be one of: [DAY, WEEK, MONTH]"
        )
    if quota.limit < 1:
        raise refusals.bad_request("Usage Plan quota limit must be at least 1")
    if not 0 <= quota.offset <= _PERIODS[quota.period]:
        raise refusals.bad_request(_OFFSETS[quota.period])


def method_key(path: str) -> str:
    """How the throttle of a method is kept: `/pets/{id}/GET`."""
    return "/" + unescape(path).strip("/") if path.strip("/") else path


def patched(plan: UsagePlan, operations: Sequence[Values] | None) -> UsagePlan:
    """The plan after all operations."""
    for operation in bounded(operations):
        path = operation.get("path") or ""
        if path.startswith("/apiStages/"):
            plan = _change_method(plan, path, operation)
        else:
            plan = _PATCHES.apply(plan, [operation])
    return plan


def _check_throttle(throttle: Throttle) -> None:
    if throttle.rate is not None and throttle.rate < 0:
        raise refusals.bad_request("Usage Plan throttle rate limit must not be negative")
    if throttle.burst is not None and throttle.burst < 0:
        raise refusals.bad_request("Usage Plan throttle burst limit must not be negative")


def _throttle_view(throttle: Throttle) -> Values:
    # What was not said is shown as zero, as AWS does.
    return {
        "rateLimit": throttle.rate if throttle.rate is not None else 0.0,
        "burstLimit": throttle.burst if throttle.burst is not None else 0,
    }


def _stage_view(stage: PlanStage) -> Values:
    view: Values = {"apiId": stage.api_id, "stage": stage.stage}
    if stage.throttles:
        view["throttle"] = {key: _throttle_view(one) for key, one in stage.throttles.items()}
    return view


def _change_stages(plan: UsagePlan, patch: Patch) -> UsagePlan:
    api_id, colon, stage = patch.text.partition(":")
    if not colon and patch.op == "remove":
        raise refusals.bad_request("Invalid API Stage specified")
    if not colon:
        raise refusals.bad_request(f"Invalid API stage specified: {patch.text}")
    kept = tuple(one for one in plan.stages if (one.api_id, one.stage) != (api_id, stage))
    if patch.op == "add":
        if len(kept) != len(plan.stages):
            raise refusals.conflict(f"API Stage already exists in this Usage Plan: {patch.text}")
        return replace(plan, stages=(*plan.stages, PlanStage(api_id=api_id, stage=stage)))
    if len(kept) == len(plan.stages):
        raise refusals.not_found(
            f"Invalid API Stage {{api: {api_id}, stage: {stage}}} specified for usageplan {plan.id}"
        )
    return replace(plan, stages=kept)


def _change_method(plan: UsagePlan, path: str, operation: Values) -> UsagePlan:
    """A patch of the throttles of a stage's methods."""
    named, slash, rest = path.removeprefix("/apiStages/").partition("/")
    found = next((one for one in plan.stages if f"{one.api_id}:{one.stage}" == unescape(named)), None)
    op = operation.get("op", "")
    if not slash or not rest.startswith("throttle"):
        raise refusals.bad_request(f"Invalid patch path {path}")
    if found is None:
        raise refusals.not_found(f"API Stage not found: {unescape(named)}")
    changed = _with_throttle(found, rest.removeprefix("throttle"), path, op, operation.get("value") or "")
    stages = tuple(changed if one is found else one for one in plan.stages)
    return replace(plan, stages=stages)


def _with_throttle(stage: PlanStage, rest: str, path: str, op: str, text: str) -> PlanStage:
    if op == "remove":
        if not rest.strip("/"):
            return replace(stage, throttles={})
        return replace(stage, throttles=without(stage.throttles, method_key(rest)))
    method, _, limit = rest.rpartition("/")
    if op not in ("add", "replace") or not method.strip("/") or limit not in ("rateLimit", "burstLimit"):
        raise refusals.bad_request(f"Invalid patch path {path}")
    key = method_key(method)
    throttle = stage.throttles.get(key, Throttle())
    throttle = (
        replace(throttle, rate=_rate(text)) if limit == "rateLimit" else replace(throttle, burst=_burst(text))
    )
    return replace(stage, throttles=put_in(stage.throttles, key, throttle))


def _rate(text: str) -> float:
    return number(text, f"Invalid throttle rate limit: {text}")


def _burst(text: str) -> int:
    return whole(text, f"Invalid throttle burst limit: {text}")


def _of_throttle(path: str, member: str, convert: Any) -> Field[UsagePlan]:
    def change(plan: UsagePlan, patch: Patch) -> UsagePlan:
        new = None if patch.op == "remove" else convert(patch.text)
        return replace(plan, throttle=replace(plan.throttle or Throttle(), **{member: new}))

    return Field(path, ALL, change)


def _of_quota(path: str, member: str, convert: Any) -> Field[UsagePlan]:
    def change(plan: UsagePlan, patch: Patch) -> UsagePlan:
        # A quota comes together from several operations; check_plan looks at the whole.
        quota = plan.quota or Quota(limit=0, period="")
        return replace(plan, quota=replace(quota, **{member: convert(patch.text)}))

    return Field(path, ("add", "replace"), change)


def _without(path: str, member: str) -> Field[UsagePlan]:
    return Field(path, ("remove",), lambda plan, _patch: replace(plan, **{member: None}))


_PATCHES: Table[UsagePlan] = Table(
    value("/name", "name"),
    value("/description", "description", lambda text: text or None, ALL),
    value("/productCode", "product_code", ops=ALL),
    Field("/apiStages", ("add", "remove"), _change_stages),
    _without("/throttle", "throttle"),
    _of_throttle("/throttle/rateLimit", "rate", _rate),
    _of_throttle("/throttle/burstLimit", "burst", _burst),
    _without("/quota", "quota"),
    _of_quota("/quota/limit", "limit", lambda text: whole(text, f"Invalid quota limit: {text}")),
    _of_quota("/quota/offset", "offset", lambda text: whole(text, f"Invalid quota offset: {text}")),
    _of_quota("/quota/period", "period", str),
)
