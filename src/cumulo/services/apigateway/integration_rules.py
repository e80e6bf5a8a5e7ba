"""What an integration may be.  Pure."""

import re
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.errors import not_implemented
from cumulo.gateway.definitions.rest import Integration, Method
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.mappings import check_integration_request, check_templates
from cumulo.services.apigateway.method_rules import check_http_method
from cumulo.services.apigateway.quotas import (
    INTEGRATION_MILLIS_MAX,
    INTEGRATION_MILLIS_MIN,
    STREAM_MILLIS_MAX,
)

_HTTP: Final = re.compile(r"https?://[^\s/]+.*", re.DOTALL)
_FUNCTION: Final = re.compile(
    r"path/+(2015-03-31|2021-11-15)/functions/[^/]+/(invocations|response-streaming-invocations)"
)
_PASSTHROUGH: Final = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
_VARIABLE: Final = re.compile(r"\$\{stageVariables\.[^}]+\}")
_PROXY: Final = "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."


def check_integration(integration: Integration, method: Method) -> None:
    """BadRequestException for what AWS does not take at PutIntegration or UpdateIntegration."""
    if integration.type in ("HTTP", "HTTP_PROXY"):
        _check_method(integration)
        if not _HTTP.fullmatch(integration.uri):
            raise refusals.bad_request("Invalid HTTP endpoint specified for URI")
    elif integration.type in ("AWS", "AWS_PROXY"):
        _check_method(integration)
        _check_arn(integration)
    _check_connection(integration)
    _check_transfer(integration)
    _check_timeout(integration)
    if integration.passthrough_behavior not in _PASSTHROUGH:
        raise refusals.bad_request(
            f"Invalid PassthroughBehavior specified. Valid options are {','.join(_PASSTHROUGH)}"
        )
    check_templates(integration.request_templates)
    check_integration_request(integration.request_parameters, method.request_parameters)
    for parameter in integration.cache_key_parameters:
        if parameter not in method.request_parameters and parameter not in integration.request_parameters:
            raise refusals.bad_request(f"Invalid cache key parameter specified: {parameter}")


def has_variable(text: str) -> bool:
    """Whether a stage variable is put into the text when a request comes."""
    return bool(_VARIABLE.search(text))


def _check_method(integration: Integration) -> None:
    if not integration.http_method:
        raise refusals.bad_request("Enumeration value for HttpMethod must be non-empty")
    check_http_method(integration.http_method)


def _check_arn(integration: Integration) -> None:
    arn = parse_arn(integration.uri)
    if arn is None:
        raise refusals.bad_request("Invalid ARN specified in the request")
    service, target = arn.account, arn.resource
    if arn.service != "apigateway" or not target.startswith(("path/", "action/")):
        raise refusals.bad_request("AWS ARN for integration must contain path or action")
    is_function = service == "lambda" and bool(_FUNCTION.fullmatch(target))
    if integration.type == "AWS_PROXY" and not is_function:
        if service.rpartition(".")[2] == "firehose":
            raise not_implemented(
                "apigateway", "PutIntegration", "AWS_PROXY integrations of Firehose streams"
            )
        raise refusals.bad_request(_PROXY)
    if service != "lambda" and not integration.credentials:
        raise refusals.bad_request("Role ARN must be specified for AWS integrations")
    credentials = integration.credentials
    if credentials and parse_arn(credentials) is None and not has_variable(credentials):
        raise refusals.bad_request("Invalid ARN specified in the request")


def _check_connection(integration: Integration) -> None:
    if integration.connection_type != "VPC_LINK":
        if integration.connection_id or integration.integration_target:
            raise refusals.bad_request("Connection ID can only be specified for connection type VPC_LINK")
        return
    if integration.type not in ("HTTP", "HTTP_PROXY"):
        raise refusals.bad_request("Connection type VPC_LINK is only supported for HTTP and HTTP_PROXY")
    if not integration.connection_id:
        raise refusals.bad_request("Connection ID must be specified for connection type VPC_LINK")
    if integration.integration_target and parse_arn(integration.integration_target) is None:
        raise refusals.bad_request(f"Invalid ARN. ARN is not well formed {integration.integration_target}")


def _check_transfer(integration: Integration) -> None:
    streams = integration.response_transfer_mode == "STREAM"
    if streams and integration.type not in ("HTTP_PROXY", "AWS_PROXY"):
        raise refusals.bad_request(
            "Response transfer mode STREAM is only supported for HTTP_PROXY and AWS_PROXY integrations"
        )
    if integration.type == "AWS_PROXY":
        uri_streams = integration.uri.endswith("/response-streaming-invocations")
        if uri_streams != streams:
            mode = "STREAM" if uri_streams else "BUFFERED"
            raise refusals.bad_request(f"The integration URI requires the response transfer mode {mode}")


def _check_timeout(integration: Integration) -> None:
    most = STREAM_MILLIS_MAX if integration.response_transfer_mode == "STREAM" else INTEGRATION_MILLIS_MAX
    if not INTEGRATION_MILLIS_MIN <= integration.timeout_in_millis <= most:
        raise refusals.bad_request(f"Timeout should be between {INTEGRATION_MILLIS_MIN} ms and {most} ms")
