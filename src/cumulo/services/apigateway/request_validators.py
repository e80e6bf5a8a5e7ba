"""Request validators: what is checked before an integration is called."""

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import RequestValidator
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, redefined, without
from cumulo.services.apigateway.finding import api_of, find_api
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import Table, flag, value
from cumulo.services.apigateway.quotas import REQUEST_VALIDATORS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.wire.service import Operation, Values


class RequestValidators:
    """The operations on request validators."""

    def __init__(self, records: Records, ids: Ids) -> None:
        self._records = records
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateRequestValidator": Operation(self.create),
            "GetRequestValidator": Operation(self.get),
            "GetRequestValidators": Operation(self.get_all),
            "UpdateRequestValidator": Operation(self.update),
            "DeleteRequestValidator": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateRequestValidator."""
        api = find_api(self._records, caller, values)
        if api is None:
            raise refusals.bad_request("Invalid REST API identifier specified")
        if len(api.definition.request_validators) >= REQUEST_VALIDATORS_MAX:
            raise refusals.too_many("request validators")
        validator = RequestValidator(
            id=new_id(self._ids),
            name=_checked_name(values.get("name", "")),
            validate_request_body=values.get("validateRequestBody", False),
            validate_request_parameters=values.get("validateRequestParameters", False),
        )
        return await self._keep(api, validator)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetRequestValidator."""
        _, validator = self._find(caller, values)
        return _view(validator)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetRequestValidators."""
        found = list(api_of(self._records, caller, values).definition.request_validators.values())
        return listed(found, lambda one: one.id, values, _view)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateRequestValidator."""
        api, validator = self._find(caller, values)
        return await self._keep(api, _PATCHES.apply(validator, values.get("patchOperations")))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRequestValidator, unless a method asks for it."""
        api, validator = self._find(caller, values)
        for resource in api.definition.resources:
            for method in resource.methods.values():
                if method.request_validator_id == validator.id:
                    where = f"{resource.path}/{method.http_method}"
                    raise refusals.conflict(
                        f"Cannot delete request validator '{validator.id}', is referenced in method: {where}"
                    )
        kept = without(api.definition.request_validators, validator.id)
        self._records.apis.put(redefined(api, request_validators=kept))
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> tuple[Api, RequestValidator]:
        api = find_api(self._records, caller, values)
        found = api.definition.request_validators.get(values["requestValidatorId"]) if api else None
        if api is None or found is None:
            raise refusals.unknown("Request Validator")
        return api, found

    async def _keep(self, api: Api, validator: RequestValidator) -> Values:
        validators = put_in(api.definition.request_validators, validator.id, validator)
        self._records.apis.put(redefined(api, request_validators=validators))
        await self._records.store.commit()
        return _view(validator)


def _checked_name(name: str) -> str:
    if not name.strip():
        raise refusals.bad_request("Request Validator name cannot be blank")
    return name


def _view(validator: RequestValidator) -> Values:
    return {
        "id": validator.id,
        "name": validator.name,
        "validateRequestBody": validator.validate_request_body,
        "validateRequestParameters": validator.validate_request_parameters,
    }


_PATCHES: Table[RequestValidator] = Table(
    value("/name", "name", _checked_name),
    value("/validateRequestParameters", "validate_request_parameters", flag),
    value("/validateRequestBody", "validate_request_body", flag),
    listed=True,
)
