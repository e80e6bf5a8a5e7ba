"""What the gateway itself says when it refuses: AWS's gateway response types with their statuses, names and sentences."""

from collections.abc import Mapping
from typing import Final

import msgspec

INTERNAL: Final = "Internal server error"


SPACED: Final = frozenset(
    {
        "API_CONFIGURATION_ERROR",
        "BAD_REQUEST_BODY",
        "BAD_REQUEST_PARAMETERS",
        "DEFAULT_5XX",
        "INTEGRATION_FAILURE",
        "INTEGRATION_TIMEOUT",
        "UNSUPPORTED_MEDIA_TYPE",
    }
)
"""The types whose default body has a blank behind its colon: those of AWS's back end, not of its front."""


class Kind(msgspec.Struct, frozen=True):
    """A gateway response type: its status, the value of `x-amzn-ErrorType`, and its message (None: null)."""

    status: int
    error_type: str
    message: str | None


KINDS: Final[Mapping[str, Kind]] = {
    "ACCESS_DENIED": Kind(403, "AccessDeniedException", "User is not authorized to access this resource"),
    "API_CONFIGURATION_ERROR": Kind(500, "InternalServerErrorException", INTERNAL),
    "AUTHORIZER_CONFIGURATION_ERROR": Kind(500, "AuthorizerConfigurationException", None),
    "AUTHORIZER_FAILURE": Kind(500, "AuthorizerFailureException", None),
    "BAD_REQUEST_BODY": Kind(400, "BadRequestException", "Invalid request body"),
    "BAD_REQUEST_PARAMETERS": Kind(400, "BadRequestException", "Missing required request parameters"),
    "DEFAULT_4XX": Kind(400, "BadRequestException", "Bad Request"),
    "DEFAULT_5XX": Kind(500, "InternalServerErrorException", INTERNAL),
    "EXPIRED_TOKEN": Kind(
        403, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    "INTEGRATION_FAILURE": Kind(
        504, "InternalServerErrorException", "Network error communicating with endpoint"
    ),
    "INTEGRATION_TIMEOUT": Kind(504, "InternalServerErrorException", "Endpoint request timed out"),
    "INVALID_API_KEY": Kind(403, "ForbiddenException", "Forbidden"),
    "INVALID_SIGNATURE": Kind(
        403,
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
    ),
    "MISSING_AUTHENTICATION_TOKEN": Kind(
        403, "MissingAuthenticationTokenException", "Missing Authentication Token"
    ),
    "QUOTA_EXCEEDED": Kind(429, "LimitExceededException", "Limit Exceeded"),
    "REQUEST_TOO_LARGE": Kind(
        413, "RequestTooLargeException", "HTTP content length exceeded 10485760 bytes."
    ),
    "RESOURCE_NOT_FOUND": Kind(404, "NotFoundException", "Not Found"),
    "THROTTLED": Kind(429, "TooManyRequestsException", "Too Many Requests"),
    "UNAUTHORIZED": Kind(401, "UnauthorizedException", "Unauthorized"),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "BadRequestException", "Unsupported Media Type"),
    "WAF_FILTERED": Kind(403, "ForbiddenException", "Forbidden"),
}
