"""A REST API as a document, OpenAPI 2.0 or 3.0."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.rest import GatewayResponse, Method, Resource, RestDefinition
from cumulo.gateway.openapi.documentation import DOCUMENTATION
from cumulo.gateway.openapi.documents import ANY_METHOD, EXTENSION, SCHEMAS_THREE, SCHEMAS_TWO
from cumulo.gateway.openapi.rest import reading
from cumulo.gateway.openapi.rest.authorizers import (
    names_of,
    write_api_key,
    write_authorizer,
    write_iam,
    write_security,
)
from cumulo.gateway.openapi.rest.integrations import INTEGRATION, write_integration
from cumulo.gateway.openapi.rest.methods import VALIDATOR, Untypable, write_method
from cumulo.gateway.openapi.rest.models import write_models
from cumulo.gateway.openapi.texts import Tree

_ORDER: Final = {
    name: number
    for number, name in enumerate(("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "ANY"))
}


class RestExport(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported beside the definition, and of which extensions.

    url            where the stage answers: https://host/stage
    documentation  as it goes into the extension; None: there is none
    extensions     integrations, authorizers, validators, gatewayresponses, documentation, or apigateway for all
    """

    three: bool
    url: str
    description: str = ""
    version: str = ""
    security_policy: str = ""
    endpoint_access_mode: str = ""
    vpc_endpoint_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    documentation: Mapping[str, Tree] | None = None
    extensions: frozenset[str] = frozenset()

    def shows(self, extension: str) -> bool:
        """Whether an extension is wanted."""
        return extension in self.extensions or "apigateway" in self.extensions


def write_rest(definition: RestDefinition, export: RestExport) -> dict[str, Tree]:
    """The document.  BadRequestException when it cannot say what the API does."""
    return _Writing(definition, export).document()


