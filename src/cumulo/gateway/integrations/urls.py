"""URLs of backends with the values of a request in them.  Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from cumulo.gateway.integrations.functions import with_variables

_PLACE: Final = re.compile(r"\{([A-Za-z0-9._:-]+)\+?\}")
_SEGMENT_SAFE: Final = "-._~!$&'()*+,;=:@"


class UrlTemplate:
    """`https://${stageVariables.backend}/pets/{id}?x={id}`, taken apart once; stage variables are put in at once."""

    def __init__(self, uri: str, variables: Mapping[str, str]) -> None:
        text = with_variables(uri, variables)
        self._parts = _PLACE.split(text)  # literals at even places, names at odd ones
        self.names = tuple(self._parts[1::2])

    def url(self, parameters: Mapping[str, str]) -> str:
        """The URL; values (decoded) are percent-encoded, but for slashes.  One that is missing is left as it is."""
        if not self.names:
            return self._parts[0]
        return "".join(
            part if not at % 2 else encoded(parameters[part]) if part in parameters else f"{{{part}}}"
            for at, part in enumerate(self._parts)
        )


def encoded(path: str) -> str:
    """A path or a part of one, decoded before, percent-encoded."""
    return quote(path, safe="/" + _SEGMENT_SAFE)


def with_path(url: str, path: str) -> str:
    """A URL with another path (decoded); its query stays."""
    base, mark, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{encoded(path.lstrip('/'))}{mark}{query}"


def with_query(url: str, query: str) -> str:
    """A URL with more of a query."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def query_of(pairs: list[tuple[str, str]]) -> str:
    """Names and values as a query."""
    return urlencode(pairs)
