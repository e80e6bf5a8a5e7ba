"""Asks EC2, wherever it lives, which network subnets belong to."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.calls import small, told_in_xml
from cumulo.companions.companions import Companions

_VPC: Final = re.compile(rb"<vpcId>([a-z0-9-]{1,64})</vpcId>")


class SubnetReader:
    """The Networks of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
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
        found = _VPC.search(body)
        return found[1].decode() if found else ""
