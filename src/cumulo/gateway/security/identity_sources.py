"""Where authorizers find who calls: `method.request.header.Authorization`, `$request.querystring.token`, ...

    REST        method.request.(header|querystring|multivalueheader|multivaluequerystring).X  context.X  stageVariables.X
    WebSocket   route.request.(header|querystring).X  context.X  stageVariables.X
    HTTP        $request.(header|querystring).X  $context.X  $stageVariables.X

Each becomes a closure once; a source that a request lacks, or that is empty there, gives None.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote_plus

from cumulo.gateway.visit import Visit

Source = Callable[[Visit], str | None]

_REQUEST = re.compile(
    r"(?:method\.|route\.|\$)request\.(header|querystring|multivalueheader|multivaluequerystring)\.(.+)"
)
_CONTEXT = re.compile(r"\$?context\.(.+)")
_VARIABLE = re.compile(r"\$?stageVariables\.(.+)")


def sources(texts: Sequence[str], variables: Mapping[str, str]) -> tuple[Source, ...]:
    """A closure for each; one that cannot be read is found in no request."""
    return tuple(_source(text.strip(), variables) for text in texts if text.strip())


def split(identity_source: str) -> tuple[str, ...]:
    """The sources of REST's authorizers, which one text holds with commas."""
    return tuple(one.strip() for one in identity_source.split(",") if one.strip())


def header_name(identity_source: str) -> str:
    """The header (in small letters) of a source that is one; else empty."""
    found = _REQUEST.fullmatch(identity_source.strip())
    return found[2].lower() if found is not None and found[1] == "header" else ""


def query_values(query: str, name: str) -> list[str]:
    """The decoded values of a parameter in a raw query string."""
    if not query:
        return []
    found = []
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if key == name or unquote_plus(key) == name:
            found.append(unquote_plus(value))
    return found


def _source(text: str, variables: Mapping[str, str]) -> Source:
    asked = _REQUEST.fullmatch(text)
    if asked is not None:
        return _of_request(asked[1], asked[2])
    context = _CONTEXT.fullmatch(text)
    if context is not None:
        return _of_context(context[1].split("."))
    variable = _VARIABLE.fullmatch(text)
    value = variables.get(variable[1]) if variable is not None else None
    return lambda _visit: value or None


def _of_request(kind: str, name: str) -> Source:
    lowered = name.lower()
    if kind == "header":
        return lambda visit: visit.request.headers.get(lowered) or None
    if kind == "multivalueheader":
        return lambda visit: ",".join(visit.request.headers.get_all(lowered)) or None
    if kind == "querystring":
        return lambda visit: (query_values(visit.request.query, name) or [""])[-1] or None
    return lambda visit: ",".join(query_values(visit.request.query, name)) or None


def _of_context(names: Sequence[str]) -> Source:
    def find(visit: Visit) -> str | None:
        found: object = visit.context
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return str(found) if isinstance(found, str | int | float) and found != "" else None

    return find
