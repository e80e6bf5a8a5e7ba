"""Scheduling policies: the operations.  Queues that use one are scheduled by what it says from its change on."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.services.batch.compute_environments import EXISTS, IN_USE
from cumulo.services.batch.environment_rules import NAME, check_tags
from cumulo.services.batch.errors import client, unfit, wrapped
from cumulo.services.batch.model import SchedulingPolicy
from cumulo.services.batch.paging import one_page
from cumulo.services.batch.policy_rules import check_policy, weights_of
from cumulo.services.batch.resources import Resources, place_of
from cumulo.wire.service import Operation, Values

POLICIES_MAX: Final = 500
DESCRIBED_MAX: Final = 100


class SchedulingPolicies:
    """The operations."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped(
            {
                "CreateSchedulingPolicy": Operation(self.create, note="fair-share policies"),
                "DescribeSchedulingPolicies": Operation(self.describe),
                "ListSchedulingPolicies": Operation(self.list_),
                "UpdateSchedulingPolicy": Operation(self.update, note="fair-share policies"),
                "DeleteSchedulingPolicy": Operation(self.delete),
            }
        )

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateSchedulingPolicy."""
        if not NAME.fullmatch(values["name"]):
            raise unfit("Scheduling policy name should match a valid pattern.")
        check_policy("CreateSchedulingPolicy", values)
        check_tags(values.get("tags") or {})
        made = SchedulingPolicy(
            account=caller.account,
            region=caller.region,
            name=values["name"],
            tags=values.get("tags") or {},
            **_fair(values),
        )
        if self._resources.policies.get(made.arn) is not None:
            raise client(EXISTS)
        if self._resources.policies.count("place", place_of(caller)) >= POLICIES_MAX:
            raise unfit(f"Account cannot have more than {POLICIES_MAX} scheduling policies.")
        self._resources.policies.put(made)
        await self._resources.store.commit()
        return {"name": made.name, "arn": made.arn}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeSchedulingPolicies: ARNs that nobody has are left out."""
        if len(values["arns"]) > DESCRIBED_MAX:
            raise unfit(f"Maximum number of scheduling policies supported is {DESCRIBED_MAX}")
        found = [self._resources.policy(caller, arn) for arn in dict.fromkeys(values["arns"])]
        return {"schedulingPolicies": [_view(one) for one in found if one is not None]}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListSchedulingPolicies."""
        own = self._resources.policies.by("place", place_of(caller))
        found, token = one_page(sorted(own, key=lambda one: one.arn), lambda one: one.arn, values)
        return {"schedulingPolicies": [{"arn": one.arn} for one in found], "nextToken": token}

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateSchedulingPolicy: what it says takes the place of what the policy said."""
        before = self._resources.policy(caller, values["arn"])
        if before is None:
            raise client(f"SchedulingPolicy {values['arn']} not found.")
        check_policy("UpdateSchedulingPolicy", values)
        if "fairsharePolicy" in values:
            self._resources.policies.put(replace(before, **_fair(values)))
            await self._resources.store.commit()
        return {}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteSchedulingPolicy: no queue may use it; one that is not there is deleted."""
        before = self._resources.policy(caller, values["arn"])
        if before is not None:
            if self._resources.queues.count("policy", before.arn):
                raise client(IN_USE)
            self._resources.policies.delete(before)
            await self._resources.store.commit()
        return {}


def _fair(values: Values) -> dict[str, Any]:
    """The members of SchedulingPolicy that a fairsharePolicy says."""
    fair = values.get("fairsharePolicy") or {}
    return {
        "share_decay_seconds": fair.get("shareDecaySeconds", 0),
        "compute_reservation": fair.get("computeReservation", 0),
        "weights": weights_of(fair),
    }


def _view(one: SchedulingPolicy) -> dict[str, Any]:
    return {
        "name": one.name,
        "arn": one.arn,
        "fairsharePolicy": {
            "shareDecaySeconds": one.share_decay_seconds,
            "computeReservation": one.compute_reservation,
            "shareDistribution": [
                {"shareIdentifier": name, "weightFactor": weight} for name, weight in one.weights.items()
            ],
        },
        "tags": dict(one.tags),
    }
