"""What APIs may be told.  Pure: AWS's sentence when they may not."""

import re
from typing import Any, Final

from msgspec.structs import replace

from cumulo.gateway.definitions.v2 import Cors, V2Definition
from cumulo.services.apigatewayv2.integration_rules import METHODS
from cumulo.services.apigatewayv2.records import HTTP
from cumulo.services.apigatewayv2.refusals import bad
from cumulo.wire.service import Values

ROUTE_SELECTION_HTTP: Final = "$request.method $request.path"
_ROUTE_SELECTIONS_HTTP: Final = frozenset({ROUTE_SELECTION_HTTP, "${request.method} ${request.path}"})
_KEY_SELECTIONS: Final = frozenset(
    {
        "$request.header.x-api-key",
        "${request.header.x-api-key}",
        "$context.authorizer.usageIdentifierKey",
        "${context.authorizer.usageIdentifierKey}",
    }
)
_ORIGIN: Final = re.compile(r"\*|https?://\S+")
_CORS: Final = (
    ("AllowHeaders", "allow_headers"),
    ("AllowMethods", "allow_methods"),
    ("AllowOrigins", "allow_origins"),
    ("ExposeHeaders", "expose_headers"),
)


def changed(have: V2Definition, values: Values) -> V2Definition:
    """What is sent over what is there, of what is said of an API itself.  BadRequestException."""
    changes: dict[str, Any] = {}
    for name, member in (
        ("ApiKeySelectionExpression", "api_key_selection_expression"),
        ("DisableExecuteApiEndpoint", "disable_execute_api_endpoint"),
        ("DisableSchemaValidation", "disable_schema_validation"),
        ("Name", "name"),
        ("RouteSelectionExpression", "route_selection_expression"),
    ):
        if values.get(name) is not None:
            changes[member] = values[name]
    for member in ("api_key_selection_expression", "route_selection_expression"):
        if changes.get(member) == "" and have.protocol_type == HTTP:
            del changes[member]
    if values.get("CorsConfiguration") is not None:
        changes["cors"] = _cors(values["CorsConfiguration"])
    made = replace(have, **changes)
    _check(made)
    return made


def show_cors(cors: Cors | None) -> Values | None:
    """Cross-origin settings as AWS shows them."""
    if cors is None:
        return None
    shown: Values = {name: list(getattr(cors, member)) or None for name, member in _CORS}
    return shown | {"AllowCredentials": cors.allow_credentials, "MaxAge": cors.max_age}


def _check(made: V2Definition) -> None:
    if not made.name.strip():
        raise bad("Invalid API name specified")
    if made.api_key_selection_expression not in _KEY_SELECTIONS:
        raise bad("Invalid apiKeySelectionExpression")
    if made.protocol_type == HTTP:
        if made.route_selection_expression not in _ROUTE_SELECTIONS_HTTP:
            raise bad(
                'Route selection expression is currently limited to "${request.method} ${request.path}"'
            )
        if made.disable_schema_validation:
            raise bad("DisableSchemaValidation is not currently supported for HTTP APIs.")
    else:
        if "$" not in made.route_selection_expression:
            raise bad("Invalid routeSelectionExpression")
        if made.cors is not None:
            raise bad("Cors is not supported for WEBSOCKET protocolType")


def _cors(sent: Values) -> Cors:
    cors = Cors(
        **{member: tuple(sent.get(name) or ()) for name, member in _CORS},
        allow_credentials=sent.get("AllowCredentials"),
        max_age=sent.get("MaxAge"),
    )
    for origin in cors.allow_origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise bad(f"Invalid format for origin {origin}")
    for method in cors.allow_methods:
        if method != "*" and method.upper() not in METHODS:
            raise bad(f"Invalid HTTP method {method} in allow-methods")
    if cors.allow_credentials and "*" in cors.allow_origins:
        raise bad("allow-credentials is not supported if 'allow-origin' is *")
    return cors
