"""What of an imported HTTP API can be: the rules of the single operations, with AWS's sentences about where."""

from collections.abc import Callable
from typing import ParamSpec

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import Authorizer, Cors, Integration, Route, V2Definition
from cumulo.gateway.openapi.notes import Notes
from cumulo.services.apigatewayv2 import (
    api_rules,
    authorizer_rules,
    authorizers,
    bounds,
    integration_rules,
    integrations,
    route_rules,
    routes,
)

_Given = ParamSpec("_Given")


def possible(definition: V2Definition, notes: Notes) -> V2Definition:
    """What can be of an API; the rest is left out with a warning.

    A route goes with the authorizer that it asks for: nothing is open that its document closes.
    """
    keys = {one.target.removeprefix("integrations/"): one.route_key for one in definition.routes}
    definition = replace(
        definition,
        authorizers={key: one for key, one in definition.authorizers.items() if _authorizer(one, notes)},
        integrations={
            key: one
            for key, one in definition.integrations.items()
            if _integration(one, keys.get(key, ""), notes)
        },
        cors=_cors(definition, notes),
    )
    kept: tuple[Route, ...] = ()
    for route in definition.routes:
        if route.target.removeprefix("integrations/") in definition.integrations:
            one = route
        else:
            one = replace(route, target="")  # its integration is said already to be impossible
        where = f"Unable to create Route '{route.route_key}'"
        among = replace(definition, routes=kept)
        if _can(notes, where, bounds.check, routes.view(one)) and _can(
            notes, where, route_rules.check, among, one
        ):
            kept = (*kept, one)
    return replace(definition, routes=kept)


def _authorizer(one: Authorizer, notes: Notes) -> bool:
    where = f"Unable to create Authorizer '{one.name}'"
    return _can(notes, where, bounds.check, authorizers.view(one)) and _can(
        notes, where, authorizer_rules.check_http, one
    )


def _integration(one: Integration, route_key: str, notes: Notes) -> bool:
    where = "Unable to create Integration" + (f" for route '{route_key}'" if route_key else "")
    return _can(notes, where, bounds.check, integrations.view(one)) and _can(
        notes, where, integration_rules.check_http, one
    )


def _cors(definition: V2Definition, notes: Notes) -> Cors | None:
    shown = api_rules.show_cors(definition.cors)
    if shown is None:
        return None
    said = {"CorsConfiguration": {name: value for name, value in shown.items() if value is not None}}
    holds = _can(notes, "Unable to set CORS configuration", api_rules.changed, definition, said)
    return definition.cors if holds else None


def _can(
    notes: Notes, where: str, check: Callable[_Given, object], *given: _Given.args, **named: _Given.kwargs
) -> bool:
    """Whether a rule holds; its refusal becomes a warning of the import."""
    try:
        check(*given, **named)
    except AwsError as error:
        notes.warn(f"{where}: {error.message}")
        return False
    return True
