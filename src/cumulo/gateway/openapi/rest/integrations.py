"""`x-amazon-apigateway-integration` of REST APIs, read and written."""

from collections.abc import Mapping
from typing import Final

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.rest import Integration, IntegrationResponse
from cumulo.gateway.openapi.documents import EXTENSION
from cumulo.gateway.openapi.nodes import flag_at, number_at, object_at, text_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Operation
from cumulo.gateway.openapi.texts import Tree

INTEGRATION: Final = EXTENSION + "integration"
_TYPES: Final = frozenset({"AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"})
_PASSTHROUGH: Final = frozenset({"WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"})
_HANDLING: Final = frozenset({"", "CONVERT_TO_TEXT", "CONVERT_TO_BINARY"})
_MODES: Final = frozenset({"BUFFERED", "STREAM"})
_CONNECTIONS: Final = frozenset({"INTERNET", "VPC_LINK"})
DEFAULT: Final = "default"


def read_integration(operation: Operation, path: str, resource_id: str, notes: Notes) -> Integration | None:
    """The integration of an operation, or None.  BadRequestException for one that is none at all."""
    given = operation.node.get(INTEGRATION)
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        raise malformed(path)
    if not isinstance(given.get("uri", ""), str):
        raise malformed(path)
    return _Reading(given, operation, path, notes).integration(resource_id)


def malformed(path: str) -> AwsError:
    """What AWS says of an integration of which nothing can be made."""
    return AwsError(
        "BadRequestException",
        f"Unable to parse API definition because of a malformed integration at path {path[:1000]}.",
    )


class _Reading:
    """Reads one integration."""

    def __init__(self, node: Mapping[str, Tree], operation: Operation, path: str, notes: Notes) -> None:
        self._node = node
        self._where = f"{operation.where}.{INTEGRATION}"
        self._of = f"of resource '{path}' and method '{operation.method}'"
        self._path = path
        self._notes = notes

    def integration(self, resource_id: str) -> Integration:
        kind = self._choice("type", _TYPES, "")
        if not kind:
            raise malformed(self._path)
        connection = self._choice("connectionType", _CONNECTIONS, "INTERNET")
        tls = object_at(self._node, "tlsConfig", self._where, self._notes)
        timeout = number_at(self._node, "timeoutInMillis", self._where, self._notes)
        return Integration(
            type=kind,
            http_method="" if kind == "MOCK" else self._text("httpMethod").upper(),
            uri="" if kind == "MOCK" else self._text("uri"),
            connection_type=connection,
            connection_id=self._text("connectionId"),
            integration_target=self._text("integrationTarget"),
            credentials=self._text("credentials"),
            request_parameters=self._texts(self._node, "requestParameters"),
            request_templates=self._templates(self._node, "requestTemplates"),
            passthrough_behavior=self._choice("passthroughBehavior", _PASSTHROUGH, "WHEN_NO_MATCH"),
            content_handling=self._choice("contentHandling", _HANDLING, ""),
            timeout_in_millis=29_000 if timeout is None else timeout,
            cache_namespace=self._text("cacheNamespace") or resource_id,
            cache_key_parameters=texts_at(self._node, "cacheKeyParameters", self._where, self._notes),
            integration_responses=self._responses(),
            insecure_skip_verification=bool(
                flag_at(tls, "insecureSkipVerification", f"{self._where}.tlsConfig", self._notes)
            ),
            response_transfer_mode=self._choice("responseTransferMode", _MODES, "BUFFERED"),
        )

    def _responses(self) -> dict[str, IntegrationResponse]:
        """By status, though documents have them by pattern: of two with one status the later stays."""
        found: dict[str, IntegrationResponse] = {}
        responses = object_at(self._node, "responses", self._where, self._notes)
        for pattern in responses:
            one = object_at(responses, pattern, f"{self._where}.responses", self._notes)
            where = f"{self._where}.responses.{pattern[:100]}"
            status = text_at(one, "statusCode", where, self._notes)
            if not status:
                self._notes.parse_issue(f"{where}.statusCode", "is missing")
                continue
            if status in found:
                self._notes.warn(
                    f"More than one integration response with status code {status} {self._of}. Ignoring all but the last"
                )
            found[status] = IntegrationResponse(
                status_code=status,
                selection_pattern=None if pattern == DEFAULT else pattern,
                response_parameters=self._texts(one, "responseParameters"),
                response_templates=self._templates(one, "responseTemplates"),
                content_handling=self._choice("contentHandling", _HANDLING, "", one),
            )
        return found

    def _text(self, name: str) -> str:
        return text_at(self._node, name, self._where, self._notes)

    def _choice(
        self, name: str, options: frozenset[str], default: str, node: Mapping[str, Tree] | None = None
    ) -> str:
        """A word of AWS's, in whichever case; the default (and a warning) for one that is none."""
        text = text_at(self._node if node is None else node, name, self._where, self._notes).upper()
        if text and text not in options:
            self._notes.parse_issue(f"{self._where}.{name}", f"`{text[:50]}` is not supported")
        return text if text in options else default

    def _texts(self, node: Mapping[str, Tree], name: str) -> dict[str, str]:
        found = {}
        for key, value in object_at(node, name, self._where, self._notes).items():
            if isinstance(value, str):
                found[key] = value
            else:
                shown = str(value).lower() if isinstance(value, bool) else str(value)[:100]
                self._notes.warn(
                    f"Invalid format for '{name}'. Expected type string for property '{key}' {self._of} but got '{shown}'"
                )
        return found

    def _templates(self, node: Mapping[str, Tree], name: str) -> dict[str, str | None]:
        """An empty template is none, as PutIntegration keeps it."""
        given = object_at(node, name, self._where, self._notes)
        nothing: dict[str, str | None] = {key: None for key, value in given.items() if value in (None, "")}
        said = {key: value for key, value in given.items() if key not in nothing}
        return {**nothing, **self._texts({name: said}, name)}


