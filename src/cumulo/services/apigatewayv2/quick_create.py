"""An HTTP API from one target: an integration, a catch-all route and a stage, which API Gateway itself manages.  Pure."""

from typing import Final

from msgspec.structs import replace

from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition
from cumulo.services.apigatewayv2 import editing, integration_rules, integrations, route_rules
from cumulo.services.apigatewayv2.refusals import bad
from cumulo.wire.service import Values

_MEMBERS: Final = ("Target", "RouteKey", "CredentialsArn")


def is_wanted(definition: V2Definition, values: Values) -> bool:
    """Whether a target (or what goes with one) is sent.  BadRequestException when it cannot be."""
    sent = [name for name in _MEMBERS if values.get(name)]
    if sent and definition.protocol_type != "HTTP":
        raise bad(f"{sent[0]} is not currently supported for WEBSOCKET APIs.")
    return bool(sent)


def created(definition: V2Definition, values: Values, integration_id: str, route_id: str) -> V2Definition:
    """The API with what quick create makes.  BadRequestException."""
    if not values.get("Target"):
        raise bad("Target must be specified when RouteKey or CredentialsArn is specified")
    integration = _pointed(
        replace(integrations.blank(integration_id, "", http=True), api_gateway_managed=True), values
    )
    definition = editing.with_integration(definition, integration)
    route = Route(
        id=route_id,
        route_key=values.get("RouteKey") or route_rules.DEFAULT,
        target=f"integrations/{integration_id}",
        api_gateway_managed=True,
    )
    route_rules.check(definition, route)
    return editing.with_route(definition, route)


def updated(definition: V2Definition, values: Values) -> V2Definition:
    """The API with another target, route key or role.  BadRequestException when quick create did not make it."""
    integration = next((one for one in definition.integrations.values() if one.api_gateway_managed), None)
    route = next((one for one in definition.routes if one.api_gateway_managed), None)
    if integration is None or route is None:
        raise bad(
            "Target, RouteKey and CredentialsArn can only be updated for an API created using quick create"
        )
    definition = editing.with_integration(definition, _pointed(integration, values))
    if values.get("RouteKey"):
        route = replace(route, route_key=values["RouteKey"])
        route_rules.check(definition, route)
        definition = editing.with_route(definition, route)
    return definition


def _pointed(have: Integration, values: Values) -> Integration:
    made = have
    target = values.get("Target")
    if target:
        function = target.startswith("arn:")
        made = replace(
            made,
            integration_type="AWS_PROXY" if function else "HTTP_PROXY",
            integration_method="POST" if function else "ANY",
            integration_uri=target,
            payload_format_version="2.0" if function else "1.0",
        )
    if values.get("CredentialsArn") is not None:
        made = replace(made, credentials_arn=values["CredentialsArn"])
    integration_rules.check_http(made)
    return made
