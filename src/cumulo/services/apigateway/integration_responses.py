"""How integrations' answers become methods' answers."""

import re

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Integration, IntegrationResponse, Method, Resource
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, replace, with_integration, without
from cumulo.services.apigateway.finding import integration_of, resource_of
from cumulo.services.apigateway.integrations import handling
from cumulo.services.apigateway.mappings import (
    check_integration_response,
    check_templates,
    templates_of,
)
from cumulo.services.apigateway.methods import CONTENT_TYPE_MISSING, PARAMETER_MISSING
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.patches import Table, entry, value
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import given_empty, integration_response_view
from cumulo.wire.service import Operation, Values

_Found = tuple[Api, Resource, Method, Integration, IntegrationResponse]


class IntegrationResponses:
    """The operations on integration responses."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutIntegrationResponse": Operation(self.put),
            "GetIntegrationResponse": Operation(self.get),
            "UpdateIntegrationResponse": Operation(self.update),
            "DeleteIntegrationResponse": Operation(self.delete),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutIntegrationResponse; one that was there is written over."""
        api, resource, method, integration = integration_of(self._records, caller, values)
        response = IntegrationResponse(
            status_code=values["statusCode"],
            selection_pattern=values.get("selectionPattern"),
            response_parameters=values.get("responseParameters", {}),
            response_templates=templates_of(values.get("responseTemplates", {})),
            content_handling=values.get("contentHandling", ""),
            shown_empty=given_empty(values, "responseParameters", "responseTemplates"),
        )
        return await self._keep(api, resource, method, integration, response)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetIntegrationResponse."""
        *_, response = self._find(caller, values)
        return integration_response_view(response)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateIntegrationResponse."""
        api, resource, method, integration, response = self._find(caller, values)
        response = _PATCHES.apply(response, values.get("patchOperations"))
        return await self._keep(api, resource, method, integration, response)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteIntegrationResponse; of a method that is not there AWS misses the integration."""
        _, resource = resource_of(self._records, caller, values)
        if values["httpMethod"] not in resource.methods:
            raise refusals.unknown("Integration")
        api, resource, method, integration, response = self._find(caller, values)
        kept = without(integration.integration_responses, response.status_code)
        integration = replace(integration, integration_responses=kept)
        self._records.apis.put(with_integration(api, resource, method, integration))
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> _Found:
        api, resource, method, integration = integration_of(self._records, caller, values)
        response = integration.integration_responses.get(values["statusCode"])
        if response is None:
            raise refusals.not_found("Invalid Response status code specified")
        return api, resource, method, integration, response

    async def _keep(
        self,
        api: Api,
        resource: Resource,
        method: Method,
        integration: Integration,
        response: IntegrationResponse,
    ) -> Values:
        check_response(method, response)
        responses = put_in(integration.integration_responses, response.status_code, response)
        integration = replace(integration, integration_responses=responses)
        self._records.apis.put(with_integration(api, resource, method, integration))
        await self._records.store.commit()
        return integration_response_view(response)


def check_response(method: Method, response: IntegrationResponse) -> None:
    """BadRequestException for what an integration response of a method cannot be."""
    declared = method.method_responses.get(response.status_code)
    check_templates(response.response_templates)
    check_integration_response(
        response.response_parameters, declared.response_parameters if declared is not None else ()
    )
    try:
        re.compile(response.selection_pattern or "")
    except re.error:
        raise refusals.bad_request("Invalid selection pattern specified") from None


_PATCHES: Table[IntegrationResponse] = Table(
    value("/selectionPattern", "selection_pattern"),
    value("/contentHandling", "content_handling", handling, ops=("replace", "remove")),
    entry("/responseParameters/{name}", "response_parameters", missing=PARAMETER_MISSING),
    entry(
        "/responseTemplates/{contentType}",
        "response_templates",
        lambda text: text or None,
        missing=CONTENT_TYPE_MISSING,
    ),
)