def write_integration(integration: Integration, resource_id: str) -> dict[str, Tree]:
    """An integration as exports show it; of several responses without a pattern only the first can be."""
    node: dict[str, Tree] = {"type": integration.type.lower()}
    _put(node, "credentials", integration.credentials)
    _put(node, "httpMethod", integration.http_method)
    _put(node, "uri", integration.uri)
    _put(node, "responses", _responses(integration))
    _put(node, "requestParameters", dict(integration.request_parameters))
    _put(node, "requestTemplates", _written(integration.request_templates))
    node["passthroughBehavior"] = integration.passthrough_behavior.lower()
    _put(node, "contentHandling", integration.content_handling)
    if integration.connection_type == "VPC_LINK":
        node["connectionType"] = integration.connection_type
        _put(node, "connectionId", integration.connection_id)
        _put(node, "integrationTarget", integration.integration_target)
    if integration.timeout_in_millis != 29_000:
        node["timeoutInMillis"] = integration.timeout_in_millis
    if integration.cache_key_parameters or integration.cache_namespace not in ("", resource_id):
        _put(node, "cacheNamespace", integration.cache_namespace)
        _put(node, "cacheKeyParameters", list(integration.cache_key_parameters))
    if integration.insecure_skip_verification:
        node["tlsConfig"] = {"insecureSkipVerification": True}
    if integration.response_transfer_mode != "BUFFERED":
        node["responseTransferMode"] = integration.response_transfer_mode
    return node


def _responses(integration: Integration) -> dict[str, Tree]:
    written: dict[str, Tree] = {}
    for status in sorted(integration.integration_responses):
        response = integration.integration_responses[status]
        pattern = DEFAULT if response.selection_pattern is None else response.selection_pattern
        node: dict[str, Tree] = {"statusCode": status}
        _put(node, "responseParameters", dict(response.response_parameters))
        _put(node, "responseTemplates", _written(response.response_templates))
        _put(node, "contentHandling", response.content_handling)
        written.setdefault(pattern, node)
    return written


def _written(templates: Mapping[str, str | None]) -> dict[str, str]:
    return {content_type: template or "" for content_type, template in templates.items()}


def _put(node: dict[str, Tree], name: str, value: Tree) -> None:
    if value:
        node[name] = value
