"""Carries replications out: a durable queue of images on their way to other regions and accounts.

    push ──▶ plan.destinations ──▶ records IN_PROGRESS (in the push's own transaction)
                                        │
    run ────▶ may it? ──▶ repository ──▶ Copier ──▶ COMPLETE, or FAILED with a code

What is IN_PROGRESS at start is carried on.  A replication is done once: what arrives by one sets out no other.
"""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.rules import policy
from cumulo.services.ecr.rules.arrivals import Arrivals
from cumulo.services.ecr.rules.copying import Copier
from cumulo.services.ecr.rules.forgotten import forgotten, notes_of
from cumulo.services.ecr.rules.model import Replication, repository_arn
from cumulo.services.ecr.rules.plan import destinations
from cumulo.services.ecr.rules.registries import Registries
from cumulo.services.ecr.rules.templates import REPLICATION, Templates
from cumulo.state.store import SEPARATOR, Store, StoreError, join_key

RETRY_SECONDS = 1.0
_log = Log("ecr")

Finished = Callable[[Replication, str], None]
"""Told of each tag of a replication that was finished."""


class Replicator:
    """The queue of replications."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        registries: Registries,
        catalog: StoredCatalog,
        templates: Templates,
        copier: Copier,
        finished: Finished,
        arrivals: Arrivals,
    ) -> None:
        self._store = store
        self._clock = clock
        self._registries = registries
        self._catalog = catalog
        self._templates = templates
        self._copier = copier
        self._finished = finished
        self._arrivals = arrivals
        self._table = store.table("ecr_replications", Replication)
        # Bounded by the images that are there: each is waiting at most once for each destination.
        self._waiting: dict[str, None] = {}
        self._by_image: dict[str, dict[str, None]] = {}  # keys of notes by the key of their image
        for key, found in self._table.items():
            self._by_image.setdefault(_image_key(found), {})[key] = None
            if found.status == "IN_PROGRESS":
                self._waiting[key] = None
        self._wake = asyncio.Event()

    def pushed(self, image: Image, tag: str) -> None:
        """Note where a push goes; durable with the commit that follows."""
        rules = self._registries.of(image.account, image.region).replication
        for to in destinations(rules, image.account, image.region, image.repository):
            made = Replication(
                account=image.account,
                region=image.region,
                repository=image.repository,
                digest=image.digest,
                to=to,
                tags=(tag,),
                updated_at=self._clock.now(),
            )
            before = self._table.get(made.key)
            if before is not None and before.status == "IN_PROGRESS":
                made = replace(made, tags=tuple(dict.fromkeys((*before.tags, tag))))
            self._table.put(made.key, made)
            self._by_image.setdefault(image.key, {})[made.key] = None
            self._waiting[made.key] = None
            self._wake.set()

    def deleted(self, image: Image) -> None:
        """Forget an image's replications."""
        for key in self._by_image.pop(image.key, {}):
            self._table.delete(key)

    def of_image(self, image: Image) -> list[Replication]:
        """Where an image went, by account and region."""
        found = (self._table.get(key) for key in sorted(self._by_image.get(image.key, {})))
        return [note for note in found if note is not None]

    def removed(self, repository: Repository) -> None:
        """Forget the replications of a repository that has gone."""
        for found in self._table.scan(repository.key + SEPARATOR):
            self._table.delete(found.key)
            self._by_image.pop(_image_key(found), None)

    def recall(self) -> None:
        """Note again what a kill between a push and its note has lost: the images themselves tell."""
        notes: dict[str, list[Replication]] = {}
        for note in self._table.scan():
            notes.setdefault(join_key(note.account, note.region, note.repository), []).append(note)
        for repository in self._catalog.all_repositories():
            registry = self._registries.of(repository.account, repository.region)
            if not destinations(registry.replication, repository.account, repository.region, repository.name):
                continue
            shelf = self._catalog.shelf(repository)
            lost = forgotten(
                list(shelf.images.values()),
                list(shelf.tags.values()),
                since=registry.replication_since,
                noted=notes_of(notes.get(repository.key, ())),
                arrived=self._arrivals.among(repository, list(shelf.images)),
            )
            for image, tag in lost:
                self.pushed(image, tag)

    async def run(self) -> None:
        """Carry replications out, for ever."""
        while True:
            await self._wake.wait() if not self._waiting else None
            self._wake.clear()
            if not await self.work():
                await asyncio.sleep(RETRY_SECONDS)

    async def work(self) -> bool:
        """Carry out what waits now; False when the disk refuses, and it must be tried again."""
        for key in list(self._waiting):
            try:
                await self._store.commit()  # the note itself, before anything follows from it
                await self._carry(key)
            except StoreError as error:
                _log.warning("a replication waits for the disk", error=str(error))
                return False
            self._waiting.pop(key, None)
            again = self._table.get(key)
            if again is not None and again.status == "IN_PROGRESS":
                self._waiting[key] = None  # another tag came meanwhile
        return True

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()
        self._waiting.clear()
        self._by_image.clear()

    async def _carry(self, key: str) -> None:
        job = self._table.get(key)
        if job is None or job.status != "IN_PROGRESS":
            return
        source = self._catalog.find(job.account, job.region, job.repository)
        failure = ""
        try:
            if source is None:
                self._table.delete(key)
                return
            image = self._catalog.image(source, digest=job.digest)
            tags = self._still(source, job)
            await self._copier.copy(source, image, await self._target(job), tags)
        except AwsError as error:
            failure = error.code
            _log.info("a replication failed", image=f"{job.repository}@{job.digest}", error=str(error))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            failure = "ServerException"
            _log.error("a replication failed", image=f"{job.repository}@{job.digest}", error=repr(error))
        self._end(key, job, failure)
        await self._store.commit()

    def _still(self, source: Repository, job: Replication) -> tuple[str, ...]:
        """The tags that still lead to the image.  One that has moved on is written by the push that moved it."""
        known = self._catalog.shelf(source).tags
        found = [tag for tag in job.tags if tag and tag in known and known[tag].digest == job.digest]
        return tuple(found) or ("",)

    def _end(self, key: str, job: Replication, failure: str) -> None:
        """Write down how it went, unless the image has been deleted meanwhile."""
        now = self._table.get(key)
        if now is None:
            return
        left = tuple(tag for tag in now.tags if tag not in job.tags)
        status = "FAILED" if failure else "COMPLETE"
        done = replace(job, status=status, failure=failure, updated_at=self._clock.now())
        self._table.put(key, replace(done, status="IN_PROGRESS", failure="", tags=left) if left else done)
        for tag in job.tags:
            self._finished(done, tag)

    async def _target(self, job: Replication) -> Repository:
        """The repository that a replication goes to, made when it is missing; AwsError when it may not."""
        to, name = job.to, job.repository
        self._permit(job, "ecr:ReplicateImage")
        found = self._catalog.find(to.account, to.region, name)
        if found is not None:
            return found
        self._permit(job, "ecr:CreateRepository")
        return await self._templates.make(to.account, to.region, name, REPLICATION)

    def _permit(self, job: Replication, action: str) -> None:
        if job.to.account == job.account:
            return
        from cumulo.base.policy import Question, Who

        asked = Question(
            action=action,
            resource=repository_arn(job.to.account, job.to.region, job.repository),
            who=Who(job.account, f"arn:aws:iam::{job.account}:root"),
            keys={"aws:principalaccount": job.account, "aws:sourceaccount": job.account},
        )
        if not policy.allows(self._registries.of(job.to.account, job.to.region).policy, asked):
            raise AwsError(
                "AccessDeniedException",
                f"The registry {job.to.account} in {job.to.region} does not allow {action}"
                f" to account {job.account}",
            )


def _image_key(note: Replication) -> str:
    return join_key(note.account, note.region, note.repository, note.digest)
