"""Which authorizers there can be.  Pure: an authorizer as it would be kept, and AWS's sentence when it cannot be."""

import re
from typing import Final
from urllib.parse import urlsplit

from cumulo.gateway.definitions.v2 import Authorizer
from cumulo.services.apigatewayv2.integration_rules import is_function, is_role
from cumulo.services.apigatewayv2.refusals import bad

_HTTP_SOURCE: Final = re.compile(
    r"\$(?:request\.(?:header|querystring)\.\S+|context\.\S+|stageVariables\.\S+)"
)
_TOKEN_SOURCE: Final = re.compile(r"\$request\.(?:header|querystring)\.\S+")
_WEBSOCKET_SOURCE: Final = re.compile(
    r"(?:route\.request\.(?:header|querystring)\.\S+|context\.\S+|stageVariables\.\S+)"
)


def check_http(made: Authorizer) -> None:
    """An HTTP API's.  BadRequestException."""
    _check_name(made)
    if made.identity_validation_expression:
        raise bad("IdentityValidationExpression is not currently supported for HTTP APIs.")
    if made.authorizer_type == "JWT":
        _check_jwt(made)
    else:
        _check_request(made)


def check_websocket(made: Authorizer) -> None:
    """A WebSocket API's.  BadRequestException."""
    _check_name(made)
    if made.authorizer_type != "REQUEST":
        raise bad("Only REQUEST authorizer type is supported on WEBSOCKET protocol Apis.")
    if made.authorizer_payload_format_version:
        raise bad("AuthorizerPayloadFormatVersion is not currently supported for WEBSOCKET APIs.")
    if made.enable_simple_responses:
        raise bad("EnableSimpleResponses is not currently supported for WEBSOCKET APIs.")
    if made.identity_validation_expression:
        raise bad("IdentityValidationExpression is not currently supported for REQUEST authorizers.")
    if made.ttl:
        raise bad("AuthorizerResultTtlInSeconds is not currently supported for WEBSOCKET APIs.")
    _check_function(made)
    for source in made.identity_source:
        if _WEBSOCKET_SOURCE.fullmatch(source) is None:
            raise bad(f"Invalid request identity source expression: {source}")


def _check_name(made: Authorizer) -> None:
    if not made.name.strip():
        raise bad("Invalid Authorizer name specified")


def _check_jwt(made: Authorizer) -> None:
    if not made.jwt_issuer and not made.jwt_audience:
        raise bad("JwtConfiguration must not be null for JWT Authorizer")
    if not _is_url(made.jwt_issuer):
        raise bad("Invalid issuer: Issuer is not a valid URL for JWT Authorizer")
    if not made.jwt_audience:
        raise bad("Audience must not be empty for JWT Authorizer")
    if made.authorizer_uri or made.authorizer_payload_format_version or made.enable_simple_responses:
        raise bad(
            "AuthorizerUri, AuthorizerPayloadFormatVersion and EnableSimpleResponses are not supported for JWT Authorizer"
        )
    if made.ttl:
        raise bad("AuthorizerResultTtlInSeconds is not supported for JWT Authorizer")
    if len(made.identity_source) != 1:
        raise bad("Exactly one identity source must be specified for JWT Authorizer")
    if _TOKEN_SOURCE.fullmatch(made.identity_source[0]) is None:
        raise bad(f"Invalid identity source expression: {made.identity_source[0]}")


def _check_request(made: Authorizer) -> None:
    if made.jwt_issuer or made.jwt_audience:
        raise bad("JwtConfiguration is not supported for REQUEST authorizer")
    _check_function(made)
    version = made.authorizer_payload_format_version
    if not version:
        raise bad("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer")
    if version not in {"1.0", "2.0"}:
        raise bad(f"Unsupported AuthorizerPayloadFormatVersion: {version}")
    if made.enable_simple_responses and version != "2.0":
        raise bad('EnableSimpleResponses can only be set for AuthorizerPayloadFormatVersion "2.0".')
    for source in made.identity_source:
        if _HTTP_SOURCE.fullmatch(source) is None:
            raise bad(f"Invalid identity source expression: {source}")
    if made.ttl and not made.identity_source:
        raise bad("Identity source must be set if authorizer caching is enabled (TTL is greater than 0)")


def _check_function(made: Authorizer) -> None:
    if not made.authorizer_uri:
        raise bad("AuthorizerUri is a required field in an Authorizer")
    if not made.authorizer_uri.startswith("arn:") or not is_function(made.authorizer_uri):
        raise bad(
            f"Invalid Authorizer URI: {made.authorizer_uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation."
        )
    if made.authorizer_credentials_arn and not is_role(made.authorizer_credentials_arn):
        raise bad("Invalid ARN specified in the request")


def _is_url(text: str) -> bool:
    # AWS asks for https; here an issuer may well be a server on this machine.
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
