"""A document as a whole, OpenAPI 2.0 (Swagger) and 3.0 alike: what it is called, where things lie in it."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cumulo.gateway.openapi.nodes import list_at, object_at, text_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.texts import Tree, invalid

EXTENSION: Final = "x-amazon-apigateway-"
ANY_METHOD: Final = EXTENSION + "any-method"
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_THREE: Final = re.compile(r"3\.0(\.\d+)?")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document that was read.  `three`: OpenAPI 3.0, and not 2.0."""

    root: Mapping[str, Tree]
    three: bool
    title: str
    description: str
    version: str
    base_path: str
    schemas: Mapping[str, Tree]
    security_schemes: Mapping[str, Tree]
    paths: Mapping[str, Tree]
    tags: Mapping[str, str]
    endpoint: Mapping[str, Tree]

    @property
    def schemas_at(self) -> str:
        """Where schemas lie, as references begin that name them."""
        return SCHEMAS_THREE if self.three else SCHEMAS_TWO


SCHEMAS_TWO: Final = "#/definitions/"
SCHEMAS_THREE: Final = "#/components/schemas/"


def document_of(root: Mapping[str, Tree], notes: Notes) -> Document:
    """What a tree says as a whole.  BadRequestException when it is no OpenAPI document."""
    three = _version(root)
    info = root.get("info")
    if not isinstance(info, dict):
        raise invalid("The attribute info is missing.")
    if not isinstance(root.get("paths"), dict):
        raise invalid("The attribute paths is missing.")
    components = object_at(root, "components", "", notes) if three else root
    where = "components" if three else ""
    return Document(
        root=root,
        three=three,
        title=text_at(info, "title", "info", notes),
        description=text_at(info, "description", "info", notes),
        version=text_at(info, "version", "info", notes),
        base_path=_server_path(root, notes) if three else text_at(root, "basePath", "", notes),
        schemas=object_at(components, "schemas" if three else "definitions", where, notes),
        security_schemes=object_at(
            components, "securitySchemes" if three else "securityDefinitions", where, notes
        ),
        paths=root["paths"],
        tags=_tags(root, notes),
        endpoint=_endpoint(root, notes),
    )


def _version(root: Mapping[str, Tree]) -> bool:
    """Whether the document is one of OpenAPI 3.0."""
    swagger, openapi = root.get("swagger"), root.get("openapi")
    if str(swagger) == "2.0" and openapi is None:
        return False
    if openapi is not None and _THREE.fullmatch(str(openapi)):
        return True
    found = swagger if openapi is None else openapi
    if found is None:
        raise invalid("It says neither openapi nor swagger.")
    raise invalid(f"The version {str(found)[:50]} is not supported: it must be 2.0 or 3.0.")


def _server_path(root: Mapping[str, Tree], notes: Notes) -> str:
    servers = list_at(root, "servers", "", notes)
    if not servers or not isinstance(servers[0], dict):
        return ""
    if len(servers) > 1:
        notes.warn(
            "More than one server provided. Ignoring all but the first for defining endpoint configuration"
        )
    variables = object_at(servers[0], "variables", "servers", notes)

    def value(match: re.Match[str]) -> str:
        variable = variables.get(match[1])
        default = variable.get("default") if isinstance(variable, dict) else None
        return default.strip("/") if isinstance(default, str) else match[0]

    url = _VARIABLE.sub(value, text_at(servers[0], "url", "servers", notes)[:4096])
    try:
        return urlsplit(url).path
    except ValueError:
        notes.parse_issue("servers.url", "is not a URL")
        return ""


def _endpoint(root: Mapping[str, Tree], notes: Notes) -> Mapping[str, Tree]:
    """x-amazon-apigateway-endpoint-configuration: of the document, or (3.0) of its first server."""
    servers = root.get("servers")
    name = EXTENSION + "endpoint-configuration"
    if isinstance(servers, list) and servers and isinstance(servers[0], dict) and name in servers[0]:
        return object_at(servers[0], name, "servers", notes)
    return object_at(root, name, "", notes)


def _tags(root: Mapping[str, Tree], notes: Notes) -> dict[str, str]:
    """Tags of the API: those of the document that say a value."""
    found = {}
    for tag in list_at(root, "tags", "", notes):
        if isinstance(tag, dict) and EXTENSION + "tag-value" in tag:
            name = text_at(tag, "name", "tags", notes)
            found[name] = text_at(tag, EXTENSION + "tag-value", "tags", notes)
    return found
