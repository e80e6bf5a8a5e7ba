"""Asks Auto Scaling, wherever it lives, for groups, and tells it how many instances they want."""

from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.base.instances import Group, GroupMember
from cumulo.companions.companions import Companions
from cumulo.companions.forms import Node, call_form

_VERSION: Final = "2011-01-01"
_PROTECTED_AT_ONCE: Final = 50


class ScalingGroups:
    """The Groups of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def group(self, account: str, region: str, name: str) -> Group | None:
        """A group, or None when there is none of this name."""
        asked = {"AutoScalingGroupNames.member.1": name}
        answer = await self._call(account, region, "DescribeAutoScalingGroups", asked)
        found = answer.all("DescribeAutoScalingGroupsResult", "AutoScalingGroups")
        return _group(found[0]) if found else None

    async def set_desired(self, account: str, region: str, name: str, count: int) -> None:
        """How many instances it should have."""
        asked = {"AutoScalingGroupName": name, "DesiredCapacity": str(count), "HonorCooldown": "false"}
        await self._call(account, region, "SetDesiredCapacity", asked)

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        """End one of a group's instances, and want one less."""
        asked = {"InstanceId": instance_id, "ShouldDecrementDesiredCapacity": "true"}
        await self._call(account, region, "TerminateInstanceInAutoScalingGroup", asked)

    async def replace(self, account: str, region: str, instance_id: str) -> None:
        """End one of a group's instances; the group may put another in its place."""
        asked = {"InstanceId": instance_id, "ShouldDecrementDesiredCapacity": "false"}
        await self._call(account, region, "TerminateInstanceInAutoScalingGroup", asked)

    async def tag(self, account: str, region: str, name: str, key: str, value: str) -> None:
        """Tag a group, and the instances that come."""
        tag = {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": "true",
        }
        asked = {f"Tags.member.1.{part}": text for part, text in tag.items()}
        await self._call(account, region, "CreateOrUpdateTags", asked)

    async def protect(
        self, account: str, region: str, name: str, instance_ids: Sequence[str], *, protected: bool
    ) -> None:
        """Protect instances of a group from scale-in, or no longer."""
        for at in range(0, len(instance_ids), _PROTECTED_AT_ONCE):
            some = instance_ids[at : at + _PROTECTED_AT_ONCE]
            asked = {"AutoScalingGroupName": name, "ProtectedFromScaleIn": str(protected).lower()}
            asked |= {f"InstanceIds.member.{number}": one for number, one in enumerate(some, start=1)}
            await self._call(account, region, "SetInstanceProtection", asked)

    async def _call(self, account: str, region: str, action: str, values: Mapping[str, str]) -> Node:
        asked = {"Action": action, **values}
        return await call_form(
            self._companions, "autoscaling", _VERSION, account=account, region=region, values=asked
        )


def _group(one: Node) -> Group:
    members = tuple(
        GroupMember(
            member.text("InstanceId"),
            member.text("LifecycleState"),
            member.text("ProtectedFromScaleIn") == "true",
            member.text("InstanceType"),
        )
        for member in one.all("Instances")
    )
    mixed = one.at("MixedInstancesPolicy", "InstancesDistribution")
    percent = mixed.text("OnDemandPercentageAboveBaseCapacity")
    return Group(
        name=one.text("AutoScalingGroupName"),
        arn=one.text("AutoScalingGroupARN"),
        least=_number(one.text("MinSize")),
        most=_number(one.text("MaxSize")),
        desired=_number(one.text("DesiredCapacity")),
        new_protected=one.text("NewInstancesProtectedFromScaleIn") == "true",
        members=members,
        kind=members[0].kind if members else "",
        on_demand_base=_number(mixed.text("OnDemandBaseCapacity")),
        on_demand_percent=_number(percent) if percent else 100,
        tags={tag.text("Key"): tag.text("Value") for tag in one.all("Tags")},
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
