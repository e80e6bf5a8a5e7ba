"""A document as an HTTP API: a new one, or one in place of what there is."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.gateway.definitions.v2 import Cors, Integration, Route, V2Definition
from cumulo.gateway.openapi.base_paths import prefix_of
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.http.authorizers import Scheme, read_schemes, secured
from cumulo.gateway.openapi.http.integrations import IntegrationsRead
from cumulo.gateway.openapi.nodes import flag_at, number_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Body, Operation, operations_of
from cumulo.gateway.openapi.references import look_up
from cumulo.gateway.openapi.texts import Tree, invalid

CORS: Final = EXTENSION + "cors"
IMPORT_VERSION: Final = EXTENSION + "importexport-version"
DEFAULT: Final = "$default"
_DEFAULT_PATHS: Final = frozenset({"$default", "/$default"})
_UNSUPPORTED: Final = (
    "api-key-source",
    "binary-media-types",
    "documentation",
    "gateway-responses",
    "minimum-compression-size",
    "policy",
    "request-validator",
    "request-validators",
)
_CORS: Final = {
    "allowOrigins": "allow_origins",
    "allowMethods": "allow_methods",
    "allowHeaders": "allow_headers",
    "exposeHeaders": "expose_headers",
}
NewId = Callable[[int], str]
ROUTE_ID: Final = 7
OTHER_ID: Final = 6


class HttpImport(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says of an HTTP API."""

    definition: V2Definition
    description: str = ""
    version: str = ""
    tags: Mapping[str, str] = {}


def read_http(
    document: Document, have: V2Definition, new_id: NewId, notes: Notes, *, base_path: str
) -> HttpImport:
    """The API that a document describes.  What is named as before keeps its id.

    new_id: makes an id of so many characters.  base_path: ignore, prepend, split.  BadRequestException for what is none,
    and for OpenAPI 2.0.
    """
    if not document.three:
        raise invalid("HTTP APIs are imported from OpenAPI 3.0 alone.")
    version = document.root.get(IMPORT_VERSION)
    if version is not None and str(version) not in ("1.0", "1"):
        raise invalid(f"The {IMPORT_VERSION} {str(version)[:50]} is not supported.")
    definition = _Reading(document, have, new_id, notes).definition(prefix_of(document.base_path, base_path))
    return HttpImport(
        definition=definition,
        description=document.description,
        version=document.version,
        tags=document.tags,
    )


class _Reading:
    """Reads one document."""

    def __init__(self, document: Document, have: V2Definition, new_id: NewId, notes: Notes) -> None:
        self._document = document
        self._have = have
        self._new_id = new_id
        self._notes = notes
        self._route_ids = {one.route_key: one.id for one in have.routes}
        self._targets = {one.route_key: one.target.removeprefix("integrations/") for one in have.routes}
        self._used: set[str] = set()

    def definition(self, prefix: str) -> V2Definition:
        document, notes = self._document, self._notes
        known = {one.name: one.id for one in self._have.authorizers.values()}
        schemes = read_schemes(document, lambda name: known.get(name) or self._new_id(OTHER_ID), notes)
        integrations = IntegrationsRead(document, self._integration_id, notes)
        routes = self._routes(prefix, schemes, integrations)
        integrations.add_unused()
        for name in _UNSUPPORTED:
            if EXTENSION + name in document.root:
                notes.inform(f"{EXTENSION}{name} is not supported for HTTP APIs. Ignoring.")
        disabled = flag_at(document.endpoint, "disableExecuteApiEndpoint", "endpoint-configuration", notes)
        return msgspec.structs.replace(
            self._have,
            name=document.title or self._have.name,
            cors=self._cors(),
            routes=routes,
            integrations=integrations.integrations,
            authorizers={
                one.authorizer.id: one.authorizer for one in schemes.values() if one.authorizer is not None
            },
            disable_execute_api_endpoint=(
                self._have.disable_execute_api_endpoint if disabled is None else disabled
            ),
        )

    def _integration_id(self, made: Integration, route_key: str) -> str:
        """The id that the route's integration has, or that of one just like it; a new one else."""
        found = self._targets.get(route_key, "")
        if not found or found in self._used:
            alike = (
                one.id
                for one in self._have.integrations.values()
                if one.id not in self._used and msgspec.structs.replace(one, id="") == made
            )
            found = next(alike, "") or self._new_id(ROUTE_ID)
        self._used.add(found)
        return found

    # -- routes --------------------------------------------------------------------------------------------------

    def _routes(
        self, prefix: str, schemes: Mapping[str, Scheme], integrations: IntegrationsRead
    ) -> tuple[Route, ...]:
        routes: dict[str, Route] = {}
        for path, item in self._document.paths.items():
            if path.startswith("x-"):
                continue
            if not path.startswith("/") and path not in _DEFAULT_PATHS:
                self._notes.warn(f"Parse issue: attribute paths. Resource {path[:200]} should start with /")
                continue
            for operation in operations_of(self._document, path, item, self._notes):
                self._ignored(operation)
                key = self._key(prefix, operation)
                route = secured(self._route(key, operation), operation, schemes, self._notes)
                if route is not None:
                    target = integrations.of(operation, key)
                    if target:
                        route = msgspec.structs.replace(route, target=f"integrations/{target}")
                    routes[key] = route
        return tuple(routes[key] for key in sorted(routes))

    def _key(self, prefix: str, operation: Operation) -> str:
        default = bool(flag_at(operation.node, "isDefaultRoute", operation.where, self._notes))
        if operation.method == "ANY" and (default or operation.path in _DEFAULT_PATHS):
            return DEFAULT
        return f"{operation.method} {prefix}{operation.path}"

    def _route(self, key: str, operation: Operation) -> Route:
        return Route(
            id=self._route_ids.get(key) or self._new_id(ROUTE_ID),
            route_key=key,
            operation_name=operation.operation_id,
        )

    def _ignored(self, operation: Operation) -> None:
        """Say what HTTP APIs have not: bodies are not validated, answers are whatever comes."""
        if operation.bodies:
            self._notes.inform("requestBody is not supported for HTTP APIs. Ignoring.")
        if any(one.place != "path" for one in operation.parameters):
            self._notes.inform(
                "Parameters that are not in the path are not supported for HTTP APIs. Ignoring."
            )
        self._missing(operation.bodies, f"{operation.where}.requestBody")
        for answer in operation.answers:
            self._missing(answer.bodies, f"{operation.where}.responses.{answer.status}")

    def _missing(self, bodies: tuple[Body, ...], where: str) -> None:
        for body in bodies:
            target = body.schema.get("$ref") if isinstance(body.schema, dict) else None
            if isinstance(target, str) and look_up(self._document.root, target) is None:
                self._notes.parse_issue(f"{where}.content.schema.{target}", "is missing")

    # -- the rest ------------------------------------------------------------------------------------------------

    def _cors(self) -> Cors | None:
        given = self._document.root.get(CORS)
        if given is None:
            return None
        if not isinstance(given, dict):
            self._notes.parse_issue(CORS, "is not of type `object`")
            return None
        for name in given:
            if name not in (*_CORS, "allowCredentials", "maxAge"):
                self._notes.parse_issue(f"{CORS}.{name[:100]}", "is unexpected")
        lists: dict[str, Tree] = {
            member: texts_at(given, name, CORS, self._notes) for name, member in _CORS.items()
        }
        return Cors(
            **lists,
            allow_credentials=flag_at(given, "allowCredentials", CORS, self._notes),
            max_age=number_at(given, "maxAge", CORS, self._notes),
        )
