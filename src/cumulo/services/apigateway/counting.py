"""How often keys were used: counted in memory, written down every second, so a kill loses at most a second's counts.

admit ──▶ Counter (a key of a plan, in its period) ──flush──▶ DayUse records ──▶ GetUsage
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from cumulo.base.clock import Clock
from cumulo.gateway.security.quota import period
from cumulo.services.apigateway.key_model import Allowance, DayUse, PlanKey, UsagePlan
from cumulo.services.apigateway.records import Records
from cumulo.state.store import join_key

DAYS_KEPT: Final = 100
_DAY_SECONDS: Final = 86_400


class Counter:
    """One key of one plan: its use today, and in the period of its plan's quota."""

    __slots__ = ("changed", "day", "day_end", "end", "extra", "link", "today", "used")

    def __init__(self, link: PlanKey) -> None:
        self.link = link
        self.day = ""
        self.day_end = 0.0
        self.end = 0.0
        self.today = 0
        self.used = 0
        self.extra = 0
        self.changed = False


class Counting:
    """All counters."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._counters: dict[str, Counter] = {}

    def take(self, plan: UsagePlan, key_id: str) -> bool:
        """Count a use; False (and it is not counted) when the plan's quota is used up."""
        counter = self._current(plan, key_id, self._clock.now())
        quota = plan.quota
        if quota is not None and counter.used >= quota.limit + counter.extra:
            return False
        counter.today += 1
        counter.used += 1
        counter.changed = True
        return True

    def left(self, plan: UsagePlan, key_id: str) -> int:
        """What remains of the quota; 0 for a plan without one."""
        counter = self._current(plan, key_id, self._clock.now())
        return _left(plan, counter)

    def allow(self, plan: UsagePlan, key_id: str, remaining: int) -> None:
        """So many shall remain in the current period, whatever was used; the caller commits."""
        assert plan.quota is not None, "there is nothing to remain"
        now = self._clock.now()
        counter = self._current(plan, key_id, now)
        counter.extra = remaining + counter.used - plan.quota.limit
        begin, _ = period(plan.quota.period, plan.quota.offset, now)
        self._records.allowances.put(
            Allowance(
                account=plan.account,
                region=plan.region,
                plan_id=plan.id,
                key_id=key_id,
                begin=begin,
                extra=counter.extra,
            )
        )
        counter.changed = True

    def flush(self) -> bool:
        """Write down what was counted; whether there was anything.  The caller commits."""
        any_changed = False
        for name, counter in list(self._counters.items()):
            plan = self._records.usage_plans.get(counter.link.plan)
            if plan is None or self._records.plan_keys.get(name) is None:
                del self._counters[name]
            elif counter.changed:
                any_changed = True
                self._write(plan, counter)
        return any_changed

    def days(self, plan: UsagePlan, key_id: str, first: date, last: date) -> list[tuple[int, int]]:
        """Used and left, day by day, as far as it is written down."""
        counter = self._current(plan, key_id, self._clock.now())
        uses = self._records.uses.by("plan_key", counter.link.key)
        shown = {one.day: (one.used, one.left) for one in uses}
        limit = plan.quota.limit if plan.quota is not None else 0
        asked = ((first + timedelta(days=day)).isoformat() for day in range((last - first).days + 1))
        return [shown.get(day, (0, limit)) for day in asked]

    def today(self) -> date:
        """The day that is counted now, UTC."""
        return datetime.fromtimestamp(self._clock.now(), UTC).date()

    def clear(self) -> None:
        """Forget everything."""
        self._counters.clear()

    # -- parts -----------------------------------------------------------------------------------------------

    def _current(self, plan: UsagePlan, key_id: str, now: float) -> Counter:
        name = join_key(plan.key, key_id)
        counter = self._counters.get(name)
        if counter is None:
            link = PlanKey(account=plan.account, region=plan.region, plan_id=plan.id, key_id=key_id)
            counter = self._counters[name] = Counter(link)
        if now >= counter.day_end or now >= counter.end:
            self._turn(plan, counter, now)
        return counter

    def _turn(self, plan: UsagePlan, counter: Counter, now: float) -> None:
        """A new day, maybe a new period: count on from what is written."""
        if counter.changed:
            self._write(plan, counter)
        today = datetime.fromtimestamp(now, UTC).date()
        counter.day = today.isoformat()
        counter.day_end = (now // _DAY_SECONDS + 1) * _DAY_SECONDS
        uses = self._records.uses.by("plan_key", counter.link.key)
        counter.today = sum(one.used for one in uses if one.day == counter.day)
        if plan.quota is None:
            begin, counter.end = now - now % _DAY_SECONDS, counter.day_end
        else:
            begin, counter.end = period(plan.quota.period, plan.quota.offset, now)
        first = datetime.fromtimestamp(begin, UTC).date().isoformat()
        counter.used = sum(one.used for one in uses if first <= one.day <= counter.day)
        allowance = self._records.allowances.get(counter.link.key)
        counter.extra = allowance.extra if allowance is not None and allowance.begin == begin else 0
        oldest = (today - timedelta(days=DAYS_KEPT)).isoformat()
        for use in uses:
            if use.day < oldest:
                self._records.uses.delete(use)

    def forget(self, plan: UsagePlan) -> None:
        """The plan changed: its periods are looked up anew."""
        for counter in self._counters.values():
            if counter.link.plan == plan.key:
                if counter.changed:
                    self._write(plan, counter)
                counter.day_end = counter.end = 0.0

    def _write(self, plan: UsagePlan, counter: Counter) -> None:
        counter.changed = False
        link = counter.link
        self._records.uses.put(
            DayUse(
                account=link.account,
                region=link.region,
                plan_id=link.plan_id,
                key_id=link.key_id,
                day=counter.day,
                used=counter.today,
                left=_left(plan, counter),
            )
        )


def _left(plan: UsagePlan, counter: Counter) -> int:
    return max(0, plan.quota.limit + counter.extra - counter.used) if plan.quota is not None else 0
