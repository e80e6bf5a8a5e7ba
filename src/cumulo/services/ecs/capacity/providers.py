"""Operations on capacity providers: an Auto Scaling group, with what ECS does to it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.instances import Group, Groups
from cumulo.base.pages import page
from cumulo.services.ecs import arns
from cumulo.services.ecs.capacity import views
from cumulo.services.ecs.capacity.finding import cluster_of
from cumulo.services.ecs.model import CapacityProvider
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import client, invalid
from cumulo.services.ecs.tagging import checked_tags
from cumulo.state.store import join_key
from cumulo.wire.service import Values

FARGATE: Final = ("FARGATE", "FARGATE_SPOT")
DESCRIBED_MAX: Final = 100
PAGE_MAX: Final = 10
MANAGED_TAG: Final = "AmazonECSManaged"
_NAME: Final = re.compile(r"(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}", re.IGNORECASE)
_SCALING: Final[Mapping[str, Any]] = {
    "status": "DISABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10_000,
    "instanceWarmupPeriod": 300,
}


class CapacityProviders:
    """The operations.  `changed` is told of a provider that was made or changed."""

    def __init__(
        self, records: Records, groups: Groups, clock: Clock, changed: Callable[[CapacityProvider], None]
    ) -> None:
        self._records = records
        self._groups = groups
        self._clock = clock
        self._changed = changed

    async def create(self, caller: Caller, values: Values) -> Values:
        """CreateCapacityProvider."""
        _no_managed_instances("CreateCapacityProvider", values)
        name = values["name"]
        if not _NAME.fullmatch(name):
            raise client(_BAD_NAME)
        asked = values.get("autoScalingGroupProvider")
        if asked is None:
            raise client("An Auto Scaling group must be specified for the capacity provider.")
        tags = checked_tags(values.get("tags", ()), {})
        group = await self._group(caller, asked["autoScalingGroupArn"])
        settings = _settings(asked, {})
        _check(settings, group)
        if self._records.providers.get(join_key(caller.account, caller.region, name)) is not None:
            raise client(_EXISTS)
        if any(one.group_name == group.name for one in self._own(caller)):
            raise client(_GROUP_TAKEN)
        provider = self._records.providers.put(
            CapacityProvider(
                account=caller.account,
                region=caller.region,
                name=name,
                arn=arns.arn(caller.region, caller.account, "capacity-provider", name),
                auto_scaling_group={"autoScalingGroupArn": asked["autoScalingGroupArn"], **settings},
                tags=tags,
                created_at=self._clock.now(),
            )
        )
        await self._records.store.commit()
        await self._mark(provider)
        self._changed(provider)
        return {"capacityProvider": views.capacity_provider(provider, ("TAGS",))}

    async def update(self, caller: Caller, values: Values) -> Values:
        """UpdateCapacityProvider: what is given takes the place of what was there."""
        _no_managed_instances("UpdateCapacityProvider", values)
        provider = self._named(caller, values["name"])
        asked = values.get("autoScalingGroupProvider") or {}
        settings = _settings(asked, provider.auto_scaling_group)
        group = await self._group(caller, provider.group_name)
        _check(settings, group)
        provider = self._named(caller, values["name"])  # it may have gone meanwhile
        arn = provider.auto_scaling_group["autoScalingGroupArn"]
        provider = self._records.providers.put(
            replace(
                provider,
                auto_scaling_group={"autoScalingGroupArn": arn, **settings},
                update_status="UPDATE_COMPLETE",
                update_reason="",
            )
        )
        await self._records.store.commit()
        await self._mark(provider)
        self._changed(provider)
        return {"capacityProvider": views.capacity_provider(provider, ("TAGS",))}

    async def delete(self, caller: Caller, values: Values) -> Values:
        """DeleteCapacityProvider: one that a cluster has stays, and says so."""
        name = values["capacityProvider"]
        if arns.last_part(name) in FARGATE:
            raise client("The specified capacity provider is reserved and cannot be deleted.")
        provider = self._named(caller, name)
        users = [
            one.name
            for one in self._records.clusters.by("place", join_key(caller.account, caller.region))
            if one.status != "INACTIVE" and provider.name in one.capacity_providers
        ]
        if users:
            kept = replace(provider, update_status="DELETE_FAILED", update_reason=_in_use(users))
            self._records.providers.put(kept)
            await self._records.store.commit()
            return {"capacityProvider": views.capacity_provider(kept)}
        self._records.providers.delete(provider)
        await self._records.store.commit()
        gone = replace(provider, status="INACTIVE", update_status="DELETE_COMPLETE", update_reason="")
        return {"capacityProvider": views.capacity_provider(gone)}

    async def describe(self, caller: Caller, values: Values) -> Values:
        """DescribeCapacityProviders: Fargate's are always there."""
        include = values.get("include", ())
        known = {one.name: one for one in (*_fargate(caller), *self._own(caller))}
        if "cluster" in values:
            having = cluster_of(self._records, caller, values).capacity_providers
            known = {name: one for name, one in known.items() if name in having}
        asked = values.get("capacityProviders", ())
        if asked:
            if len(asked) > DESCRIBED_MAX:
                raise invalid(f"capacityProviders can have at most {DESCRIBED_MAX} items.")
            names = [(one, arns.last_part(one)) for one in asked]
            return {
                "capacityProviders": [
                    views.capacity_provider(known[name], include) for _, name in names if name in known
                ],
                "failures": [
                    {
                        "arn": arns.arn(caller.region, caller.account, "capacity-provider", name),
                        "reason": "MISSING",
                    }
                    for _, name in names
                    if name not in known
                ],
            }
        size = values.get("maxResults", PAGE_MAX)
        if not 1 <= size <= PAGE_MAX:
            raise invalid(f"maxResults must be between 1 and {PAGE_MAX}.")
        taken, token = page(
            sorted(known),
            lambda name: name,
            marker=values.get("nextToken"),
            size=size,
            error="InvalidParameterException",
        )
        shown = [views.capacity_provider(known[name], include) for name in taken]
        return {"capacityProviders": shown, "failures": [], "nextToken": token}

    # -- small things ------------------------------------------------------------------------------------

    def _own(self, caller: Caller) -> list[CapacityProvider]:
        return self._records.providers.by("place", join_key(caller.account, caller.region))

    def _named(self, caller: Caller, name: str) -> CapacityProvider:
        found = self._records.providers.get(join_key(caller.account, caller.region, arns.last_part(name)))
        if found is None:
            raise client(_NOT_FOUND)
        return found

    async def _group(self, caller: Caller, name: str) -> Group:
        found = await self._groups.group(caller.account, caller.region, arns.last_part(name))
        if found is None:
            raise client(_NO_GROUP)
        return found

    async def _mark(self, provider: CapacityProvider) -> None:
        """Tag the group as managed, as ECS does; a group that went meanwhile is found out later."""
        try:
            await self._groups.tag(provider.account, provider.region, provider.group_name, MANAGED_TAG, "")
        except AwsError as error:
            if error.status >= 500:
                raise


