"""Which headers go on to a backend, and which of its answer go back.  Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
VIA: Final = "HTTP/1.1 AmazonAPIGateway"
_FOLDED: Final = ("x-forwarded-", "forwarded", "via")

Pairs = Sequence[tuple[str, str]]


def for_backend(
    headers: Iterable[tuple[str, str]], *, source: str, host: str, scheme: str
) -> list[tuple[str, str]]:
    """Headers of a request (lower case) for an HTTP API's backend, but Host and framing: X-Forwarded-* become `Forwarded`."""
    kept: list[tuple[str, str]] = []
    forwarded: list[str] = []
    via: list[str] = []
    for name, value in headers:
        if name in HOP_BY_HOP or name in {"host", "content-length", "expect"}:
            continue
        if not name.startswith(_FOLDED):
            kept.append((name, value))
        elif name == "forwarded":
            forwarded.append(value)
        elif name == "via":
            via.append(value)
    forwarded.append(f"for={_node(source)};host={host};proto={scheme}")
    return [*kept, ("forwarded", ", ".join(forwarded)), ("via", ", ".join([*via, VIA]))]


def from_backend(headers: Pairs) -> list[tuple[str, str]]:
    """An answer's headers for the client: what concerns the backend's connection stays here; framing is the server's."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for word in value.split(",")
    }
    gone = HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _node(address: str) -> str:
    return f'"[{address}]"' if ":" in address else address
