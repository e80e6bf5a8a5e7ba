"""The operations of a document, 2.0 and 3.0 alike: parameters, bodies, answers, security, and AWS's extensions."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from cumulo.gateway.openapi.documents import ANY_METHOD, Document
from cumulo.gateway.openapi.nodes import flag_at, list_at, object_at, text_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.references import resolved
from cumulo.gateway.openapi.texts import Tree

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_BESIDE: Final = frozenset({"$ref", "summary", "description", "servers", "parameters"})
PLACES: Final = {"query": "querystring", "header": "header", "path": "path"}
JSON: Final = "application/json"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a request.  `place` in AWS's words: querystring, header, path."""

    place: str
    name: str
    required: bool


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A body of a content type, with its schema (None: nothing is said of it)."""

    content_type: str
    schema: Tree


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a method: a status, its headers and bodies."""

    status: str
    headers: tuple[str, ...]
    bodies: tuple[Body, ...]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method of a path.

    where     as AWS's parser names it: paths.'/pets'(get)
    node      as it lies in the document, for the extensions
    security  scheme to scopes, one mapping for each alternative; None: as the document says of all
    """

    path: str
    method: str
    where: str
    node: Mapping[str, Tree]
    operation_id: str
    parameters: tuple[Parameter, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    security: tuple[Mapping[str, tuple[str, ...]], ...]


def operations_of(document: Document, path: str, item: Tree, notes: Notes) -> Iterator[Operation]:
    """The operations of a path, in the order in which they are written."""
    where = f"paths.'{path}'"
    item = resolved(document.root, item, where, notes)
    shared = list_at(item, "parameters", where, notes)
    for name, node in item.items():
        if name in METHODS or name == ANY_METHOD:
            yield _Reading(document, path, name, notes).operation(node, shared)
        elif name not in _BESIDE and not name.startswith("x-"):
            notes.parse_issue(f"{where}.{name}", "is unexpected")


class _Reading:
    """Reads one operation."""

    def __init__(self, document: Document, path: str, name: str, notes: Notes) -> None:
        self._document = document
        self._path = path
        self._method = "ANY" if name == ANY_METHOD else name.upper()
        self._where = f"paths.'{path}'({name})"
        self._notes = notes

    def operation(self, node: Tree, shared: list[Tree]) -> Operation:
        if not isinstance(node, dict):
            self._notes.parse_issue(self._where, "is not of type `object`")
            node = {}
        parameters, body = self._parameters(node, shared)
        return Operation(
            path=self._path,
            method=self._method,
            where=self._where,
            node=node,
            operation_id=text_at(node, "operationId", self._where, self._notes),
            parameters=parameters,
            bodies=self._request_bodies(node)
            if self._document.three
            else self._typed(node, body, "consumes"),
            answers=tuple(self._answers(node)),
            security=self._security(node),
        )

    # -- requests ------------------------------------------------------------------------------------------------

    def _parameters(self, node: Mapping[str, Tree], shared: list[Tree]) -> tuple[tuple[Parameter, ...], Tree]:
        """The parameters, those of the operation over those of its path, and (2.0) the schema of the body."""
        found: dict[tuple[str, str], Parameter] = {}
        body: Tree = None
        for given in [*shared, *list_at(node, "parameters", self._where, self._notes)]:
            where = f"{self._where}.parameters"
            one = resolved(self._document.root, given, where, self._notes)
            place, name = text_at(one, "in", where, self._notes), text_at(one, "name", where, self._notes)
            where = f"{where}.[{name[:100]}]"
            if place == "body" and not self._document.three:
                body = one.get("schema")
            elif place not in PLACES:
                self._notes.parse_issue(f"{where}.in", f"`{place[:50]}` is not supported")
            elif not name:
                self._notes.parse_issue(f"{where}.name", "is missing")
            else:
                required = bool(flag_at(one, "required", where, self._notes))
                clean = name.removesuffix("+") if place == "path" else name
                found[place, clean] = Parameter(place=PLACES[place], name=clean, required=required)
        return tuple(found.values()), body

    def _request_bodies(self, node: Mapping[str, Tree]) -> tuple[Body, ...]:
        given = node.get("requestBody")
        if given is None:
            return ()
        where = f"{self._where}.requestBody"
        return self._content(resolved(self._document.root, given, where, self._notes), where)

    def _typed(self, node: Mapping[str, Tree], schema: Tree, list_name: str) -> tuple[Body, ...]:
        """A body of 2.0: its one schema is that of JSON, unless the operation consumes or produces none."""
        if schema is None:
            return ()
        types = texts_at(node, list_name, self._where, self._notes)
        if not types:
            types = texts_at(self._document.root, list_name, "", self._notes)
        if not types or JSON in types:
            types = (JSON,)
        return tuple(Body(content_type=one, schema=schema) for one in types)

    def _content(self, node: Mapping[str, Tree], where: str) -> tuple[Body, ...]:
        content = object_at(node, "content", where, self._notes)
        bodies = []
        for content_type in content:
            media = object_at(content, content_type, f"{where}.content", self._notes)
            bodies.append(Body(content_type=content_type, schema=media.get("schema")))
        return tuple(bodies)

    # -- answers -------------------------------------------------------------------------------------------------

    def _answers(self, node: Mapping[str, Tree]) -> Iterator[Answer]:
        responses = object_at(node, "responses", self._where, self._notes)
        for status, given in responses.items():
            where = f"{self._where}.responses.{status}"
            if status == "default" or status.startswith("x-"):
                continue  # AWS's methods have no answer for all other statuses
            if not (len(status) == 3 and status.isascii() and status.isdigit() and "1" <= status[0] <= "5"):
                self._notes.parse_issue(where, "is unexpected")
                continue
            one = resolved(self._document.root, given, where, self._notes)
            headers = tuple(object_at(one, "headers", where, self._notes))
            if self._document.three:
                bodies = self._content(one, where)
            else:
                bodies = self._typed(node, one.get("schema"), "produces")
            yield Answer(status=status, headers=headers, bodies=bodies)

    # -- security ------------------------------------------------------------------------------------------------

    def _security(self, node: Mapping[str, Tree]) -> tuple[Mapping[str, tuple[str, ...]], ...]:
        own = node.get("security") is not None
        holder, where = (node, self._where) if own else (self._document.root, "")
        alternatives = []
        for one in list_at(holder, "security", where, self._notes):
            if not isinstance(one, dict):
                self._notes.parse_issue(f"{where}.security".strip("."), "is not of type `object`")
                continue
            alternatives.append({name: texts_at(one, name, f"{where}.security", self._notes) for name in one})
        return tuple(alternatives)
