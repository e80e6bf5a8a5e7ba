"""APIs themselves."""

from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.services.apigatewayv2 import api_rules, bounds, identifiers, quick_create, tagging
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import (
    DEFAULT_STAGE,
    HTTP,
    Api,
    Stage,
    default_settings,
)
from cumulo.wire.service import Operation, Values

APIS_MAX: Final = 600
_ENDPOINT: Final = "ApiEndpoint is a name below .localhost, at the port of this server; IpAddressType is kept"


class Apis:
    """The operations on APIs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateApi": Operation(self.create, note=_ENDPOINT),
            "GetApi": Operation(self.get),
            "GetApis": Operation(self.get_all),
            "UpdateApi": Operation(self.update),
            "DeleteApi": Operation(self.delete),
            "DeleteCorsConfiguration": Operation(self.delete_cors_configuration),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make an API; with a target, all of it at once."""
        bounds.check(values)
        blank = self.blank(caller, values["ProtocolType"])
        definition = api_rules.changed(blank, {"RouteSelectionExpression": "", **values})
        api = Api(
            definition=definition,
            created=self._desk.clock.now(),
            description=values.get("Description") or "",
            version=values.get("Version") or "",
            ip_address_type=values.get("IpAddressType") or "ipv4",
            tags=tagging.checked(values.get("Tags") or {}, {}),
        )
        if quick_create.is_wanted(definition, values):
            ids = (self._desk.new_id(identifiers.ROUTE), self._desk.new_id(identifiers.ROUTE))
            api = replace(api, definition=quick_create.created(definition, values, *ids))
            self._desk.records.stages.put(self._default_stage(api))
        await self._desk.put(api)
        return view(api, caller)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show an API."""
        return view(self._desk.api(caller, values), caller)

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show APIs."""
        return page(self._desk.apis_of(caller), lambda one: one.id, lambda one: view(one, caller), values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of an API."""
        bounds.check(values)
        have = self._desk.api(caller, values)
        definition = api_rules.changed(have.definition, values)
        if quick_create.is_wanted(definition, values):
            definition = quick_create.updated(definition, values)
        changes: dict[str, Any] = {"definition": definition}
        for name, member in (
            ("Description", "description"),
            ("IpAddressType", "ip_address_type"),
            ("Version", "version"),
        ):
            if values.get(name) is not None:
                changes[member] = values[name]
        return view(await self._put(have, replace(have, **changes)), caller)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete an API with all that belongs to it."""
        api = self._desk.api(caller, values)
        self._desk.guard(api)
        records = self._desk.records
        for stage in records.stages.by("api", api.key):
            records.stages.delete(stage)
        for deployment in records.deployments.by("api", api.key):
            records.deployments.delete(deployment)
        records.apis.delete(api)
        await self._desk.settle([])
        self._desk.publisher.forget(api.id)

    async def delete_cors_configuration(self, caller: Caller, values: Values) -> None:
        """Say nothing to browsers of other origins any more; harmless when nothing was said."""
        api = self._desk.api(caller, values)
        await self._put(api, replace(api, definition=replace(api.definition, cors=None)))

    def blank(self, caller: Caller, protocol_type: str) -> V2Definition:
        """An API of which nothing is said yet.  TooManyRequestsException."""
        if len(self._desk.apis_of(caller)) >= APIS_MAX:
            raise AwsError(
                "TooManyRequestsException",
                "Maximum number of APIs for this account has been reached. "
                "Please contact AWS if you need additional APIs.",
                status=429,
            )
        return V2Definition(
            api_id=self._desk.new_id(identifiers.API),
            account=caller.account,
            region=caller.region,
            protocol_type=protocol_type,
            route_selection_expression=api_rules.ROUTE_SELECTION_HTTP if protocol_type == HTTP else "",
        )

    async def _put(self, have: Api, made: Api) -> Api:
        """Keep an API; deployments know nothing of its description, its version and its tags."""
        if made.definition != have.definition:
            return await self._desk.put(made)
        self._desk.records.apis.put(made)
        await self._desk.settle([])
        return made

    def _default_stage(self, api: Api) -> Stage:
        return Stage(
            api_key=api.key,
            settings=V2Stage(stage_name=DEFAULT_STAGE, default_route_settings=default_settings(http=True)),
            created=api.created,
            updated=api.created,
            auto_deploy=True,
            managed=True,
        )


def view(one: Api, caller: Caller) -> Values:
    """An API as AWS shows it."""
    definition = one.definition
    return {
        "ApiEndpoint": identifiers.api_endpoint(caller.endpoint, one.id, http=one.is_http),
        "ApiId": one.id,
        "ApiKeySelectionExpression": definition.api_key_selection_expression,
        "CorsConfiguration": api_rules.show_cors(definition.cors),
        "CreatedDate": one.created,
        "Description": one.description or None,
        "DisableExecuteApiEndpoint": definition.disable_execute_api_endpoint,
        "DisableSchemaValidation": definition.disable_schema_validation or None,
        "ImportInfo": list(one.import_info) or None,
        "IpAddressType": one.ip_address_type,
        "Name": definition.name,
        "ProtocolType": definition.protocol_type,
        "RouteSelectionExpression": definition.route_selection_expression,
        "Tags": dict(one.tags),
        "Version": one.version or None,
        "Warnings": list(one.warnings) or None,
    }
