"""The stages that answer now: control planes publish them, requests find them, compiled once at the first of these."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from cumulo.gateway.visit import Visit
from cumulo.wire.http import Response


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose stage it is, and of what kind (REST, HTTP, WEBSOCKET)."""

    account: str
    region: str
    api_id: str
    stage: str
    kind: str
    api_name: str = ""
    disable_execute_api_endpoint: bool = False


class Compiled(Protocol):
    """A stage of a deployment, made ready once: requests pay no look-up in any store."""

    place: Place

    async def answer(self, visit: Visit) -> Response:
        """Answer a request.  Never raises for what a client did; refusals are answers."""
        ...


class Published:
    """A stage and how it is compiled."""

    __slots__ = ("_compiled", "_make", "place")

    def __init__(self, place: Place, make: Callable[[], Compiled]) -> None:
        self.place = place
        self._make = make
        self._compiled: Compiled | None = None

    @property
    def made(self) -> Compiled | None:
        """The stage, when it was asked for before; None: it has nothing to let go of."""
        return self._compiled

    @property
    def compiled(self) -> Compiled:
        """The stage, compiled when first asked for."""
        if self._compiled is None:
            self._compiled = self._make()
        return self._compiled


class Stages:
    """Published stages by API and name.  `watchers` are called when an API comes to have stages, or has none any more."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[], None]] = []
        self._by_api: dict[str, dict[str, Published]] = {}
        self._http: set[str] = set()

    def know_http(self, api_id: str) -> None:
        """There is this HTTP API, with stages or without any: what it does not have is not found."""
        self._http.add(api_id)

    def is_http(self, api_id: str) -> bool:
        """Whether there is such an HTTP API."""
        return api_id in self._http

    def knows(self, api_id: str) -> bool:
        """Whether there is such an API, as far as anybody can ask it."""
        return api_id in self._by_api or api_id in self._http

    def publish(self, place: Place, make: Callable[[], Compiled]) -> None:
        """From now on this answers for the place's API and stage; requests that are on their way keep what they have."""
        stages = self._by_api.get(place.api_id)
        published = Published(place, make)
        if stages is not None:
            stages[place.stage] = published
            return
        self._by_api[place.api_id] = {place.stage: published}
        self._tell()

    def withdraw(self, api_id: str, stage: str) -> None:
        """Nobody answers for it any more; harmless when nobody does."""
        stages = self._by_api.get(api_id)
        if stages is not None:
            stages.pop(stage, None)
            if not stages:
                self.forget(api_id)

    def forget(self, api_id: str) -> None:
        """The whole API is gone."""
        self._http.discard(api_id)
        if self._by_api.pop(api_id, None) is not None:
            self._tell()

    def find(self, api_id: str, stage: str) -> Published | None:
        """The stage, or None."""
        stages = self._by_api.get(api_id)
        return None if stages is None else stages.get(stage)

    def of(self, api_id: str) -> list[Published]:
        """All stages of an API."""
        return list(self._by_api.get(api_id, {}).values())

    def places(self) -> list[Place]:
        """A place of each API."""
        return [next(iter(stages.values())).place for stages in self._by_api.values()]

    def __len__(self) -> int:
        return sum(map(len, self._by_api.values()))

    def clear(self) -> None:
        """Forget everything."""
        self._by_api.clear()
        self._http.clear()
        self._tell()

    def _tell(self) -> None:
        for tell in self.watchers:
            tell()
