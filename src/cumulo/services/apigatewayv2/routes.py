"""Routes: what requests and messages lead to."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Route
from cumulo.services.apigatewayv2 import bounds, editing, identifiers, route_rules
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.refusals import bad, missing, too_many
from cumulo.wire.service import Operation, Values

ROUTES_MAX: Final = 300
_MEMBERS: Final[Mapping[str, str]] = {
    "ApiKeyRequired": "api_key_required",
    "AuthorizationType": "authorization_type",
    "AuthorizerId": "authorizer_id",
    "ModelSelectionExpression": "model_selection_expression",
    "OperationName": "operation_name",
    "RequestModels": "request_models",
    "RouteKey": "route_key",
    "RouteResponseSelectionExpression": "route_response_selection_expression",
    "Target": "target",
}


class Routes:
    """The operations on routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateRoute": Operation(self.create),
            "GetRoute": Operation(self.get),
            "GetRoutes": Operation(self.get_all),
            "UpdateRoute": Operation(self.update),
            "DeleteRoute": Operation(self.delete),
            "DeleteRouteRequestParameter": Operation(self.delete_request_parameter),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a route."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        if len(api.definition.routes) >= ROUTES_MAX:
            raise too_many("Routes")
        fresh = Route(id=self._desk.new_id(identifiers.ROUTE), route_key=values["RouteKey"])
        made = _changed(fresh, values)
        route_rules.check(api.definition, made)
        await self._desk.change(api, editing.with_route(api.definition, made))
        return view(made)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a route."""
        api = self._desk.api(caller, values)
        return view(editing.route_of(api.definition, values["RouteId"]))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show routes."""
        api = self._desk.api(caller, values)
        return page(api.definition.routes, lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a route."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        have = editing.route_of(api.definition, values["RouteId"])
        made = _changed(have, values)
        if have.api_gateway_managed and made.route_key != have.route_key:
            raise bad("Cannot update the route key of a Route that is managed by API Gateway")
        route_rules.check(api.definition, made)
        await self._desk.change(api, editing.with_route(api.definition, made))
        return view(made)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a route."""
        api = self._desk.api(caller, values)
        have = editing.route_of(api.definition, values["RouteId"])
        if have.api_gateway_managed:
            raise bad("Cannot delete Route because it is managed by API Gateway")
        await self._desk.change(api, editing.without_route(api.definition, have.id))

    async def delete_request_parameter(self, caller: Caller, values: Values) -> None:
        """Forget what a route asks of one parameter."""
        api = self._desk.api(caller, values)
        have = editing.route_of(api.definition, values["RouteId"])
        name = values["RequestParameterKey"]
        if name not in have.request_parameters:
            raise missing("request parameter")
        made = replace(have, request_parameters=editing.without(have.request_parameters, name))
        await self._desk.change(api, editing.with_route(api.definition, made))


def view(one: Route) -> Values:
    """A route as AWS shows it."""
    return {
        "ApiGatewayManaged": one.api_gateway_managed or None,
        "ApiKeyRequired": one.api_key_required,
        "AuthorizationScopes": list(one.authorization_scopes) or None,
        "AuthorizationType": one.authorization_type,
        "AuthorizerId": one.authorizer_id or None,
        "ModelSelectionExpression": one.model_selection_expression or None,
        "OperationName": one.operation_name or None,
        "RequestModels": dict(one.request_models) or None,
        "RequestParameters": show_required(one.request_parameters) or None,
        "RouteId": one.id,
        "RouteKey": one.route_key,
        "RouteResponseSelectionExpression": one.route_response_selection_expression or None,
        "Target": one.target or None,
    }


def required(parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each parameter is required, as it is kept."""
    return {name: bool((told or {}).get("Required")) for name, told in parameters.items()}


def show_required(parameters: Mapping[str, bool]) -> dict[str, Values]:
    """The same as AWS shows it."""
    return {name: {"Required": needed} for name, needed in parameters.items()}


def _changed(have: Route, values: Values) -> Route:
    """What is sent over what is there; without authorization there is no authorizer and no scope."""
    changes: dict[str, Any] = {
        member: values[name] for name, member in _MEMBERS.items() if values.get(name) is not None
    }
    if values.get("AuthorizationScopes") is not None:
        changes["authorization_scopes"] = tuple(values["AuthorizationScopes"])
    if values.get("RequestParameters") is not None:
        changes["request_parameters"] = {
            **have.request_parameters,
            **required(values["RequestParameters"]),
        }
    kind = changes.get("authorization_type", have.authorization_type)
    if kind in {"NONE", "AWS_IAM"} and not values.get("AuthorizerId"):
        changes["authorizer_id"] = ""
    if kind != "JWT" and not values.get("AuthorizationScopes"):
        changes["authorization_scopes"] = ()
    return replace(have, **changes)
