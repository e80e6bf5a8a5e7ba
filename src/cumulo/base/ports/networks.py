"""EC2 as others need it: networks, subnets, security groups, instances; wherever its companion lives."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller


class Networks(Protocol):
    """Knows which network subnets belong to, wherever the companion for EC2 lives."""

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
        ...


class SecurityGroups(Protocol):
    """Knows security groups, wherever the companion for EC2 lives."""

    async def check_security_groups(self, caller: Caller, groups: Sequence[str]) -> None:
        """AwsError as EC2 says it when one of them (ids) is not there."""
        ...


class Subnet(msgspec.Struct, frozen=True):
    """A subnet: its id, its network's (VPC's) id, and the name of its Availability Zone."""

    id: str
    network: str
    zone: str


class SubnetFacts(Protocol):
    """Knows subnets and networks, wherever the companion for EC2 lives."""

    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        """The subnets in the order of their ids.  AwsError as EC2 says it when one of them is not there."""
        ...

    async def has_network(self, caller: Caller, network: str) -> bool:
        """Whether there is a network with this id."""
        ...


class InstanceFact(msgspec.Struct, frozen=True):
    """What EC2 says of an instance: its state by name, and its network."""

    state: str
    network: str


class NetworkFacts(SubnetFacts, SecurityGroups, Protocol):
    """Knows security groups and instances too."""

    async def default_security_group(self, caller: Caller, network: str) -> str:
        """The id of a network's default security group; empty when there is none."""
        ...

    async def instances(self, caller: Caller, ids: Sequence[str]) -> Mapping[str, InstanceFact]:
        """Those of the instances that are there, by id."""
        ...
