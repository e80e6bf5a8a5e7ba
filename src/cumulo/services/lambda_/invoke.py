"""Lambda's Invoke, as an operation for clients and as a port for the house."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports.functions import InvokeResult
from cumulo.services.lambda_.calls import PAYLOAD_BYTES_MAX, Call, Outcome
from cumulo.services.lambda_.events import EventQueue
from cumulo.services.lambda_.fleet import EnvironmentFleet
from cumulo.services.lambda_.model import Ready, Resolver
from cumulo.services.lambda_.payloads import client_context_of, event_of
from cumulo.services.lambda_.streams import AnswerStream, result_of
from cumulo.wire.service import Operation, Values

TRACE_CHARS_MAX = 512


class Tracer:
    """Makes X-Ray trace headers for calls that bring none; nothing is sampled."""

    def __init__(self, clock: Clock, source: random.Random | None = None) -> None:
        self._clock = clock
        self._bits = (source or random.Random()).getrandbits

    def header(self) -> str:
        """A new trace."""
        digits = f"{self._bits(192):048x}"
        root = f"1-{int(self._clock.now()):08x}-{digits[:24]}"
        return f"Root={root};Parent={digits[24:40]};Sampled=0;Lineage=1:{digits[40:]}:0"

    def kept(self, header: str) -> str:
        """What a caller sent, when it can be a header, with what it lacks; a new trace otherwise."""
        if not header or len(header) > TRACE_CHARS_MAX or not header.isprintable():
            return self.header()
        if "Sampled=" in header or not header.startswith("Root="):
            return header
        digits = f"{self._bits(96):024x}"
        return f"{header};Parent={digits[:16]};Sampled=0;Lineage=1:{digits[16:]}:0"


class FunctionCaller:
    """Runs functions for the rest of the house (ports.Invoker) and for the operation below."""

    def __init__(self, *, resolver: Resolver, fleet: EnvironmentFleet, ids: Ids, tracer: Tracer) -> None:
        self._resolver = resolver
        self._fleet = fleet
        self._ids = ids
        self._tracer = tracer

    async def invoke(
        self,
        caller: Caller,
        function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
        trace_id: str = "",
    ) -> InvokeResult:
        """Run a function (name or ARN, maybe with a qualifier) and wait for its answer."""
        ready = self._resolver.resolve(caller, function, None)
        request_id = caller.request_id or self._ids.uuid()
        trace_id = self._tracer.kept(trace_id)
        outcome = await self.run(
            ready,
            event_of(payload, "RequestResponse"),
            request_id,
            client_context=client_context_of(client_context),
            want_log=want_log,
            trace_id=trace_id,
        )
        return result_of(outcome, request_id, trace_id)

    def begin(
        self,
        caller: Caller,
        function: str,
        event: bytes,
        done: Callable[[InvokeResult | AwsError], None],
        *,
        trace_id: str = "",
    ) -> None:
        """Run a function; `done` is called once, now or later.  See ports.FunctionStarter."""
        request_id = caller.request_id or self._ids.uuid()
        trace_id = self._tracer.kept(trace_id)

        def on_done(outcome: Outcome) -> None:
            refusal = outcome.refusal
            done(result_of(outcome, request_id, trace_id) if refusal is None else refusal)

        try:
            if len(event) > PAYLOAD_BYTES_MAX:
                event_of(event, "RequestResponse")  # which says so
            ready = self._resolver.resolve(caller, function, None)
            self._fleet.invoke(
                Call(ready=ready, payload=event, request_id=request_id, on_done=on_done, trace_id=trace_id)
            )
        except AwsError as error:
            done(error)

    async def invoke_stream(
        self,
        caller: Caller,
        function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
        trace_id: str = "",
    ) -> AnswerStream:
        """Run a function and return when its answer begins, or it failed."""
        ready = self._resolver.resolve(caller, function, None)
        return await self.run_stream(
            ready,
            event_of(payload, "RequestResponse"),
            caller.request_id or self._ids.uuid(),
            client_context=client_context_of(client_context),
            want_log=want_log,
            trace_id=trace_id,
        )

    async def run_stream(
        self,
        ready: Ready,
        event: bytes,
        request_id: str,
        *,
        client_context: bytes = b"",
        want_log: bool = False,
        trace_id: str = "",
    ) -> AnswerStream:
        """Run what was resolved, its answer in pieces; a refusal is raised."""
        trace_id = self._tracer.kept(trace_id)
        stream = AnswerStream(
            executed_version=ready.version.version, request_id=request_id, trace_id=trace_id
        )
        self._fleet.invoke(
            Call(
                ready=ready,
                payload=event,
                request_id=request_id,
                on_done=stream.finish,
                client_context=client_context,
                trace_id=trace_id,
                want_log=want_log,
                stream=stream,
            )
        )
        try:
            await stream.started()
        except BaseException:
            stream.close()
            raise
        return stream

    async def run(
        self,
        ready: Ready,
        event: bytes,
        request_id: str,
        *,
        client_context: bytes = b"",
        want_log: bool = False,
        trace_id: str = "",
    ) -> Outcome:
        """Run what was resolved; a refusal is raised."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def on_done(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        self._fleet.invoke(
            Call(
                ready=ready,
                payload=event,
                request_id=request_id,
                on_done=on_done,
                client_context=client_context,
                trace_id=trace_id or self._tracer.header(),
                want_log=want_log,
            )
        )
        outcome = await done
        if outcome.refusal is not None:
            raise outcome.refusal
        return outcome


