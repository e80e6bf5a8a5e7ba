"""Asks EC2, wherever it lives, which network subnets belong to, and which zones they are in."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.calls import small, told_in_xml
from cumulo.companions.companions import Companions

_VPC: Final = re.compile(rb"<vpcId>([a-z0-9-]{1,64})</vpcId>")


class SubnetReader:
    """The Networks and the Subnets of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
        found = _VPC.search(await self._describe(caller, subnets))
        return found[1].decode() if found else ""

    async def zones_of(self, caller: Caller, subnets: Sequence[str]) -> Mapping[str, str]:
        """The availability zone of each subnet.  AwsError as EC2 says it when one of them is not there."""
        body = await self._describe(caller, subnets)
        zones: dict[str, str] = {}
        for item in ET.fromstring(body).iterfind("{*}subnetSet/{*}item"):  # noqa: S314 - our companion's own words
            zones[item.findtext("{*}subnetId", "")] = item.findtext("{*}availabilityZone", "")
        for subnet in subnets:
            if subnet not in zones:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return zones

    async def _describe(self, caller: Caller, subnets: Sequence[str]) -> bytes:
        asked = {"Action": "DescribeSubnets", "Version": "2016-11-15"}
        asked |= {f"SubnetId.{number}": subnet for number, subnet in enumerate(subnets, start=1)}
        answer = await self._companions.call(
            "ec2",
            "POST",
            "/",
            caller=caller,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(asked).encode(),
        )
        body = await small(answer)
        if answer.status != 200:
            code, message = told_in_xml(body)
            raise AwsError(code or "InternalError", message or f"EC2 answered with status {answer.status}")
        return body
