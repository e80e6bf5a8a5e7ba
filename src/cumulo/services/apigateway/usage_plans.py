"""Usage plans, and the keys that belong to them."""

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.finding import owner_of, plan_of
from cumulo.services.apigateway.key_model import ApiKey, PlanKey, UsagePlan
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.naming import checked_tags, new_id
from cumulo.services.apigateway.plan_rules import (
    check_plan,
    patched,
    plan_view,
    quota_of,
    stage_of_plan,
    throttle_of,
)
from cumulo.services.apigateway.quotas import PLANS_OF_A_KEY_MAX, USAGE_PLANS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values


class UsagePlans:
    """The operations on usage plans and their keys."""

    def __init__(self, records: Records, ids: Ids) -> None:
        self._records = records
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateUsagePlan": Operation(self.create),
            "GetUsagePlan": Operation(self.get),
            "GetUsagePlans": Operation(self.get_all),
            "UpdateUsagePlan": Operation(self.update),
            "DeleteUsagePlan": Operation(self.delete),
            "CreateUsagePlanKey": Operation(self.create_key),
            "GetUsagePlanKey": Operation(self.get_key),
            "GetUsagePlanKeys": Operation(self.list_keys),
            "DeleteUsagePlanKey": Operation(self.delete_key),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateUsagePlan."""
        if self._records.usage_plans.count("owner", owner_of(caller)) >= USAGE_PLANS_MAX:
            raise refusals.too_many("usage plans", "this account")
        plan = UsagePlan(
            account=caller.account,
            region=caller.region,
            id=new_id(self._ids),
            name=values["name"],
            description=values.get("description"),
            stages=tuple(stage_of_plan(one) for one in values.get("apiStages", ())),
            throttle=throttle_of(values.get("throttle")),
            quota=quota_of(values.get("quota")),
            tags=checked_tags(values.get("tags", {}), {}),
        )
        await self._keep(plan, None)
        return plan_view(plan, tags=False)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetUsagePlan."""
        return plan_view(plan_of(self._records, caller, values), tags=True)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetUsagePlans, maybe those of one key."""
        found = self._records.usage_plans.by("owner", owner_of(caller))
        if "keyId" in values:
            key = self._key(caller, values["keyId"])
            held = {link.plan for link in self._records.plan_keys.by("api_key", key.key)}
            found = [one for one in found if one.key in held]
        return listed(found, lambda one: one.id, values, lambda one: plan_view(one, tags=False))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateUsagePlan."""
        before = plan_of(self._records, caller, values)
        plan = patched(before, values.get("patchOperations"))
        await self._keep(plan, before)
        return plan_view(plan, tags=True)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteUsagePlan, once it opens no stage; its keys leave it."""
        plan = plan_of(self._records, caller, values)
        if plan.stages:
            raise refusals.bad_request(
                f"Cannot delete Usage Plan {plan.id} because it has associated API stages. Please remove all API stages "
                "from the Usage Plan first."
            )
        for link in self._records.plan_keys.by("plan", plan.key):
            self._records.forget_plan_key(link)
        self._records.usage_plans.delete(plan)
        await self._records.store.commit()
        return {}

    # -- keys ------------------------------------------------------------------------------------------------

    async def create_key(self, caller: Caller, values: Values) -> Values | None:
        """CreateUsagePlanKey: a key joins a plan."""
        plan = plan_of(self._records, caller, values)
        if values["keyType"] != "API_KEY":
            raise refusals.bad_request(f"Invalid key type specified: {values['keyType']}. Must be API_KEY")
        key = self._key(caller, values["keyId"])
        held = self._records.plan_keys.by("api_key", key.key)
        if any(link.plan == plan.key for link in held):
            raise refusals.conflict(f"Usage Plan Key already exists: {key.id}")
        if len(held) >= PLANS_OF_A_KEY_MAX:
            raise refusals.too_many("usage plans", "this API key")
        self._check_stages(plan, [key])
        link = PlanKey(account=plan.account, region=plan.region, plan_id=plan.id, key_id=key.id)
        self._records.plan_keys.put(link)
        await self._records.store.commit()
        return _key_view(key)

    async def get_key(self, caller: Caller, values: Values) -> Values | None:
        """GetUsagePlanKey."""
        _, key = self._find_key(caller, values)
        return _key_view(key)

    async def list_keys(self, caller: Caller, values: Values) -> Values | None:
        """GetUsagePlanKeys whose names begin with `nameQuery`; a plan that is not there has none."""
        plan = self._records.usage_plans.get(join_key(caller.account, caller.region, values["usagePlanId"]))
        keys = self._keys_of(plan) if plan is not None else []
        found = [key for key in keys if key.name.startswith(values.get("nameQuery", ""))]
        return listed(found, lambda one: one.id, values, _key_view)

    async def delete_key(self, caller: Caller, values: Values) -> Values | None:
        """DeleteUsagePlanKey: a key leaves a plan."""
        link, _ = self._find_key(caller, values)
        self._records.forget_plan_key(link)
        await self._records.store.commit()
        return {}

    # -- parts -----------------------------------------------------------------------------------------------

    async def _keep(self, plan: UsagePlan, before: UsagePlan | None) -> None:
        check_plan(plan)
        had = {(one.api_id, one.stage) for one in before.stages} if before is not None else set()
        for stage in plan.stages:
            key = join_key(plan.account, plan.region, stage.api_id, stage.stage)
            if (stage.api_id, stage.stage) not in had and self._records.stages.get(key) is None:
                raise refusals.not_found(f"API Stage not found: {stage.api_id}:{stage.stage}")
        self._check_stages(plan, self._keys_of(plan))
        self._records.usage_plans.put(plan)
        await self._records.store.commit()

    def _check_stages(self, plan: UsagePlan, keys: list[ApiKey]) -> None:
        """ConflictException when a key would come to a stage by two plans."""
        ours = {(one.api_id, one.stage) for one in plan.stages}
        for key in keys:
            for link in self._records.plan_keys.by("api_key", key.key):
                other = self._records.usage_plans.get(link.plan)
                if other is None or other.id == plan.id:
                    continue
                if any((one.api_id, one.stage) in ours for one in other.stages):
                    raise refusals.conflict(
                        f"API Key {key.id} is already associated with Usage Plan {other.id} for the same API stage"
                    )

    def _keys_of(self, plan: UsagePlan) -> list[ApiKey]:
        found = (
            self._records.api_keys.get(one.api_key) for one in self._records.plan_keys.by("plan", plan.key)
        )
        return [one for one in found if one is not None]

    def _key(self, caller: Caller, key_id: str) -> ApiKey:
        found = self._records.api_keys.get(join_key(caller.account, caller.region, key_id))
        if found is None:
            raise refusals.unknown("API Key")
        return found

    def _find_key(self, caller: Caller, values: Values) -> tuple[PlanKey, ApiKey]:
        plan = plan_of(self._records, caller, values)
        link = self._records.plan_keys.get(join_key(plan.key, values["keyId"]))
        key = self._records.api_keys.get(link.api_key) if link is not None else None
        if link is None or key is None:
            raise refusals.not_found("Invalid Usage Plan Key identifier specified")
        return link, key


def _key_view(key: ApiKey) -> Values:
    return filled(id=key.id, type="API_KEY", value=key.value, name=key.name)
