"""The last step: what the gateway says itself is added, the body compressed, and the answer observed."""

from collections.abc import AsyncIterator
from typing import Final

from cumulo.gateway.definitions.rest import RestDefinition
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.headers import Pairs, value_of
from cumulo.gateway.rest.integration_response import MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.payloads import coding_for, compress
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused, Visit
from cumulo.wire.http import Response

_TRACED: Final = frozenset({"AWS", "AWS_PROXY", "HTTP"})


class Answering:
    """Makes the answers of an API's stage."""

    def __init__(self, definition: RestDefinition, place: Place, tools: Tools) -> None:
        self._place = place
        self._observer = tools.observer
        self._minimum = definition.minimum_compression_size

    def answer(self, call: Call, answer: MethodAnswer, log: Log) -> Response:
        """A method's answer."""
        visit = call.visit
        headers = with_trace(call, answer.headers)
        if log.on:
            tell_done(answer.status, headers, log)
        body = answer.body
        if isinstance(body, bytes):
            body, headers = self._compressed(visit, body, headers)
            return self._done(visit, answer.status, headers, body)
        return Response(answer.status, self._own(visit, headers), self._watched(visit, answer.status, body))

    def refuse(
        self, visit: Visit, refused: Refused, status: int, headers: Pairs, body: bytes, log: Log | None
    ) -> Response:
        """The gateway's own answer."""
        if log is not None:
            tell_refusal(refused, status, headers, body, log)
        return self._done(visit, status, headers, body)

    def _done(self, visit: Visit, status: int, headers: Pairs, body: bytes) -> Response:
        visit.context["status"] = status
        self._observer.done(visit, self._place, status=status, response_bytes=len(body))
        return Response(status, self._own(visit, headers), body)

    def _own(self, visit: Visit, headers: Pairs) -> Pairs:
        context = visit.context
        return [
            ("x-amzn-RequestId", context["requestId"]),
            ("x-amz-apigw-id", context["extendedRequestId"]),
            *headers,
        ]

    def _compressed(self, visit: Visit, body: bytes, headers: Pairs) -> tuple[bytes, Pairs]:
        minimum = self._minimum
        if minimum is None or len(body) < minimum or not body:
            return body, headers
        coding = coding_for(visit.request.headers.get("accept-encoding"))
        if not coding or value_of(headers, "content-encoding") is not None:
            return body, headers
        return compress(body, coding), [*headers, ("Content-Encoding", coding)]

    async def _watched(self, visit: Visit, status: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces as they pass; what they come to is observed when the last one has, or the client is gone."""
        sent = 0
        try:
            async for piece in pieces:
                sent += len(piece)
                yield piece
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
            visit.context["status"] = status
            self._observer.done(visit, self._place, status=status, response_bytes=sent)


def with_trace(call: Call, headers: Pairs) -> Pairs:
    """A method's headers, and the trace where AWS tells clients of it: for integrations that were called themselves."""
    integration = call.method.integration
    if integration is None or integration.type not in _TRACED:
        return headers
    return [("X-Amzn-Trace-Id", call.visit.trace), *headers]


def tell_done(status: int, headers: Pairs, log: Log) -> None:
    """The last lines of a log where all went well."""
    log.headers("Method response headers", headers)
    log.tell("Successfully completed execution")
    log.tell(f"Method completed with status: {status}")


def tell_refusal(refused: Refused, status: int, headers: Pairs, body: bytes, log: Log) -> None:
    """Why, and what the client is told."""
    why = getattr(refused, "log", "")
    if why:
        log.fault(why)
    log.tell(f"Gateway response type: {refused.kind} with status code: {status}")
    log.data("Gateway response body", body)
    log.headers("Gateway response headers", headers)
    log.tell(f"Method completed with status: {status}")
