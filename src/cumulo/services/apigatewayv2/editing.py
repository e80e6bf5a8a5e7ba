"""Definitions with something added, changed or taken away; and what is in them by id.  Pure."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from cumulo.gateway.definitions.v2 import Authorizer, Integration, Model, Route, V2Definition
from cumulo.services.apigatewayv2.refusals import missing

T = TypeVar("T")


def route_of(definition: V2Definition, route_id: str) -> Route:
    """The route.  NotFoundException."""
    for route in definition.routes:
        if route.id == route_id:
            return route
    raise missing("Route", route_id)


def integration_of(definition: V2Definition, integration_id: str) -> Integration:
    """The integration.  NotFoundException."""
    return _of(definition.integrations, integration_id, "Integration")


def authorizer_of(definition: V2Definition, authorizer_id: str) -> Authorizer:
    """The authorizer.  NotFoundException."""
    return _of(definition.authorizers, authorizer_id, "Authorizer")


def model_of(definition: V2Definition, model_id: str) -> Model:
    """The model.  NotFoundException."""
    return _of(definition.models, model_id, "Model")


def with_route(definition: V2Definition, route: Route) -> V2Definition:
    """The route added, or in the place of the one with its id."""
    if any(one.id == route.id for one in definition.routes):
        routes = tuple(route if one.id == route.id else one for one in definition.routes)
    else:
        routes = (*definition.routes, route)
    return replace(definition, routes=routes)


def without_route(definition: V2Definition, route_id: str) -> V2Definition:
    """The route taken away."""
    return replace(definition, routes=tuple(one for one in definition.routes if one.id != route_id))


def with_integration(definition: V2Definition, integration: Integration) -> V2Definition:
    """The integration added or changed."""
    return replace(definition, integrations={**definition.integrations, integration.id: integration})


def with_authorizer(definition: V2Definition, authorizer: Authorizer) -> V2Definition:
    """The authorizer added or changed."""
    return replace(definition, authorizers={**definition.authorizers, authorizer.id: authorizer})


def with_model(definition: V2Definition, model: Model) -> V2Definition:
    """The model added or changed."""
    return replace(definition, models={**definition.models, model.id: model})


def without(things: Mapping[str, T], thing_id: str) -> dict[str, T]:
    """A map without one entry."""
    return {key: one for key, one in things.items() if key != thing_id}


def merged(have: Mapping[str, T], sent: Mapping[str, T]) -> dict[str, T]:
    """A map as PATCH changes it: what is sent over what is there; what is sent as empty is taken away."""
    return {key: one for key, one in {**have, **sent}.items() if one not in ("", {})}


def _of(things: Mapping[str, T], thing_id: str, kind: str) -> T:
    found = things.get(thing_id)
    if found is None:
        raise missing(kind, thing_id)
    return found
