"""Names that clients gave to instances of their own in private namespaces: asked for when a client changed something,
and kept, so that after a restart nobody need be asked.
"""

import asyncio
from collections.abc import Callable

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.discovery import CloudMap
from cumulo.base.tasks import cancel_all
from cumulo.services.ecs.discovery.model import DiscoveryRecords, PlaceNames
from cumulo.services.ecs.discovery.names import Table
from cumulo.state.store import join_key


class Strangers:
    """Those names.  `changed` is called when there are others."""

    def __init__(self, kept: DiscoveryRecords, cloud_map: CloudMap, changed: Callable[[], None]) -> None:
        self._kept = kept
        self._map = cloud_map
        self._changed = changed
        self._asked: dict[
            tuple[str, str], None
        ] = {}  # accounts and regions that are to be looked at, in order
        self._task: asyncio.Task[None] | None = None
        self._log = Log("ecs")
        cloud_map.watch(self._heard)

    def table(self, account: str = "") -> Table:
        """All of them, or an account's; names that two accounts have lead to both."""
        found: dict[str, list[str]] = {}
        for place in self._kept.names.all():
            if account not in ("", place.account):
                continue
            for name, addresses in place.names.items():
                found.setdefault(name, []).extend(addresses)
        return found

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            await cancel_all([self._task])

    def _heard(self, account: str, region: str) -> None:
        self._asked[account, region] = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while self._asked:
            account, region = next(iter(self._asked))
            del self._asked[account, region]
            try:
                names = dict(await self._map.names(account, region))
            except AwsError as error:
                self._log.warning("names of Cloud Map are not known", account=account, error=str(error))
                continue
            before = self._kept.names.get(join_key(account, region))
            if names == (before.names if before is not None else {}):
                continue
            place = PlaceNames(account=account, region=region, names={n: tuple(a) for n, a in names.items()})
            if names:
                self._kept.names.put(place)
            else:
                self._kept.names.delete(place)
            await self._kept.store.commit()
            self._changed()