class _Writing:
    """Writes one document."""

    def __init__(self, definition: RestDefinition, export: RestExport) -> None:
        self._definition = definition
        self._export = export
        self._schemas_at = SCHEMAS_THREE if export.three else SCHEMAS_TWO
        self._names = names_of(definition.authorizers)

    def document(self) -> dict[str, Tree]:
        export = self._export
        document: dict[str, Tree] = {"openapi": "3.0.1"} if export.three else {"swagger": "2.0"}
        document["info"] = _filled(
            title=self._definition.name, description=export.description, version=export.version
        )
        document |= self._servers()
        tags = [{"name": name, EXTENSION + "tag-value": value} for name, value in export.tags.items()]
        document |= _filled(tags=tags if export.shows("apigateway") else [])
        document["paths"] = self._paths()
        schemas, schemes = self._schemas(), self._schemes()
        if export.three:
            document |= _filled(components=_filled(schemas=schemas, securitySchemes=schemes))
        else:
            document |= _filled(securityDefinitions=schemes, definitions=schemas)
        return document | self._extensions()

    # -- where it is ---------------------------------------------------------------------------------------------

    def _servers(self) -> dict[str, Tree]:
        parts = urlsplit(self._export.url)
        endpoint: dict[str, Tree] = {}
        if self._definition.disable_execute_api_endpoint:
            endpoint["disableExecuteApiEndpoint"] = True
        if self._export.vpc_endpoint_ids:
            endpoint["vpcEndpointIds"] = list(self._export.vpc_endpoint_ids)
        said = {EXTENSION + "endpoint-configuration": endpoint} if endpoint and self._shows_all() else {}
        if not self._export.three:
            return {"host": parts.netloc, "basePath": parts.path, "schemes": [parts.scheme], **said}
        url = f"{parts.scheme}://{parts.netloc}/{{basePath}}"
        return {
            "servers": [{"url": url, "variables": {"basePath": {"default": parts.path.strip("/")}}, **said}]
        }

    def _shows_all(self) -> bool:
        return self._export.shows("apigateway")

    # -- what it does --------------------------------------------------------------------------------------------

    def _paths(self) -> dict[str, Tree]:
        parents = {one.parent_id for one in self._definition.resources}
        paths: dict[str, Tree] = {}
        for resource in sorted(self._definition.resources, key=lambda one: one.path):
            if resource.methods:
                paths[resource.path] = {
                    ANY_METHOD if name == "ANY" else name.lower(): self._method(
                        resource, resource.methods[name]
                    )
                    for name in sorted(resource.methods, key=lambda one: (_ORDER.get(one, 9), one))
                }
            elif resource.parent_id and resource.id not in parents:
                paths[resource.path] = {}  # nothing else in the document would lead to it
        return paths

    def _method(self, resource: Resource, method: Method) -> dict[str, Tree]:
        try:
            node = write_method(method, three=self._export.three, schemas_at=self._schemas_at)
        except Untypable:
            raise AwsError(
                "BadRequestException",
                f"JSON body models are not found for method '{method.http_method} {resource.path}': swagger has models of "
                "application/json alone. Export it as oas30.",
            ) from None
        security = write_security(method, self._names)
        if security:
            node["security"] = security
        validator = self._definition.request_validators.get(method.request_validator_id)
        if validator is not None and self._export.shows("validators"):
            node[VALIDATOR] = validator.name
        if method.integration is not None and self._export.shows("integrations"):
            node[INTEGRATION] = write_integration(method.integration, resource.id)
        return node

    def _schemas(self) -> dict[str, Tree]:
        used = frozenset(
            name
            for resource in self._definition.resources
            for method in resource.methods.values()
            for models in (
                method.request_models,
                *(one.response_models for one in method.method_responses.values()),
            )
            for name in models.values()
        )
        try:
            return write_models(self._definition.models, used, self._schemas_at, self._definition.api_id)
        except ValueError as error:
            raise AwsError(
                "BadRequestException", f"JSON body models are not found: model '{error}' is no JSON Schema"
            ) from None

    def _schemes(self) -> dict[str, Tree]:
        methods = [one for resource in self._definition.resources for one in resource.methods.values()]
        extension = self._export.shows("authorizers")
        schemes: dict[str, Tree] = {
            self._names.authorizers[key]: write_authorizer(one, extension=extension)
            for key, one in sorted(self._definition.authorizers.items(), key=lambda item: item[1].name)
        }
        if any(one.api_key_required for one in methods):
            schemes[self._names.api_key] = write_api_key()
        if any(one.authorization_type == "AWS_IAM" for one in methods):
            schemes[self._names.iam] = write_iam()
        return schemes

    # -- what only AWS has words for -----------------------------------------------------------------------------

    def _extensions(self) -> dict[str, Tree]:
        definition, export = self._definition, self._export
        node: dict[str, Tree] = self._settings() if self._shows_all() else {}
        if definition.request_validators and export.shows("validators"):
            node[reading.VALIDATORS] = {
                one.name: {
                    "validateRequestBody": one.validate_request_body,
                    "validateRequestParameters": one.validate_request_parameters,
                }
                for one in sorted(definition.request_validators.values(), key=lambda one: one.name)
            }
        if definition.gateway_responses and export.shows("gatewayresponses"):
            node[reading.GATEWAY_RESPONSES] = {
                kind: _gateway_response(definition.gateway_responses[kind])
                for kind in sorted(definition.gateway_responses)
            }
        if export.documentation is not None and export.shows("documentation"):
            node[DOCUMENTATION] = export.documentation
        return node

    def _settings(self) -> dict[str, Tree]:
        definition, export = self._definition, self._export
        source = "" if definition.api_key_source == "HEADER" else definition.api_key_source
        settings = {
            reading.KEY_SOURCE: source,
            reading.BINARY_TYPES: list(definition.binary_media_types),
            reading.POLICY: json.loads(definition.policy) if definition.policy else {},
            reading.SECURITY_POLICY: export.security_policy,
            reading.ACCESS_MODE: export.endpoint_access_mode,
        }
        node = _filled(**settings)
        if definition.minimum_compression_size is not None:
            node[reading.COMPRESSION] = definition.minimum_compression_size
        return node


def _gateway_response(response: GatewayResponse) -> dict[str, Tree]:
    status = response.status_code
    return _filled(
        statusCode=int(status) if status.isdigit() else status,
        responseParameters=dict(response.response_parameters),
        responseTemplates=dict(response.response_templates),
    )


def _filled(**members: Tree) -> dict[str, Tree]:
    return {name: one for name, one in members.items() if one not in ("", {}, [])}
