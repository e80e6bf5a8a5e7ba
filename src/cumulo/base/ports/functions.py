"""Lambda functions, for those who call them."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError


class InvokeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a function's run came to.

    payload         the answer, or a JSON object with errorType and errorMessage
    function_error  empty, or Unhandled
    error_type      what kind of error: what the runtime said, or Sandbox.Timedout, Runtime.ExitError, ...
    waited_ms       from the call's arrival until a runtime had it, the start of an environment included
    init_ms         how long the environment's initialisation took before this call, its first; None for later ones
    duration_ms     how long the run took
    """

    payload: bytes
    function_error: str = ""
    error_type: str = ""
    log_tail: bytes = b""
    executed_version: str = "$LATEST"
    request_id: str = ""
    trace_id: str = ""
    waited_ms: float = 0.0
    init_ms: float | None = None
    duration_ms: float = 0.0


class InvokeStream(Protocol):
    """A function's answer while it is being made.  Iterate over it, then read `result`; `close` it in any case.

    Whoever reads slowly slows the function down.  Closing it early lets the function run on, unheard.
    """

    content_type: str
    """What the function's runtime said of its answer; empty when the answer is in one piece."""
    executed_version: str
    request_id: str
    trace_id: str

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come; one when the function does not stream, none when it failed before.

        AwsError when the run was not brought to its end by a fault of the cloud.
        """
        ...

    @property
    def result(self) -> InvokeResult:
        """What it came to, after the last piece.  `payload` is empty, or says what the error was."""
        ...

    def close(self) -> None:
        """Hear no more of it; harmless at any time."""
        ...


class Invoker(Protocol):
    """Calls functions; used by API Gateway, events and the like."""

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
        """Run a function (name or ARN, maybe with a qualifier) and wait for its answer.

        `client_context` is base64 of JSON; `trace_id` an X-Amzn-Trace-Id header, made when there is none.  AwsError
        as Invoke says it.
        """
        ...

    async def invoke_stream(
        self,
        caller: Caller,
        function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
        trace_id: str = "",
    ) -> InvokeStream:
        """Run a function and return when its answer begins, or it failed.  AwsError as Invoke says it."""
        ...


class FunctionStarter(Protocol):
    """Calls functions where even a coroutine would cost too much."""

    def begin(
        self,
        caller: Caller,
        function: str,
        event: bytes,
        done: "Callable[[InvokeResult | AwsError], None]",
        *,
        trace_id: str = "",
    ) -> None:
        """Run a function; `done` is called exactly once, now or later, on the loop.  `event` must be JSON."""
        ...


class InvokePermissions(Protocol):
    """Knows what the policies of functions permit to services.  Whether to ask is the business of who calls."""

    def allows(self, function_arn: str, *, principal: str, source_arn: str, source_account: str) -> bool:
        """Whether `principal` (apigateway.amazonaws.com) may call a function for its resource `source_arn`.

        `function_arn` is whole, with the qualifier that the call has.
        """
        ...
