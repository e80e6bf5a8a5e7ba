"""Finds repositories for requests: checks names, asks who may, and lets others make what is missing."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, TypeVar

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.registry.access import Authorize, Visit
from cumulo.services.ecr.registry.answers import RegistryError
from cumulo.services.ecr.registry.routes import is_name

T = TypeVar("T")
_PULL = "ecr:BatchGetImage"

Missing = Callable[[str, str, str, str], Awaitable[Repository | None]]
"""(account, region, repository, reference): awaited when a pull finds no repository, manifest or blob, and before a tag
is answered, which may have moved upstream (pull-through cache).  It gives the repository when what was asked for is in
it now."""

OnPush = Callable[[str, str, str], Awaitable[Repository | None]]
"""(account, region, repository): awaited when a push finds no repository (create-on-push)."""


class Listed(Catalog, Protocol):
    """The catalog, with a list of its repositories."""

    def repositories(self, account: str, region: str, after: str = "") -> Iterator[Repository]:
        """Those of a registry, sorted by name, after a name."""
        ...

    def regions_of(self, account: str, name: str) -> list[str]:
        """Where an account has a repository of that name."""
        ...


class Desk:
    """What every part of the registry needs to find things."""

    def __init__(
        self,
        catalog: Listed,
        *,
        authorize: Authorize,
        missing: Missing | None = None,
        on_push: OnPush | None = None,
    ) -> None:
        self.catalog = catalog
        self.authorize = authorize
        self._missing = missing
        self._on_push = on_push

    def settled(self, visit: Visit, name: str) -> Visit:
        """The visit, in the one region that has the repository, when the client did not say which it means."""
        if not visit.assumed or not name or self.catalog.find(visit.account, visit.region, name) is not None:
            return visit
        regions = self.catalog.regions_of(visit.account, name)
        if len(regions) != 1:
            return visit
        return msgspec.structs.replace(
            visit, region=regions[0], caller=msgspec.structs.replace(visit.caller, region=regions[0])
        )

    def known(self, visit: Visit, name: str, action: str) -> Repository:
        """A repository that must be there, and that the caller may use so."""
        repository = self.catalog.repository(visit.account, visit.region, checked(name))
        self.authorize(visit.caller, action, repository)
        return repository

    async def pull(
        self, visit: Visit, name: str, reference: str, look: Callable[[Repository], T | None]
    ) -> tuple[Repository, T | None]:
        """A repository to pull from, and what `look` finds there; others are asked for what is missing, once."""
        found = self.catalog.find(visit.account, visit.region, checked(name))
        self.authorize(visit.caller, _PULL, found or nominal(visit, name))
        what = look(found) if found is not None else None
        fixed = what is not None and ":" in reference
        fetched = (
            None
            if fixed or self._missing is None
            else await self._missing(visit.account, visit.region, name, reference)
        )
        if fetched is not None:
            self.authorize(visit.caller, _PULL, fetched)
            return fetched, look(fetched)
        return found or self.catalog.repository(visit.account, visit.region, name), what

    async def to_push(self, visit: Visit, name: str, action: str) -> Repository:
        """A repository to push to; made when there is a template for it."""
        found = self.catalog.find(visit.account, visit.region, checked(name))
        if found is None and self._on_push is not None:
            self.authorize(visit.caller, action, nominal(visit, name))
            found = await self._on_push(visit.account, visit.region, name)
        if found is None:
            found = self.catalog.repository(visit.account, visit.region, name)  # says that there is none
        self.authorize(visit.caller, action, found)
        return found

    def image(self, repository: Repository, reference: str) -> Image | None:
        """The image of a tag or digest; None when there is none, or when it is in the archive."""
        try:
            if ":" in reference:
                image = self.catalog.image(repository, digest=reference)
            else:
                image = self.catalog.image(repository, tag=reference)
        except AwsError as error:
            if error.code != "ImageNotFoundException":
                raise
            return None
        return image if image.status == "ACTIVE" else None


def nominal(visit: Visit, name: str) -> Repository:
    """A repository that is not there (`*`: the registry), to ask who might use it."""
    return Repository(account=visit.account, region=visit.region, name=name, created_at=0.0)


def checked(name: str) -> str:
    """A repository's name; RegistryError NAME_INVALID when it cannot be one."""
    if not is_name(name):
        raise RegistryError(400, "NAME_INVALID", "invalid repository name", detail={"name": name[:300]})
    return name
