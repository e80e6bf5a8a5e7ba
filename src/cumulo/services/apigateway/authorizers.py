"""Authorizers: who is asked about callers."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import Authorizer
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.authorizer_rules import check_authorizer
from cumulo.services.apigateway.changing import put_in, redefined, without
from cumulo.services.apigateway.finding import api_of, authorizer_of, find_api
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import ALL, Table, members, value, whole
from cumulo.services.apigateway.quotas import AUTHORIZERS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Operation, Values

_AUTH_TYPES: Final = {"TOKEN": "custom", "REQUEST": "custom", "COGNITO_USER_POOLS": "cognito_user_pools"}


class Authorizers:
    """The operations on authorizers."""

    def __init__(self, records: Records, ids: Ids) -> None:
        self._records = records
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateAuthorizer": Operation(self.create),
            "GetAuthorizer": Operation(self.get),
            "GetAuthorizers": Operation(self.get_all),
            "UpdateAuthorizer": Operation(self.update),
            "DeleteAuthorizer": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateAuthorizer."""
        api = find_api(self._records, caller, values)
        if api is None:
            raise refusals.busy()
        if len(api.definition.authorizers) >= AUTHORIZERS_MAX:
            raise refusals.too_many("authorizers")
        authorizer = Authorizer(
            id=new_id(self._ids),
            name=values["name"],
            type=values["type"],
            provider_arns=tuple(dict.fromkeys(values.get("providerARNs", ()))),
            auth_type=values.get("authType") or _AUTH_TYPES[values["type"]],
            authorizer_uri=values.get("authorizerUri", ""),
            authorizer_credentials=values.get("authorizerCredentials", ""),
            identity_source=values.get("identitySource", ""),
            identity_validation_expression=values.get("identityValidationExpression", ""),
            ttl=values.get("authorizerResultTtlInSeconds"),
        )
        return await self._keep(api, authorizer)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetAuthorizer."""
        _, authorizer = authorizer_of(self._records, caller, values)
        return _view(authorizer)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetAuthorizers."""
        found = list(api_of(self._records, caller, values).definition.authorizers.values())
        return listed(found, lambda one: one.id, values, _view)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateAuthorizer."""
        api, authorizer = authorizer_of(self._records, caller, values)
        return await self._keep(api, _PATCHES.apply(authorizer, values.get("patchOperations")))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteAuthorizer, unless a method asks it."""
        api, authorizer = authorizer_of(self._records, caller, values)
        for resource in api.definition.resources:
            for method in resource.methods.values():
                if method.authorizer_id == authorizer.id:
                    where = f"{resource.path}/{method.http_method}"
                    raise refusals.conflict(
                        f"Cannot delete authorizer '{authorizer.id}', is referenced in method: {where}"
                    )
        kept = without(api.definition.authorizers, authorizer.id)
        self._records.apis.put(redefined(api, authorizers=kept))
        await self._records.store.commit()
        return {}

    async def _keep(self, api: Api, authorizer: Authorizer) -> Values:
        check_authorizer(api, authorizer)
        authorizers = put_in(api.definition.authorizers, authorizer.id, authorizer)
        self._records.apis.put(redefined(api, authorizers=authorizers))
        await self._records.store.commit()
        return _view(authorizer)


def _view(authorizer: Authorizer) -> Values:
    view = filled(
        id=authorizer.id,
        name=authorizer.name,
        type=authorizer.type,
        providerARNs=list(authorizer.provider_arns),
        authType=authorizer.auth_type,
        authorizerUri=authorizer.authorizer_uri,
        authorizerCredentials=authorizer.authorizer_credentials,
        identitySource=authorizer.identity_source,
        identityValidationExpression=authorizer.identity_validation_expression,
    )
    view["authorizerResultTtlInSeconds"] = authorizer.ttl
    return view


def _ttl(text: str) -> int | None:
    return whole(text, "Authorizer result TTL must be a number of seconds") if text else None


def _type(text: str) -> str:
    if text not in _AUTH_TYPES:
        raise refusals.bad_request(
            f"Invalid AuthorizerType specified. Valid options are {','.join(_AUTH_TYPES)}"
        )
    return text


_PATCHES: Table[Authorizer] = Table(
    value("/name", "name"),
    value("/type", "type", _type),
    value("/authType", "auth_type"),
    value("/authorizerUri", "authorizer_uri"),
    value("/authorizerCredentials", "authorizer_credentials", ops=ALL),
    value("/authorizerResultTtlInSeconds", "ttl", _ttl, ops=ALL),
    value("/identitySource", "identity_source", ops=ALL),
    value("/identityValidationExpression", "identity_validation_expression", ops=ALL),
    members("/providerARNs", "provider_arns", ALL),
)
