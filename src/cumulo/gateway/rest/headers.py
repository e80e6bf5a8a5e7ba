"""Names of headers: how they are shown, which are dropped on their way, and which come back under another name."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

Pairs = list[tuple[str, str]]

# Of names that no client wrote: those that everybody writes in one way are shown so.
_WELL_KNOWN: Final = """
    Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers
    Access-Control-Request-Method Age Authorization Cache-Control Content-Disposition Content-Encoding
    Content-Language Content-Location Content-Range Content-Type Cookie Date DNT ETag Forwarded From Host
    If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Last-Modified Link Origin Pragma
    Proxy-Authorization Range Referer Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User
    Upgrade-Insecure-Requests User-Agent Via Warn Warning X-Amz-Cf-Id X-Amz-Content-Sha256 X-Amz-Date
    X-Amz-Security-Token X-Amz-Target X-Amzn-Trace-Id X-Forwarded-For X-Forwarded-Host X-Forwarded-Port
    X-Forwarded-Proto X-Requested-With
"""
_SHOWN: Final[Mapping[str, str]] = {name.lower(): name for name in _WELL_KNOWN.split()}

DROPPED_ON_ARRIVAL: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "max-forwards",
        "proxy-authenticate",
        "proxy-connection",
        "keep-alive",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    }
)
"""What a client sends for the connection's sake: no mapping, no template and no integration sees it."""

_ILLEGAL: Final = frozenset(
    {"content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"}
)
_ILLEGAL_AWS: Final = _ILLEGAL | {"authorization", "connection", "expect", "proxy-authenticate", "te"}

_NOT_SENT: Final = frozenset(
    {"expect", "proxy-authenticate", "te", "connection", "content-length", "transfer-encoding", "keep-alive"}
)
NOT_SENT_AWS: Final = _NOT_SENT | {"referer"}
NOT_SENT_HTTP: Final = _NOT_SENT | {"via"}

_REMAPPED: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-md5",
        "date",
        "expect",
        "host",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "trailer",
        "upgrade",
        "user-agent",
        "www-authenticate",
        "x-amzn-requestid",
    }
)
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_RETURNED: Final = frozenset({"transfer-encoding", "keep-alive", "proxy-connection", "x-amz-apigw-id"})


def shown(name: str) -> str:
    """How a header with this name (in lower case) is written in events and logs."""
    return _SHOWN.get(name, name)


def illegal(names: Iterable[str], integration_type: str) -> str | None:
    """The first of the mapped names that an integration of this type must not be sent; None when all are well."""
    wrong = _ILLEGAL_AWS if integration_type in {"AWS", "AWS_PROXY"} else _ILLEGAL
    return next((name for name in names if name.lower() in wrong), None)


def returned(headers: Iterable[tuple[str, str]]) -> Pairs:
    """An integration's headers as the client gets them: what the gateway says itself comes back as x-amzn-Remapped-*."""
    answer: Pairs = []
    for name, value in headers:
        lower = name.lower()
        if lower in _REMAPPED:
            answer.append((f"x-amzn-Remapped-{name}", value))
        elif lower not in _NOT_RETURNED:
            answer.append((name, value))
    return answer


def odd(names: Iterable[str]) -> str | None:
    """The first that is no header's name; None when all are well."""
    return next((name for name in names if not _NAME.fullmatch(name)), None)


def value_of(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header (name in lower case)."""
    return next((value for key, value in headers if key.lower() == name), None)


def clean(value: str) -> str:
    """A value that can stand in a head: without line ends and other controls."""
    if value.isprintable():
        return value
    return "".join(char for char in value if char.isprintable() or char == "\t")
