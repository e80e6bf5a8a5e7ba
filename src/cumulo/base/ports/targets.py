"""Targets of load balancers, for those who fill them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Target(msgspec.Struct, frozen=True):
    """Where a load balancer sends: an address (or an instance's id) and a port."""

    id: str
    port: int


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What others may know of a target group.  `target_type` is ip, instance, lambda or alb."""

    arn: str
    account: str = ""
    target_type: str
    protocol: str
    port: int
    network: str = ""  # the VPC's id
    load_balancers: tuple[str, ...] = ()  # ARNs of those whose listeners forward to it


class TargetGroups(Protocol):
    """Target groups of load balancers, for those who fill them."""

    def group(self, arn: str) -> TargetGroup | None:
        """The target group, or None."""
        ...

    async def register(self, arn: str, targets: Sequence[Target]) -> None:
        """Add targets; committed when it returns.  Harmless for those that are there; one that drains is back."""
        ...

    async def deregister(self, arn: str, targets: Sequence[Target]) -> None:
        """Let targets drain and leave; committed when it returns.  Harmless for those that are not there."""
        ...

    def health(self, arn: str) -> Mapping[Target, str]:
        """initial, healthy, unhealthy, draining, unused or unavailable, by target; draining ones stay until gone."""
        ...


class InstanceAddresses(Protocol):
    """Knows under which address this machine reaches an instance's host ports."""

    def address_of(self, instance_id: str) -> str:
        """The address; empty when it is none of this machine's."""
        ...
