"""Which routes there can be.  Pure: a route as it would be kept, and AWS's sentence when it cannot be."""

import re
from collections.abc import Iterable
from typing import Final

from cumulo.gateway.definitions.v2 import Route, V2Definition
from cumulo.services.apigatewayv2.integration_rules import METHODS
from cumulo.services.apigatewayv2.refusals import bad, conflict, missing

DEFAULT: Final = "$default"
_MALFORMED: Final = (
    "The provided route key is not formatted properly for HTTP protocol. "
    'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
)
_TARGET: Final = "integrations/"
_VARIABLE: Final = re.compile(r"\{[A-Za-z0-9._:-]+\+?\}")
_PLAIN: Final = re.compile(r"[^\s{}?#]*")
_NEEDS_AUTHORIZER: Final = {  # the type of authorizer, and what its absence is called
    "CUSTOM": ("REQUEST", "CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."),
    "JWT": ("JWT", "JWT requires a valid JWT authorizer."),
}
_PARAMETER: Final = re.compile(r"route\.request\.(?:header|querystring)\.\S+")


def check(definition: V2Definition, made: Route) -> None:
    """A route among the others of its API.  BadRequestException, ConflictException, NotFoundException."""
    if definition.protocol_type == "HTTP":
        check_http_key(made.route_key)
        _check_http(made)
    else:
        _check_websocket(made)
    others = [one for one in definition.routes if one.id != made.id]
    check_unique(made.route_key, (one.route_key for one in others))
    _check_target(definition, made.target)
    _check_authorization(definition, made)


def check_http_key(key: str) -> None:
    """`GET /pets/{id}`, `ANY /{proxy+}`, `$default`.  BadRequestException."""
    if key == DEFAULT:
        return
    method, space, path = key.partition(" ")
    if not space or method not in METHODS or not path.startswith("/"):
        raise bad(_MALFORMED)
    parts = path[1:].split("/")
    seen: set[str] = set()
    for number, part in enumerate(parts, 1):
        if _VARIABLE.fullmatch(part):
            name = part[1:-1].removesuffix("+")
            if name in seen or ("+" in part and number < len(parts)):
                raise bad(_MALFORMED)
            seen.add(name)
        elif _PLAIN.fullmatch(part) is None:
            raise bad(_MALFORMED)


def check_unique(key: str, others: Iterable[str]) -> None:
    """Whether no other route answers for the same.  ConflictException."""
    shape = _shape(key)
    for other in others:
        if other == key:
            raise conflict(f"Route with key {key} already exists for this API")
        if _shape(other) == shape:
            raise conflict(
                f'The provided route key "{key}" has a conflicting variable on the same hierarchical level as "{other}"'
            )


def target_of(target: str) -> str:
    """The id of the integration that a target names; empty: none."""
    return target.removeprefix(_TARGET) if target.startswith(_TARGET) else ""


def _shape(key: str) -> str:
    """A key without the names of its variables."""
    return re.sub(r"\{[^{}+]*(\+?)\}", r"{\1}", key)


def _check_http(made: Route) -> None:
    if made.api_key_required:
        raise bad("ApiKeyRequired is not currently supported for HTTP APIs.")
    for name, value in (
        ("ModelSelectionExpression", made.model_selection_expression),
        ("RequestModels", made.request_models),
        ("RequestParameters", made.request_parameters),
        ("RouteResponseSelectionExpression", made.route_response_selection_expression),
    ):
        if value:
            raise bad(f"{name} is not currently supported for HTTP APIs.")


def _check_websocket(made: Route) -> None:
    if not made.route_key.strip():
        raise bad("Invalid route key specified")
    if made.authorization_type == "JWT":
        raise bad("JWT authorization type is not currently supported for WEBSOCKET APIs.")
    if made.authorization_type != "NONE" and made.route_key != "$connect":
        raise bad("Currently, authorization is restricted to the $connect route only")
    if made.route_response_selection_expression not in ("", DEFAULT):
        raise bad("Currently, only $default is supported as a RouteResponseSelectionExpression.")
    for name in made.request_parameters:
        if _PARAMETER.fullmatch(name) is None:
            raise bad(f"Invalid mapping expression specified: {name}")


def _check_target(definition: V2Definition, target: str) -> None:
    if not target:
        return
    integration_id = target_of(target)
    if not integration_id or "/" in integration_id:
        raise bad(
            "Unexpected or malformed target in route. Correct format should be integrations/<integration_id>."
        )
    if integration_id not in definition.integrations:
        raise missing("Integration", integration_id)


def _check_authorization(definition: V2Definition, made: Route) -> None:
    if made.authorization_scopes and made.authorization_type != "JWT":
        raise bad(
            "Invalid Route authorization type specified. Authorization Scopes are only valid for COGNITO_USER_POOLS and JWT "
            "authorization types"
        )
    wanted = _NEEDS_AUTHORIZER.get(made.authorization_type)
    if wanted is None:
        if made.authorizer_id:
            raise bad(
                "Authorizer ID is only valid for CUSTOM, COGNITO_USER_POOLS and JWT authorization types"
            )
        return
    kind, what = wanted
    authorizer = definition.authorizers.get(made.authorizer_id)
    if authorizer is None or authorizer.authorizer_type != kind:
        raise bad(f"Invalid authorizer ID specified. Setting the authorization type to {what}")
