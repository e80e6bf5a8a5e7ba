"""Finds out which new instances are spot instances: EC2's companion forgets what templates and groups say of it."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.instances import Groups, Machines, SeenInstance
from cumulo.services.ec2.model import Place
from cumulo.services.ec2.plan import Change, Event, is_spot
from cumulo.services.ec2.records import Records

_TEMPLATE: Final = "aws:ec2launchtemplate:id"
_TEMPLATE_VERSION: Final = "aws:ec2launchtemplate:version"


class Market:
    """Asks about what has appeared."""

    def __init__(self, records: Records, machines: Machines, groups: Groups) -> None:
        self._records = records
        self._machines = machines
        self._groups = groups

    async def told(self, events: Sequence[Event]) -> list[Event]:
        """The events, with those instances marked that are spot.  AwsError when EC2 does not answer."""
        tally: dict[str, list[bool]] = {}
        return [await self._told(event, tally) for event in events]

    async def _told(self, event: Event, tally: dict[str, list[bool]]) -> Event:
        """`tally` has for each group whether its instances, those of this look too, are on demand."""
        seen = event.seen
        if event.change is not Change.APPEARED or seen is None:
            return event
        spot = seen.spot
        try:
            if not spot and _TEMPLATE in seen.tags:
                spot = await self._template_wants_spot(seen)
            if not spot and seen.group:
                spot = await self._group_wants_spot(seen, tally)
        except AwsError as error:
            if error.status >= 500:
                raise  # else the template or the group has gone meanwhile
        return replace(event, seen=replace(seen, spot=spot))

    async def _template_wants_spot(self, seen: SeenInstance) -> bool:
        version = seen.tags.get(_TEMPLATE_VERSION, "")
        template = await self._machines.template(
            seen.account, seen.region, id_=seen.tags[_TEMPLATE], name="", version=version
        )
        return template.spot

    async def _group_wants_spot(self, seen: SeenInstance, tally: dict[str, list[bool]]) -> bool:
        group = await self._groups.group(seen.account, seen.region, seen.group)
        if group is None or group.on_demand_percent >= 100:
            return False
        if seen.group not in tally:
            place = Place(seen.account, seen.region)
            known = self._records.of(place).values()
            tally[seen.group] = [
                not one.spot for one in known if one.group == seen.group and one.state == "running"
            ]
        others = tally[seen.group]
        spot = is_spot(group.on_demand_base, group.on_demand_percent, sum(others), len(others))
        others.append(not spot)
        return spot
