"""The caches of stages: answers for their time, within their size; they outlive deployments, as AWS's clusters do."""

from collections import OrderedDict
from typing import Final

import msgspec

ENTRY_BYTES_MAX: Final = 1_048_576
ENTRY_BYTES_EXTRA: Final = 512  # about what an entry weighs besides its body
STAGES_MAX: Final = 64

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


class ResponseCaches:
    """The caches of all stages, by API, stage and part (a canary may have one of its own)."""

    def __init__(self) -> None:
        self._caches: OrderedDict[Key, ResponseCache] = OrderedDict()

    def of(self, api_id: str, stage: str, part: str, size: str) -> ResponseCache:
        """The cache of a cluster of this size; one of another size begins empty, as on AWS."""
        key = (api_id, stage, part, size)
        for other in [one for one in self._caches if one[:3] == key[:3] and one != key]:
            del self._caches[other]
        found = self._caches.get(key)
        if found is None:
            found = self._caches[key] = ResponseCache()
            if len(self._caches) > STAGES_MAX:
                self._caches.popitem(last=False)
        else:
            self._caches.move_to_end(key)
        return found

    def forget(self, api_id: str, stage: str) -> None:
        """The stage has no cache cluster any more."""
        for key in [one for one in self._caches if one[:2] == (api_id, stage)]:
            del self._caches[key]
