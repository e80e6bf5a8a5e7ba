"""Which mapping of a domain name a path is for: the one with the most segments that the path begins with.  Pure."""

from collections.abc import Iterable
from urllib.parse import unquote

import msgspec

from cumulo.gateway.domains.model import ApiMapping


class Match(msgspec.Struct, frozen=True):
    """Where a path leads.  `base_path`: what the front takes off it, as the client wrote it, without slashes at its ends."""

    api_id: str
    stage: str
    base_path: str


class Mappings:
    """The mappings of one domain name."""

    __slots__ = ("_by_path", "_depth")

    def __init__(self, mappings: Iterable[ApiMapping]) -> None:
        self._by_path = {tuple(one.path.split("/")) if one.path else (): one for one in mappings}
        self._depth = max(map(len, self._by_path), default=0)

    def find(self, path: str) -> Match | None:
        """Where a path (percent-encoded, beginning with a slash) leads; None: nowhere."""
        written = path[1:].split("/", self._depth + 1)[: self._depth + 1]
        read = tuple(unquote(one) if "%" in one else one for one in written)
        for count in range(min(self._depth, len(read)), -1, -1):
            mapping = self._by_path.get(read[:count])
            if mapping is not None:
                return _match(mapping, written, count)
        return None


def _match(mapping: ApiMapping, written: list[str], count: int) -> Match | None:
    if mapping.stage:
        return Match(mapping.api_id, mapping.stage, "/".join(written[:count]))
    if count >= len(written) or not written[count]:
        return None  # the stage is missing
    return Match(mapping.api_id, unquote(written[count]), "/".join(written[: count + 1]))
