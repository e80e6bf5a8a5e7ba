"""One event of a connection on its way through a route: that it connects, a message, or that it is over."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.visit import Refused, Visit

Pairs = tuple[tuple[str, str], ...]

NO_JSON: Final = object()
_UNREAD: Final = object()


class Reply(msgspec.Struct, frozen=True):
    """What an integration answered: a status, headers as they came, and the body."""

    status: int
    headers: Pairs = ()
    body: bytes = b""

    def header(self, lower: str) -> str:
        """The last value of a header; empty when there is none."""
        return next((value for name, value in reversed(self.headers) if name.lower() == lower), "")


class Unanswered(Refused):
    """A refusal with a status of its own, for those who only connect: 502 for a function that failed."""

    def __init__(self, status: int, message: str | None = None, kind: str = "INTEGRATION_FAILURE") -> None:
        super().__init__(kind, message or "Internal server error")
        self.status = status


class Turn:
    """What a route knows of its event.

    headers, query  of who connects: names (of headers in lower case) with their values in order; else empty
    body            the message
    visit           what observers are told of; its `context` is this one's
    """

    __slots__ = ("_json", "body", "headers", "query", "variables", "visit")

    def __init__(
        self,
        visit: Visit,
        *,
        variables: Mapping[str, str],
        body: bytes = b"",
        headers: Mapping[str, list[str]] | None = None,
        query: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.visit = visit
        self.body = body
        self.variables = variables
        self.headers = headers or {}
        self.query = query or {}
        self._json: Any = _UNREAD

    @property
    def context(self) -> dict[str, Any]:
        """AWS's `$context`."""
        return self.visit.context

    @property
    def json(self) -> Any:
        """The message as JSON, read once; NO_JSON when it is none."""
        if self._json is _UNREAD:
            self._json = parsed(self.body)
        return self._json


def parsed(body: bytes) -> Any:
    """A body as JSON; NO_JSON when it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_JSON
