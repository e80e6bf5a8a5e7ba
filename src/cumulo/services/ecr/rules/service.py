"""A registry's rules, put together: `Rules` is what ECR plugs in.

operations   by AWS's names
heard        a listener of the catalog: events, replications and metering follow from it
on_push      the registry asks for a repository that is not there (create on push)
missing      the registry and BatchGetImage ask before they answer a pull (the cache)
blob_mounting, excluded   what the settings say
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ports import EventBus, Secrets
from cumulo.services.ecr.catalog import Change, StoredCatalog
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.rules.arrivals import Arrivals
from cumulo.services.ecr.rules.cache import OpenSource, PullCache
from cumulo.services.ecr.rules.copying import Copier
from cumulo.services.ecr.rules.events import SOURCE, ImageEvents
from cumulo.services.ecr.rules.fetching import Fetcher
from cumulo.services.ecr.rules.pull_through import PullThroughRules
from cumulo.services.ecr.rules.pull_times import PullTimes
from cumulo.services.ecr.rules.registries import Registries
from cumulo.services.ecr.rules.registry_policies import RegistryPolicies
from cumulo.services.ecr.rules.replication import Replications
from cumulo.services.ecr.rules.replicator import Replicator
from cumulo.services.ecr.rules.scanning import Scanning
from cumulo.services.ecr.rules.settings import AccountSettings
from cumulo.services.ecr.rules.signing import Signing
from cumulo.services.ecr.rules.templates import CREATE_ON_PUSH, Templates
from cumulo.state.outbox import Outbox
from cumulo.state.store import Store
from cumulo.wire.service import Coverage, Operation

_NO_SCANNER = "kept and shown; nothing is scanned, for there is no scanner"
_NO_SIGNER = "kept and shown; nothing is signed, and the status says so"


class Rules:
    """The rules of all registries.

    incoming          a folder of its own, for layers that arrive from upstream
    secrets, bus      Secrets Manager and EventBridge
    open_source       a client for another registry
    local_upstreams   whether a registry on this machine may be an upstream: not in shared mode
    principal_of      the ARN of who holds an access key; empty when it is not known
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        catalog: StoredCatalog,
        layers: Layers,
        incoming: Path,
        secrets: Secrets,
        bus: EventBus,
        open_source: OpenSource,
        principal_of: Callable[[str], str],
        local_upstreams: bool = True,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._principal_of = principal_of
        arrivals = Arrivals(store)
        copier = Copier(catalog, layers, arrivals)
        registries = Registries(store)
        self.outbox = Outbox(store, clock, bus, source=SOURCE, table="ecr_outbox")
        events = ImageEvents(self.outbox)
        self.templates = Templates(store, clock, catalog)
        self.replicator = Replicator(
            store,
            clock,
            registries=registries,
            catalog=catalog,
            templates=self.templates,
            copier=copier,
            finished=events.replicated,
            arrivals=arrivals,
        )
        self._fetcher = Fetcher(incoming, catalog, layers, arrivals)
        self.pull_through = PullThroughRules(store, clock, secrets, local=local_upstreams)
        self.cache = PullCache(
            store,
            clock,
            catalog=catalog,
            templates=self.templates,
            rules=self.pull_through,
            fetcher=self._fetcher,
            copier=copier,
            events=events,
            open_source=open_source,
        )
        self._arrivals = arrivals
        self._events = events
        self._registries = registries
        self._policies = RegistryPolicies(registries)
        self._settings = AccountSettings(registries)
        self._scanning = Scanning(registries, catalog)
        self._signing = Signing(registries, catalog)
        self._pull_times = PullTimes(store, clock)
        self._replications = Replications(registries, clock, catalog, self.replicator)

    def operations(self) -> Mapping[str, Operation]:
        """Every operation on registries as a whole that is built, by AWS's name."""
        stored = Coverage.STORED
        rules, templates, settings = self.pull_through, self.templates, self._settings
        return {
            "DescribeRegistry": Operation(self._replications.describe),
            "PutReplicationConfiguration": Operation(self._replications.put),
            "DescribeImageReplicationStatus": Operation(self._replications.status),
            "PutRegistryPolicy": Operation(
                self._policies.put, note="counts for replications from other accounts"
            ),
            "GetRegistryPolicy": Operation(self._policies.get),
            "DeleteRegistryPolicy": Operation(self._policies.delete),
            "CreatePullThroughCacheRule": Operation(
                rules.create, note="a registry on this machine may be an upstream, too"
            ),
            "UpdatePullThroughCacheRule": Operation(rules.update),
            "DeletePullThroughCacheRule": Operation(rules.delete),
            "DescribePullThroughCacheRules": Operation(rules.describe),
            "ValidatePullThroughCacheRule": Operation(rules.validate),
            "CreateRepositoryCreationTemplate": Operation(templates.create, note="roles are kept and shown"),
            "UpdateRepositoryCreationTemplate": Operation(templates.update),
            "DeleteRepositoryCreationTemplate": Operation(templates.delete),
            "DescribeRepositoryCreationTemplates": Operation(templates.describe),
            "GetAccountSetting": Operation(settings.get),
            "PutAccountSetting": Operation(settings.put),
            "GetRegistryScanningConfiguration": Operation(self._scanning.get, stored, _NO_SCANNER),
            "PutRegistryScanningConfiguration": Operation(self._scanning.put, stored, _NO_SCANNER),
            "BatchGetRepositoryScanningConfiguration": Operation(
                self._scanning.repositories, stored, _NO_SCANNER
            ),
            "GetSigningConfiguration": Operation(self._signing.get, stored, _NO_SIGNER),
            "PutSigningConfiguration": Operation(self._signing.put, stored, _NO_SIGNER),
            "DeleteSigningConfiguration": Operation(self._signing.delete, stored, _NO_SIGNER),
            "DescribeImageSigningStatus": Operation(self._signing.status, stored, _NO_SIGNER),
            "RegisterPullTimeUpdateExclusion": Operation(self._pull_times.register),
            "DeregisterPullTimeUpdateExclusion": Operation(self._pull_times.deregister),
            "ListPullTimeUpdateExclusions": Operation(self._pull_times.list_),
        }

    # -- hooks -------------------------------------------------------------------------------------------

    def heard(self, change: Change) -> None:
        """A listener of the catalog.  What it writes is durable with the next commit."""
        image = change.image
        if change.kind == "pushed" and image is not None:
            if self._arrivals.now:
                self._arrivals.note(image)
            else:
                tag = change.tags[0] if change.tags else ""
                self._events.pushed(image, tag)
                self.replicator.pushed(image, tag)
                self.cache.forget(change.repository, change.tags)
                self._arrivals.forget(image)
        elif change.kind in ("deleted", "untagged") and image is not None:
            for tag in change.tags or ("",):
                self._events.deleted(image, tag)
            self.cache.forget(change.repository, change.tags)
            if change.kind == "deleted":
                self.replicator.deleted(image)
                self._arrivals.forget(image)
        elif change.kind in ("archived", "activated") and image is not None:
            self._events.moved(image)
        elif change.kind == "removed":
            self.cache.removed(change.repository)
            self.replicator.removed(change.repository)
            self._arrivals.removed(change.repository)

    async def on_push(self, account: str, region: str, name: str) -> Repository | None:
        """The repository for a push into one that is not there; None when no template says that it be made."""
        return await self.templates.apply(account, region, name, CREATE_ON_PUSH)

    async def missing(self, account: str, region: str, name: str, reference: str) -> Repository | None:
        """Have an image here, and fresh, before a pull of it is answered: its repository when a cache has it.

        AwsError UnableToGetUpstreamImageException when it is not here and could not be fetched.
        """
        here = await self.cache.fresh(account, region, name, reference)
        return self._catalog.find(account, region, name) if here else None

    def blob_mounting(self, account: str, region: str) -> bool:
        """Whether an account wants layers mounted across its repositories."""
        return self._settings.blob_mounting(account, region)

    def excluded(self, caller: Caller) -> bool:
        """Whether a caller's pulls leave pull times alone."""
        principal = self._principal_of(caller.access_key) if caller.access_key else ""
        return bool(principal) and self._pull_times.excluded(caller.account, caller.region, principal)

    # -- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Empty the folder of what arrives, and note what a kill has kept from being noted."""
        await asyncio.to_thread(self._fetcher.open)
        self.replicator.recall()
        await self._store.commit()

    async def run(self) -> None:
        """Replicate, and deliver events, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.replicator.run())
            group.create_task(self.outbox.run())

    async def close(self) -> None:
        """End the fetches that run."""
        await self.cache.close()

    async def reset(self) -> None:
        """Forget everything."""
        await self.cache.close()
        for kept in (
            self._registries,
            self._pull_times,
            self.templates,
            self.pull_through,
            self.cache,
            self.replicator,
            self.outbox,
            self._arrivals,
        ):
            kept.clear()
        await self._store.commit()
