"""Target groups: create, describe, change, delete."""

import re
from typing import Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ids import Ids
from cumulo.base.ports.networks import SubnetFacts
from cumulo.services.elbv2 import arns, attributes, refusals
from cumulo.services.elbv2.checks import changed_check, check_of
from cumulo.services.elbv2.finding import balancer_of, group_of, one_page, place
from cumulo.services.elbv2.model import Group
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.tags import checked_tags
from cumulo.services.elbv2.views import group_view
from cumulo.state.store import join_key
from cumulo.wire.service import Values

GROUPS_MAX: Final = 3000  # in an account and region
_NAME: Final = re.compile(r"[a-zA-Z0-9-]+")
_BUILT: Final = ("HTTP", "HTTPS", "TCP", "TLS")


class TargetGroupOperations:
    """The operations on target groups."""

    def __init__(self, records: Records, subnets: SubnetFacts, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._subnets = subnets
        self._clock = clock
        self._ids = ids

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateTargetGroup."""
        name = _checked_name(values["Name"])
        target_type = values.get("TargetType", "instance")
        protocol, version = _protocol(target_type, values)
        check = check_of(values, target_type=target_type, protocol=protocol)
        tags = checked_tags(values.get("Tags", ()), {})
        network = values.get("VpcId", "")
        if network and not await self._subnets.has_network(caller, network):
            raise refusals.invalid(f"The VPC ID '{network}' is not found")
        same = self._records.groups.by("named", join_key(caller.account, caller.region, name))
        if same:
            if same[0].asked != values:
                raise AwsError(
                    "DuplicateTargetGroupName",
                    f"A target group with the same name '{name}' exists, but with different settings",
                )
            return {"TargetGroups": [self._view(same[0])]}
        if self._records.groups.count("place", place(caller)) >= GROUPS_MAX:
            raise AwsError(
                "TooManyTargetGroups",
                f"The maximum number of target groups has been reached on the account; the limit is '{GROUPS_MAX}'",
            )
        made = Group(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arns.make(caller.region, caller.account, f"targetgroup/{name}/{self._ids.hex(16)}"),
            target_type=target_type,
            created_at=self._clock.now(),
            protocol=protocol,
            protocol_version=version,
            port=values.get("Port", 0),
            network=network,
            check=check,
            tags=tags,
            asked=dict(values),
        )
        self._records.groups.put(made)
        await self._records.store.commit()
        return {"TargetGroups": [self._view(made)]}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTargetGroups."""
        asked, names = values.get("TargetGroupArns", ()), values.get("Names", ())
        balancer = values.get("LoadBalancerArn")
        if sum(bool(one) for one in (asked, names, balancer)) > 1:
            raise refusals.invalid(
                "Target group ARNs, target group names and a load balancer ARN cannot be specified together"
            )
        if asked:
            found = [group_of(self._records, caller, arn) for arn in dict.fromkeys(asked)]
            return {"TargetGroups": [self._view(one) for one in found]}
        if names:
            found = [self._named(caller, name) for name in dict.fromkeys(names)]
            return {"TargetGroups": [self._view(one) for one in found]}
        items = self._records.groups.by("place", place(caller))
        if balancer:
            used = self._records.groups_of_balancer(balancer_of(self._records, caller, balancer).arn)
            items = [one for one in items if one.arn in used]
        found, marker = one_page(items, lambda one: one.arn, values)
        return {"TargetGroups": [self._view(one) for one in found], "NextMarker": marker}

    async def modify(self, caller: Caller, values: Values) -> Values | None:
        """ModifyTargetGroup: its health check."""
        found = group_of(self._records, caller, values["TargetGroupArn"])
        check = changed_check(found.check, values, target_type=found.target_type, protocol=found.protocol)
        after = self._records.groups.put(msgspec.structs.replace(found, check=check))
        await self._records.store.commit()
        return {"TargetGroups": [self._view(after)]}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteTargetGroup: its targets go with it.  Harmless when it is gone."""
        arn = values["TargetGroupArn"]
        if not arns.is_of(arn, "target group", caller.region):
            raise refusals.bad_arn(arn, "target group")
        found = self._records.groups.get(arn)
        if found is None or found.account != caller.account:
            return {}
        if self._records.balancers_of(arn):
            raise AwsError(
                "ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule"
            )
        for target in self._records.targets.by("group", arn):
            self._records.targets.delete(target)
        self._records.groups.delete(found)
        await self._records.store.commit()
        return {}

    async def describe_attributes(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTargetGroupAttributes."""
        found = group_of(self._records, caller, values["TargetGroupArn"])
        return {"Attributes": attributes.view(attributes.of_group(found))}

    async def modify_attributes(self, caller: Caller, values: Values) -> Values | None:
        """ModifyTargetGroupAttributes."""
        found = group_of(self._records, caller, values["TargetGroupArn"])
        changed = attributes.changed_group(found, values["Attributes"])
        after = self._records.groups.put(msgspec.structs.replace(found, attributes=changed))
        await self._records.store.commit()
        return {"Attributes": attributes.view(attributes.of_group(after))}

    def _view(self, one: Group) -> Values:
        return group_view(one, self._records.balancers_of(one.arn))

    def _named(self, caller: Caller, name: str) -> Group:
        found = self._records.groups.by("named", join_key(caller.account, caller.region, name))
        if not found:
            raise refusals.no_group()
        return found[0]


def _checked_name(name: str) -> str:
    if not name:
        raise refusals.invalid("A target group name must be specified")
    if len(name) > 32:
        raise refusals.invalid(f"Target group name '{name}' cannot be longer than '32' characters")
    if not _NAME.fullmatch(name):
        raise refusals.invalid(
            f"Target group name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise refusals.invalid(f"Target group name '{name}' cannot begin or end with '-'")
    return name


def _protocol(target_type: str, values: Values) -> tuple[str, str]:
    """Protocol and its version, checked against the type."""
    needed = {"Protocol": "protocol", "Port": "port", "VpcId": "VPC ID"}
    if target_type == "lambda":
        for name, what in needed.items():
            if name in values:
                shown = "VPC ID" if name == "VpcId" else what.capitalize()
                raise refusals.invalid(
                    f"{shown} cannot be specified for target groups with target type 'lambda'"
                )
        return "", ""
    for name, what in needed.items():
        if name not in values:
            raise refusals.invalid(f"A {what} must be specified")
    protocol = str(values["Protocol"])
    _refuse_unbuilt(protocol, values)
    if target_type == "alb" and protocol != "TCP":
        raise refusals.misconfigured("The protocol of target groups with target type 'alb' must be TCP")
    version = values.get("ProtocolVersion", "")
    if protocol in ("HTTP", "HTTPS"):
        return protocol, "HTTP1"
    if version:
        raise refusals.invalid(
            f"Protocol version cannot be specified for target groups with the protocol '{protocol}'"
        )
    return protocol, ""


def _refuse_unbuilt(protocol: str, values: Values) -> None:
    operation = "CreateTargetGroup"
    if protocol not in _BUILT:
        raise not_implemented("elbv2", operation, f"target groups of protocol {protocol}")
    if (values.get("IpAddressType") or "ipv4") != "ipv4":
        raise not_implemented("elbv2", operation, "IPv6 targets")
    if "TargetControlPort" in values:
        raise not_implemented("elbv2", operation, "TargetControlPort")
    version = values.get("ProtocolVersion") or "HTTP1"
    if version != "HTTP1":
        raise not_implemented("elbv2", operation, f"targets that speak {version}")
