"""Load balancers: create, describe, change, delete."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ids import Ids
from cumulo.base.ports.networks import NetworkFacts
from cumulo.services.elbv2 import arns, attributes, refusals
from cumulo.services.elbv2.finding import balancer_of, one_page, place
from cumulo.services.elbv2.model import Document, LoadBalancer, Zone
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.tags import checked_tags
from cumulo.services.elbv2.views import balancer_view, zones_view
from cumulo.state.store import join_key
from cumulo.wire.service import Values

BALANCERS_MAX: Final = 50  # of one kind in an account and region
SECURITY_GROUPS_MAX: Final = 5
_NAME: Final = re.compile(r"[a-zA-Z0-9-]+")
_COMPARED: Final[tuple[str, ...]] = (
    "Subnets",
    "SubnetMappings",
    "SecurityGroups",
    "Scheme",
    "Type",
    "IpAddressType",
    "CustomerOwnedIpv4Pool",
    "Tags",
)


class LoadBalancers:
    """The operations on load balancers."""

    def __init__(self, records: Records, subnets: NetworkFacts, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._subnets = subnets
        self._clock = clock
        self._ids = ids

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateLoadBalancer: answered while it is still provisioning."""
        kind = values.get("Type", "application")
        if kind == "gateway":
            raise not_implemented("elbv2", "CreateLoadBalancer", "load balancers of type gateway")
        _refuse_unbuilt("CreateLoadBalancer", values)
        name = _checked_name(values["Name"])
        asked = {key: values[key] for key in _COMPARED if key in values}
        scheme = values.get("Scheme", "internet-facing")
        zones, network = await self._zones(caller, kind, values)
        groups = await self._security_groups(caller, values.get("SecurityGroups", ()))
        if not groups and kind == "application":
            default = await self._subnets.default_security_group(caller, network)
            groups = (default,) if default else ()
        tags = checked_tags(values.get("Tags", ()), {})
        address_type = _address_type(kind, values.get("IpAddressType", "ipv4"), scheme)
        same = self._records.balancers.by("named", join_key(caller.account, caller.region, name))
        if same:
            if same[0].asked != asked:
                raise AwsError(
                    "DuplicateLoadBalancerName",
                    f"A load balancer with the same name '{name}' exists, but with different settings",
                )
            return {"LoadBalancers": [balancer_view(same[0])]}
        self._check_room(caller, kind)
        identifier = self._ids.hex(16)
        arn = arns.make(caller.region, caller.account, f"loadbalancer/{arns.SHORT[kind]}/{name}/{identifier}")
        made = LoadBalancer(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arn,
            kind=kind,
            scheme=scheme,
            dns_name=arns.dns_name(kind, name, identifier, caller.region, internal=scheme == "internal"),
            created_at=self._clock.now(),
            network=network,
            zones=zones,
            security_groups=groups,
            ip_address_type=address_type,
            tags=tags,
            source_nat=values.get("EnablePrefixForIpv6SourceNat", ""),
            asked=asked,
        )
        self._records.balancers.put(made)
        await self._records.store.commit()
        return {"LoadBalancers": [balancer_view(made)]}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeLoadBalancers."""
        asked, names = values.get("LoadBalancerArns", ()), values.get("Names", ())
        if asked and names:
            raise refusals.invalid("Load balancer names and load balancer ARNs cannot be specified together")
        if (asked or names) and "PageSize" in values:
            raise refusals.invalid("PageSize cannot be specified together with names or ARNs")
        if asked:
            found = [balancer_of(self._records, caller, arn) for arn in dict.fromkeys(asked)]
            return {"LoadBalancers": [balancer_view(one) for one in found]}
        if names:
            found = [self._named(caller, name) for name in dict.fromkeys(names)]
            return {"LoadBalancers": [balancer_view(one) for one in found]}
        found, marker = one_page(
            self._records.balancers.by("place", place(caller)), lambda one: one.arn, values
        )
        return {"LoadBalancers": [balancer_view(one) for one in found], "NextMarker": marker}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteLoadBalancer: its listeners and rules go with it.  Harmless when it is gone."""
        arn = values["LoadBalancerArn"]
        if not arns.is_of(arn, "load balancer", caller.region):
            raise refusals.bad_arn(arn, "load balancer")
        found = self._records.balancers.get(arn)
        if found is None or found.account != caller.account:
            return {}
        if attributes.of_balancer(found)["deletion_protection.enabled"] == "true":
            raise AwsError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        if self._records.targets.by("id", arn):
            raise AwsError("ResourceInUse", f"Load balancer '{arn}' is currently registered as a target")
        for listener in self._records.listeners.by("balancer", arn):
            for rule in self._records.rules.by("listener", listener.arn):
                self._records.rules.delete(rule)
            self._records.listeners.delete(listener)
        self._records.balancers.delete(found)
        await self._records.store.commit()
        return {}

    async def describe_attributes(self, caller: Caller, values: Values) -> Values | None:
        """DescribeLoadBalancerAttributes."""
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        return {"Attributes": attributes.view(attributes.of_balancer(found))}

    async def modify_attributes(self, caller: Caller, values: Values) -> Values | None:
        """ModifyLoadBalancerAttributes."""
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        changed = attributes.changed_balancer(found, values["Attributes"])
        after = await self._put(found, attributes=changed)
        return {"Attributes": attributes.view(attributes.of_balancer(after))}

    async def set_security_groups(self, caller: Caller, values: Values) -> Values | None:
        """SetSecurityGroups: kept and shown; nothing filters here."""
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        groups = await self._security_groups(caller, values["SecurityGroups"])
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        if not found.is_application and not found.security_groups:
            raise refusals.misconfigured(
                "You cannot set security groups for a Network Load Balancer that was created without any"
            )
        if not groups:
            raise refusals.invalid("At least one security group must be specified")
        enforce = values.get(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", found.enforce_private_link
        )
        if enforce and found.is_application:
            raise refusals.misconfigured("Application Load Balancers do not take PrivateLink traffic")
        after = await self._put(found, security_groups=groups, enforce_private_link=enforce)
        return {
            "SecurityGroupIds": list(after.security_groups),
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": after.enforce_private_link or None,
        }

    async def set_subnets(self, caller: Caller, values: Values) -> Values | None:
        """SetSubnets."""
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        zones, network = await self._zones(caller, found.kind, values)
        if network != found.network:
            raise refusals.misconfigured("The subnets must belong to the VPC of the load balancer")
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        kind = values.get("IpAddressType", found.ip_address_type)
        after = await self._put(
            found,
            zones=zones,
            ip_address_type=_address_type(found.kind, kind, found.scheme),
            source_nat=values.get("EnablePrefixForIpv6SourceNat", found.source_nat),
        )
        return {
            "AvailabilityZones": zones_view(after),
            "IpAddressType": after.ip_address_type,
            "EnablePrefixForIpv6SourceNat": after.source_nat or None,
        }

    async def set_address_type(self, caller: Caller, values: Values) -> Values | None:
        """SetIpAddressType."""
        found = balancer_of(self._records, caller, values["LoadBalancerArn"])
        kind = _address_type(found.kind, values["IpAddressType"], found.scheme)
        await self._put(found, ip_address_type=kind)
        return {"IpAddressType": kind}

    async def describe_capacity(self, caller: Caller, values: Values) -> Values | None:
        """DescribeCapacityReservation: nothing is reserved."""
        balancer_of(self._records, caller, values["LoadBalancerArn"])
        return {"DecreaseRequestsRemaining": 2, "CapacityReservationState": []}

    # -- parts -----------------------------------------------------------------------------------------

    async def _put(self, before: LoadBalancer, **changes: Any) -> LoadBalancer:
        after = self._records.balancers.put(msgspec.structs.replace(before, **changes))
        await self._records.store.commit()
        return after

    def _named(self, caller: Caller, name: str) -> LoadBalancer:
        found = self._records.balancers.by("named", join_key(caller.account, caller.region, name))
        if not found:
            raise AwsError("LoadBalancerNotFound", f"Load balancers '[{name}]' not found")
        return found[0]

    def _check_room(self, caller: Caller, kind: str) -> None:
        have = sum(one.kind == kind for one in self._records.balancers.by("place", place(caller)))
        if have >= BALANCERS_MAX:
            raise AwsError(
                "TooManyLoadBalancers",
                f"The maximum number of load balancers has been reached on the account; the limit is '{BALANCERS_MAX}'",
            )

    async def _security_groups(self, caller: Caller, groups: Sequence[str]) -> tuple[str, ...]:
        checked = _checked_security_groups(groups)
        try:
            await self._subnets.check_security_groups(caller, checked)
        except AwsError as error:
            if error.code.startswith("InvalidGroup"):
                raise AwsError("InvalidSecurityGroup", error.message) from None
            raise
        return checked

    async def _zones(self, caller: Caller, kind: str, values: Values) -> tuple[tuple[Zone, ...], str]:
        """The zones that the subnets are in, and their network."""
        mappings = _mappings(values)
        needed = 2 if kind == "application" else 1
        if not mappings or (len(mappings) < needed):
            raise refusals.invalid(
                "At least two subnets in two different Availability Zones must be specified"
                if kind == "application"
                else "At least one subnet must be specified"
            )
        ids = [one["SubnetId"] for one in mappings]
        try:
            found = await self._subnets.subnets(caller, ids)
        except AwsError as error:
            if error.code.startswith("InvalidSubnetID"):
                raise AwsError("SubnetNotFound", error.message) from None
            raise
        if len({one.network for one in found}) > 1:
            raise refusals.misconfigured("All subnets must belong to the same VPC")
        if len({one.zone for one in found}) < len(found):
            raise refusals.misconfigured(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
            )
        zones = tuple(
            Zone(
                name=subnet.zone,
                subnet=subnet.id,
                mapping={key: value for key, value in mapping.items() if key != "SubnetId"},
            )
            for subnet, mapping in zip(found, mappings, strict=True)
        )
        return tuple(sorted(zones, key=lambda one: one.name)), found[0].network


