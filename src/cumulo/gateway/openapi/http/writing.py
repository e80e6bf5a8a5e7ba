"""An HTTP API as a document, OpenAPI 3.0."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cumulo.gateway.definitions.v2 import Cors, Route, V2Definition
from cumulo.gateway.openapi.base_paths import parts_of
from cumulo.gateway.openapi.documents import ANY_METHOD, EXTENSION
from cumulo.gateway.openapi.http.authorizers import AUTH, write_authorizer
from cumulo.gateway.openapi.http.integrations import INTEGRATION, SHARED, SHARED_AT, write_integration
from cumulo.gateway.openapi.http.reading import CORS, DEFAULT, IMPORT_VERSION
from cumulo.gateway.openapi.texts import Tree


class HttpExport(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported beside the definition.

    url         where the stage answers: https://host/stage
    version     as the document says it; AWS invents one of the time when the API has none
    extensions  whether what only AWS has words for is shown
    """

    url: str
    version: str
    description: str = ""
    tags: Mapping[str, str] = {}
    extensions: bool = True


def write_http(definition: V2Definition, export: HttpExport) -> dict[str, Tree]:
    """The document."""
    return _Writing(definition, export).document()


class _Writing:
    """Writes one document.  An integration that several routes have, or none, lies among the components."""

    def __init__(self, definition: V2Definition, export: HttpExport) -> None:
        self._definition = definition
        self._extensions = export.extensions
        self._export = export
        uses = [one.target.removeprefix("integrations/") for one in definition.routes]
        apart = [one for one in definition.integrations if uses.count(one) != 1]
        self._shared: Final = {one: f"integration{number}" for number, one in enumerate(apart, 1)}

    def document(self) -> dict[str, Tree]:
        export = self._export
        info = {"title": self._definition.name, "description": export.description, "version": export.version}
        document: dict[str, Tree] = {
            "openapi": "3.0.1",
            "info": {name: one for name, one in info.items() if one},
            "servers": [self._server()],
        }
        if export.tags and self._extensions:
            document["tags"] = [
                {"name": name, EXTENSION + "tag-value": value} for name, value in export.tags.items()
            ]
        document["paths"] = self._paths()
        components = self._components()
        if components:
            document["components"] = components
        if self._extensions:
            if self._definition.cors is not None:
                document[CORS] = _cors(self._definition.cors)
            document[IMPORT_VERSION] = "1.0"
        return document

    def _server(self) -> dict[str, Tree]:
        parts = urlsplit(self._export.url)
        server: dict[str, Tree] = {
            "url": f"{parts.scheme}://{parts.netloc}/{{basePath}}",
            "variables": {"basePath": {"default": parts.path.strip("/")}},
        }
        if self._definition.disable_execute_api_endpoint and self._extensions:
            server[EXTENSION + "endpoint-configuration"] = {"disableExecuteApiEndpoint": True}
        return server

    def _paths(self) -> dict[str, Tree]:
        paths: dict[str, dict[str, Tree]] = {}
        for route in sorted(self._definition.routes, key=lambda one: one.route_key):
            method, _, path = route.route_key.partition(" ")
            if route.route_key == DEFAULT:
                method, path = "ANY", f"/{DEFAULT}"
            item = paths.setdefault(path, {})
            item[ANY_METHOD if method == "ANY" else method.lower()] = self._operation(route)
        for path, item in paths.items():
            variables = [one[1:-1] for one in parts_of(path) if one.startswith("{")]
            if variables:
                item["parameters"] = [_variable(one) for one in variables]
        return dict(sorted(paths.items()))

    def _operation(self, route: Route) -> dict[str, Tree]:
        node: dict[str, Tree] = {}
        if route.operation_name:
            node["operationId"] = route.operation_name
        node["responses"] = {"default": {"description": f"Default response for {route.route_key}"}}
        authorizer = self._definition.authorizers.get(route.authorizer_id)
        if authorizer is not None:
            node["security"] = [{authorizer.name: list(route.authorization_scopes)}]
        if not self._extensions:
            return node
        if route.route_key == DEFAULT:
            node["isDefaultRoute"] = True
        if route.authorization_type == "AWS_IAM":
            node[AUTH] = {"type": "AWS_IAM"}
        target = route.target.removeprefix("integrations/")
        if target in self._shared:
            node[INTEGRATION] = {"$ref": SHARED_AT + self._shared[target]}
        elif target in self._definition.integrations:
            node[INTEGRATION] = write_integration(self._definition.integrations[target])
        return node

    def _components(self) -> dict[str, Tree]:
        components: dict[str, Tree] = {}
        authorizers = sorted(self._definition.authorizers.values(), key=lambda one: one.name)
        if authorizers:
            components["securitySchemes"] = {
                one.name: write_authorizer(one, extension=self._extensions) for one in authorizers
            }
        if self._shared and self._extensions:
            components[SHARED] = {
                name: write_integration(self._definition.integrations[key])
                for key, name in self._shared.items()
            }
        return components


def _variable(name: str) -> dict[str, Tree]:
    return {
        "name": name,
        "in": "path",
        "description": f"Generated path parameter for {name}",
        "required": True,
        "schema": {"type": "string"},
    }


def _cors(cors: Cors) -> dict[str, Tree]:
    said: dict[str, Tree] = {
        "allowMethods": list(cors.allow_methods),
        "allowHeaders": list(cors.allow_headers),
        "exposeHeaders": list(cors.expose_headers),
        "maxAge": cors.max_age,
        "allowCredentials": cors.allow_credentials,
        "allowOrigins": list(cors.allow_origins),
    }
    return {name: value for name, value in said.items() if value not in (None, [])}
