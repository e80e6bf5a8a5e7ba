"""Parameter mapping of HTTP APIs: what is changed on a request's way to its integration, and on an answer's way back.

{"append:header.x": "$context.requestId", "overwrite:path": ...} ──once──▶ RequestMapping ──apply──▶ Draft

Pure.  All values are read before anything is changed, so the order of the parameters does not matter.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cumulo.gateway.http.expressions import BadExpression, Facts, Pairs, Value, value_of

_RESERVED: Final = frozenset(
    {"authorization", "connection", "content-encoding", "content-length", "content-location", "forwarded",
     "keep-alive", "origin", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
     "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via"}
)  # fmt: skip
_RESERVED_BEGINNINGS: Final = ("access-control-", "apigw-", "x-amz-", "x-amzn-")
_KEY: Final = re.compile(r"(append|overwrite|remove):(header|querystring)\.(.+)|overwrite:(path|statuscode)")
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

REQUEST: Final = frozenset({"header", "querystring", "path"})
RESPONSE: Final = frozenset({"header", "statuscode"})


class Draft:
    """A request as the integration will get it.  Header names lower case; `path` None: as it is."""

    __slots__ = ("headers", "path", "query", "query_changed")

    def __init__(self, headers: Pairs, query: Pairs) -> None:
        self.headers = list(headers)
        self.query = list(query)
        self.path: str | None = None
        self.query_changed = False


class _Change:
    """One parameter.  BadExpression."""

    __slots__ = ("how", "name", "value", "where")

    def __init__(self, key: str, text: str) -> None:
        found = _KEY.fullmatch(key)
        if found is None:
            raise BadExpression(key)
        how, where, name, whole = found.groups()
        self.how: str = how or "overwrite"
        self.where: str = where or whole
        self.name: str = (name.lower() if where == "header" else name) or ""
        self.value: Value = value_of("" if self.how == "remove" else text)


def changed(pairs: list[tuple[str, str]], how: str, name: str, value: str | None) -> list[tuple[str, str]]:
    """Pairs after `append`, `overwrite` or `remove` of a name; a value that is not there changes nothing."""
    if how == "remove":
        return [pair for pair in pairs if pair[0] != name]
    if value is None:
        return pairs
    if how == "append":
        return [*pairs, (name, value)]
    return [*(pair for pair in pairs if pair[0] != name), (name, value)]


class RequestMapping:
    """The request parameters of an integration."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._changes = [_Change(key, text) for key, text in parameters.items()]
        self.reads_body = any(change.value.reads_body for change in self._changes)

    def apply(self, facts: Facts, draft: Draft) -> None:
        """Change a draft."""
        for change, value in _read(self._changes, facts):
            if change.where == "header":
                draft.headers = changed(draft.headers, change.how, change.name, value)
            elif change.where == "querystring":
                draft.query = changed(draft.query, change.how, change.name, value)
                draft.query_changed = True
            elif value is not None:
                draft.path = value


class ResponseMapping:
    """The response parameters of an integration, for one status code."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._changes = [_Change(key, text) for key, text in parameters.items()]
        self.reads_body = any(change.value.reads_response_body for change in self._changes)

    def apply(
        self, facts: Facts, status: int, headers: list[tuple[str, str]]
    ) -> tuple[int, list[tuple[str, str]]]:
        """Status and headers as clients get them."""
        for change, value in _read(self._changes, facts):
            if change.where == "statuscode":
                if value is not None and _STATUS.fullmatch(value):
                    status = int(value)
            elif change.how == "append":
                headers = changed(headers, change.how, change.name, value)
            elif change.how == "remove" or value is not None:
                kept = [pair for pair in headers if pair[0].lower() != change.name]
                headers = changed(kept, change.how, change.name, value)
        return status, headers


def reserved(header: str) -> bool:
    """Whether a header may be no part of a mapping."""
    lower = header.lower()
    return lower in _RESERVED or lower.startswith(_RESERVED_BEGINNINGS)


def problems_of_request(parameters: Mapping[str, str]) -> list[str]:
    """What is wrong with the request parameters of an integration; nothing: they can be stored and compiled."""
    return [
        problem for key, text in parameters.items() for problem in _problems(key, text, REQUEST, "response")
    ]


def problems_of_response(parameters: Mapping[str, str]) -> list[str]:
    """What is wrong with the response parameters of one status code."""
    return [
        problem for key, text in parameters.items() for problem in _problems(key, text, RESPONSE, "request")
    ]


def _problems(key: str, text: str, allowed: frozenset[str], other: str) -> Iterable[str]:
    found = _KEY.fullmatch(key)
    where = found and (found[2] or found[4])
    if found is None or where not in allowed:
        yield f"Invalid mapping expression parameter specified: {key}"
        return
    if where == "header":
        if reserved(found[3]):
            yield f"Operations on header {found[3].lower()} are restricted"
        elif not _NAME.fullmatch(found[3]):
            yield f"Invalid mapping expression parameter specified: {key}"
    if found[1] == "remove":
        return
    try:
        value = value_of(text)
    except BadExpression:
        yield f"Invalid mapping expression specified: {text}"
        return
    if f"${other}." in text or f"${{{other}." in text:
        yield f"Invalid mapping expression specified: {text}"
    yield from (f"Operations on header {name} are restricted" for name in value.headers if reserved(name))


def _read(changes: list[_Change], facts: Facts) -> list[tuple[_Change, str | None]]:
    return [(change, _one_line(change.value.of(facts))) for change in changes]


def _one_line(value: str | None) -> str | None:
    """No value can start a line of its own."""
    return value if value is None or value.isprintable() else re.sub(r"[\r\n\0]+", " ", value)
