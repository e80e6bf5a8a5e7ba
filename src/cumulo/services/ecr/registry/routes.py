"""Which resource a path under /v2/ names.  Pure.

/v2/                                    version
/v2/_catalog                            catalog
/v2/<name>/tags/list                    tags
/v2/<name>/manifests/<reference>        manifest
/v2/<name>/blobs/<digest>               blob
/v2/<name>/blobs/uploads/               uploads
/v2/<name>/blobs/uploads/<id>           upload
/v2/<name>/referrers/<digest>           referrers
"""

import re
from urllib.parse import parse_qsl, unquote

import msgspec

NAME_CHARACTERS_MAX = 256
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_SHAPES = (
    ("tags", re.compile(r"(.+)/tags/list")),
    ("uploads", re.compile(r"(.+)/blobs/uploads/?")),
    ("upload", re.compile(r"(.+)/blobs/uploads/([^/]+)")),
    ("blob", re.compile(r"(.+)/blobs/([^/]+)")),
    ("manifest", re.compile(r"(.+)/manifests/([^/]+)")),
    ("referrers", re.compile(r"(.+)/referrers/([^/]+)")),
)


class Route(msgspec.Struct, frozen=True):
    """A resource: of a repository (`name`), with a reference, digest or id (`what`)."""

    kind: str
    name: str = ""
    what: str = ""


def find_route(path: str) -> Route | None:
    """The resource of a path that is still percent-encoded; None when there is none of that shape."""
    if path in {"/v2", "/v2/"}:
        return Route("version")
    if not path.startswith("/v2/"):
        return None
    rest = unquote(path[4:])
    if rest in {"_catalog", "_catalog/"}:
        return Route("catalog")
    for kind, shape in _SHAPES:
        found = shape.fullmatch(rest)
        if found:
            return Route(kind, *found.groups())
    return None


def is_name(text: str) -> bool:
    """Whether a repository may be called so."""
    return len(text) <= NAME_CHARACTERS_MAX and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether an image may be tagged so."""
    return _TAG.fullmatch(text) is not None


class Query:
    """The parameters of a request."""

    def __init__(self, text: str) -> None:
        self._pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100)

    def get(self, name: str) -> str | None:
        """The first value of a parameter."""
        return next((value for key, value in self._pairs if key == name), None)

    def get_all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for key, value in self._pairs if key == name]
