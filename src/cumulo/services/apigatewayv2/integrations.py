"""Integrations: what routes call."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Integration, V2Definition
from cumulo.services.apigatewayv2 import bounds, editing, identifiers, integration_rules
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import bad, conflict, missing, too_many
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

INTEGRATIONS_MAX: Final = 300
_TEXTS: Final[Mapping[str, str]] = {
    "ConnectionId": "connection_id",
    "ContentHandlingStrategy": "content_handling_strategy",
    "CredentialsArn": "credentials_arn",
    "Description": "description",
    "IntegrationMethod": "integration_method",
    "IntegrationSubtype": "integration_subtype",
    "IntegrationType": "integration_type",
    "IntegrationUri": "integration_uri",
    "PassthroughBehavior": "passthrough_behavior",
    "PayloadFormatVersion": "payload_format_version",
    "TemplateSelectionExpression": "template_selection_expression",
    "ConnectionType": "connection_type",
    "TimeoutInMillis": "timeout_in_millis",
    "RequestTemplates": "request_templates",
}
_KEPT: Final = frozenset({"ConnectionType", "IntegrationType", "PayloadFormatVersion", "TimeoutInMillis"})


class Integrations:
    """The operations on integrations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateIntegration": Operation(self.create),
            "GetIntegration": Operation(self.get),
            "GetIntegrations": Operation(self.get_all),
            "UpdateIntegration": Operation(self.update),
            "DeleteIntegration": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make an integration."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        if len(api.definition.integrations) >= INTEGRATIONS_MAX:
            raise too_many("Integrations")
        if (
            api.is_http
            and values["IntegrationType"] == "AWS_PROXY"
            and not values.get("PayloadFormatVersion")
        ):
            raise bad("PayloadFormatVersion is a required parameter for integration")
        fresh = blank(self._desk.new_id(identifiers.ROUTE), values["IntegrationType"], http=api.is_http)
        made = self._checked(api, _changed(fresh, values))
        await self._desk.change(api, editing.with_integration(api.definition, made))
        return view(made)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show an integration."""
        api = self._desk.api(caller, values)
        return view(editing.integration_of(api.definition, values["IntegrationId"]))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show integrations."""
        api = self._desk.api(caller, values)
        return page(api.definition.integrations.values(), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of an integration."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        have = editing.integration_of(api.definition, values["IntegrationId"])
        made = self._checked(api, _changed(have, values))
        await self._desk.change(api, editing.with_integration(api.definition, made))
        return view(made)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete an integration that no route names."""
        api = self._desk.api(caller, values)
        have = editing.integration_of(api.definition, values["IntegrationId"])
        if have.api_gateway_managed:
            raise bad("Cannot delete Integration because it is managed by API Gateway")
        users = routes_to(api.definition, have.id)
        if users:
            raise conflict(
                "Cannot delete Integration because it is referenced by the following Routes with Ids: "
                f"[{', '.join(users)}]"
            )
        left = editing.without(api.definition.integrations, have.id)
        await self._desk.change(api, replace(api.definition, integrations=left))

    def _checked(self, api: Api, made: Integration) -> Integration:
        made = completed(made, http=api.is_http)
        if not api.is_http:
            integration_rules.check_websocket(made)
            return made
        integration_rules.check_http(made)
        if made.connection_id:
            link = self._desk.records.links.get(
                join_key(api.definition.account, api.definition.region, made.connection_id)
            )
            if link is None or link.deleted:
                raise missing("VpcLink", made.connection_id)
        return made


def blank(integration_id: str, kind: str, *, http: bool) -> Integration:
    """An integration of which nothing is said yet."""
    return Integration(
        id=integration_id,
        integration_type=kind,
        timeout_in_millis=(
            integration_rules.TIMEOUT_MAX_HTTP if http else integration_rules.TIMEOUT_MAX_WEBSOCKET
        ),
        passthrough_behavior="" if http else "WHEN_NO_MATCH",
    )


def completed(made: Integration, *, http: bool) -> Integration:
    """The same with what API Gateway itself says of it."""
    method = made.integration_method
    if not method and made.integration_type == "AWS_PROXY" and not made.integration_subtype:
        method = "POST"
    selection = ""
    if not http and made.integration_type in {"AWS", "HTTP", "MOCK"}:
        selection = "${integration.response.statuscode}"
        if integration_rules.is_function(made.integration_uri):
            selection = "${integration.response.body.errorMessage}"
    return replace(made, integration_method=method, integration_response_selection_expression=selection)


def routes_to(definition: V2Definition, integration_id: str) -> list[str]:
    """The ids of the routes that call an integration."""
    target = f"integrations/{integration_id}"
    return [one.id for one in definition.routes if one.target == target]


def view(one: Integration) -> Values:
    """An integration as AWS shows it."""
    return {
        "ApiGatewayManaged": one.api_gateway_managed or None,
        "ConnectionId": one.connection_id or None,
        "ConnectionType": one.connection_type,
        "ContentHandlingStrategy": one.content_handling_strategy or None,
        "CredentialsArn": one.credentials_arn or None,
        "Description": one.description or None,
        "IntegrationId": one.id,
        "IntegrationMethod": one.integration_method or None,
        "IntegrationResponseSelectionExpression": one.integration_response_selection_expression or None,
        "IntegrationSubtype": one.integration_subtype or None,
        "IntegrationType": one.integration_type,
        "IntegrationUri": one.integration_uri or None,
        "PassthroughBehavior": one.passthrough_behavior or None,
        "PayloadFormatVersion": one.payload_format_version,
        "RequestParameters": dict(one.request_parameters) or None,
        "RequestTemplates": dict(one.request_templates) or None,
        "ResponseParameters": {key: dict(value) for key, value in one.response_parameters.items()} or None,
        "TemplateSelectionExpression": one.template_selection_expression or None,
        "TimeoutInMillis": one.timeout_in_millis,
        "TlsConfig": {"ServerNameToVerify": one.server_name_to_verify} if one.server_name_to_verify else None,
    }


def _changed(have: Integration, values: Values) -> Integration:
    """What is sent over what is there."""
    changes: dict[str, Any] = {}
    for name, member in _TEXTS.items():
        value = values.get(name)
        if value is not None and not (name in _KEPT and value == ""):
            changes[member] = value
    if values.get("RequestParameters") is not None:
        changes["request_parameters"] = editing.merged(have.request_parameters, values["RequestParameters"])
    if values.get("ResponseParameters") is not None:
        changes["response_parameters"] = editing.merged(
            have.response_parameters, values["ResponseParameters"]
        )
    if values.get("TlsConfig") is not None:
        changes["server_name_to_verify"] = values["TlsConfig"].get("ServerNameToVerify") or ""
    if values.get("ConnectionType") == "INTERNET" and "ConnectionId" not in values:
        changes["connection_id"] = ""
    return replace(have, **changes)
