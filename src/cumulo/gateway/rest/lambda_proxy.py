r"""AWS_PROXY: the whole request to a function, and its answer back, at once or as a stream.

BUFFERED  uri .../2015-03-31/functions/<arn>/invocations
STREAM    uri .../2021-11-15/functions/<arn>/response-streaming-invocations: {JSON}\0\0\0\0\0\0\0\0body...
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from cumulo.base.ports.functions import InvokeStream
from cumulo.gateway.definitions.rest import Integration
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import Failed, misconfigured
from cumulo.gateway.rest.functions import Functions
from cumulo.gateway.rest.headers import illegal
from cumulo.gateway.rest.integration_response import MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.payloads import IsBinary, as_text
from cumulo.gateway.rest.proxy_answer import answer_of, prelude_of
from cumulo.gateway.rest.proxy_event import event_of
from cumulo.gateway.rest.reaching import note, reach

_DELIMITER: Final = b"\0" * 8
_PRELUDE_BYTES_MAX: Final = 16 * 1024
_STREAM_IDLE_SECONDS: Final = 300.0


class BrokenOff(Exception):
    """A streamed answer that cannot be brought to its end: the connection is cut, so that the client can tell."""


class LambdaProxy:
    """An AWS_PROXY integration of a method."""

    def __init__(self, integration: Integration, functions: Functions, is_binary: IsBinary) -> None:
        self._integration = integration
        self._functions = functions
        self._is_binary = is_binary
        self._seconds = integration.timeout_in_millis / 1000
        self._streams = integration.response_transfer_mode == "STREAM"
        self._wrong = _wrong_with(integration)

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """Call the function.  Refused: 500, 502, 504."""
        if self._wrong:
            raise misconfigured(self._wrong)
        binary = self._is_binary(call.content_type)
        event = event_of(call, call.body if binary else as_text(call.body), binary=binary)
        function = self._functions.find(call)
        if log.on:
            self._tell_sending(function, event, log)
        if self._streams:
            return await self._stream(call, log, await self._begin(call, function, event))
        wait = self._functions.invoke(function, event, call, self._seconds)
        outcome = await reach(call, self._functions.clock, wait)
        note(call, status=200, integrationStatus=200, requestId=outcome.request_id)
        if log.on:
            _tell_received(call, log)
            log.data("Endpoint response body before transformations", outcome.payload)
        if outcome.function_error:
            raise failed_function(outcome.payload, outcome.request_id)
        answer = answer_of(outcome.payload, call.header("accept") or "", self._is_binary)
        if isinstance(answer.body, bytes):
            log.data("Method response body after transformations", answer.body)
        return answer

    def _tell_sending(self, function: str, event: bytes, log: Log) -> None:
        where = self._functions.endpoint(function)
        log.tell(f"Endpoint request URI: {where}")
        log.data("Endpoint request body after transformations", event)
        log.tell(f"Sending request to {where}")

    async def _begin(self, call: Call, function: str, event: bytes) -> InvokeStream:
        wait = self._functions.stream(function, event, call)
        return await reach(call, self._functions.clock, wait, seconds=self._seconds)

    async def _stream(self, call: Call, log: Log, stream: InvokeStream) -> MethodAnswer:
        try:
            pieces = aiter(stream)
            wait = _prelude(pieces)
            text, rest = await reach(call, self._functions.clock, wait, seconds=self._seconds)
            if text is None:
                if stream.result.function_error:
                    raise failed_function(stream.result.payload, stream.request_id)
                raise Failed("DEFAULT_5XX", log="Execution failed due to configuration error: No delimiter")
            status, headers = prelude_of(text)
        except BaseException:
            stream.close()
            raise
        note(call, status=200, integrationStatus=200, requestId=stream.request_id)
        _tell_received(call, log)
        return MethodAnswer(status, headers, _body(rest, pieces, stream))


def _wrong_with(integration: Integration) -> str:
    """Why AWS refuses to run an integration that it let be made; empty when all is well."""
    if integration.http_method != "POST":
        return "The AWS_PROXY integration can only be used with the POST integration method."
    header = "integration.request.header."
    mapped = [name.removeprefix(header) for name in integration.request_parameters if name.startswith(header)]
    wrong = illegal(mapped, "AWS_PROXY")
    return f"{wrong} header already present" if wrong is not None else ""


def _tell_received(call: Call, log: Log) -> None:
    log.tell(f"Received response. Status: 200, Integration latency: {call.visit.integration_ms} ms")


def failed_function(payload: bytes, request_id: str) -> Failed:
    """A function raised, or timed out: 502."""
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        said = None
    message = said.get("errorMessage", "") if isinstance(said, dict) else ""
    return Failed(
        "DEFAULT_5XX",
        status=502,
        log=f"Lambda execution failed with status 200 due to customer function error: {message}. "
        f"Lambda request id: {request_id or '<Unknown Request Id>'}",
    )


async def _prelude(pieces: AsyncIterator[bytes]) -> tuple[bytes | None, bytes]:
    """What stands before the delimiter, and what was read beyond it; None when there is none within 16 KB."""
    read = bytearray()
    async for piece in pieces:
        begun = max(len(read) - len(_DELIMITER) + 1, 0)
        read += piece
        at = read.find(_DELIMITER, begun)
        if 0 <= at <= _PRELUDE_BYTES_MAX:
            return bytes(read[:at]), bytes(memoryview(read)[at + len(_DELIMITER) :])
        if len(read) > _PRELUDE_BYTES_MAX + len(_DELIMITER):
            break
    return None, b""


async def _body(first: bytes, pieces: AsyncIterator[bytes], stream: InvokeStream) -> AsyncIterator[bytes]:
    try:
        if first:
            yield first
        while True:
            async with asyncio.timeout(_STREAM_IDLE_SECONDS):
                piece = await anext(pieces, None)
            if piece is None:
                break
            yield piece
        if stream.result.function_error:
            raise BrokenOff("the function failed amid its answer")
    finally:
        stream.close()