def _no_managed_instances(operation: str, values: Values) -> None:
    if values.get("managedInstancesProvider") is not None or values.get("cluster"):
        raise not_implemented("ecs", operation, "only Auto Scaling groups can be capacity providers")


def _settings(asked: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """`autoScalingGroupProvider` without its ARN, with defaults for what was never said."""
    scaling = {**_SCALING, **before.get("managedScaling", {}), **asked.get("managedScaling", {})}
    kept = {"managedTerminationProtection": "DISABLED", "managedDraining": "ENABLED"}
    said = {name: str(asked.get(name) or before.get(name) or default) for name, default in kept.items()}
    return {"managedScaling": scaling, **said}


def _check(settings: Mapping[str, Any], group: Group) -> None:
    scaling = settings["managedScaling"]
    if scaling["minimumScalingStepSize"] > scaling["maximumScalingStepSize"]:
        raise client("The minimum scaling step size must not be greater than the maximum scaling step size.")
    if settings["managedTerminationProtection"] == "ENABLED":
        if scaling["status"] != "ENABLED":
            raise client(f"{_PROTECTION} managed scaling must be enabled.")
        if not group.new_protected:
            raise client(
                f"{_PROTECTION} the Auto Scaling group must have instance protection from scale in enabled."
            )


def _fargate(caller: Caller) -> list[CapacityProvider]:
    return [
        CapacityProvider(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arns.arn(caller.region, caller.account, "capacity-provider", name),
        )
        for name in FARGATE
    ]


def _in_use(clusters: list[str]) -> str:
    return (
        f"The capacity provider cannot be deleted because it is associated with cluster: {', '.join(clusters)}. "
        "Remove the capacity provider from the cluster and try again."
    )


_BAD_NAME = (
    "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper and "
    'lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with "aws", "ecs", or "fargate". '
    "Specify a valid name and try again."
)
_EXISTS = (
    "The specified capacity provider already exists. To change the configuration of an existing capacity provider, "
    "update the capacity provider."
)
_GROUP_TAKEN = (
    "The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a unique Auto "
    "Scaling group ARN and try again."
)
_NO_GROUP = (
    "The specified Auto Scaling group was not found. Specify a valid Auto Scaling group ARN and try again."
)
_NOT_FOUND = "The specified capacity provider was not found. Specify a valid capacity provider and try again."
_PROTECTION = (
    "The managed termination protection setting for the capacity provider is invalid. To enable managed termination "
    "protection for a capacity provider,"
)
