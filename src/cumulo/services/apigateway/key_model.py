"""The records of API keys and usage plans."""

from collections.abc import Mapping

import msgspec

from cumulo.services.apigateway.model import Owned
from cumulo.state.store import join_key


class ApiKey(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A key that clients send.  `stage_keys` are `<api>/<stage>` where it is good without a plan."""

    value: str
    created_at: float
    updated_at: float
    name: str = ""
    description: str | None = None
    customer_id: str = ""
    enabled: bool = False
    stage_keys: tuple[str, ...] = ()

    @property
    def by_value(self) -> str:
        """Account, region and value."""
        return join_key(self.account, self.region, self.value)


class Throttle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many requests pass: `rate` a second on the long run, `burst` at once; None: no limit of its own."""

    rate: float | None = None
    burst: int | None = None


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many requests pass in a `period` (DAY, WEEK, MONTH) that begins `offset` days into it."""

    limit: int
    period: str
    offset: int = 0


class PlanStage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage that a plan opens.  `throttles` by `/path/METHOD`, in place of the plan's."""

    api_id: str
    stage: str
    throttles: Mapping[str, Throttle] = {}


class UsagePlan(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """Who may use which stages, and how much."""

    name: str
    description: str | None = None
    stages: tuple[PlanStage, ...] = ()
    throttle: Throttle | None = None
    quota: Quota | None = None
    product_code: str = ""


class PlanKey(msgspec.Struct, frozen=True, kw_only=True):
    """That a key belongs to a plan."""

    account: str
    region: str
    plan_id: str
    key_id: str

    @property
    def key(self) -> str:
        """Account, region, plan and key."""
        return join_key(self.account, self.region, self.plan_id, self.key_id)

    @property
    def plan(self) -> str:
        """The key of the plan's record."""
        return join_key(self.account, self.region, self.plan_id)

    @property
    def api_key(self) -> str:
        """The key of the API key's record."""
        return join_key(self.account, self.region, self.key_id)


class DayUse(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key of a plan was used on a day (`2026-01-31`, UTC).  `left` is what remained of the quota then."""

    account: str
    region: str
    plan_id: str
    key_id: str
    day: str
    used: int
    left: int = 0

    @property
    def key(self) -> str:
        """Account, region, plan, key and day."""
        return join_key(self.account, self.region, self.plan_id, self.key_id, self.day)

    @property
    def plan_key(self) -> str:
        """Account, region, plan and key."""
        return join_key(self.account, self.region, self.plan_id, self.key_id)


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What UpdateUsage gave a key on top of (or took from) the quota of the period that began at `begin`."""

    account: str
    region: str
    plan_id: str
    key_id: str
    begin: float
    extra: int

    @property
    def plan_key(self) -> str:
        """Account, region, plan and key."""
        return join_key(self.account, self.region, self.plan_id, self.key_id)
