"""Methods of REST APIs: read of operations, written as such."""

from collections.abc import Mapping
from typing import Final

from cumulo.gateway.definitions.rest import Method, MethodResponse, RequestValidator
from cumulo.gateway.openapi.base_paths import variables_of
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.nodes import text_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import JSON, Answer, Operation
from cumulo.gateway.openapi.rest.authorizers import Scheme, secured
from cumulo.gateway.openapi.rest.integrations import read_integration
from cumulo.gateway.openapi.rest.models import ModelsRead
from cumulo.gateway.openapi.texts import Tree

VALIDATOR: Final = EXTENSION + "request-validator"
_PLACES: Final = {"querystring": "query", "header": "header", "path": "path"}


class MethodsRead:
    """Reads methods, with what they need of the rest of the document.

    validators  by name: those of the document, and those that the API has already
    """

    def __init__(
        self,
        document: Document,
        models: ModelsRead,
        schemes: Mapping[str, Scheme],
        validators: Mapping[str, RequestValidator],
        notes: Notes,
    ) -> None:
        self._models = models
        self._schemes = schemes
        self._validators = validators
        self._notes = notes
        self._validator = text_at(document.root, VALIDATOR, "", notes)

    def method(self, operation: Operation, path: str, resource_id: str) -> Method:
        """The method of an operation; every variable of its path is a parameter, as AWS has it."""
        name = f"{operation.method} {operation.path}"
        parameters = {f"method.request.path.{one}": True for one in variables_of(path)}
        parameters |= {f"method.request.{one.place}.{one.name}": one.required for one in operation.parameters}
        method = Method(
            http_method=operation.method,
            operation_name=operation.operation_id,
            request_validator_id=self._validator_of(operation),
            request_parameters=parameters,
            request_models=self._models.of(operation.bodies, f"body of method '{name}'"),
            method_responses={one.status: self._response(one, name) for one in operation.answers},
            integration=read_integration(operation, path, resource_id, self._notes),
        )
        return secured(method, operation, self._schemes, self._notes)

    def _response(self, answer: Answer, name: str) -> MethodResponse:
        return MethodResponse(
            status_code=answer.status,
            response_parameters={f"method.response.header.{one}": False for one in answer.headers},
            response_models=self._models.of(answer.bodies, f"{answer.status} response to method '{name}'"),
        )

    def _validator_of(self, operation: Operation) -> str:
        name = text_at(operation.node, VALIDATOR, operation.where, self._notes) or self._validator
        if not name:
            return ""
        found = self._validators.get(name)
        if found is None:
            self._notes.warn(f"Reference to request validator '{name[:200]}' not found. Ignoring.")
            return ""
        return found.id


# -- writing ---------------------------------------------------------------------------------------------------


class Untypable(Exception):
    """What a method takes or answers cannot be said in OpenAPI 2.0: it has a model that is not of JSON."""


def write_method(method: Method, *, three: bool, schemas_at: str) -> dict[str, Tree]:
    """What OpenAPI itself has words for of a method.  Untypable."""
    node: dict[str, Tree] = {}
    if method.operation_name:
        node["operationId"] = method.operation_name
    if not three:
        node |= _types(method)
    parameters = [
        _parameter(name, needed, three=three) for name, needed in sorted(method.request_parameters.items())
    ]
    if method.request_models and not three:
        name = method.request_models[JSON]
        schema = {"$ref": schemas_at + name}
        parameters.append({"in": "body", "name": name, "required": True, "schema": schema})
    if parameters:
        node["parameters"] = parameters
    if method.request_models and three:
        node["requestBody"] = {"content": _content(method.request_models, schemas_at), "required": True}
    node["responses"] = {
        status: _answer(method.method_responses[status], three=three, schemas_at=schemas_at)
        for status in sorted(method.method_responses)
    }
    return node


def _types(method: Method) -> dict[str, Tree]:
    """What a method consumes and produces: all content types of which there is a model or a template."""
    responses = list(method.method_responses.values())
    if set(method.request_models) - {JSON} or any(set(one.response_models) - {JSON} for one in responses):
        raise Untypable
    integration = method.integration
    consumes, produces = set(method.request_models), set[str]()
    for response in responses:
        produces |= set(response.response_models)
    if integration is not None:
        consumes |= set(integration.request_templates)
        for template in integration.integration_responses.values():
            produces |= set(template.response_templates)
    said = {"consumes": sorted(consumes), "produces": sorted(produces)}
    return {name: types for name, types in said.items() if types}


def _parameter(name: str, required: bool, *, three: bool) -> dict[str, Tree]:
    _, _, place, rest = name.split(".", 3)
    said = {"required": required} if required or not three else {}
    typed: dict[str, Tree] = {"schema": {"type": "string"}} if three else {"type": "string"}
    return {"name": rest, "in": _PLACES[place], **said, **typed}


def _answer(response: MethodResponse, *, three: bool, schemas_at: str) -> dict[str, Tree]:
    node: dict[str, Tree] = {"description": f"{response.status_code} response"}
    prefix = "method.response.header."
    headers = [one.removeprefix(prefix) for one in sorted(response.response_parameters)]
    if headers:
        node["headers"] = {
            one: {"schema": {"type": "string"}} if three else {"type": "string"} for one in headers
        }
    if three:
        node["content"] = _content(response.response_models, schemas_at)
    elif response.response_models:
        node["schema"] = {"$ref": schemas_at + response.response_models[JSON]}
    return node


def _content(models: Mapping[str, str], schemas_at: str) -> dict[str, Tree]:
    return {
        content_type: {"schema": {"$ref": schemas_at + models[content_type]}}
        for content_type in sorted(models)
    }
