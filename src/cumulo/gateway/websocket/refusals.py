"""How a WebSocket API says no: a message to who is connected, an answer to who only wants to be."""

from typing import Any

import msgspec

from cumulo.gateway.refusals import KINDS
from cumulo.gateway.visit import Refused
from cumulo.wire.http import Response


def status_of(refused: Refused) -> int:
    """The status of a refusal."""
    kind = KINDS.get(refused.kind) or KINDS["DEFAULT_5XX"]
    return getattr(refused, "status", 0) or kind.status


def told(refused: Refused, context: dict[str, Any]) -> bytes:
    """The text of a refusal, as AWS's (with its blanks); `$context.error` says it too."""
    kind = KINDS.get(refused.kind) or KINDS["DEFAULT_5XX"]
    message = refused.message if refused.message is not None else kind.message
    written = msgspec.json.encode(message)
    context["error"] = {
        "message": message,
        "messageString": written.decode(),
        "responseType": refused.kind,
        **refused.fields,
    }
    context["status"] = status_of(refused)
    return b'{"message": %b, "connectionId":"%b", "requestId":"%b"}' % (
        written,
        str(context.get("connectionId", "")).encode(),
        str(context.get("requestId", "")).encode(),
    )


def answered(refused: Refused, context: dict[str, Any]) -> Response:
    """The answer to a request for a connection that is not made."""
    kind = KINDS.get(refused.kind) or KINDS["DEFAULT_5XX"]
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", getattr(refused, "error_type", "") or kind.error_type),
        *getattr(refused, "headers", {}).items(),
    ]
    body = told(refused, context)
    return Response(status_of(refused), headers, body)
