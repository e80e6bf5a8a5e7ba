"""Authorizers: who is asked about callers."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Authorizer
from cumulo.services.apigatewayv2 import authorizer_rules, bounds, editing
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import bad, conflict, too_many
from cumulo.wire.service import Operation, Values

AUTHORIZERS_MAX: Final = 10
TTL_DEFAULT_SECONDS: Final = 300
_MEMBERS: Final[Mapping[str, str]] = {
    "AuthorizerCredentialsArn": "authorizer_credentials_arn",
    "AuthorizerPayloadFormatVersion": "authorizer_payload_format_version",
    "AuthorizerResultTtlInSeconds": "ttl",
    "AuthorizerType": "authorizer_type",
    "AuthorizerUri": "authorizer_uri",
    "EnableSimpleResponses": "enable_simple_responses",
    "IdentityValidationExpression": "identity_validation_expression",
    "Name": "name",
}
_NOTE: Final = "a JWT issuer is not asked for its keys before the first request, and may be http; AWS asks at once, and wants https"


class Authorizers:
    """The operations on authorizers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateAuthorizer": Operation(self.create, note=_NOTE),
            "GetAuthorizer": Operation(self.get),
            "GetAuthorizers": Operation(self.get_all),
            "UpdateAuthorizer": Operation(self.update),
            "DeleteAuthorizer": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make an authorizer."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        if len(api.definition.authorizers) >= AUTHORIZERS_MAX:
            raise too_many("Authorizers")
        fresh = Authorizer(
            id=self._desk.new_id(), name=values["Name"], authorizer_type=values["AuthorizerType"]
        )
        made = _changed(fresh, values)
        if made.ttl is None and api.is_http and made.authorizer_type == "REQUEST":
            made = replace(made, ttl=TTL_DEFAULT_SECONDS if made.identity_source else 0)
        _check(api, made)
        await self._desk.change(api, editing.with_authorizer(api.definition, made))
        return view(made)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show an authorizer."""
        api = self._desk.api(caller, values)
        return view(editing.authorizer_of(api.definition, values["AuthorizerId"]))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show authorizers."""
        api = self._desk.api(caller, values)
        return page(api.definition.authorizers.values(), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of an authorizer."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        have = editing.authorizer_of(api.definition, values["AuthorizerId"])
        made = _changed(have, values)
        _check(api, made)
        users = _routes_with(api, have.id)
        if users and made.authorizer_type != have.authorizer_type:
            raise conflict(f"Cannot update authorizer '{have.name}', is referenced in route: {users[0]}")
        await self._desk.change(api, editing.with_authorizer(api.definition, made))
        return view(made)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete an authorizer that no route names."""
        api = self._desk.api(caller, values)
        have = editing.authorizer_of(api.definition, values["AuthorizerId"])
        users = _routes_with(api, have.id)
        if users:
            raise conflict(f"Cannot delete authorizer '{have.name}', is referenced in route: {users[0]}")
        left = editing.without(api.definition.authorizers, have.id)
        await self._desk.change(api, replace(api.definition, authorizers=left))


def view(one: Authorizer) -> Values:
    """An authorizer as AWS shows it."""
    jwt = None
    if one.authorizer_type == "JWT":
        jwt = {"Audience": list(one.jwt_audience), "Issuer": one.jwt_issuer}
    version = one.authorizer_payload_format_version
    return {
        "AuthorizerCredentialsArn": one.authorizer_credentials_arn or None,
        "AuthorizerId": one.id,
        "AuthorizerPayloadFormatVersion": version or None,
        "AuthorizerResultTtlInSeconds": one.ttl,
        "AuthorizerType": one.authorizer_type,
        "AuthorizerUri": one.authorizer_uri or None,
        "EnableSimpleResponses": one.enable_simple_responses if version else None,
        "IdentitySource": list(one.identity_source),
        "IdentityValidationExpression": one.identity_validation_expression or None,
        "JwtConfiguration": jwt,
        "Name": one.name,
    }


def _check(api: Api, made: Authorizer) -> None:
    if api.is_http:
        authorizer_rules.check_http(made)
    else:
        authorizer_rules.check_websocket(made)
    for other in api.definition.authorizers.values():
        if other.name == made.name and other.id != made.id:
            raise bad(
                f"Authorizer name must be unique. Authorizer {made.name} already exists in this RestApi."
            )


def _routes_with(api: Api, authorizer_id: str) -> list[str]:
    return [one.route_key for one in api.definition.routes if one.authorizer_id == authorizer_id]


def _changed(have: Authorizer, values: Values) -> Authorizer:
    changes: dict[str, Any] = {
        member: values[name] for name, member in _MEMBERS.items() if values.get(name) is not None
    }
    if values.get("IdentitySource") is not None:
        changes["identity_source"] = tuple(values["IdentitySource"])
    jwt = values.get("JwtConfiguration")
    if jwt is not None:
        if jwt.get("Audience") is not None:
            changes["jwt_audience"] = tuple(jwt["Audience"])
        if jwt.get("Issuer") is not None:
            changes["jwt_issuer"] = jwt["Issuer"]
    return replace(have, **changes)
