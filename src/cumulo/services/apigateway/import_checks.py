"""Whether what an import makes of an API may be: the rules of the single operations, with AWS's sentences about where."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.rest import GatewayResponse, Method, Resource
from cumulo.gateway.openapi.notes import Notes
from cumulo.services.apigateway import api_rules, refusals
from cumulo.services.apigateway.authorizer_rules import check_authorizer
from cumulo.services.apigateway.changing import redefined, replace
from cumulo.services.apigateway.gateway_responses import STATUSES, check_response, completed
from cumulo.services.apigateway.integration_responses import check_response as check_integration_response
from cumulo.services.apigateway.integration_rules import check_integration, has_variable
from cumulo.services.apigateway.mappings import check_method_response
from cumulo.services.apigateway.method_rules import check_models, checked
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.quotas import (
    AUTHORIZERS_MAX,
    MODELS_MAX,
    REQUEST_VALIDATORS_MAX,
    RESOURCES_MAX,
)
from cumulo.services.apigateway.resource_rules import check_place
from cumulo.services.apigateway.schemas import check_name, check_schema

_Given = ParamSpec("_Given")
_Kept = TypeVar("_Kept")
KnowsLink = Callable[[str], bool]
_GATEWAY_STATUS: Final = frozenset("12345")


def checked_import(api: Api, knows_link: KnowsLink, notes: Notes) -> Api:
    """The API as it is kept; what cannot be is said in the notes.  LimitExceededException.

    knows_link: whether there is a VPC link with an id.
    """
    _check_room(api)
    _check_tree(api, notes)
    for model in api.definition.models.values():
        where = f"Unable to create model for '{model.name}'"
        _tried(notes, where, check_name, model.name)
        _tried(notes, where, check_schema, api, model)
    for authorizer in api.definition.authorizers.values():
        where = f"Unable to create authorizer '{authorizer.name}'"
        _tried(notes, where, check_authorizer, api, authorizer)
    resources = tuple(_methods(api, resource, knows_link, notes) for resource in api.definition.resources)
    return redefined(
        api,
        resources=resources,
        gateway_responses=_gateway_responses(api, notes),
        minimum_compression_size=_compression(api, notes),
        policy=_policy(api, notes),
    )


def _check_room(api: Api) -> None:
    definition = api.definition
    for things, most, what in (
        (definition.resources, RESOURCES_MAX, "resources"),
        (definition.models, MODELS_MAX, "models"),
        (definition.authorizers, AUTHORIZERS_MAX, "authorizers"),
        (definition.request_validators, REQUEST_VALIDATORS_MAX, "request validators"),
    ):
        if len(things) > most:
            raise refusals.too_many(what)


def _check_tree(api: Api, notes: Notes) -> None:
    """Every resource as if it came to those before it: only the later of two is refused."""
    before: dict[str, Resource] = {}
    for resource in api.definition.resources:
        parent = before.get(resource.parent_id)
        if parent is not None:
            so_far = redefined(api, resources=tuple(before.values()))
            where = f"Unable to create resource at path '{resource.path}'"
            _tried(notes, where, check_place, so_far, "", parent, resource.path_part)
        before[resource.id] = resource


def _methods(api: Api, resource: Resource, knows_link: KnowsLink, notes: Notes) -> Resource:
    methods = {name: _method(api, resource, one, knows_link, notes) for name, one in resource.methods.items()}
    return replace(resource, methods=methods)


def _method(api: Api, resource: Resource, method: Method, knows_link: KnowsLink, notes: Notes) -> Method:
    name = method.http_method
    at = f"'{name}' for resource at path '{resource.path}'"
    where = f"Unable to put method '{name}' on resource at path '{resource.path}'"
    kept = _tried(notes, where, checked, api, method)
    for response in method.method_responses.values():
        where = f"Unable to put method response on {at}"
        _tried(notes, where, check_method_response, response.response_parameters)
        _tried(notes, where, check_models, api, response.response_models.values())
    integration = method.integration
    if integration is not None:
        where = f"Unable to put integration on {at}"
        _tried(notes, where, check_integration, integration, method)
        link = integration.connection_id
        if link and not (has_variable(link) or integration.integration_target or knows_link(link)):
            notes.error(f"{where}: Invalid Vpc Link identifier specified")
        for each in integration.integration_responses.values():
            where = f"Unable to put integration response on {at}"
            _tried(notes, where, check_integration_response, method, each)
    return kept or method


def _gateway_responses(api: Api, notes: Notes) -> dict[str, GatewayResponse]:
    kept = {}
    for kind, response in api.definition.gateway_responses.items():
        where = f"Unable to put gateway response '{kind}'"
        if kind not in STATUSES:
            notes.error(f"{where}: Invalid response type specified")
            continue
        status = response.status_code
        if status and not (len(status) == 3 and status.isdigit() and status[0] in _GATEWAY_STATUS):
            notes.error(f"{where}: Invalid status code specified: {status}")
        _tried(notes, where, check_response, response)
        kept[kind] = completed(response)
    return kept


def _compression(api: Api, notes: Notes) -> int | None:
    return _tried(notes, "", api_rules.compression_size, api.definition.minimum_compression_size)


def _policy(api: Api, notes: Notes) -> str:
    one = api.definition
    return _tried(notes, "", api_rules.policy_of, one.policy, one.account, one.region, one.api_id) or ""


def _tried(
    notes: Notes, where: str, check: Callable[_Given, _Kept], *given: _Given.args, **named: _Given.kwargs
) -> _Kept | None:
    """What a rule gives; its refusal becomes an error of the import."""
    try:
        return check(*given, **named)
    except AwsError as error:
        notes.error(f"{where}: {error.message}" if where else error.message)
        return None
