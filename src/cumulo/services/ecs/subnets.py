"""Which zones a task's subnets are in, and whether its groups are there: EC2 is asked, and remembered for a minute."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import SecurityGroups, SubnetFacts
from cumulo.services.ecs.refusals import invalid

REMEMBERED_SECONDS: Final = 60.0
REMEMBERED_MAX: Final = 1024
_Key = tuple[str, str, str]


class SubnetZones:
    """The zones of subnets; without `subnets` every one is in the region's first zone.

    groups   says which security groups there are; without it, all of them
    """

    def __init__(
        self, subnets: SubnetFacts | None, clock: Clock, groups: SecurityGroups | None = None
    ) -> None:
        self._subnets = subnets
        self._clock = clock
        self._groups = groups
        self._there: OrderedDict[_Key, float] = OrderedDict()
        self._known: OrderedDict[_Key, tuple[float, str]] = OrderedDict()
        self._asking: dict[tuple[str, ...], asyncio.Task[Mapping[str, str]]] = {}

    async def zones(self, account: str, region: str, subnets: Sequence[str]) -> Mapping[str, str]:
        """Zone by subnet, in the order in which they were asked for.  AwsError for one that is not there."""
        if self._subnets is None:
            return dict.fromkeys(subnets, f"{region}a")
        now = self._clock.monotonic()
        found: dict[str, str] = {}
        for subnet in subnets:
            until, zone = self._known.get((account, region, subnet), (0.0, ""))
            if until <= now:
                return await self._ask_once(self._subnets, account, region, subnets)
            found[subnet] = zone
        return found

    async def check_groups(self, account: str, region: str, groups: Sequence[str]) -> None:
        """AwsError for a security group that is not there."""
        now = self._clock.monotonic()
        if self._groups is None or all(self._there.get((account, region, one), 0.0) > now for one in groups):
            return
        try:
            await self._groups.check_security_groups(Caller(account=account, region=region), groups)
        except AwsError as error:
            if error.status >= 500:
                raise
            raise invalid(
                f"Error retrieving security group information for [{', '.join(groups)}]: {error.message}"
                f" (ErrorCode: {error.code})"
            ) from error
        until = self._clock.monotonic() + REMEMBERED_SECONDS
        for one in groups:
            self._there[account, region, one] = until
            self._there.move_to_end((account, region, one))
        while len(self._there) > REMEMBERED_MAX:
            self._there.popitem(last=False)

    async def _ask_once(
        self, port: SubnetFacts, account: str, region: str, subnets: Sequence[str]
    ) -> Mapping[str, str]:
        """Many tasks may be started at once: one question is enough for all of them."""
        key = account, region, *subnets
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._ask(port, account, region, subnets))
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._answered(key, done))
        return await asyncio.shield(asking)  # who has come first may go away

    def _answered(self, key: tuple[str, ...], done: "asyncio.Task[Mapping[str, str]]") -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # nobody may be left to be told

    async def _ask(
        self, port: SubnetFacts, account: str, region: str, subnets: Sequence[str]
    ) -> Mapping[str, str]:
        try:
            facts = await port.subnets(Caller(account=account, region=region), subnets)
        except AwsError as error:
            raise invalid(
                f"Error retrieving subnet information for [{', '.join(subnets)}]: {error.message}"
                f" (ErrorCode: {error.code})"
            ) from error
        zones = {one.id: one.zone for one in facts}
        until = self._clock.monotonic() + REMEMBERED_SECONDS
        for subnet in subnets:
            self._known[account, region, subnet] = until, zones[subnet]
            self._known.move_to_end((account, region, subnet))
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return {subnet: zones[subnet] for subnet in subnets}
