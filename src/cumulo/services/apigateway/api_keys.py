"""API keys."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.finding import owner_of
from cumulo.services.apigateway.key_file import KeyLine, read_keys
from cumulo.services.apigateway.key_model import ApiKey, PlanKey
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.naming import LONG_ID, checked_tags, new_id
from cumulo.services.apigateway.patches import ADD_REMOVE, Table, flag, members, value
from cumulo.services.apigateway.quotas import API_KEYS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

VALUE_MIN: Final = 20
VALUE_MAX: Final = 128
NAME_CHARACTERS_MAX: Final = 1024
DESCRIPTION_CHARACTERS_MAX: Final = 125_000
_NEW_VALUE: Final = 40


class ApiKeys:
    """The operations on API keys."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateApiKey": Operation(self.create),
            "GetApiKey": Operation(self.get),
            "GetApiKeys": Operation(self.get_all),
            "UpdateApiKey": Operation(self.update),
            "DeleteApiKey": Operation(self.delete),
            "ImportApiKeys": Operation(self.import_keys),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateApiKey."""
        if len(values.get("name", "")) > NAME_CHARACTERS_MAX:
            raise refusals.bad_request(
                f"Invalid API Key name, can be at most {NAME_CHARACTERS_MAX} characters."
            )
        given = values.get("value", "")
        key = self._new(caller, given, values.get("name", ""))
        # Ids that are values are of the time before usage plans; who asks for it still gets it.
        distinct = values.get("generateDistinctId", True)
        key = replace(
            key,
            id=key.id if distinct else key.value,
            description=_checked_description(values.get("description", "")),
            customer_id=values.get("customerId", ""),
            enabled=values.get("enabled", False),
            stage_keys=self._stage_keys(caller, values.get("stageKeys", ())),
            tags=checked_tags(values.get("tags", {}), {}),
        )
        self._records.api_keys.put(key)
        await self._records.store.commit()
        return key_view(key, secret=True, tags=False)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetApiKey; its value only when asked for."""
        key = self._find(caller, values)
        return key_view(key, secret=bool(values.get("includeValue")), tags=True)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetApiKeys whose names begin with `nameQuery`, maybe of one customer."""
        name, customer = values.get("nameQuery", ""), values.get("customerId")
        found = [
            one
            for one in self._records.api_keys.by("owner", owner_of(caller))
            if one.name.startswith(name) and customer in (None, one.customer_id)
        ]
        secret = bool(values.get("includeValues"))
        return listed(found, lambda one: one.id, values, lambda one: key_view(one, secret=secret, tags=False))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateApiKey."""
        before = self._find(caller, values)
        key = _PATCHES.apply(before, values.get("patchOperations"))
        for stage_key in key.stage_keys:
            if stage_key not in before.stage_keys:
                self._check_stage(caller, *stage_key.partition("/")[::2])
        key = replace(key, updated_at=self._clock.now())
        self._records.api_keys.put(key)
        await self._records.store.commit()
        return key_view(key, secret=False, tags=True)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteApiKey; it leaves its plans."""
        key = self._find(caller, values)
        for link in self._records.plan_keys.by("api_key", key.key):
            self._records.forget_plan_key(link)
        self._records.api_keys.delete(key)
        await self._records.store.commit()
        return {}

    async def import_keys(self, caller: Caller, values: Values) -> Values | None:
        """ImportApiKeys, of a CSV file."""
        lines, warnings = read_keys(values["body"])
        made: list[ApiKey] = []
        links: list[PlanKey] = []
        seen: set[str] = set()
        for line in lines:
            refused = self._why_not(caller, line, seen)
            if refused:
                warnings.append(refused)
                continue
            seen.add(line.value)
            key = self._new(caller, line.value, line.name, more=len(made))
            made.append(replace(key, description=line.description or None, enabled=line.enabled))
            links += [_link(made[-1], plan) for plan in line.plans]
        if warnings and values.get("failOnWarnings"):
            raise refusals.bad_request(f"Failed to import API keys due to warnings: {warnings}")
        for key in made:
            self._records.api_keys.put(key)
        for link in links:
            self._records.plan_keys.put(link)
        await self._records.store.commit()
        return {"ids": [key.id for key in made], "warnings": warnings}

    # -- parts -----------------------------------------------------------------------------------------------

    def _find(self, caller: Caller, values: Values) -> ApiKey:
        found = self._records.api_keys.get(join_key(caller.account, caller.region, values["apiKey"]))
        if found is None:
            raise refusals.unknown("API Key")
        return found

    def _new(self, caller: Caller, given: str, name: str, *, more: int = 0) -> ApiKey:
        if self._records.api_keys.count("owner", owner_of(caller)) + more >= API_KEYS_MAX:
            raise refusals.too_many("API keys", "this account")
        now = self._clock.now()
        value_ = _checked_value(given) if given else self._ids.upper(_NEW_VALUE).lower()
        if self._records.api_keys.by("value", join_key(caller.account, caller.region, value_)):
            raise refusals.conflict("API Key already exists")
        return ApiKey(
            account=caller.account,
            region=caller.region,
            id=new_id(self._ids, LONG_ID),
            value=value_,
            name=name,
            created_at=now,
            updated_at=now,
        )

    def _stage_keys(self, caller: Caller, given: list[Values]) -> tuple[str, ...]:
        for one in given:
            self._check_stage(caller, one.get("restApiId", ""), one.get("stageName", ""))
        return tuple(dict.fromkeys(f"{one.get('restApiId', '')}/{one.get('stageName', '')}" for one in given))

    def _check_stage(self, caller: Caller, api_id: str, stage: str) -> None:
        if self._records.stages.get(join_key(caller.account, caller.region, api_id, stage)) is None:
            raise refusals.bad_request(f"Invalid stage identifier specified: {api_id}/{stage}")

    def _why_not(self, caller: Caller, line: KeyLine, seen: set[str]) -> str:
        """Why a line of a file is not taken; empty: it is."""
        if line.value and not VALUE_MIN <= len(line.value) <= VALUE_MAX:
            return (
                f"Line {line.number}: API Key value should be between {VALUE_MIN} and {VALUE_MAX} characters"
            )
        taken = self._records.api_keys.by("value", join_key(caller.account, caller.region, line.value))
        if line.value and (taken or line.value in seen):
            return f"Line {line.number}: API Key already exists"
        for plan in line.plans:
            if self._records.usage_plans.get(join_key(caller.account, caller.region, plan)) is None:
                return f"Line {line.number}: Invalid Usage Plan ID specified: {plan}"
        return ""


def key_view(key: ApiKey, *, secret: bool, tags: bool) -> Values:
    """A key as clients see it; its value is a secret."""
    view = filled(
        id=key.id,
        value=key.value if secret else "",
        name=key.name,
        customerId=key.customer_id,
        description=key.description,
        tags=dict(key.tags),
    )
    if tags:
        view["tags"] = dict(key.tags)
    return view | {
        "enabled": key.enabled,
        "createdDate": int(key.created_at),
        "lastUpdatedDate": int(key.updated_at),
        "stageKeys": list(key.stage_keys),
    }


def _checked_value(text: str) -> str:
    if len(text) < VALUE_MIN:
        raise refusals.bad_request(f"API Key value should be at least {VALUE_MIN} characters")
    if len(text) > VALUE_MAX:
        raise refusals.bad_request(f"API Key value exceeds maximum size of {VALUE_MAX} characters")
    return text


def _checked_description(text: str) -> str | None:
    if len(text) > DESCRIPTION_CHARACTERS_MAX:
        raise refusals.bad_request("Invalid API Key description specified.")
    return text or None


def _link(key: ApiKey, plan_id: str) -> PlanKey:
    return PlanKey(account=key.account, region=key.region, plan_id=plan_id, key_id=key.id)


_PATCHES: Table[ApiKey] = Table(
    value("/name", "name"),
    value("/description", "description", _checked_description),
    value("/enabled", "enabled", flag),
    value("/customerId", "customer_id"),
    members("/stages", "stage_keys", ADD_REMOVE),
)
