"""What an authorizer may be.  Pure."""

import re
from typing import Final

from cumulo.gateway.definitions.rest import Authorizer
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.quotas import AUTHORIZER_TTL_SECONDS_MAX

_FUNCTION: Final = re.compile(
    r"arn:[a-z-]+:apigateway:[a-z0-9-]+:lambda:path/+2015-03-31/functions/[^/]+/invocations"
)
_POOL: Final = re.compile(r"arn:[a-z-]+:cognito-idp:[a-z0-9-]+:\d{12}:userpool/[\w-]+")
_HEADER: Final = re.compile(r"method\.request\.header\.[^\s,]+")
_SOURCE: Final = re.compile(
    r"method\.request\.(header|querystring)\.[^\s,]+|(stageVariables|context)\.[^\s,]+"
)


def check_authorizer(api: Api, authorizer: Authorizer) -> None:
    """BadRequestException for what AWS does not take."""
    if not authorizer.name.strip():
        raise refusals.bad_request("Authorizer name cannot be empty")
    for other in api.definition.authorizers.values():
        if other.name == authorizer.name and other.id != authorizer.id:
            raise refusals.bad_request(
                f"Authorizer name must be unique. Authorizer {other.name} already exists in this RestApi."
            )
    if authorizer.ttl is not None and not 0 <= authorizer.ttl <= AUTHORIZER_TTL_SECONDS_MAX:
        raise refusals.bad_request(
            f"Authorizer result TTL must be between 0 and {AUTHORIZER_TTL_SECONDS_MAX} seconds"
        )
    if authorizer.type == "COGNITO_USER_POOLS":
        _check_pools(authorizer)
    else:
        _check_function(authorizer)
    _check_sources(authorizer)


def _check_pools(authorizer: Authorizer) -> None:
    if not authorizer.provider_arns:
        raise refusals.bad_request("Authorizers of type COGNITO_USER_POOLS require at least one provider ARN")
    for arn in authorizer.provider_arns:
        if not _POOL.fullmatch(arn):
            raise refusals.bad_request(f"Invalid Cognito User Pool ARN specified: {arn}")


def _check_function(authorizer: Authorizer) -> None:
    if authorizer.provider_arns:
        raise refusals.bad_request("Provider ARNs can only be specified for type COGNITO_USER_POOLS")
    if not _FUNCTION.fullmatch(authorizer.authorizer_uri):
        raise refusals.bad_request(
            f"Invalid Authorizer URI: {authorizer.authorizer_uri}. Authorizer URI should be a valid API Gateway ARN that "
            "represents a Lambda function invocation."
        )


def _check_sources(authorizer: Authorizer) -> None:
    expression = authorizer.identity_validation_expression
    if expression:
        try:
            re.compile(expression)
        except re.error:
            raise refusals.bad_request("Invalid identity validation expression specified") from None
    source = authorizer.identity_source
    if authorizer.type == "REQUEST":
        if not source and authorizer.ttl != 0:
            raise refusals.bad_request("Identity source is required when authorizer caching is enabled")
        if source and not all(_SOURCE.fullmatch(one.strip()) for one in source.split(",")):
            raise refusals.bad_request(f"Invalid identity source specified: {source}")
    elif not _HEADER.fullmatch(source):
        raise refusals.bad_request(f"Invalid identity source specified: {source}")
