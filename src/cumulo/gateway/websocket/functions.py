"""Functions behind a route: AWS_PROXY hands them AWS's event and takes AWS's answer, AWS whatever a template makes."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import Integration
from cumulo.gateway.integrations.functions import FunctionCall, FunctionFailed, Why, function_arn
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered

Write = Callable[[Turn], bytes]
Read = Callable[[InvokeResult], Reply]


class FunctionBackend:
    """Calls one function for one route."""

    def __init__(
        self, integration: Integration, turn_variables: Any, route_key: str, place: Place, tools: Tools,
        *, write: Write, read: Read, seconds: float,
    ) -> None:  # fmt: skip
        arn = function_arn(integration.integration_uri, turn_variables)
        source = (
            f"arn:aws:execute-api:{place.region}:{place.account}:{place.api_id}/{place.stage}/{route_key}"
        )
        self._call = (
            FunctionCall(
                arn, source_arn=source, place=place, tools=tools, credentials=integration.credentials_arn
            )
            if arn is not None
            else None
        )
        self._write = write
        self._read = read
        self._seconds = seconds

    async def __call__(self, turn: Turn) -> Reply:
        """Refused: 500, 502, 504."""
        if self._call is None:
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR")
        try:
            result = await self._call.invoke(
                self._write(turn), seconds=self._seconds, trace_id=turn.visit.trace
            )
        except FunctionFailed as failed:
            turn.context.setdefault("integration", {}).update(
                error=failed.message, status=failed.status, integrationStatus=failed.status
            )
            raise _uncalled(failed) from None
        told = turn.context.setdefault("integration", {})
        told.update(status=200, integrationStatus=200, requestId=result.request_id)
        if result.function_error:
            told["error"] = result.payload[:1024].decode(errors="replace")
        return self._read(result)


def _uncalled(failed: FunctionFailed) -> Refused:
    if failed.why is Why.TIMED_OUT:
        return Refused("INTEGRATION_TIMEOUT")
    if failed.why is Why.FAILED:
        return Unanswered(502)
    return Unanswered(500, kind="API_CONFIGURATION_ERROR")


def raw_answer(result: InvokeResult) -> Reply:
    """What a function gave, as it is; one that raised has a status that says so."""
    return Reply(
        500 if result.function_error else 200, (("Content-Type", "application/json"),), result.payload
    )


def proxy_answer(result: InvokeResult) -> Reply:
    """{statusCode, headers, multiValueHeaders, body, isBase64Encoded} read.  Unanswered: 502 for any other shape."""
    if result.function_error:
        raise Unanswered(502)
    try:
        answer = msgspec.json.decode(result.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unanswered(502) from None
    if not isinstance(answer, dict):
        raise Unanswered(502)
    return Reply(_status(answer.get("statusCode")), _headers(answer), _body(answer))


def _status(value: Any) -> int:
    if value is None:
        return 200
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not _LEAST <= value <= _MOST:
        raise Unanswered(502)
    return value


_LEAST: Final = 200
_MOST: Final = 599


def _headers(answer: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    several, single = answer.get("multiValueHeaders"), answer.get("headers")
    several, single = {} if several is None else several, {} if single is None else single
    if not isinstance(several, dict) or not isinstance(single, dict):
        raise Unanswered(502)
    pairs = [(name, str(value)) for name, value in single.items() if value is not None]
    for name, values in several.items():
        if not isinstance(values, list):
            raise Unanswered(502)
        pairs += [(name, str(value)) for value in values]
    return tuple(pairs)


def _body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if isinstance(body, (dict, list)):
        raise Unanswered(502)
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    if answer.get("isBase64Encoded") is not True:
        return text.encode(errors="replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unanswered(502) from None
