"""Asks EC2, wherever it lives, about subnets and networks."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports import Subnet
from cumulo.companions.calls import small, told_in_xml
from cumulo.companions.companions import Companions

_VERSION: Final = "2016-11-15"


class SubnetBook:
    """The SubnetFacts of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        """The subnets in the order of their ids.  AwsError as EC2 says it when one of them is not there."""
        asked = {f"SubnetId.{number}": subnet for number, subnet in enumerate(ids, start=1)}
        body = await self._ask(caller, "DescribeSubnets", asked)
        found = {
            subnet: Subnet(subnet, network, zone)
            for subnet, network, zone in zip(
                _each(body, b"subnetId"), _each(body, b"vpcId"), _each(body, b"availabilityZone"), strict=True
            )
        }
        missing = next((one for one in ids if one not in found), "")
        if missing:
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{missing}' does not exist")
        return [found[one] for one in ids]

    async def has_network(self, caller: Caller, network: str) -> bool:
        """Whether there is a network with this id."""
        try:
            await self._ask(caller, "DescribeVpcs", {"VpcId.1": network})
        except AwsError as error:
            if error.code.startswith("InvalidVpc"):
                return False
            raise
        return True

    async def _ask(self, caller: Caller, action: str, values: Mapping[str, str]) -> bytes:
        answer = await self._companions.call(
            "ec2",
            "POST",
            "/",
            caller=caller,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode({"Action": action, "Version": _VERSION, **values}).encode(),
        )
        body = await small(answer)
        if answer.status != 200:
            code, message = told_in_xml(body)
            raise AwsError(code or "InternalError", message or f"EC2 answered with status {answer.status}")
        return body


def _each(body: bytes, element: bytes) -> list[str]:
    """The texts of an element that every subnet has once."""
    return [text.decode() for text in re.findall(b"<%b>([^<]*)</%b>" % (element, element), body)]
