"""Gateway responses: what the gateway itself answers when it refuses; AWS's defaults where an API says nothing."""

import re
from typing import Final

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import GatewayResponse
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, redefined, replace, without
from cumulo.services.apigateway.finding import api_of
from cumulo.services.apigateway.mappings import check_templates
from cumulo.services.apigateway.methods import CONTENT_TYPE_MISSING, PARAMETER_MISSING
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.patches import Field, Patch, Table, entry, value
from cumulo.services.apigateway.records import Records
from cumulo.wire.service import Operation, Values

STATUSES: Final = {
    "ACCESS_DENIED": "403",
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "BAD_REQUEST_BODY": "400",
    "BAD_REQUEST_PARAMETERS": "400",
    "DEFAULT_4XX": "",
    "DEFAULT_5XX": "",
    "EXPIRED_TOKEN": "403",
    "INTEGRATION_FAILURE": "504",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "INVALID_SIGNATURE": "403",
    "MISSING_AUTHENTICATION_TOKEN": "403",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
    "WAF_FILTERED": "403",
}
TEMPLATES: Final = {"application/json": '{"message":$context.error.messageString}'}
_STATUS: Final = re.compile(r"[1-5]\d\d")
_TARGET: Final = re.compile(r"gatewayresponse\.header\.[^\s'\"]+")
_SOURCE: Final = re.compile(
    r"'.*'|method\.request\.(header|querystring|path|multivalueheader|multivaluequerystring)\.\S+|"
    r"(context|stageVariables)\.\S+",
    re.DOTALL,
)


class GatewayResponses:
    """The operations on gateway responses."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutGatewayResponse": Operation(self.put),
            "GetGatewayResponse": Operation(self.get),
            "GetGatewayResponses": Operation(self.get_all),
            "UpdateGatewayResponse": Operation(self.update),
            "DeleteGatewayResponse": Operation(self.delete),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutGatewayResponse."""
        api = api_of(self._records, caller, values)
        kind = values["responseType"]
        response = GatewayResponse(
            response_type=kind,
            status_code=values.get("statusCode", ""),
            response_parameters=values.get("responseParameters", {}),
            response_templates=values.get("responseTemplates", {}),
        )
        return await self._keep(api, completed(response))

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetGatewayResponse."""
        return _view(api_of(self._records, caller, values), values["responseType"])

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetGatewayResponses: all there are, the API's own and the defaults."""
        api = api_of(self._records, caller, values)
        return {"items": [_view(api, kind) for kind in STATUSES]}

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateGatewayResponse; a default one becomes the API's own."""
        api = api_of(self._records, caller, values)
        kind = values["responseType"]
        own = api.definition.gateway_responses.get(kind) or GatewayResponse(
            response_type=kind, status_code=STATUSES[kind], response_templates=TEMPLATES
        )
        return await self._keep(api, _PATCHES.apply(own, values.get("patchOperations")))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteGatewayResponse: the default one is back."""
        api = api_of(self._records, caller, values)
        kind = values["responseType"]
        if kind not in api.definition.gateway_responses:
            raise refusals.not_found("Gateway response type not defined on api")
        kept = without(api.definition.gateway_responses, kind)
        self._records.apis.put(redefined(api, gateway_responses=kept))
        await self._records.store.commit()
        return {}

    async def _keep(self, api: Api, response: GatewayResponse) -> Values:
        check_response(response)
        responses = put_in(api.definition.gateway_responses, response.response_type, response)
        api = redefined(api, gateway_responses=responses)
        self._records.apis.put(api)
        await self._records.store.commit()
        return _view(api, response.response_type)


def _view(api: Api, kind: str) -> Values:
    """A response as clients see it: the API's own, else what DEFAULT_4XX or DEFAULT_5XX make of the default."""
    have = api.definition.gateway_responses
    own = have.get(kind)
    family = "" if kind.startswith("DEFAULT_") else f"DEFAULT_{STATUSES[kind][0]}XX"
    shown = own or have.get(family) or GatewayResponse(response_type=kind)
    view = {
        "responseType": kind,
        "responseParameters": dict(shown.response_parameters),
        "responseTemplates": dict(shown.response_templates or TEMPLATES),
        "defaultResponse": own is None,
    }
    status = shown.status_code or STATUSES[kind]
    return view | ({"statusCode": status} if status else {})


def completed(response: GatewayResponse) -> GatewayResponse:
    """The response with AWS's status and template where it says none."""
    return replace(
        response,
        status_code=response.status_code or STATUSES[response.response_type],
        response_templates=response.response_templates or TEMPLATES,
    )


def check_response(response: GatewayResponse) -> None:
    """BadRequestException for what a gateway response cannot be."""
    if None in response.response_templates.values():
        raise refusals.bad_request("Invalid null or empty value in responseTemplates")
    check_templates(response.response_templates)
    for target, source in response.response_parameters.items():
        for text, form in ((target, _TARGET), (source, _SOURCE)):
            if not form.fullmatch(text):
                raise refusals.bad_request(
                    "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
                    f"[Invalid mapping expression parameter specified: {text}]"
                )


def _status(text: str) -> str:
    if not _STATUS.fullmatch(text):
        raise refusals.bad_request(f"Invalid status code specified: {text}")
    return text


def _filled_entry(path: str, name: str, shown: str, missing: str) -> Field[GatewayResponse]:
    """An entry that must have a value."""
    field = entry(path, name, missing=missing)

    def change(response: GatewayResponse, patch: Patch) -> GatewayResponse:
        if patch.op != "remove" and not patch.text:
            raise refusals.bad_request(f"Invalid null or empty value in {shown}")
        changed: GatewayResponse = field.change(response, patch)
        return changed

    return Field(field.path, field.ops, change)


_STATUS_FIELD: Final = value("/statusCode", "status_code", _status)
_PATCHES: Table[GatewayResponse] = Table(
    Field(_STATUS_FIELD.path, _STATUS_FIELD.ops, _STATUS_FIELD.change, "Invalid patch path {path}"),
    _filled_entry(
        "/responseParameters/{name}", "response_parameters", "responseParameters", PARAMETER_MISSING
    ),
    _filled_entry(
        "/responseTemplates/{contentType}", "response_templates", "responseTemplates", CONTENT_TYPE_MISSING
    ),
)
