"""Which integrations there can be.  Pure: an integration as it would be kept, and AWS's sentence when it cannot be."""

import re
from typing import Final
from urllib.parse import urlsplit

from cumulo.base.arn import parse_arn
from cumulo.gateway.definitions.v2 import Integration
from cumulo.gateway.http.subtypes import SUBTYPES
from cumulo.services.apigatewayv2 import mappings
from cumulo.services.apigatewayv2.refusals import bad

TIMEOUT_MAX_HTTP: Final = 30_000
TIMEOUT_MAX_WEBSOCKET: Final = 29_000
METHODS: Final = frozenset({"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_VARIABLE: Final = r"\$\{stageVariables\.[A-Za-z0-9._-]+\}"
_PART: Final = rf"(?:[A-Za-z0-9_$.-]|{_VARIABLE})+"
_FUNCTION: Final = re.compile(
    rf"arn:aws[a-z-]*:lambda:(?:[a-z0-9-]+|{_VARIABLE}):(?:[0-9]{{12}}|{_VARIABLE}):function:{_PART}(?::{_PART})?"
    rf"|{_VARIABLE}"
)
_INVOKE: Final = re.compile(
    r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:lambda:path/\d{4}-\d{2}-\d{2}/functions/(?P<function>.+)/invocations"
)
_ACTION: Final = re.compile(r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:[A-Za-z0-9.-]+:(?:path|action)/?\S*")
_ONLY_PROXIES: Final = (
    "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations "
    "(AWS_PROXY, HTTP_PROXY)"
)


def check_http(made: Integration) -> None:
    """An HTTP API's.  BadRequestException."""
    if made.integration_type not in {"AWS_PROXY", "HTTP_PROXY"}:
        raise bad(_ONLY_PROXIES)
    _check_websocket_only(made)
    _check_common(made, TIMEOUT_MAX_HTTP)
    if made.integration_type == "HTTP_PROXY":
        _check_http_proxy(made)
    elif made.integration_subtype:
        _check_first_class(made)
    else:
        _check_lambda_proxy(made)
    if not made.integration_subtype:
        mappings.check_request(made.request_parameters)
    mappings.check_response(made.response_parameters)


def check_websocket(made: Integration) -> None:
    """A WebSocket API's.  BadRequestException."""
    if made.integration_subtype:
        raise bad("IntegrationSubtype is not currently supported for WEBSOCKET APIs.")
    if made.server_name_to_verify:
        raise bad("TlsConfig is not currently supported for WEBSOCKET APIs.")
    if made.response_parameters:
        raise bad("ResponseParameters is not currently supported for WEBSOCKET APIs.")
    if made.payload_format_version != "1.0":
        raise bad(f"Unsupported PayloadFormatVersion: {made.payload_format_version}")
    _check_common(made, TIMEOUT_MAX_WEBSOCKET)
    _check_websocket_target(made)
    mappings.check_websocket_request(made.request_parameters)


def is_function(uri: str) -> bool:
    """Whether a uri names a Lambda function, by its ARN or by the path that invokes it."""
    found = _INVOKE.fullmatch(uri)
    return _FUNCTION.fullmatch(found["function"] if found is not None else uri) is not None


def is_role(arn: str) -> bool:
    """Whether this may be a role that API Gateway takes on, or the caller's own credentials."""
    found = parse_arn(arn)
    return found is not None and found.service == "iam"


def _check_common(made: Integration, timeout_max: int) -> None:
    if not 50 <= made.timeout_in_millis <= timeout_max:
        raise bad(f"Timeout should be between 50 ms and {timeout_max} ms")
    if made.integration_method and made.integration_method not in METHODS:
        raise bad(f"Invalid HttpMethod specified: {made.integration_method}")
    if made.credentials_arn and not is_role(made.credentials_arn):
        raise bad("Invalid ARN specified in the request")
    if made.connection_type == "VPC_LINK" and not made.connection_id:
        raise bad("ConnectionId must be set to vpcLinkId for ConnectionType VPC_LINK")
    if made.connection_type != "VPC_LINK" and made.connection_id:
        raise bad("ConnectionId can only be set for ConnectionType VPC_LINK")


def _check_websocket_only(made: Integration) -> None:
    for name, value in (
        ("RequestTemplates", made.request_templates),
        ("TemplateSelectionExpression", made.template_selection_expression),
        ("PassthroughBehavior", made.passthrough_behavior),
        ("ContentHandlingStrategy", made.content_handling_strategy),
    ):
        if value:
            raise bad(f"{name} is not currently supported for HTTP APIs.")


def _check_http_proxy(made: Integration) -> None:
    if made.integration_subtype:
        raise bad("IntegrationSubtype can only be set for integrations of type AWS_PROXY")
    if made.payload_format_version != "1.0":
        raise bad(
            f"PayloadFormatVersion {made.payload_format_version} is not supported for integration of type HTTP_PROXY"
        )
    if not made.integration_method:
        raise bad("HttpMethod parameter method must be specified for integrationType HTTPPROXY")
    if made.connection_type != "VPC_LINK":
        if made.server_name_to_verify:
            raise bad("TlsConfig can only be set for ConnectionType VPC_LINK")
        _check_url(made.integration_uri)
    elif not _is_private(made.integration_uri):
        raise bad(
            "For VpcLink VPC_LINK, integration uri should be a valid ELB listener ARN or a valid Cloud Map service ARN."
        )


def _is_private(uri: str) -> bool:
    found = parse_arn(uri)
    if found is None:
        return False
    if found.service == "elasticloadbalancing":
        return found.resource.startswith("listener/")
    return found.service == "servicediscovery" and found.resource.startswith("service/")


def _check_first_class(made: Integration) -> None:
    subtype = made.integration_subtype
    if subtype not in SUBTYPES or made.payload_format_version != "1.0":
        raise bad(f"Operation: {subtype} is not supported.")
    if made.integration_uri:
        raise bad(f"URI should not be specified for AWS_PROXY integration with Subtype: {subtype}")
    if not made.credentials_arn:
        raise bad(f"Role ARN must be specified for AWS integration configuration with Subtype: {subtype}")
    if made.connection_type == "VPC_LINK":
        raise bad("VPC_LINK can only be used with integrations of type HTTP_PROXY")
    mappings.check_subtype(subtype, made.request_parameters)


def _check_lambda_proxy(made: Integration) -> None:
    if made.payload_format_version not in {"1.0", "2.0"}:
        raise bad(f"Unsupported PayloadFormatVersion: {made.payload_format_version}")
    if made.connection_type == "VPC_LINK":
        raise bad("VPC_LINK can only be used with integrations of type HTTP_PROXY")
    _check_function(made.integration_uri)


def _check_websocket_target(made: Integration) -> None:
    kind = made.integration_type
    if kind == "MOCK":
        return
    if kind == "AWS_PROXY":
        _check_function(made.integration_uri)
        return
    if not made.integration_method:
        raise bad("Enumeration value for HttpMethod must be non-empty")
    if kind in {"HTTP", "HTTP_PROXY"}:
        _check_url(made.integration_uri)
        return
    if _ACTION.fullmatch(made.integration_uri) is None:
        raise bad("AWS ARN for integration must contain path or action")
    if not is_function(made.integration_uri) and not made.credentials_arn:
        raise bad("Role ARN must be specified for AWS integrations")


def _check_function(uri: str) -> None:
    if not is_function(uri):
        raise bad(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."
        )


def _check_url(uri: str) -> None:
    fault = bad("Invalid HTTP endpoint specified for URI")
    if uri.startswith("${stageVariables."):
        return
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise fault from None
    if parts.scheme not in {"http", "https"} or not parts.netloc or any(one.isspace() for one in uri):
        raise fault
