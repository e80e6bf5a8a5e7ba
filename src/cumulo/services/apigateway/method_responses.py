"""What methods may answer, by status code."""

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Method, MethodResponse, Resource
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, replace, with_method, without
from cumulo.services.apigateway.finding import method_of
from cumulo.services.apigateway.mappings import check_method_response
from cumulo.services.apigateway.method_rules import check_models
from cumulo.services.apigateway.methods import CONTENT_TYPE_MISSING, PARAMETER_MISSING
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.patches import Table, entry, flag
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import given_empty, method_response_view
from cumulo.wire.service import Operation, Values


class MethodResponses:
    """The operations on method responses."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutMethodResponse": Operation(self.put),
            "GetMethodResponse": Operation(self.get),
            "UpdateMethodResponse": Operation(self.update),
            "DeleteMethodResponse": Operation(self.delete),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutMethodResponse."""
        api, resource, method = method_of(self._records, caller, values)
        response = MethodResponse(
            status_code=values["statusCode"],
            response_parameters=values.get("responseParameters", {}),
            response_models=values.get("responseModels", {}),
            shown_empty=given_empty(values, "responseParameters", "responseModels"),
        )
        if response.status_code in method.method_responses:
            raise refusals.conflict("Response already exists for this resource")
        return await self._keep(api, resource, method, response)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetMethodResponse."""
        *_, response = self._find(caller, values)
        return method_response_view(response)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateMethodResponse."""
        api, resource, method, response = self._find(caller, values)
        response = _PATCHES.apply(response, values.get("patchOperations"))
        return await self._keep(api, resource, method, response)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteMethodResponse."""
        api, resource, method, response = self._find(caller, values)
        kept = without(method.method_responses, response.status_code)
        self._records.apis.put(with_method(api, resource, replace(method, method_responses=kept)))
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> tuple[Api, Resource, Method, MethodResponse]:
        api, resource, method = method_of(self._records, caller, values)
        response = method.method_responses.get(values["statusCode"])
        if response is None:
            raise refusals.not_found("Invalid Response status code specified")
        return api, resource, method, response

    async def _keep(self, api: Api, resource: Resource, method: Method, response: MethodResponse) -> Values:
        check_method_response(response.response_parameters)
        check_models(api, response.response_models.values())
        responses = put_in(method.method_responses, response.status_code, response)
        self._records.apis.put(with_method(api, resource, replace(method, method_responses=responses)))
        await self._records.store.commit()
        return method_response_view(response)


_PATCHES: Table[MethodResponse] = Table(
    entry("/responseParameters/{name}", "response_parameters", flag, missing=PARAMETER_MISSING),
    entry("/responseModels/{contentType}", "response_models", missing=CONTENT_TYPE_MISSING),
)
