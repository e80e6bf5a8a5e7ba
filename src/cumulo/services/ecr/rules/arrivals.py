"""Tells images that the cloud has brought itself (by replication, from a cache) from those that users pushed."""

from contextvars import ContextVar

import msgspec

from cumulo.services.ecr.model import Image, Repository
from cumulo.state.store import SEPARATOR, Store, join_key


class Arrival(msgspec.Struct, frozen=True):
    """An image that came by itself, and when."""

    at: float


class Arrivals:
    """`with arrivals:` around a push of our own; `arrivals.now` is true for whoever is told of it inside.

    What came so is remembered, for after a restart nobody can see it in the image.
    """

    def __init__(self, store: Store) -> None:
        self._depth: ContextVar[int] = ContextVar("ecr_arrivals", default=0)
        self._table = store.table("ecr_arrivals", Arrival)

    @property
    def now(self) -> bool:
        """Whether the push that is going on is one of our own."""
        return self._depth.get() > 0

    def note(self, image: Image) -> None:
        """Remember that an image came by itself."""
        self._table.put(image.key, Arrival(image.pushed_at))

    def forget(self, image: Image) -> None:
        """An image has gone, or somebody has pushed it."""
        self._table.delete(image.key)

    def removed(self, repository: Repository) -> None:
        """A repository has gone."""
        for key, _ in self._table.items(repository.key + SEPARATOR):
            self._table.delete(key)

    def among(self, repository: Repository, digests: list[str]) -> set[str]:
        """Those of a repository's images that came by themselves."""
        return {digest for digest in digests if self._table.get(join_key(repository.key, digest)) is not None}

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()

    def __enter__(self) -> None:
        self._depth.set(self._depth.get() + 1)

    def __exit__(self, *_: object) -> None:
        self._depth.set(self._depth.get() - 1)
