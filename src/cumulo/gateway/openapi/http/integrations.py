"""`x-amazon-apigateway-integration` of HTTP APIs: in operations, or among the components for several of them."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.gateway.definitions.v2 import Integration
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.nodes import number_at, object_at, text_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Operation
from cumulo.gateway.openapi.references import resolved
from cumulo.gateway.openapi.texts import Tree

INTEGRATION: Final = EXTENSION + "integration"
SHARED: Final = EXTENSION + "integrations"
SHARED_AT: Final = f"#/components/{SHARED}/"
TIMEOUT: Final = 30_000
_REST_ONLY: Final = (
    "cacheKeyParameters",
    "cacheNamespace",
    "contentHandling",
    "passthroughBehavior",
    "requestTemplates",
    "responses",
)


class IntegrationsRead:
    """The integrations of a document; operations that refer to the same one share it.

    id_of    an id for an integration, given the route that leads to it (empty: none)
    """

    def __init__(self, document: Document, id_of: Callable[[Integration, str], str], notes: Notes) -> None:
        self._root = document.root
        self._id_of = id_of
        self._notes = notes
        self._by_reference: dict[str, str] = {}
        self.integrations: dict[str, Integration] = {}

    def of(self, operation: Operation, route_key: str) -> str:
        """The id of an operation's integration; empty: it has none."""
        given = operation.node.get(INTEGRATION)
        if given is None:
            return ""
        reference = given.get("$ref") if isinstance(given, dict) else None
        if isinstance(reference, str) and reference in self._by_reference:
            return self._by_reference[reference]
        where = f"{operation.where}.{INTEGRATION}"
        node = resolved(self._root, given, where, self._notes)
        if not node:
            return ""
        found = self._add(node, where, route_key)
        if isinstance(reference, str):
            self._by_reference[reference] = found
        return found

    def add_unused(self) -> None:
        """Those among the components that no operation refers to."""
        components = object_at(self._root, "components", "", self._notes)
        shared = object_at(components, SHARED, "components", self._notes)
        for name, given in shared.items():
            reference = SHARED_AT + name.replace("~", "~0").replace("/", "~1")
            if reference not in self._by_reference:
                where = f"components.{SHARED}.{name[:100]}"
                node = resolved(self._root, given, where, self._notes)
                if node:
                    self._by_reference[reference] = self._add(node, where, "")

    def _add(self, node: Mapping[str, Tree], where: str, route_key: str) -> str:
        one = _read(node, where, self._notes)
        made = msgspec.structs.replace(one, id=self._id_of(one, route_key))
        self.integrations[made.id] = made
        return made.id


def _read(node: Mapping[str, Tree], where: str, notes: Notes) -> Integration:
    for name in _REST_ONLY:
        if name in node:
            notes.inform(f"{name} of integrations is not supported for HTTP APIs. Ignoring.")
    kind = text_at(node, "type", where, notes).upper()
    tls = object_at(node, "tlsConfig", where, notes)
    timeout = number_at(node, "timeoutInMillis", where, notes)
    subtype = text_at(node, "integrationSubtype", where, notes)
    method = text_at(node, "httpMethod", where, notes).upper()
    if kind == "AWS_PROXY" and not subtype:
        method = method or "POST"
    return Integration(
        id="",
        integration_type=kind,
        integration_subtype=subtype,
        integration_method=method,
        integration_uri=text_at(node, "uri", where, notes),
        payload_format_version=version_at(node, "payloadFormatVersion", where, notes) or "1.0",
        connection_type=text_at(node, "connectionType", where, notes).upper() or "INTERNET",
        connection_id=text_at(node, "connectionId", where, notes),
        credentials_arn=text_at(node, "credentials", where, notes),
        timeout_in_millis=TIMEOUT if timeout is None else timeout,
        request_parameters=_texts(node, "requestParameters", where, notes),
        response_parameters=_response_parameters(node, where, notes),
        server_name_to_verify=text_at(tls, "serverNameToVerify", f"{where}.tlsConfig", notes),
    )


def version_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> str:
    """A version that may be written as a number: 2 and 2.0 are `2.0`."""
    value = node.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and -1e6 < value < 1e6:
        return f"{value:.1f}"
    return text_at(node, name, where, notes)


def _texts(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> dict[str, str]:
    given = object_at(node, name, where, notes)
    return {key: text_at(given, key, f"{where}.{name}", notes) for key in given}


def _response_parameters(node: Mapping[str, Tree], where: str, notes: Notes) -> dict[str, dict[str, str]]:
    given = object_at(node, "responseParameters", where, notes)
    return {status: _texts(given, status, f"{where}.responseParameters", notes) for status in given}


def write_integration(integration: Integration) -> dict[str, Tree]:
    """An integration as exports show it."""
    one = integration
    said: dict[str, Tree] = {
        "requestParameters": dict(one.request_parameters),
        "responseParameters": {status: dict(each) for status, each in one.response_parameters.items()},
        "integrationSubtype": one.integration_subtype,
        "credentials": one.credentials_arn,
        "payloadFormatVersion": one.payload_format_version,
        "type": one.integration_type.lower(),
        "httpMethod": one.integration_method,
        "uri": one.integration_uri,
        "connectionId": one.connection_id,
        "connectionType": one.connection_type,
        "tlsConfig": {"serverNameToVerify": one.server_name_to_verify} if one.server_name_to_verify else {},
        "timeoutInMillis": 0 if one.timeout_in_millis == TIMEOUT else one.timeout_in_millis,
    }
    return {name: value for name, value in said.items() if value}
