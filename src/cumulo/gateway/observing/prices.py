"""What a request counts on the bill: which are free, and how large ones count for several.  Pure.

AWS does not charge for who could not show that they may (authorizers, API keys), for what was throttled, and for
requests that no route is for; what failed otherwise is charged.
"""

from collections.abc import Mapping
from typing import Any, Final

KIB: Final = 1024
HTTP_STEP_BYTES: Final = 512 * KIB
REST_STEP_BYTES: Final = 10 * KIB * KIB  # of streamed answers; others are smaller
MESSAGE_STEP_BYTES: Final = 32 * KIB

REST_REQUESTS: Final = "rest_requests"
HTTP_REQUESTS: Final = "http_requests"
MESSAGES: Final = "websocket_messages"
CONNECTION_MINUTES: Final = "connection_minutes"

FREE: Final = frozenset(
    {
        "ACCESS_DENIED",
        "AUTHORIZER_CONFIGURATION_ERROR",
        "AUTHORIZER_FAILURE",
        "EXPIRED_TOKEN",
        "INVALID_API_KEY",
        "INVALID_SIGNATURE",
        "MISSING_AUTHENTICATION_TOKEN",
        "QUOTA_EXCEEDED",
        "RESOURCE_NOT_FOUND",
        "THROTTLED",
        "UNAUTHORIZED",
        "WAF_FILTERED",
    }
)


def is_free(context: Mapping[str, Any]) -> bool:
    """Whether a request is on nobody's bill, by its `$context`."""
    error = context.get("error")
    return error is not None and error.get("responseType") in FREE


def steps(size: int, step: int) -> int:
    """How many are charged for so many bytes: each begun step, one at least."""
    return -(-size // step) or 1


def cache_kind(size: str) -> str:
    """The line of the price book for an hour of a cache of so many GB."""
    return f"cache:{size}"
