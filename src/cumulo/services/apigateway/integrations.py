"""What methods call."""

from typing import Any, Final

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Integration, Method
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import with_integration
from cumulo.services.apigateway.finding import integration_of, method_of
from cumulo.services.apigateway.integration_rules import check_integration, has_variable
from cumulo.services.apigateway.mappings import templates_of
from cumulo.services.apigateway.methods import CONTENT_TYPE_MISSING, PARAMETER_MISSING
from cumulo.services.apigateway.patches import (
    ADD_REMOVE,
    Table,
    entry,
    flag,
    member,
    members,
    value,
    whole,
)
from cumulo.services.apigateway.quotas import INTEGRATION_MILLIS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import integration_view
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_NOTE: Final = "AWS_PROXY of Firehose streams is refused"


class Integrations:
    """The operations on integrations."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutIntegration": Operation(self.put, note=_NOTE),
            "GetIntegration": Operation(self.get),
            "UpdateIntegration": Operation(self.update),
            "DeleteIntegration": Operation(self.delete),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutIntegration; one that was there goes, with its responses."""
        api, resource, method = method_of(self._records, caller, values)
        integration = _made(values)
        self._check(caller, integration, method)
        self._records.apis.put(with_integration(api, resource, method, integration))
        await self._records.store.commit()
        return integration_view(integration)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetIntegration."""
        *_, integration = integration_of(self._records, caller, values)
        return integration_view(integration)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateIntegration."""
        api, resource, method, integration = integration_of(self._records, caller, values)
        integration = _PATCHES.apply(integration, values.get("patchOperations"))
        self._check(caller, integration, method)
        self._records.apis.put(with_integration(api, resource, method, integration))
        await self._records.store.commit()
        return integration_view(integration)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteIntegration."""
        api, resource, method, _ = integration_of(self._records, caller, values)
        self._records.apis.put(with_integration(api, resource, method, None))
        await self._records.store.commit()
        return {}

    def _check(self, caller: Caller, integration: Integration, method: Method) -> None:
        check_integration(integration, method)
        link = integration.connection_id
        # A target names what a link of apigatewayv2 leads to: those links are not ours to look up.
        if not link or has_variable(link) or integration.integration_target:
            return
        if self._records.vpc_links.get(join_key(caller.account, caller.region, link)) is None:
            raise refusals.bad_request("Invalid Vpc Link identifier specified")


def _made(values: Values) -> Integration:
    tls: dict[str, Any] = values.get("tlsConfig", {})
    return Integration(
        type=values["type"],
        http_method=values.get("integrationHttpMethod", ""),
        uri=values.get("uri", ""),
        connection_type=values.get("connectionType", "INTERNET"),
        connection_id=values.get("connectionId", ""),
        integration_target=values.get("integrationTarget", ""),
        credentials=values.get("credentials", ""),
        request_parameters=values.get("requestParameters", {}),
        request_templates=templates_of(values.get("requestTemplates", {})),
        passthrough_behavior=values.get("passthroughBehavior", "WHEN_NO_MATCH"),
        content_handling=values.get("contentHandling", ""),
        timeout_in_millis=values.get("timeoutInMillis", INTEGRATION_MILLIS_MAX),
        cache_namespace=values.get("cacheNamespace") or values["resourceId"],
        cache_key_parameters=tuple(dict.fromkeys(values.get("cacheKeyParameters", ()))),
        insecure_skip_verification=tls.get("insecureSkipVerification", False),
        response_transfer_mode=values.get("responseTransferMode", "BUFFERED"),
    )


def _millis(text: str) -> int:
    return whole(text, f"Timeout should be between 50 ms and {INTEGRATION_MILLIS_MAX} ms")


def _handling(text: str) -> str:
    if text not in ("", "CONVERT_TO_TEXT", "CONVERT_TO_BINARY"):
        raise refusals.bad_request(
            "Invalid ContentHandlingStrategy specified. Valid options are CONVERT_TO_BINARY,CONVERT_TO_TEXT"
        )
    return text


def _connection(text: str) -> str:
    if text not in ("INTERNET", "VPC_LINK"):
        raise refusals.bad_request("Invalid ConnectionType specified. Valid options are INTERNET,VPC_LINK")
    return text


def _transfer(text: str) -> str:
    if text not in ("BUFFERED", "STREAM"):
        raise refusals.bad_request(
            "Invalid ResponseTransferMode specified. Valid options are BUFFERED,STREAM"
        )
    return text


_CLEARED: Final = ("replace", "remove")
_PATCHES: Table[Integration] = Table(
    value("/httpMethod", "http_method"),
    value("/uri", "uri"),
    value("/credentials", "credentials", ops=("add", "replace", "remove")),
    value("/connectionType", "connection_type", _connection),
    value("/connectionId", "connection_id", ops=_CLEARED),
    value("/integrationTarget", "integration_target", ops=_CLEARED),
    value("/passthroughBehavior", "passthrough_behavior"),
    value("/contentHandling", "content_handling", _handling, ops=_CLEARED),
    value("/timeoutInMillis", "timeout_in_millis", _millis),
    value("/cacheNamespace", "cache_namespace"),
    value("/tlsConfig/insecureSkipVerification", "insecure_skip_verification", flag),
    value("/responseTransferMode", "response_transfer_mode", _transfer),
    members("/cacheKeyParameters", "cache_key_parameters", ADD_REMOVE),
    member("/cacheKeyParameters/{name}", "cache_key_parameters", ("add", "replace", "remove")),
    entry("/requestParameters/{name}", "request_parameters", missing=PARAMETER_MISSING),
    entry(
        "/requestTemplates/{contentType}",
        "request_templates",
        lambda text: text or None,
        missing=CONTENT_TYPE_MISSING,
    ),
)
handling = _handling
