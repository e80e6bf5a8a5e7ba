"""The methods of resources."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Method
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace, with_method, with_resource, without
from cumulo.services.apigateway.finding import method_of, resource_of
from cumulo.services.apigateway.method_rules import checked
from cumulo.services.apigateway.patches import ADD_REMOVE, Table, entry, flag, members, value
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import method_view
from cumulo.wire.service import Operation, Values


class Methods:
    """The operations on methods."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutMethod": Operation(self.put),
            "GetMethod": Operation(self.get),
            "UpdateMethod": Operation(self.update),
            "DeleteMethod": Operation(self.delete),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutMethod."""
        api, resource = resource_of(self._records, caller, values)
        method = checked(
            api,
            Method(
                http_method=values["httpMethod"],
                authorization_type=values["authorizationType"].upper(),
                authorizer_id=values.get("authorizerId", ""),
                authorization_scopes=tuple(dict.fromkeys(values.get("authorizationScopes", ()))),
                api_key_required=values.get("apiKeyRequired", False),
                request_validator_id=values.get("requestValidatorId", ""),
                operation_name=values.get("operationName", ""),
                request_parameters=values.get("requestParameters", {}),
                request_models=values.get("requestModels", {}),
            ),
        )
        if method.http_method in resource.methods:
            raise refusals.conflict("Method already exists for this resource")
        self._records.apis.put(with_method(api, resource, method))
        await self._records.store.commit()
        return method_view(method)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetMethod."""
        _, _, method = method_of(self._records, caller, values)
        return method_view(method)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateMethod."""
        api, resource, method = method_of(self._records, caller, values)
        method = checked(api, _PATCHES.apply(method, values.get("patchOperations")))
        self._records.apis.put(with_method(api, resource, method))
        await self._records.store.commit()
        return method_view(method)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteMethod."""
        api, resource, method = method_of(self._records, caller, values)
        kept = without(resource.methods, method.http_method)
        self._records.apis.put(with_resource(api, replace(resource, methods=kept)))
        await self._records.store.commit()
        return {}


PARAMETER_MISSING: Final = "Invalid parameter name specified"
CONTENT_TYPE_MISSING: Final = "Content-Type specified was not found"
_PATCHES: Table[Method] = Table(
    value("/apiKeyRequired", "api_key_required", flag),
    value("/authorizationType", "authorization_type"),
    value("/authorizerId", "authorizer_id"),
    members("/authorizationScopes", "authorization_scopes", ADD_REMOVE),
    value("/operationName", "operation_name"),
    value("/requestValidatorId", "request_validator_id"),
    entry("/requestParameters/{name}", "request_parameters", flag, missing=PARAMETER_MISSING),
    entry("/requestModels/{contentType}", "request_models", missing=CONTENT_TYPE_MISSING),
)
