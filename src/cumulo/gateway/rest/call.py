"""One request at a method: what a client asked, read once, for mappings, templates and events."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from cumulo.gateway.definitions.rest import Method, Resource
from cumulo.gateway.rest.headers import DROPPED_ON_ARRIVAL, shown
from cumulo.gateway.spelling import spelling
from cumulo.gateway.visit import Grant, Visit
from cumulo.gateway.vtl.scope import Overrides
from cumulo.wire.http import Headers

QUERY_FIELDS_MAX = 1000
SIGNED = "AWS4-HMAC-SHA256"
NOBODY = Grant()


class Call:
    """A visit that has found its method.

    headers            in lower case, each with its values in order; without those that concern the connection alone
    query              decoded, each with its values in order
    path_parameters    as they came: percent-encoded
    body               whole, after decompression; empty when there was none
    variables          of the stage (or the canary)
    grant              what the authorizer found out
    overrides          what templates set in $context.requestOverride and .responseOverride; None: none has run
    """

    __slots__ = (
        "_shown",
        "body",
        "context",
        "grant",
        "headers",
        "method",
        "overrides",
        "path_parameters",
        "query",
        "resource",
        "variables",
        "visit",
    )

    def __init__(
        self,
        visit: Visit,
        resource: Resource,
        method: Method,
        path_parameters: dict[str, str],
        variables: Mapping[str, str],
        grant: Grant = NOBODY,
    ) -> None:
        self.grant = grant
        self.visit = visit
        self.resource = resource
        self.method = method
        self.path_parameters = path_parameters
        self.variables = variables
        self.context: dict[str, Any] = visit.context
        self.headers = headers_of(visit.request.headers)
        self.query = query_of(visit.request.query)
        self.body = b""
        self.overrides: Overrides | None = None
        self._shown: Callable[[str], str] | None = None

    def header(self, name: str) -> str | None:
        """The last value of a header, its name in lower case."""
        values = self.headers.get(name)
        return values[-1] if values else None

    @property
    def content_type(self) -> str:
        """The body's; AWS takes what has none for JSON."""
        return self.header("content-type") or "application/json"

    def shown_headers(self) -> dict[str, str]:
        """The last value of each header, by the name that events and logs show."""
        return {self.shown(name): values[-1] for name, values in self.headers.items()}

    def passed_headers(self) -> Mapping[str, list[str]]:
        """What proxies hand on: a signature of the caller's stays here."""
        signed = self.method.authorization_type == "AWS_IAM"
        if not signed and not (self.header("authorization") or "").startswith(SIGNED):
            return self.headers
        return {name: values for name, values in self.headers.items() if name != "authorization"}

    def shown(self, name: str) -> str:
        """How events and logs write the name of a header, given in lower case."""
        if self._shown is None:
            self._shown = spelling(self.visit.request.headers, shown)
        return self._shown(name)

    def single_query(self) -> dict[str, str]:
        """The last value of each field of the query string."""
        return {name: values[-1] for name, values in self.query.items()}


def headers_of(headers: Headers) -> dict[str, list[str]]:
    """What there is to see of a request's headers."""
    seen: dict[str, list[str]] = {}
    for name, value in headers.items():
        if name not in DROPPED_ON_ARRIVAL:
            seen.setdefault(name, []).append(value)
    return seen


def query_of(query: str) -> dict[str, list[str]]:
    """The fields of a query string, decoded."""
    fields: dict[str, list[str]] = {}
    if query:
        for name, value in parse_qsl(query, keep_blank_values=True)[:QUERY_FIELDS_MAX]:
            fields.setdefault(name, []).append(value)
    return fields
