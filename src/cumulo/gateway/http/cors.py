"""What an HTTP API with a CORS configuration says to browsers, in place of its integrations."""

from collections.abc import Iterable
from typing import Final

from cumulo.gateway.definitions.v2 import Cors
from cumulo.wire.http import Request, Response

PREFIX: Final = "access-control-"
_SCHEMES: Final = frozenset({"http://*", "https://*"})

Headers = list[tuple[str, str]]


class CorsPolicy:
    """A CORS configuration, compiled."""

    def __init__(self, cors: Cors) -> None:
        self._origins = frozenset(cors.allow_origins)
        self._all = "*" in self._origins
        self._beginnings = tuple(origin[:-1] for origin in cors.allow_origins if origin in _SCHEMES)
        self._credentials: Headers = (
            [(PREFIX + "allow-credentials", "true")] if cors.allow_credentials else []
        )
        self._exposed: Headers = _listed("expose-headers", cors.expose_headers)
        self._preflight: Headers = [
            *_listed("allow-methods", cors.allow_methods),
            *_listed("allow-headers", cors.allow_headers),
            *([] if cors.max_age is None else [(PREFIX + "max-age", str(cors.max_age))]),
        ]

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin (`https://example.com`) may read what the API answers."""
        return self._all or origin in self._origins or origin.startswith(self._beginnings)

    def headers(self, origin: str) -> Headers:
        """What is added to an answer for an origin; nothing for one that is not allowed."""
        if not origin or not self.allows(origin):
            return []
        return [*self._origin(origin), *self._credentials, *self._exposed]

    def preflight(self, request: Request) -> Response:
        """The answer to OPTIONS: without a word for an origin that is not allowed, or a request that is no preflight."""
        origin = request.headers.get("origin")
        if not is_preflight(request) or not self.allows(origin):
            return Response(204)
        return Response(204, [*self._origin(origin), *self._preflight, *self._credentials])

    def _origin(self, origin: str) -> Headers:
        if self._all:
            return [(PREFIX + "allow-origin", "*")]
        return [(PREFIX + "allow-origin", origin), ("vary", "origin")]


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what it may ask."""
    headers = request.headers
    return request.method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def without_cors(headers: Iterable[tuple[str, str]]) -> Headers:
    """Headers without those that an integration would tell browsers."""
    return [pair for pair in headers if not pair[0].lower().startswith(PREFIX)]


def _listed(name: str, values: tuple[str, ...]) -> Headers:
    return [(PREFIX + name, ",".join(values))] if values else []
