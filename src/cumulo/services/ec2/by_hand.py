"""Instances that somebody registers in a cluster by hand, as an agent would: they get a body when there is room."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.instances import AgentSettings
from cumulo.base.log import Log
from cumulo.services.ec2.asking import Wanted
from cumulo.services.ec2.embodying import Parts, embodied
from cumulo.services.ec2.model import Instance

_log = Log("ec2")


class ByHand:
    """Who has asked; the watch lets them join in its own turn.  `fits` looks at the room of the machine."""

    def __init__(self, parts: Parts, fits: Callable[[Instance], bool]) -> None:
        self._parts = parts
        self._fits = fits
        self._asked: dict[
            str, tuple[str, asyncio.Future[None]]
        ] = {}  # of an instance: its cluster, who waits

    def ask(self, instance_id: str, cluster: str) -> "asyncio.Future[None]":
        """Give the instance a body at the next turn; done when that was tried."""
        _, future = self._asked.get(instance_id, ("", None))
        if future is None or future.done():
            future = asyncio.get_running_loop().create_future()
        self._asked[instance_id] = (cluster, future)
        return future

    async def join(self) -> "list[asyncio.Future[None]]":
        """Give a body to those that somebody registers by hand; who waits for it."""
        asked, self._asked = self._asked, {}
        for instance_id, (cluster, _) in asked.items():
            instance = self._parts.records.get(instance_id)
            if instance is None or instance.state != "running" or (instance.host and not instance.joins):
                continue
            try:
                found = await self._embodied(instance, cluster)
            except AwsError as error:
                _log.warning("an EC2 instance gets no body", instance=instance_id, error=str(error))
                continue
            # From the look at the room to the write nothing awaits.
            if found is None or self._parts.records.get(instance_id) != instance:
                continue
            if self._fits(found):
                self._parts.records.put(found)
            else:
                _log.warning("an EC2 instance joins no cluster: it does not fit", instance=instance_id)
        if asked:
            await self._parts.records.store.commit()
        return [future for _, future in asked.values()]

    async def _embodied(self, instance: Instance, cluster: str) -> Instance | None:
        place = (instance.account, instance.region)
        seen = next(
            (one for one in await self._parts.machines.instances(*place) if one.id == instance.id), None
        )
        kind = await self._parts.asking.kind(*place, instance.kind)
        if seen is None or kind is None:
            return None
        settings = instance.host.agent if instance.host is not None else AgentSettings()
        return replace(
            embodied(instance, seen, Wanted(kind, replace(settings, cluster=cluster), True)), joins=False
        )
