"""AWS with a function: a mapped event to it, and its answer through the integration response that fits its error."""

from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import malformed, misconfigured
from cumulo.gateway.rest.functions import Functions
from cumulo.gateway.rest.integration_request import Outgoing, Prepare
from cumulo.gateway.rest.integration_response import Finish, MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.mappings import Endpoint
from cumulo.gateway.rest.reaching import note, reach
from cumulo.gateway.tools import Answer, AwsCalls

_TYPE: Final = "x-amz-invocation-type"
_HEADERS: Final = (("Content-Type", "application/json"), ("Connection", "keep-alive"))


class LambdaCustom:
    """An AWS integration whose URI names a function."""

    def __init__(
        self,
        functions: Functions,
        aws: AwsCalls,
        caller: Caller,
        prepare: Prepare,
        finish: Finish,
        seconds: float,
    ) -> None:
        self._functions = functions
        self._aws = aws
        self._caller = caller
        self._prepare = prepare
        self._finish = finish
        self._seconds = seconds

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """Call the function, at once or (X-Amz-Invocation-Type: Event) whenever.  Refused: 500, 502, 504."""
        outgoing = self._prepare(call)
        function = self._functions.find(call)
        where = self._functions.endpoint(function)
        log.tell(f"Endpoint request URI: {where}")
        log.headers("Endpoint request headers", outgoing.headers.items())
        log.data("Endpoint request body after transformations", outgoing.body)
        log.tell(f"Sending request to {where}")
        invocation = next(
            (value.strip("'") for name, value in outgoing.headers.items() if name.lower() == _TYPE), ""
        )
        if invocation in {"Event", "DryRun"}:
            endpoint, error = await self._later(call, function, outgoing, invocation), ""
        elif invocation in {"", "RequestResponse"}:
            endpoint, error = await self._now(call, function, outgoing)
        else:
            raise misconfigured(f"Unknown invocation type {invocation}")
        log.tell(
            f"Received response. Status: {endpoint.status}, Integration latency: {call.visit.integration_ms} ms"
        )
        log.headers("Endpoint response headers", endpoint.headers)
        log.data("Endpoint response body before transformations", endpoint.body)
        return self._finish(call, endpoint, error or str(endpoint.status))

    async def _now(self, call: Call, function: str, outgoing: Outgoing) -> tuple[Endpoint, str]:
        body = outgoing.body or b"{}"
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except msgspec.DecodeError:
            raise malformed("Could not parse request body into json") from None
        wait = self._functions.invoke(function, body, call, self._seconds)
        outcome = await reach(call, self._functions.clock, wait)
        note(call, status=200, integrationStatus=200, requestId=outcome.request_id)
        headers = [*_HEADERS, ("x-amzn-RequestId", outcome.request_id)]
        if outcome.function_error:
            headers.append(("X-Amz-Function-Error", outcome.function_error))
        headers.append(("X-Amz-Executed-Version", outcome.executed_version))
        return Endpoint(200, tuple(headers), outcome.payload), error_of(outcome.payload)

    async def _later(self, call: Call, function: str, outgoing: Outgoing, invocation: str) -> Endpoint:
        wait = self._aws.call(
            self._caller,
            "lambda",
            "POST",
            f"/2015-03-31/functions/{function}/invocations",
            headers={"X-Amz-Invocation-Type": invocation, "X-Amzn-Trace-Id": call.visit.trace},
            body=outgoing.body or b"{}",
        )
        answer: Answer = await reach(call, self._functions.clock, wait, seconds=self._seconds)
        note(call, status=answer.status, integrationStatus=answer.status)
        assert isinstance(answer.body, bytes)
        return Endpoint(answer.status, tuple(answer.headers), answer.body)


def error_of(payload: bytes) -> str:
    """The error message that selection patterns are compared with; empty when the function answered well."""
    if b"errorMessage" not in payload:
        return ""
    try:
        said: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return ""
    message = said.get("errorMessage") if isinstance(said, dict) else None
    return message if isinstance(message, str) else ""
