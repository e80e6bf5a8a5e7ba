"""Repositories, images and tags: the one place that changes them, and tells everybody who wants to know.

    ecr_repositories   account, region, name
    ecr_images         account, region, name, digest   read at start into a Shelf for each repository, which
    ecr_tags           account, region, name, tag      answers everything without a scan
    ecr_manifests      the bytes (a table of SQLite)

A change is made in memory and in the store without an `await` in between, committed, and then told to the listeners.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.services.ecr import refusals
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.intake import Push, accept
from cumulo.services.ecr.manifest_store import ManifestStore
from cumulo.services.ecr.manifests import digest_of, is_digest, parse
from cumulo.services.ecr.model import Image, Repository, Tag, no_repository
from cumulo.services.ecr.mutability import tag_problem
from cumulo.services.ecr.shelf import Shelf
from cumulo.state.store import SEPARATOR, Store, join_key

REPOSITORIES_MAX = 100_000  # in a registry
PULLS_EVERY_SECONDS = 60.0  # a pull is written down at most so often; AWS promises once a day
_THREAD_BYTES = 256 * 1024  # larger manifests are read outside the event loop
_DROP_AT_ONCE = 1_000  # records removed before others have their turn


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, durably.

    kind   created, removed (a repository); pushed, deleted, untagged, pulled, archived, activated (an image)
    tags   pushed: the tag that it got, if any; deleted: what it had; untagged: those it lost
    """

    kind: str
    repository: Repository
    image: Image | None = None
    tags: tuple[str, ...] = ()


Listener = Callable[[Change], None]
"""Called on the event loop after the commit: it must be quick, and must not raise."""


