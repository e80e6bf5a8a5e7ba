"""How much of their plans keys have used."""

import contextlib
from datetime import date
from typing import Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.pages import page
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.counting import Counting
from cumulo.services.apigateway.finding import plan_of
from cumulo.services.apigateway.key_model import UsagePlan
from cumulo.services.apigateway.patches import Table, value, whole
from cumulo.services.apigateway.quotas import PAGE_DEFAULT, PAGE_MAX
from cumulo.services.apigateway.records import Records
from cumulo.state.store import StoreError, join_key
from cumulo.wire.service import Operation, Values

_DAYS_MAX: Final = 90


class _Asked(msgspec.Struct, frozen=True):
    """What a patch wants to be left."""

    remaining: int | None = None


class Usage:
    """The operations on usage."""

    def __init__(self, records: Records, counting: Counting) -> None:
        self._records = records
        self._counting = counting

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {"GetUsage": Operation(self.get), "UpdateUsage": Operation(self.update)}

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetUsage: of each key, day by day, what was used and what was left.  What is shown is written down first."""
        plan = plan_of(self._records, caller, values)
        first, last = _day(values["startDate"]), _day(values["endDate"])
        if first > last:
            raise refusals.bad_request("Invalid date range specified: startDate is after endDate")
        if (last - first).days >= _DAYS_MAX:
            raise refusals.bad_request(f"Invalid date range specified: it must be within {_DAYS_MAX} days")
        keys = sorted(link.key_id for link in self._records.plan_keys.by("plan", plan.key))
        wanted = values.get("keyId")
        if wanted is not None:
            keys = [one for one in keys if one == wanted]
        taken, position = page(
            keys,
            lambda one: one,
            marker=values.get("position"),
            size=min(max(1, values.get("limit", PAGE_DEFAULT)), PAGE_MAX),
            error="BadRequestException",
        )
        if self._counting.flush():
            with contextlib.suppress(StoreError):  # it is kept as soon as there is space
                await self._records.store.commit()
        return {
            "usagePlanId": plan.id,
            "startDate": values["startDate"],
            "endDate": values["endDate"],
            "position": position,
            "items": {key: self._days(plan, key, first, last) for key in taken},
        }

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateUsage: how much of its quota a key has left now."""
        plan = plan_of(self._records, caller, values)
        key_id = values["keyId"]
        if self._records.plan_keys.get(join_key(plan.key, key_id)) is None:
            raise refusals.not_found("Invalid Usage Plan Key identifier specified")
        if plan.quota is None:
            raise refusals.bad_request("Usage Plan does not have a quota")
        asked = _PATCHES.apply(_Asked(), values.get("patchOperations"))
        if asked.remaining is not None:
            self._counting.allow(plan, key_id, asked.remaining)
            self._counting.flush()
            await self._records.store.commit()
        today = self._counting.today()
        return {
            "usagePlanId": plan.id,
            "startDate": today.isoformat(),
            "endDate": today.isoformat(),
            "items": {key_id: self._days(plan, key_id, today, today)},
        }

    def _days(self, plan: UsagePlan, key_id: str, first: date, last: date) -> list[list[int]]:
        return [list(one) for one in self._counting.days(plan, key_id, first, last)]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refusals.bad_request(f"Invalid date specified: {text}. Must be YYYY-MM-DD") from None


def _remaining(text: str) -> int:
    found = whole(text, f"Invalid remaining usage: {text}")
    if not 0 <= found < 1 << 31:
        raise refusals.bad_request(f"Invalid remaining usage: {text}")
    return found


_PATCHES: Table[_Asked] = Table(value("/remaining", "remaining", _remaining))
