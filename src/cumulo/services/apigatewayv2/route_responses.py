"""Route responses: that a route of a WebSocket API answers."""

from typing import Any

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Route, RouteResponse
from cumulo.services.apigatewayv2 import bounds, editing
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import bad, conflict, missing
from cumulo.services.apigatewayv2.routes import required, show_required
from cumulo.wire.service import Operation, Values


class RouteResponses:
    """The operations on route responses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateRouteResponse": Operation(self.create),
            "GetRouteResponse": Operation(self.get),
            "GetRouteResponses": Operation(self.get_all),
            "UpdateRouteResponse": Operation(self.update),
            "DeleteRouteResponse": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a route response."""
        bounds.check(values)
        api, route = self._route(caller, values)
        fresh = RouteResponse(id=self._desk.new_id(), key=values["RouteResponseKey"])
        return await self._keep(api, route, _changed(fresh, values))

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a route response."""
        return view(_of(self._route(caller, values)[1], values))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show route responses."""
        route = self._route(caller, values)[1]
        return page(route.route_responses.values(), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a route response."""
        bounds.check(values)
        api, route = self._route(caller, values)
        return await self._keep(api, route, _changed(_of(route, values), values))

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a route response."""
        api, route = self._route(caller, values)
        left = editing.without(route.route_responses, _of(route, values).id)
        await self._desk.change(api, editing.with_route(api.definition, replace(route, route_responses=left)))

    def _route(self, caller: Caller, values: Values) -> tuple[Api, Route]:
        api = self._desk.api(caller, values)
        return api, editing.route_of(api.definition, values["RouteId"])

    async def _keep(self, api: Api, route: Route, made: RouteResponse) -> Values:
        if api.is_http:
            raise bad("RouteResponses are currently not supported for this API protocol type.")
        if made.key != "$default":
            raise bad("Currently, only $default is supported as a RouteResponseKey.")
        for other in route.route_responses.values():
            if other.key == made.key and other.id != made.id:
                raise conflict(f"RouteResponse with key {made.key} already exists for this Route")
        changed = replace(route, route_responses={**route.route_responses, made.id: made})
        await self._desk.change(api, editing.with_route(api.definition, changed))
        return view(made)


def view(one: RouteResponse) -> Values:
    """A route response as AWS shows it."""
    return {
        "ModelSelectionExpression": one.model_selection_expression or None,
        "ResponseModels": dict(one.response_models) or None,
        "ResponseParameters": show_required(one.response_parameters) or None,
        "RouteResponseId": one.id,
        "RouteResponseKey": one.key,
    }


def _of(route: Route, values: Values) -> RouteResponse:
    found = route.route_responses.get(values["RouteResponseId"])
    if found is None:
        raise missing("RouteResponse", values["RouteResponseId"])
    return found


def _changed(have: RouteResponse, values: Values) -> RouteResponse:
    changes: dict[str, Any] = {}
    for name, member in (
        ("ModelSelectionExpression", "model_selection_expression"),
        ("ResponseModels", "response_models"),
        ("RouteResponseKey", "key"),
    ):
        if values.get(name) is not None:
            changes[member] = values[name]
    if values.get("ResponseParameters") is not None:
        changes["response_parameters"] = {
            **have.response_parameters,
            **required(values["ResponseParameters"]),
        }
    return replace(have, **changes)
