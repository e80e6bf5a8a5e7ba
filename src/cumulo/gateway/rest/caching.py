"""The cache of a stage: answers by what the API's owner said makes them differ, for their time, within its size."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.gateway.rest.call import Call

ENTRY_BYTES_MAX: Final = 1_048_576
ENTRY_BYTES_EXTRA: Final = 512  # about what an entry weighs besides its body
WARNING: Final = "199 Cache-control headers were ignored because the caller was unauthorized."

Key = tuple[str, ...]


class Kept(msgspec.Struct, frozen=True):
    """An answer that is kept: as the method gave it, before the gateway's own headers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    until: float


class ResponseCache:
    """Least recently used goes first.  Pure: moments (monotonic seconds) are handed in."""

    BYTES_MAX: Final = 64 * 1024 * 1024  # of one stage; AWS's sizes begin at half a gigabyte

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def get(self, key: Key, now: float) -> Kept | None:
        """What is kept and still fresh."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: Key, kept: Kept) -> None:
        """Keep an answer; one that is too large is not."""
        self._drop(key)
        if len(kept.body) > ENTRY_BYTES_MAX or _weight(kept) > self._bytes_max:
            return
        self._kept[key] = kept
        self._bytes += _weight(kept)
        while self._bytes > self._bytes_max:
            self._drop(next(iter(self._kept)))

    def flush(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _weight(kept)


def _weight(kept: Kept) -> int:
    return len(kept.body) + ENTRY_BYTES_EXTRA


def key_of(call: Call, namespace: str, parameters: tuple[str, ...], mapped: Mapping[str, str]) -> Key:
    """What tells one entry from another: the method, and each of the cache key's parameters.

    parameters  method.request.(path|querystring|header).name, or integration.request... that `mapped` leads back
    """
    parts = [namespace, call.resource.path, call.visit.request.method]
    for parameter in parameters:
        source = mapped.get(parameter, parameter)
        place, _, name = source.removeprefix("method.request.").partition(".")
        parts.append(_value(call, place, name))
    return tuple(parts)


def _value(call: Call, place: str, name: str) -> str:
    if place == "path":
        return call.path_parameters.get(name, "\0")
    values = (
        call.headers.get(name.lower()) if place in {"header", "multivalueheader"} else call.query.get(name)
    )
    return "\0" if values is None else "\1".join(values)


def asks_for_fresh(call: Call) -> bool:
    """Whether a client wants its entry renewed: Cache-Control: max-age=0."""
    values = call.headers.get("cache-control")
    if not values:
        return False
    words = {word.strip().lower().replace(" ", "") for value in values for word in value.split(",")}
    return "max-age=0" in words