def _mappings(values: Values) -> list[Document]:
    subnets, mappings = values.get("Subnets", ()), values.get("SubnetMappings", ())
    if subnets and mappings:
        raise refusals.invalid("Subnets and subnet mappings cannot be specified together")
    chosen: list[Document] = list(mappings) or [{"SubnetId": one} for one in subnets]
    for one in chosen:
        if not one.get("SubnetId"):
            raise refusals.invalid("A subnet ID must be specified")
        if "SourceNatIpv6Prefix" in one or "AllocationId" in one:
            raise not_implemented("elbv2", "SubnetMappings", "Elastic IP addresses and source NAT prefixes")
    if len({one["SubnetId"] for one in chosen}) < len(chosen):
        raise refusals.invalid("A subnet cannot be specified more than once")
    return chosen


def _refuse_unbuilt(operation: str, values: Values) -> None:
    for name in ("CustomerOwnedIpv4Pool", "IpamPools"):
        if name in values:
            raise not_implemented("elbv2", operation, f"{name}")


def _checked_name(name: str) -> str:
    if len(name) > 32:
        raise refusals.invalid(f"The load balancer name '{name}' cannot be longer than '32' characters")
    if not _NAME.fullmatch(name):
        raise refusals.invalid(
            f"The load balancer name '{name}' can only contain characters that are alphanumeric characters and "
            "hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise refusals.invalid(f"The load balancer name '{name}' cannot begin or end with '-'")
    if name.startswith("internal-"):
        raise refusals.invalid(f"The load balancer name '{name}' cannot begin with 'internal-'")
    return name


def _checked_security_groups(groups: Sequence[str]) -> tuple[str, ...]:
    for group in groups:
        if not group.startswith("sg-"):
            raise refusals.invalid(f"Security group '{group}' is not valid")
    if len(set(groups)) < len(groups):
        raise refusals.invalid("A security group cannot be specified more than once")
    if len(groups) > SECURITY_GROUPS_MAX:
        raise refusals.misconfigured(
            f"A load balancer can have at most '{SECURITY_GROUPS_MAX}' security groups"
        )
    return tuple(groups)


def _address_type(kind: str, wanted: str, scheme: str) -> str:
    if wanted == "dualstack-without-public-ipv4" and (kind != "application" or scheme == "internal"):
        raise refusals.misconfigured(
            "The IP address type 'dualstack-without-public-ipv4' is for internet-facing Application Load Balancers"
        )
    if wanted != "ipv4":
        raise not_implemented("elbv2", "IpAddressType", f"{wanted}: load balancers listen on IPv4 here")
    return wanted
