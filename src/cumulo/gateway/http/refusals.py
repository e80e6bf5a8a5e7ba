"""How an HTTP API refuses: `{"message": ...}` and a status, by the kind of refusal."""

from typing import Final

import msgspec

from cumulo.gateway.http.answers import JSON
from cumulo.gateway.visit import Refused, Visit
from cumulo.wire.http import Response

PAYLOAD_BYTES_MAX: Final = 10 * 1024 * 1024
HEADERS_BYTES_MAX: Final = 10_240

HEADERS_TOO_LARGE: Final = "REQUEST_HEADERS_TOO_LARGE"
INTERNAL: Final = "API_CONFIGURATION_ERROR"

_FAULT: Final = (500, "Internal Server Error")
_KINDS: Final = {
    "ACCESS_DENIED": (403, "Forbidden"),
    "BAD_REQUEST_BODY": (400, "Bad Request"),
    "BAD_REQUEST_PARAMETERS": (400, "Bad Request"),
    "EXPIRED_TOKEN": (403, "Forbidden"),
    "INTEGRATION_FAILURE": (503, "Service Unavailable"),
    "INTEGRATION_TIMEOUT": (503, "Service Unavailable"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "INVALID_SIGNATURE": (403, "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Forbidden"),
    "QUOTA_EXCEEDED": (429, "Too Many Requests"),
    HEADERS_TOO_LARGE: (431, "Request Header Fields Too Large"),
    "REQUEST_TOO_LARGE": (413, "Request Entity Too Large"),
    "RESOURCE_NOT_FOUND": (404, "Not Found"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNAUTHORIZED": (401, "Unauthorized"),
}


def refuse(visit: Visit, refused: Refused) -> Response:
    """The answer; `$context.error` says what it was."""
    status, message = _KINDS.get(refused.kind, _FAULT)
    visit.context["error"] = {
        "message": refused.message or message,
        "messageString": f'"{refused.message or message}"',
        "responseType": refused.kind,
        **refused.fields,
    }
    return Response(status, [JSON, *refused.headers.items()], msgspec.json.encode({"message": message}))
