"""API keys and usage plans as the gateway asks for them: from memory, without a look at any record on the usual way.

value, stage ──▶ Admission (kept until a key or a plan changes) ──▶ throttle ──▶ quota ──▶ KeyUse, or Refused
"""

from collections import OrderedDict
from typing import Any, Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.gateway.security.throttle import TokenBucket
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import KeyUse
from cumulo.gateway.visit import Refused
from cumulo.services.apigateway.counting import Counting
from cumulo.services.apigateway.key_model import ApiKey, PlanStage, Throttle, UsagePlan
from cumulo.services.apigateway.quotas import ACCOUNT_BURST, ACCOUNT_RATE
from cumulo.services.apigateway.records import Records
from cumulo.state.store import join_key

_ADMISSIONS_MAX: Final = 65_536
_BUCKETS_MAX: Final = 65_536


class Admission(msgspec.Struct, frozen=True):
    """Where a key opens a stage: by a plan, or (as of old) by itself."""

    use: KeyUse
    plan: UsagePlan | None
    stage: PlanStage | None


class KeyPlans:
    """The gateway's Plans."""

    def __init__(self, records: Records, counting: Counting, clock: Clock) -> None:
        self._records = records
        self._counting = counting
        self._clock = clock
        self._admissions: dict[tuple[str, str, str], Admission] = {}
        self._buckets: OrderedDict[tuple[str, str, str], tuple[Throttle, TokenBucket]] = OrderedDict()
        records.usage_plans.listeners.append(self._plan_changed)
        records.api_keys.listeners.append(self._changed)
        records.plan_keys.listeners.append(self._changed)

    def admit(self, place: Place, value: str, *, path: str, method: str) -> KeyUse:
        """Count a use of the key.  Refused INVALID_API_KEY, THROTTLED, QUOTA_EXCEEDED."""
        found = self._admissions.get((place.api_id, place.stage, value)) or self._look(place, value)
        if found is None:
            raise Refused("INVALID_API_KEY")
        plan = found.plan
        if plan is not None and found.stage is not None:
            self._throttle(plan, found.stage, found.use.key_id, f"{path.rstrip('/')}/{method}")
            if not self._counting.take(plan, found.use.key_id):
                raise Refused("QUOTA_EXCEEDED")
        return found.use

    def clear(self) -> None:
        """Forget everything."""
        self._admissions.clear()
        self._buckets.clear()

    # -- parts -----------------------------------------------------------------------------------------------

    def _look(self, place: Place, value: str) -> Admission | None:
        """What the records say; kept when it is a yes, for clients may send any number of wrong keys."""
        keys = (
            self._records.api_keys.by("value", join_key(place.account, place.region, value)) if value else []
        )
        found = self._admission(place, keys[0]) if keys and keys[0].enabled else None
        if found is not None:
            if len(self._admissions) >= _ADMISSIONS_MAX:
                self._admissions.clear()
            self._admissions[place.api_id, place.stage, value] = found
        return found

    def _admission(self, place: Place, key: ApiKey) -> Admission | None:
        for link in self._records.plan_keys.by("api_key", key.key):
            plan = self._records.usage_plans.get(link.plan)
            for stage in plan.stages if plan is not None else ():
                if plan is not None and (stage.api_id, stage.stage) == (place.api_id, place.stage):
                    return Admission(KeyUse(key_id=key.id, plan_id=plan.id), plan, stage)
        if f"{place.api_id}/{place.stage}" in key.stage_keys:
            return Admission(KeyUse(key_id=key.id), None, None)
        return None

    def _throttle(self, plan: UsagePlan, stage: PlanStage, key_id: str, method: str) -> None:
        own = stage.throttles.get(method) if stage.throttles else None
        throttle = own or plan.throttle
        if throttle is None:
            return
        scope = f"{stage.api_id}:{stage.stage}{method}" if own is not None else ""
        name = (plan.key, key_id, scope)
        kept = self._buckets.get(name)
        if kept is None or kept[0] != throttle:
            kept = (throttle, _bucket(throttle))
            self._buckets[name] = kept
            if len(self._buckets) > _BUCKETS_MAX:
                self._buckets.popitem(last=False)
        if not kept[1].take(self._clock.monotonic()):
            raise Refused("THROTTLED")

    def _changed(self, before: Any, after: Any) -> None:
        del before, after
        self._admissions.clear()

    def _plan_changed(self, before: UsagePlan | None, after: UsagePlan | None) -> None:
        self._admissions.clear()
        if before is not None and after is not None and before.quota != after.quota:
            self._counting.forget(after)


def _bucket(throttle: Throttle) -> TokenBucket:
    rate = ACCOUNT_RATE if throttle.rate is None else throttle.rate
    burst = throttle.burst
    if burst is None:
        burst = min(ACCOUNT_BURST, max(1, int(rate)))
    return TokenBucket(rate, burst)
