"""REST APIs: create, look at, change, delete."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import Model, Resource, RestDefinition
from cumulo.services.apigateway import api_rules, refusals
from cumulo.services.apigateway.changing import redefined, replace
from cumulo.services.apigateway.finding import api_key, api_of, owner_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.naming import API_ID, LONG_ID, checked_tags, new_id
from cumulo.services.apigateway.patches import (
    ADD_REMOVE,
    ALL,
    Field,
    Patch,
    Table,
    flag,
    inside,
    member,
    members,
    value,
)
from cumulo.services.apigateway.publishing import Publishing
from cumulo.services.apigateway.quotas import APIS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import api_view
from cumulo.wire.service import Operation, Values

_EMPTY: Final = """{
  "$schema": "http://json-schema.org/draft-04/schema#",
  "title" : "Empty Schema",
  "type" : "object"
}"""
_ERROR: Final = """{
  "$schema" : "http://json-schema.org/draft-04/schema#",
  "title" : "Error Schema",
  "type" : "object",
  "properties" : {
    "message" : { "type" : "string" }
  }
}"""


class RestApis:
    """The operations on REST APIs."""

    def __init__(self, records: Records, publishing: Publishing, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._publishing = publishing
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateRestApi": Operation(self.create),
            "GetRestApi": Operation(self.get),
            "GetRestApis": Operation(self.get_all),
            "UpdateRestApi": Operation(self.update),
            "DeleteRestApi": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateRestApi."""
        api = self.made(caller, values)
        self._records.apis.put(api)
        await self._records.store.commit()
        return api_view(api, tags=False)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetRestApi."""
        return api_view(api_of(self._records, caller, values), tags=True)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetRestApis."""
        return listed(
            self._records.apis.by("owner", owner_of(caller)),
            lambda one: f"{one.created_at:020.6f}{one.id}",
            values,
            lambda one: api_view(one, tags=False),
        )

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateRestApi."""
        before = api_of(self._records, caller, values)
        after = api_rules.settled(before, _PATCHES.apply(before, values.get("patchOperations")))
        api_rules.check_name(after.definition.name)
        self._records.apis.put(after)
        await self._records.store.commit()
        return api_view(after, tags=True)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRestApi."""
        api = api_of(self._records, caller, values)
        self._publishing.refuse_if_mapped(api.id)
        self._records.forget_api(api)
        await self._records.store.commit()
        self._publishing.forget(api)
        return {}

    def made(self, caller: Caller, values: Values) -> Api:
        """A new API as CreateRestApi is asked for it; nobody knows of it yet."""
        if self._records.apis.count("owner", owner_of(caller)) >= APIS_MAX:
            raise refusals.too_many("APIs", "this account")
        description = values.get("description")
        if description == "":
            raise refusals.bad_request("Description cannot be an empty string")
        endpoints = values.get("endpointConfiguration") or {}
        kind = api_rules.one_type(tuple(endpoints.get("types", ("EDGE",))))
        addresses = endpoints.get("ipAddressType") or ("dualstack" if kind == "PRIVATE" else "ipv4")
        vpc_endpoints = tuple(endpoints.get("vpcEndpointIds", ()))
        api_rules.check_addresses(kind, addresses, vpc_endpoints)
        api = Api(
            definition=self._definition(caller, values, kind),
            created_at=self._clock.now(),
            description=description,
            version=values.get("version", ""),
            ip_address_type=addresses,
            vpc_endpoint_ids=vpc_endpoints,
            security_policy=values.get("securityPolicy", ""),
            endpoint_access_mode=values.get("endpointAccessMode", ""),
            tags=checked_tags(values.get("tags", {}), {}),
        )
        if "cloneFrom" in values:
            return _cloned(api, self._original(caller, values["cloneFrom"]))
        return api

    def _definition(self, caller: Caller, values: Values, kind: str) -> RestDefinition:
        api_id, root_id = new_id(self._ids, API_ID), new_id(self._ids, LONG_ID)
        return RestDefinition(
            api_id=api_id,
            account=caller.account,
            region=caller.region,
            name=api_rules.check_name(values["name"]),
            root_resource_id=root_id,
            resources=(Resource(id=root_id, path="/"),),
            models=default_models(self._ids),
            binary_media_types=tuple(dict.fromkeys(values.get("binaryMediaTypes", ()))),
            minimum_compression_size=api_rules.compression_size(values.get("minimumCompressionSize")),
            policy=api_rules.policy_of(values.get("policy", ""), caller.account, caller.region, api_id),
            api_key_source=values.get("apiKeySource", "HEADER"),
            endpoint_types=(kind,),
            disable_execute_api_endpoint=values.get("disableExecuteApiEndpoint", False),
        )

    def _original(self, caller: Caller, api_id: str) -> Api:
        found = self._records.apis.get(api_key(caller, api_id))
        if found is None:
            raise refusals.unknown_api(caller.account, api_id)
        return found


