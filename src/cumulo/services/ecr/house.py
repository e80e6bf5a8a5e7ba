"""ECR, whole: the API, the registry at /v2/, the rules, the meter, and what tidies up; app.py builds one.

Content ◀─ StoredLayers ◀─ StoredCatalog ──tells──▶ Rules (replication, cache, events), StorageMeter
                ▲               ▲
                └──── Registry ─┴─ Ecr (operations) ─┴─ ImageResolver (for whoever runs images)
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import EventBus, Secrets, UsageSink
from cumulo.engines.images import Login
from cumulo.engines.oci.credentials import find_login
from cumulo.engines.oci.references import parse
from cumulo.engines.oci.registry import Registry as OtherRegistry
from cumulo.services.ecr.authorization import Authorization
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layer_upkeep import LayerUpkeep, needed_by
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.metering import StorageMeter
from cumulo.services.ecr.model import Repository, registry_host
from cumulo.services.ecr.pulling import ImageResolver
from cumulo.services.ecr.registry.access import Access, anybody, own_account_only
from cumulo.services.ecr.registry.registry import Registry
from cumulo.services.ecr.rules.service import Rules
from cumulo.services.ecr.service import Ecr
from cumulo.services.ecr.tokens import Tokens
from cumulo.state.content import Content
from cumulo.state.store import Store
from cumulo.wire.service import Operation, Service


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the house stands: its folder, the server's port, whose registry is meant when nobody says."""

    data: Path
    port: int
    account: str
    region: str
    verify: bool  # shared mode: nobody comes in without a good token


class EcrHouse:
    """Everything of ECR.  `start` before requests are served, `run` beside the server, `close` at the end."""

    def __init__(
        self,
        place: Place,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        usages: UsageSink,
        secrets: Secrets,
        bus: EventBus,
        principal_of: Callable[[str], str],
    ) -> None:
        self._store = store
        self._content = Content(place.data / "content")
        self._layers = StoredLayers(content=self._content, store=store, clock=clock, ids=ids)
        self._catalog = StoredCatalog(store, self._layers, clock)
        self._upkeep = LayerUpkeep(self._layers, needed_by(self._catalog))

        def open_registry(login: Login | None) -> OtherRegistry:
            return OtherRegistry(login, clock=clock)

        self._rules = Rules(
            store,
            clock,
            catalog=self._catalog,
            layers=self._layers,
            incoming=place.data / "arriving",
            secrets=secrets,
            bus=bus,
            open_source=open_registry,
            principal_of=principal_of,
            local_upstreams=not place.verify,
        )
        self._meter = StorageMeter(store, clock, usages, self._catalog, self._layers)
        self._catalog.listeners += [self._rules.heard, self._meter.heard]
        self._catalog.uncounted = self._rules.excluded
        tokens = Tokens(store, clock)
        authorization = Operation(Authorization(tokens).get)
        self._ecr = Ecr(
            self._catalog,
            self._layers,
            clock,
            ids,
            missing=self._rules.missing,
            extra=dict(self._rules.operations()) | {"GetAuthorizationToken": authorization},
        )
        self.downloads = self._ecr.downloads
        self.registry = Registry(
            catalog=self._catalog,
            layers=self._layers,
            access=Access(
                tokens=tokens, ids=ids, verify=place.verify, account=place.account, region=place.region
            ),
            authorize=own_account_only if place.verify else anybody,
            needs=needed_by(self._catalog),
            sources=self._layers.sources,
            missing=self._rules.missing,
            on_push=self._rules.on_push,
            mounts=self._rules.blob_mounting,
        )
        self.resolver = ImageResolver(
            self._catalog,
            self._layers,
            parse=parse,
            open_source=lambda: OtherRegistry(
                None, clock=clock, find_login=None if place.verify else find_login
            ),
            port=place.port,
            may_pull=_of_own_account if place.verify else None,
        )

    def service(self) -> Service:
        """As the door wants it."""
        return Service("ecr", self._ecr.operations())

    def spelled(self, caller: Caller, uri: str) -> str:
        """What `app` and `app:1` mean: an image of the caller's registry when it has the repository; else Docker's."""
        name, _, _ = uri.partition("@")
        repository, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            repository = name
        if self._catalog.find(caller.account, caller.region, repository) is None:
            return uri
        rest = uri[len(repository) :] or ":latest"
        return f"{registry_host(caller.account, caller.region, '')}/{repository}{rest}"

    def tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """The tags of a repository, for the bill."""
        found = self._catalog.find(account, region, resource)
        return found.tags if found is not None else {}

    def count(self) -> int:
        """How many repositories there are, in all registries."""
        return len(self._catalog.all_repositories())

    async def start(self) -> None:
        """Note what a kill has kept from being noted."""
        await self._rules.start()
        await self._meter.start()

    async def run(self) -> None:
        """Replicate, deliver, expire, meter and tidy up, for ever."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._rules, self._ecr, self._meter, self._upkeep):
                group.create_task(loop.run())

    async def close(self) -> None:
        """Let go, when nothing runs any more."""
        await self._rules.close()
        self._content.close()

    async def reset(self) -> None:
        """Forget every repository and every rule."""
        await self._rules.reset()
        await self._ecr.reset()
        self._meter.clear()
        await self._store.commit()


def _of_own_account(caller: Caller, repository: Repository) -> bool:
    return caller.account == repository.account
