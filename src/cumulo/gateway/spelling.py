"""How names of headers are written where functions see them: as the client wrote them, but for those that AWS writes.

The server keeps names in small letters; how they came is read again from the head, and only where somebody looks.
"""

from collections.abc import Callable
from typing import Final

from cumulo.wire.http import Headers

_AWS_WRITES: Final = {
    name.lower(): name
    for name in ("Authorization", "Host", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port",
                 "X-Forwarded-Proto")
}  # fmt: skip


def spelling(headers: Headers, otherwise: Callable[[str], str]) -> Callable[[str], str]:
    """From a name in small letters to the one to show; `otherwise` is for names that no client wrote."""
    written = headers.written()

    def shown(name: str) -> str:
        return _AWS_WRITES.get(name) or written.get(name) or otherwise(name)

    return shown
