"""What a request for a WebSocket says besides: its headers and its query string, read once."""

from typing import Final
from urllib.parse import parse_qsl

from cumulo.gateway.visit import Visit

FIELDS_MAX: Final = 1000
_DROPPED: Final = frozenset({"connection", "upgrade", "content-length", "keep-alive", "transfer-encoding"})


def headers_of(visit: Visit) -> dict[str, list[str]]:
    """Names in lower case with their values in order, and what AWS's own proxies add."""
    seen: dict[str, list[str]] = {}
    for name, value in visit.request.headers.items():
        if name not in _DROPPED:
            seen.setdefault(name, []).append(value)
    source = str(visit.context["identity"].get("sourceIp") or "")
    before = seen.get("x-forwarded-for", [])
    seen["x-forwarded-for"] = [", ".join([*before, source])]
    seen.setdefault("x-forwarded-port", [_port(visit)])
    seen.setdefault("x-forwarded-proto", [visit.request.scheme])
    seen["x-amzn-trace-id"] = [visit.trace]
    return dict(sorted(seen.items()))


def query_of(query: str) -> dict[str, list[str]]:
    """The fields of a query string, decoded."""
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True)[:FIELDS_MAX]:
        fields.setdefault(name, []).append(value)
    return fields


def _port(visit: Visit) -> str:
    host, colon, port = visit.request.headers.get("host").rpartition(":")
    if colon and host and port.isdigit():
        return port
    return "443" if visit.request.scheme == "https" else "80"
