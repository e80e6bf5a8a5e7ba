"""What functions are told of connections and messages: AWS's events of a WebSocket API, member by member.  Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.spelling import spelling
from cumulo.gateway.websocket.turn import Turn

_NAMES: Final = (
    "routeKey", "disconnectStatusCode", "messageId", "authorizer", "eventType", "extendedRequestId", "requestTime",
    "messageDirection", "disconnectReason", "stage", "connectedAt", "requestTimeEpoch", "identity", "requestId",
    "domainName", "connectionId", "apiId",
)  # fmt: skip
_OWN: Final = {
    "host": "Host", "origin": "Origin", "pragma": "Pragma", "user-agent": "User-Agent", "accept": "Accept",
    "accept-encoding": "Accept-Encoding", "accept-language": "Accept-Language", "cache-control": "Cache-Control",
    "authorization": "Authorization", "cookie": "Cookie", "sec-websocket-extensions": "Sec-WebSocket-Extensions",
    "sec-websocket-key": "Sec-WebSocket-Key", "sec-websocket-protocol": "Sec-WebSocket-Protocol",
    "sec-websocket-version": "Sec-WebSocket-Version", "x-amzn-trace-id": "X-Amzn-Trace-Id",
    "x-forwarded-for": "X-Forwarded-For", "x-forwarded-port": "X-Forwarded-Port",
    "x-forwarded-proto": "X-Forwarded-Proto",
}  # fmt: skip


def connect_event(turn: Turn) -> bytes:
    """Of `$connect`: with the headers and the query string of the request for the WebSocket."""
    shown = spelling(turn.visit.request.headers, lambda name: _OWN.get(name, name))
    headers = {shown(name): values for name, values in turn.headers.items()}
    event: dict[str, Any] = _multi("headers", "multiValueHeaders", headers)
    if turn.query:
        event |= _multi("queryStringParameters", "multiValueQueryStringParameters", turn.query)
    return _written(turn, event)


def disconnect_event(turn: Turn) -> bytes:
    """Of `$disconnect`: AWS shows four headers that say nothing."""
    headers = {
        "Host": [str(turn.context.get("domainName", ""))],
        "x-api-key": [""],
        "X-Forwarded-For": [""],
        "x-restapi": [""],
    }
    return _written(turn, _multi("headers", "multiValueHeaders", headers))


def message_event(turn: Turn) -> bytes:
    """Of a message: no headers."""
    return _written(turn, {}, body=turn.body.decode())


def _multi(single: str, multi: str, values: Mapping[str, list[str]]) -> dict[str, Any]:
    return {single: {name: several[-1] for name, several in values.items()}, multi: dict(values)}


def _written(turn: Turn, event: dict[str, Any], body: str | None = None) -> bytes:
    context = turn.context
    if turn.variables:
        event["stageVariables"] = turn.variables
    event["requestContext"] = {name: context[name] for name in _NAMES if name in context}
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = False
    return msgspec.json.encode(event)
