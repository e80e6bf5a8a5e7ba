"""Parts of a cloud that are built when they are first needed: a cloud must start at once and stay small.

A cloud that has used a part once builds it at its start from then on: there is something to take up.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from cumulo.wire.service import Service


class Part(Protocol):
    """What a slot builds."""

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        ...


PartT = TypeVar("PartT", bound=Part)
GroundT = TypeVar("GroundT")


class Slot(ABC, Generic[PartT, GroundT]):
    """Builds a part once.

    names    of its services, by botocore
    ground   what it stands on
    begin    starts and runs what was built, beside the server
    marker   a file that says that it was built before
    """

    names: Sequence[str] = ()

    def __init__(self, ground: Callable[[], GroundT], begin: Callable[[PartT], None], marker: Path) -> None:
        self._ground = ground
        self._begin = begin
        self._marker = marker
        self.built: PartT | None = None

    @abstractmethod
    def make(self, ground: GroundT) -> PartT:
        """Build it; what it is made of is imported here."""

    @property
    def was_used(self) -> bool:
        """Whether an earlier process has built it."""
        return self._marker.exists()

    def build(self) -> PartT:
        """Build it, and run nothing yet; the one that is there when it is."""
        if self.built is None:
            self._marker.touch(mode=0o600)
            self.built = self.make(self._ground())
        return self.built

    def get(self) -> PartT:
        """The one that is there, or one that is built and begun now."""
        if self.built is None:
            self._begin(self.build())
        return self.build()

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        return self.get().services()


class Late(Protocol):
    """Services that are built when they are looked up, and their names."""

    @property
    def names(self) -> Sequence[str]:
        """By botocore's names."""
        ...

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        ...


class Services(Mapping[str, Service]):
    """Our services by name; those of the slots are built when they are looked up."""

    def __init__(
        self, early: Mapping[str, Service], late: Sequence[Late], wrap: Callable[[Service], Service]
    ) -> None:
        self._known = dict(early)
        self._late = {name: slot for slot in late for name in slot.names}
        self._wrap = wrap

    def __getitem__(self, name: str) -> Service:
        if name not in self._known and name in self._late:
            late = self._late[name].services()
            self._known |= {one: self._wrap(service) for one, service in late.items()}
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._known, *self._late}))

    def __len__(self) -> int:
        return len({*self._known, *self._late})
