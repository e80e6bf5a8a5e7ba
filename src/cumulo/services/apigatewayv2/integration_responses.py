"""Integration responses: how an integration's answer goes back over a WebSocket."""

import re
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Integration, IntegrationResponse
from cumulo.services.apigatewayv2 import bounds, editing, mappings
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import bad, conflict, missing
from cumulo.wire.patterns import compile_pattern
from cumulo.wire.service import Operation, Values

_KEY: Final = re.compile(r"\$default|/.+/", re.DOTALL)


class IntegrationResponses:
    """The operations on integration responses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateIntegrationResponse": Operation(self.create),
            "GetIntegrationResponse": Operation(self.get),
            "GetIntegrationResponses": Operation(self.get_all),
            "UpdateIntegrationResponse": Operation(self.update),
            "DeleteIntegrationResponse": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make an integration response."""
        bounds.check(values)
        api, integration = self._integration(caller, values)
        fresh = IntegrationResponse(id=self._desk.new_id(), key=values["IntegrationResponseKey"])
        return await self._keep(api, integration, _changed(fresh, values))

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show an integration response."""
        return view(_of(self._integration(caller, values)[1], values))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show integration responses."""
        integration = self._integration(caller, values)[1]
        return page(integration.integration_responses.values(), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of an integration response."""
        bounds.check(values)
        api, integration = self._integration(caller, values)
        return await self._keep(api, integration, _changed(_of(integration, values), values))

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete an integration response."""
        api, integration = self._integration(caller, values)
        left = editing.without(integration.integration_responses, _of(integration, values).id)
        changed = replace(integration, integration_responses=left)
        await self._desk.change(api, editing.with_integration(api.definition, changed))

    def _integration(self, caller: Caller, values: Values) -> tuple[Api, Integration]:
        api = self._desk.api(caller, values)
        return api, editing.integration_of(api.definition, values["IntegrationId"])

    async def _keep(self, api: Api, integration: Integration, made: IntegrationResponse) -> Values:
        if api.is_http:
            raise bad("IntegrationResponses are currently not supported for this API protocol type.")
        _check(integration, made)
        responses = {**integration.integration_responses, made.id: made}
        changed = replace(integration, integration_responses=responses)
        await self._desk.change(api, editing.with_integration(api.definition, changed))
        return view(made)


def view(one: IntegrationResponse) -> Values:
    """An integration response as AWS shows it."""
    return {
        "ContentHandlingStrategy": one.content_handling_strategy or None,
        "IntegrationResponseId": one.id,
        "IntegrationResponseKey": one.key,
        "ResponseParameters": dict(one.response_parameters) or None,
        "ResponseTemplates": dict(one.response_templates) or None,
        "TemplateSelectionExpression": one.template_selection_expression or None,
    }


def _check(integration: Integration, made: IntegrationResponse) -> None:
    if _KEY.fullmatch(made.key) is None:
        raise bad(f"Invalid integration response key specified: {made.key}")
    if made.key != "$default" and compile_pattern(made.key[1:-1]) is None:
        raise bad("Invalid selection pattern specified")
    mappings.check_websocket_response(made.response_parameters)
    for other in integration.integration_responses.values():
        if other.key == made.key and other.id != made.id:
            raise conflict(f"IntegrationResponse with key {made.key} already exists for this Integration")


def _of(integration: Integration, values: Values) -> IntegrationResponse:
    found = integration.integration_responses.get(values["IntegrationResponseId"])
    if found is None:
        raise missing("IntegrationResponse", values["IntegrationResponseId"])
    return found


def _changed(have: IntegrationResponse, values: Values) -> IntegrationResponse:
    changes: dict[str, Any] = {}
    for name, member in (
        ("ContentHandlingStrategy", "content_handling_strategy"),
        ("IntegrationResponseKey", "key"),
        ("ResponseTemplates", "response_templates"),
        ("TemplateSelectionExpression", "template_selection_expression"),
    ):
        if values.get(name) is not None:
            changes[member] = values[name]
    if values.get("ResponseParameters") is not None:
        changes["response_parameters"] = editing.merged(
            have.response_parameters, values["ResponseParameters"]
        )
    return replace(have, **changes)