def default_models(ids: Ids) -> dict[str, Model]:
    """The models that every new API has."""
    return {
        "Empty": Model(
            id=new_id(ids), name="Empty", description="This is a default empty schema model", schema=_EMPTY
        ),
        "Error": Model(
            id=new_id(ids), name="Error", description="This is a default error schema model", schema=_ERROR
        ),
    }


def _cloned(api: Api, original: Api) -> Api:
    """A new API with the contents of another."""
    other = original.definition
    return redefined(
        api,
        root_resource_id=other.root_resource_id,
        resources=other.resources,
        authorizers=other.authorizers,
        models=other.models,
        request_validators=other.request_validators,
        gateway_responses=other.gateway_responses,
    )


# -- patches -----------------------------------------------------------------------------------------------


def _change_types(api: Api, patch: Patch) -> Api:
    types = api_rules.endpoint_types_of(patch.text)
    if patch.op == "replace":
        return redefined(api, endpoint_types=types)
    have = api.definition.endpoint_types
    kept = tuple(one for one in have if one not in types)
    return redefined(api, endpoint_types=kept if patch.op == "remove" else kept + types)


def _change_addresses(api: Api, patch: Patch) -> Api:
    if patch.text not in ("ipv4", "dualstack"):
        raise refusals.bad_request("ipAddressType must be either ipv4 or dualstack.")
    return replace(api, ip_address_type=patch.text)


def _change_policy(api: Api, patch: Patch) -> Api:
    definition = api.definition
    text = "" if patch.op == "remove" else patch.text
    policy = api_rules.policy_of(text, definition.account, definition.region, api.id)
    return redefined(api, policy=policy)


_TYPES_OPS: Final = "Invalid patch operation specified. Must be 'add'|'remove'|'replace'"
_PATCHES: Table[Api] = Table(
    inside("definition", value("/name", "name")),
    value("/description", "description", lambda text: text or None, ALL),
    value("/version", "version"),
    inside("definition", value("/apiKeySource", "api_key_source", api_rules.choice("ApiKeySourceType", "HEADER", "AUTHORIZER"))),
    inside("definition", member("/binaryMediaTypes/{mediaType}", "binary_media_types", ALL)),
    inside(
        "definition", value("/minimumCompressionSize", "minimum_compression_size", api_rules.compression_of)
    ),
    inside("definition", value("/disableExecuteApiEndpoint", "disable_execute_api_endpoint", flag)),
    Field("/policy", ("replace", "remove"), _change_policy),
    Field("/endpointConfiguration/types", ALL, _change_types, _TYPES_OPS),
    Field("/endpointConfiguration/types/{type}", ALL, _change_types, _TYPES_OPS),
    Field("/endpointConfiguration/ipAddressType", ("replace",), _change_addresses),
    members("/endpointConfiguration/vpcEndpointIds", "vpc_endpoint_ids", ADD_REMOVE),
    value("/securityPolicy", "security_policy"),
    value("/endpointAccessMode", "endpoint_access_mode", api_rules.choice("EndpointAccessMode", "BASIC", "STRICT")),
)  # fmt: skip
