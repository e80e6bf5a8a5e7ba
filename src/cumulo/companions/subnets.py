"""Asks EC2, wherever it lives, about subnets, networks, security groups and instances."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import InstanceFact, Subnet
from cumulo.companions.companions import Companions
from cumulo.companions.forms import Node, call_form

_VERSION: Final = "2016-11-15"


class SubnetBook:
    """The NetworkFacts and the Networks of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions
        self._expecting: asyncio.Task[None] | None = None

    def expect(self, account: str, region: str) -> None:
        """Somebody will ask soon: let EC2 start now, which takes seconds, and not when it is waited for."""
        going_on = self._expecting is not None and not self._expecting.done()
        if not going_on and not self._companions.started:
            caller = Caller(account=account, region=region)
            self._expecting = asyncio.get_running_loop().create_task(self._begin(caller))

    async def _begin(self, caller: Caller) -> None:
        with contextlib.suppress(AwsError):  # whoever asks in earnest is told
            await self._ask(caller, "DescribeSubnets", {})

    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        """The subnets in the order of their ids.  AwsError as EC2 says it when one of them is not there."""
        asked = {f"SubnetId.{number}": subnet for number, subnet in enumerate(ids, start=1)}
        answer = await self._ask(caller, "DescribeSubnets", asked)
        found = {
            one.text("subnetId"): Subnet(
                one.text("subnetId"), one.text("vpcId"), one.text("availabilityZone")
            )
            for one in answer.all("subnetSet")
        }
        missing = next((one for one in ids if one not in found), "")
        if missing:
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{missing}' does not exist")
        return [found[one] for one in ids]

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
        return next((one.network for one in await self.subnets(caller, subnets)), "")

    async def has_network(self, caller: Caller, network: str) -> bool:
        """Whether there is a network with this id."""
        try:
            await self._ask(caller, "DescribeVpcs", {"VpcId.1": network})
        except AwsError as error:
            if error.code.startswith("InvalidVpc"):
                return False
            raise
        return True

    async def check_security_groups(self, caller: Caller, groups: Sequence[str]) -> None:
        """AwsError as EC2 says it when one of them is not there."""
        if groups:
            asked = {f"GroupId.{number}": group for number, group in enumerate(groups, start=1)}
            await self._ask(caller, "DescribeSecurityGroups", asked)

    async def default_security_group(self, caller: Caller, network: str) -> str:
        """The id of a network's default security group; empty when there is none."""
        asked = {
            "Filter.1.Name": "vpc-id",
            "Filter.1.Value.1": network,
            "Filter.2.Name": "group-name",
            "Filter.2.Value.1": "default",
        }
        answer = await self._ask(caller, "DescribeSecurityGroups", asked)
        return next((one.text("groupId") for one in answer.all("securityGroupInfo")), "")

    async def instances(self, caller: Caller, ids: Sequence[str]) -> Mapping[str, InstanceFact]:
        """Those of the instances that are there, by id."""
        if not ids:
            return {}
        asked = {"Filter.1.Name": "instance-id"}
        asked |= {f"Filter.1.Value.{number}": one for number, one in enumerate(ids, start=1)}
        answer = await self._ask(caller, "DescribeInstances", asked)
        return {
            one.text("instanceId"): InstanceFact(one.text("instanceState", "name"), one.text("vpcId"))
            for reservation in answer.all("reservationSet")
            for one in reservation.all("instancesSet")
        }

    async def _ask(self, caller: Caller, action: str, values: Mapping[str, str]) -> Node:
        return await call_form(
            self._companions,
            "ec2",
            _VERSION,
            account=caller.account,
            region=caller.region,
            values={"Action": action, **values},
        )