class StoredCatalog:
    """The Catalog of `core.py` in the store."""

    def __init__(self, store: Store, layers: Layers, clock: Clock) -> None:
        self._store = store
        self._layers = layers
        self._clock = clock
        self._repositories = store.table("ecr_repositories", Repository)
        self._images = store.table("ecr_images", Image)
        self._tags = store.table("ecr_tags", Tag)
        self._manifests = ManifestStore(store)
        self._shelves: dict[str, Shelf] = {}
        self._names: dict[tuple[str, str], list[str]] = {}  # of a registry, sorted
        self._leaving: set[str] = set()  # repositories whose images are still being removed
        self.listeners: list[Listener] = []
        self.uncounted: Callable[[Caller], bool] = lambda _caller: False  # whose pulls leave no trace
        self._load()

    def _load(self) -> None:
        for repository in self._repositories.scan():
            self._shelves[repository.key] = Shelf()
            self._names.setdefault((repository.account, repository.region), []).append(repository.name)
        for key, image in self._images.items():
            shelf = self._shelves.get(_parent(key))
            if shelf is None:  # a kill came between the repository and the last of its images
                self._images.delete(key)
                self._manifests.delete(key)
            else:
                shelf.put_image(image)
        for key, tag in self._tags.items():
            shelf = self._shelves.get(_parent(key))
            if shelf is None:
                self._tags.delete(key)
            else:
                shelf.put_tag(tag)

    # -- repositories ------------------------------------------------------------------------------------

    def find(self, account: str, region: str, name: str) -> Repository | None:
        """The repository, or None."""
        return self._repositories.get(join_key(account, region, name))

    def repository(self, account: str, region: str, name: str) -> Repository:
        """The repository.  AwsError RepositoryNotFoundException."""
        found = self.find(account, region, name)
        if found is None:
            raise no_repository(name, account)
        return found

    def repositories(self, account: str, region: str, after: str = "") -> Iterator[Repository]:
        """Those of a registry, sorted by name, after a name.  Do not change the catalog meanwhile."""
        names = self._names.get((account, region), [])
        for at in range(bisect_right(names, after), len(names)):
            yield self._repositories.get(join_key(account, region, names[at]))  # type: ignore[misc]

    def regions_of(self, account: str, name: str) -> list[str]:
        """Where an account has a repository of that name."""
        return sorted(
            region for owner, region in self._names if owner == account and self.find(account, region, name)
        )

    def all_repositories(self) -> list[Repository]:
        """Those of every account and region."""
        return self._repositories.scan()

    async def create(self, repository: Repository) -> Repository:
        """Add one.  AwsError RepositoryAlreadyExistsException, LimitExceededException."""
        await self._store.ready()
        names = self._names.setdefault((repository.account, repository.region), [])
        if repository.key in self._shelves or repository.key in self._leaving:
            raise refusals.repository_exists(repository.name, repository.account)
        if len(names) >= REPOSITORIES_MAX:
            where = f"registry with id '{repository.account}'"
            raise refusals.too_many("repositories", REPOSITORIES_MAX, where)
        self._repositories.put(repository.key, repository)
        self._shelves[repository.key] = Shelf()
        insort(names, repository.name)
        await self._store.commit()
        self._tell(Change(kind="created", repository=repository))
        return repository

    async def update(self, repository: Repository, **changes: Any) -> Repository:
        """Change fields of a record, whatever else has changed meanwhile; without `changes`, write it as it is given.

        AwsError RepositoryNotFoundException.
        """
        await self._store.ready()
        current = self.repository(repository.account, repository.region, repository.name)
        changed = replace(current, **changes) if changes else repository
        self._repositories.put(changed.key, changed)
        await self._store.commit()
        return changed

    async def remove(self, repository: Repository, *, force: bool = False) -> None:
        """Remove one; with all its images when forced.  AwsError RepositoryNotEmptyException."""
        await self._store.ready()
        shelf = self._shelf(repository)
        if shelf.images and not force:
            raise refusals.not_empty(repository)
        names = self._names[repository.account, repository.region]
        del names[bisect_left(names, repository.name)]
        self._repositories.delete(
            repository.key
        )  # first: what a kill leaves of the rest goes at the next start
        del self._shelves[repository.key]
        self._leaving.add(repository.key)
        try:
            self._layers.forget(repository)
            self._manifests.delete_under(repository.key)
            await self._drop_records(repository, shelf)
        finally:
            self._leaving.discard(repository.key)
        await self._store.commit()
        self._tell(Change(kind="removed", repository=repository))
        await self._store.commit()

    async def _drop_records(self, repository: Repository, shelf: Shelf) -> None:
        dropped = 0
        for tag in shelf.tags:
            self._tags.delete(join_key(repository.key, tag))
            dropped += 1
            if dropped % _DROP_AT_ONCE == 0:
                await asyncio.sleep(0)
        for image in shelf.images.values():
            self._images.delete(image.key)
            dropped += 1
            if dropped % _DROP_AT_ONCE == 0:
                await asyncio.sleep(0)

    # -- asking for images -------------------------------------------------------------------------------

    def shelf(self, repository: Repository) -> Shelf:
        """Everything in a repository, to look at.  AwsError RepositoryNotFoundException."""
        return self._shelf(repository)

    def image(self, repository: Repository, *, tag: str = "", digest: str = "") -> Image:
        """The image of a tag or digest (or both, which must fit).  AwsError ImageNotFoundException."""
        shelf = self._shelf(repository)
        known = shelf.tags.get(tag) if tag else None
        wanted = digest or (known.digest if known else "")
        image = shelf.images.get(wanted)
        if image is None or (tag and (known is None or known.digest != wanted)):
            raise refusals.no_image(repository, digest, tag)
        return image

    def pullable(self, repository: Repository, *, tag: str = "", digest: str = "") -> Image:
        """The image, when it can be pulled: what is archived cannot.  AwsError ImageNotFoundException."""
        image = self.image(repository, tag=tag, digest=digest)
        if image.status != "ACTIVE":
            raise refusals.no_image(repository, digest, tag)
        return image

    def tags_of(self, image: Image) -> list[str]:
        """Its tags, sorted; none when it is gone."""
        shelf = self._shelves.get(_parent(image.key))
        return shelf.tags_of(image.digest) if shelf is not None else []

    def tags(self, repository: Repository) -> list[str]:
        """All tags of the repository, sorted."""
        return self._shelf(repository).tag_names()

    def manifest(self, image: Image) -> bytes:
        """Its manifest, to the byte.  AwsError ImageNotFoundException when it was deleted meanwhile."""
        try:
            return self._manifests.get(image.key)
        except KeyError:
            repository = self.repository(image.account, image.region, image.repository)
            raise refusals.no_image(repository, image.digest, "") from None

    def referrers(self, repository: Repository, digest: str, artifact_type: str = "") -> list[Image]:
        """The artifacts whose subject is this digest, oldest first."""
        found = self._shelf(repository).referrers_of(digest)
        chosen = [image for image in found if artifact_type in ("", image.artifact_type)]
        return sorted(chosen, key=lambda image: (image.pushed_at, image.digest))

    # -- pushing -----------------------------------------------------------------------------------------

    async def put_image(
        self,
        repository: Repository,
        manifest: bytes,
        *,
        media_type: str = "",
        tag: str = "",
        digest: str = "",
    ) -> Image:
        """Add a manifest, and a tag to it.  See `core.Catalog`."""
        if tag and (problem := tag_problem(tag)):
            raise refusals.constraint("imageTag", problem)
        await self._store.ready()
        if len(manifest) > _THREAD_BYTES:
            parsed, found = await asyncio.to_thread(
                lambda: (parse(manifest, media_type), digest_of(manifest))
            )
        else:
            parsed, found = parse(manifest, media_type), digest_of(manifest)
        if digest and digest != found:
            raise refusals.digest_differs() if is_digest(digest) else _no_digest()
        repository = self.repository(repository.account, repository.region, repository.name)  # as it is now
        shelf = self._shelf(repository)
        moment = self._clock.now()
        push = Push(parsed, found, len(manifest), tag, moment)
        image = accept(push, repository, shelf, lambda blob: self._layers.get(repository, blob))
        self._manifests.put(image.key, manifest)
        self._images.put(image.key, image)
        shelf.put_image(image)
        if tag:
            record = Tag(tag=tag, digest=found, tagged_at=moment)
            self._tags.put(join_key(repository.key, tag), record)
            shelf.put_tag(record)
        await self._store.commit()
        self._manifests.written(image.key)
        self._tell(Change(kind="pushed", repository=repository, image=image, tags=(tag,) if tag else ()))
        await self._store.commit()  # what the listeners noted is safe before the push is acknowledged
        return image

    # -- deleting ----------------------------------------------------------------------------------------

    async def delete(self, images: Sequence[Image], *, tags: Sequence[str] = ()) -> None:
        """Remove images with their tags, or, with `tags`, only these tags of the first (it goes with its last tag).

        AwsError ImageReferencedByManifestList when an index that stays needs one of them: then nothing is removed.
        What is gone already is passed over.
        """
        await self._store.ready()
        changes = self._untag(images[0], tags) if tags else self._delete(images)
        await self._store.commit()
        for change in changes:
            self._tell(change)
        await self._store.commit()

    def _delete(self, images: Sequence[Image]) -> list[Change]:
        found = [(image, shelf) for image in images if (shelf := self._shelf_of(image)) is not None]
        going = {image.key for image, _ in found}
        for image, shelf in found:
            prefix = _parent(image.key)
            stay = {p for p in shelf.parents_of(image.digest) if join_key(prefix, p) not in going}
            if stay:
                raise refusals.referenced(stay)
        return [self._drop(image, shelf) for image, shelf in found if image.digest in shelf.images]

    def _untag(self, image: Image, tags: Sequence[str]) -> list[Change]:
        shelf = self._shelf_of(image)
        if shelf is None:
            return []
        have = shelf.tags_of(image.digest)
        lost = [tag for tag in have if tag in set(tags)]
        if lost and len(lost) == len(have):
            return self._delete([image])
        for tag in lost:
            self._drop_tag(image, shelf, tag)
        repository = self.repository(image.account, image.region, image.repository)
        return [Change(kind="untagged", repository=repository, image=image, tags=tuple(lost))] if lost else []

    def _drop(self, image: Image, shelf: Shelf) -> Change:
        tags = shelf.tags_of(image.digest)
        for tag in tags:
            self._drop_tag(image, shelf, tag)
        self._images.delete(image.key)
        self._manifests.delete(image.key)
        shelf.drop_image(image.digest)
        repository = self.repository(image.account, image.region, image.repository)
        return Change(kind="deleted", repository=repository, image=image, tags=tuple(tags))

    def _drop_tag(self, image: Image, shelf: Shelf, tag: str) -> None:
        self._tags.delete(join_key(image.account, image.region, image.repository, tag))
        shelf.drop_tag(tag)

    # -- changing ----------------------------------------------------------------------------------------

    async def pulled(self, image: Image, caller: Caller) -> None:
        """Somebody has pulled it: remember when, unless they asked not to be counted."""
        now = self._clock.now()
        shelf = self._shelf_of(image)
        if shelf is None or self.uncounted(caller):
            return
        current = shelf.images[image.digest]
        if now - current.pulled_at >= PULLS_EVERY_SECONDS:
            await self.change_image(replace(current, pulled_at=now), "pulled")

    async def change_image(self, image: Image, kind: str) -> None:
        """Write what is new of an image (when it was pulled, archived), and tell of it as `kind`."""
        shelf = self._shelf_of(image)
        if shelf is None:
            return
        self._images.put(image.key, image)
        shelf.put_image(image)
        await self._store.commit()
        repository = self.find(image.account, image.region, image.repository)
        if repository is not None:
            self._tell(Change(kind=kind, repository=repository, image=image))

    async def clear(self) -> None:
        """Forget everything."""
        for repository in self.all_repositories():
            await self.remove(repository, force=True)

    # -- inside ------------------------------------------------------------------------------------------

    def _shelf(self, repository: Repository) -> Shelf:
        shelf = self._shelves.get(repository.key)
        if shelf is None:
            raise no_repository(repository.name, repository.account)
        return shelf

    def _shelf_of(self, image: Image) -> Shelf | None:
        """The shelf that has this image; None when it is gone."""
        shelf = self._shelves.get(_parent(image.key))
        return shelf if shelf is not None and image.digest in shelf.images else None

    def _tell(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)


def _parent(key: str) -> str:
    """The key of the repository of an image or tag."""
    return key.rpartition(SEPARATOR)[0]


def _no_digest() -> Exception:
    return refusals.constraint(
        "imageDigest", "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
    )
