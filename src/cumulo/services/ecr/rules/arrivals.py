"""Tells pushes that the cloud makes itself (replications, the cache) from those of users."""

from contextvars import ContextVar


class Arrivals:
    """`with arrivals:` around a push of our own; `arrivals.now` is true for whoever is told of it inside."""

    def __init__(self) -> None:
        self._depth: ContextVar[int] = ContextVar("ecr_arrivals", default=0)

    @property
    def now(self) -> bool:
        """Whether the push that is going on is one of our own."""
        return self._depth.get() > 0

    def __enter__(self) -> None:
        self._depth.set(self._depth.get() + 1)

    def __exit__(self, *_: object) -> None:
        self._depth.set(self._depth.get() - 1)
