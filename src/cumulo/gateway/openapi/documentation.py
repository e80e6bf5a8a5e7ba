"""`x-amazon-apigateway-documentation`: what is said of the parts of a REST API."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cumulo.gateway.openapi.documents import EXTENSION
from cumulo.gateway.openapi.nodes import list_at, object_at, text_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.texts import Tree

DOCUMENTATION: Final = EXTENSION + "documentation"
_TYPES: Final = frozenset(
    {
        "API",
        "AUTHORIZER",
        "MODEL",
        "RESOURCE",
        "METHOD",
        "PATH_PARAMETER",
        "QUERY_PARAMETER",
        "REQUEST_HEADER",
        "REQUEST_BODY",
        "RESPONSE",
        "RESPONSE_HEADER",
        "RESPONSE_BODY",
    }
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a part: `properties` are JSON text; the location's members are empty where it has none."""

    type: str
    properties: str
    path: str = ""
    method: str = ""
    status_code: str = ""
    name: str = ""

    @property
    def location(self) -> tuple[str, ...]:
        """Of what it is said: no two parts of an API are of the same."""
        return (self.type, self.path, self.method, self.status_code, self.name)


def read_documentation(root: Mapping[str, Tree], notes: Notes) -> tuple[Part, ...]:
    """The documentation parts of a document; of two with one location the later."""
    node = object_at(root, DOCUMENTATION, "", notes)
    found: dict[tuple[str, ...], Part] = {}
    for number, given in enumerate(list_at(node, "documentationParts", DOCUMENTATION, notes)):
        where = f"{DOCUMENTATION}.documentationParts[{number}]"
        part = _part(given, where, notes)
        if part is not None:
            found[part.location] = part
    return tuple(found.values())


def write_documentation(parts: Iterable[Part], version: str, created: str) -> dict[str, Tree]:
    """Documentation parts as exports show them."""
    return {
        "version": version,
        "createdDate": created,
        "documentationParts": [_written(one) for one in sorted(parts, key=lambda one: one.location)],
    }


def _part(given: Tree, where: str, notes: Notes) -> Part | None:
    if not isinstance(given, dict):
        notes.parse_issue(where, "is not of type `object`")
        return None
    location = object_at(given, "location", where, notes)
    kind = text_at(location, "type", f"{where}.location", notes).upper()
    properties = given.get("properties")
    if kind not in _TYPES:
        notes.parse_issue(f"{where}.location.type", f"`{kind[:50]}` is not supported")
        return None
    if not isinstance(properties, dict) or not properties:
        notes.parse_issue(f"{where}.properties", "is not of type `object`")
        return None
    at = f"{where}.location"
    return Part(
        type=kind,
        properties=json.dumps(properties, ensure_ascii=False),
        path=text_at(location, "path", at, notes),
        method=text_at(location, "method", at, notes),
        status_code=text_at(location, "statusCode", at, notes),
        name=text_at(location, "name", at, notes),
    )


def _written(part: Part) -> dict[str, Tree]:
    location = {
        name: value
        for name, value in (
            ("type", part.type),
            ("path", part.path),
            ("method", part.method),
            ("statusCode", part.status_code),
            ("name", part.name),
        )
        if value
    }
    return {"location": location, "properties": json.loads(part.properties)}