class Invoke:
    """The operations Invoke, InvokeWithResponseStream and InvokeAsync."""

    def __init__(
        self, *, resolver: Resolver, functions: FunctionCaller, events: EventQueue, ids: Ids
    ) -> None:
        self._resolver = resolver
        self._functions = functions
        self._events = events
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "Invoke": Operation(self.invoke),
            "InvokeAsync": Operation(self.invoke_async),
            "InvokeWithResponseStream": Operation(self.invoke_with_response_stream),
        }

    async def invoke(self, caller: Caller, values: Values) -> Values:
        """Run a function, queue an event for it, or only look whether that could be done."""
        kind = values.get("InvocationType") or "RequestResponse"
        _check_built(values)
        ready = self._resolver.resolve(caller, values["FunctionName"], values.get("Qualifier"))
        event = event_of(values.get("Payload") or b"", kind)
        if kind == "DryRun":
            return {"StatusCode": 204, "Payload": b""}
        request_id = caller.request_id or self._ids.uuid()
        context = client_context_of(values.get("ClientContext") or "")
        if kind == "Event":
            await self._events.enqueue(ready, values.get("Qualifier"), event, request_id, context)
            return {"StatusCode": 202, "Payload": b""}
        want_log = values.get("LogType") == "Tail"
        outcome = await self._functions.run(
            ready, event, request_id, client_context=context, want_log=want_log
        )
        return {
            "StatusCode": 200,
            "Payload": outcome.payload,
            "ExecutedVersion": outcome.version,
            "FunctionError": outcome.function_error or None,
            "LogResult": base64.b64encode(outcome.log_tail).decode() if want_log else None,
        }

    async def invoke_with_response_stream(self, caller: Caller, values: Values) -> Values:
        """Run a function and send its answer while it is being made."""
        _check_built(values)
        ready = self._resolver.resolve(caller, values["FunctionName"], values.get("Qualifier"))
        event = event_of(values.get("Payload") or b"", "RequestResponse")
        if values.get("InvocationType") == "DryRun":
            return {"StatusCode": 204}
        want_log = values.get("LogType") == "Tail"
        stream = await self._functions.run_stream(
            ready,
            event,
            caller.request_id or self._ids.uuid(),
            client_context=client_context_of(values.get("ClientContext") or ""),
            want_log=want_log,
        )
        return {
            "StatusCode": 200,
            "ExecutedVersion": stream.executed_version,
            "EventStream": _events(stream, want_log=want_log),
        }

    async def invoke_async(self, caller: Caller, values: Values) -> Values:
        """The older way to queue an event."""
        ready = self._resolver.resolve(caller, values["FunctionName"], None)
        event = event_of(values.get("InvokeArgs") or b"", "Event")
        await self._events.enqueue(ready, None, event, caller.request_id or self._ids.uuid(), b"")
        return {"Status": 202}


def _check_built(values: Values) -> None:
    if values.get("DurableExecutionName") or values.get("TenantId"):
        raise AwsError(
            "NotImplemented", "durable executions and tenants are not implemented by Cumulo", status=501
        )


async def _events(stream: AnswerStream, *, want_log: bool) -> AsyncIterator[Values]:
    """A streamed answer as events.

    An error before the first piece is Unhandled, as Invoke says it; one in the middle has the name of its type.
    """
    try:
        async for piece in stream:
            yield {"PayloadChunk": {"Payload": piece}}
    finally:
        stream.close()
    result = stream.result
    code = result.error_type if stream.begun and result.error_type else result.function_error
    yield {
        "InvokeComplete": {
            "ErrorCode": code or None,
            "ErrorDetails": result.payload.decode("utf-8", "replace") if code else None,
            "LogResult": base64.b64encode(result.log_tail).decode() if want_log else None,
        }
    }
