"""The parts of an API as clients see them.  Pure: records to AWS's members; empty ones are left out as AWS does."""

import json
from collections.abc import Mapping
from typing import Any

from cumulo.gateway.definitions.rest import (
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Resource,
)
from cumulo.services.apigateway.model import Api
from cumulo.wire.service import Values


def filled(**members: Any) -> Values:
    """The members that are neither None nor empty."""
    return {name: one for name, one in members.items() if one is not None and one not in ("", {}, [], ())}


def given_empty(values: Values, *names: str) -> tuple[str, ...]:
    """Which of these members were given empty: AWS shows such ones as they were given."""
    return tuple(name for name in names if values.get(name) == {})


def api_view(api: Api, *, tags: bool) -> Values:
    """A REST API; `tags` even when there are none (of a single API that is shown or changed)."""
    definition = api.definition
    view = filled(
        id=api.id,
        name=definition.name,
        description=api.description,
        version=api.version,
        warnings=list(api.warnings),
        binaryMediaTypes=list(definition.binary_media_types),
        policy=json.dumps(definition.policy)[1:-1] if definition.policy else "",
        securityPolicy=api.security_policy,
        endpointAccessMode=api.endpoint_access_mode,
        rootResourceId=definition.root_resource_id,
        tags=dict(api.tags),
    )
    if tags:
        view["tags"] = dict(api.tags)
    view["createdDate"] = int(api.created_at)
    view["minimumCompressionSize"] = definition.minimum_compression_size
    view["apiKeySource"] = definition.api_key_source
    view["disableExecuteApiEndpoint"] = definition.disable_execute_api_endpoint
    view["endpointConfiguration"] = {
        "types": list(definition.endpoint_types),
        "ipAddressType": api.ip_address_type,
        **filled(vpcEndpointIds=list(api.vpc_endpoint_ids)),
    }
    return view


def resource_view(resource: Resource, *, methods: bool) -> Values:
    """A resource; its methods by name alone, or (embedded) whole."""
    view = filled(id=resource.id, parentId=resource.parent_id, pathPart=resource.path_part)
    view["path"] = resource.path
    if resource.methods:
        view["resourceMethods"] = {
            name: method_view(method) if methods else {} for name, method in resource.methods.items()
        }
    return view


def method_view(method: Method) -> Values:
    """A method with its responses and its integration."""
    view = filled(
        authorizerId=method.authorizer_id,
        authorizationScopes=list(method.authorization_scopes),
        requestValidatorId=method.request_validator_id,
        operationName=method.operation_name,
        requestParameters=dict(method.request_parameters),
        requestModels=dict(method.request_models),
        methodResponses=_by_status(method.method_responses, method_response_view),
    )
    view["httpMethod"] = method.http_method
    view["authorizationType"] = method.authorization_type
    view["apiKeyRequired"] = method.api_key_required
    if method.integration is not None:
        view["methodIntegration"] = integration_view(method.integration)
    return view


def method_response_view(response: MethodResponse) -> Values:
    """What a method may answer."""
    view = filled(
        statusCode=response.status_code,
        responseParameters=dict(response.response_parameters),
        responseModels=dict(response.response_models),
    )
    return {name: {} for name in response.shown_empty} | view


def integration_view(integration: Integration) -> Values:
    """An integration with its responses."""
    view = filled(
        type=integration.type,
        httpMethod=integration.http_method,
        uri="" if integration.type == "MOCK" else integration.uri,
        connectionId=integration.connection_id,
        integrationTarget=integration.integration_target,
        credentials=integration.credentials,
        requestParameters=dict(integration.request_parameters),
        requestTemplates=dict(integration.request_templates),
        passthroughBehavior=integration.passthrough_behavior,
        contentHandling=integration.content_handling,
        cacheNamespace=integration.cache_namespace,
        integrationResponses=_by_status(integration.integration_responses, integration_response_view),
    )
    view["timeoutInMillis"] = integration.timeout_in_millis
    view["cacheKeyParameters"] = list(integration.cache_key_parameters)
    if integration.connection_type == "VPC_LINK" or integration.type in ("HTTP", "HTTP_PROXY"):
        view["connectionType"] = integration.connection_type
    if integration.insecure_skip_verification:
        view["tlsConfig"] = {"insecureSkipVerification": True}
    if integration.response_transfer_mode != "BUFFERED":
        view["responseTransferMode"] = integration.response_transfer_mode
    return view


def integration_response_view(response: IntegrationResponse) -> Values:
    """How an integration's answer becomes a method's; a pattern is shown when one was given, be it empty."""
    view = filled(
        statusCode=response.status_code,
        responseParameters=dict(response.response_parameters),
        responseTemplates=dict(response.response_templates),
        contentHandling=response.content_handling,
    )
    view["selectionPattern"] = response.selection_pattern
    return {name: {} for name in response.shown_empty} | view


def _by_status(responses: Mapping[str, Any], view: Any) -> Values:
    return {status: view(responses[status]) for status in sorted(responses)}
