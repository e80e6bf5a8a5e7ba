"""Which zones a task's subnets are in: EC2 is asked, and remembered for a minute."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import SubnetFacts
from cumulo.services.ecs.refusals import invalid

REMEMBERED_SECONDS: Final = 60.0
REMEMBERED_MAX: Final = 1024
_Key = tuple[str, str, str]


class SubnetZones:
    """The zones of subnets; without `subnets` every one is in the region's first zone."""

    def __init__(self, subnets: SubnetFacts | None, clock: Clock) -> None:
        self._subnets = subnets
        self._clock = clock
        self._known: OrderedDict[_Key, tuple[float, str]] = OrderedDict()

    async def zones(self, account: str, region: str, subnets: Sequence[str]) -> Mapping[str, str]:
        """Zone by subnet, in the order in which they were asked for.  AwsError for one that is not there."""
        if self._subnets is None:
            return dict.fromkeys(subnets, f"{region}a")
        now = self._clock.monotonic()
        found: dict[str, str] = {}
        for subnet in subnets:
            until, zone = self._known.get((account, region, subnet), (0.0, ""))
            if until <= now:
                return await self._ask(self._subnets, account, region, subnets)
            found[subnet] = zone
        return found

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
