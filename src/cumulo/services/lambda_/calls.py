"""One invocation on its way: what goes in, what comes out."""

from collections.abc import Callable

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.model import Ready

PAYLOAD_BYTES_MAX = 6_291_456  # of a synchronous request
EVENT_BYTES_MAX = 1_048_576  # of an asynchronous one
ANSWER_BYTES_MAX = 6_291_556  # of a function's answer


class Outcome(msgspec.Struct, frozen=True):
    """What became of a call: the function's own answer or error, or (`refusal`) why it never ran to its end."""

    payload: bytes = b""
    function_error: str = ""
    log_tail: bytes = b""
    version: str = ""
    refusal: AwsError | None = None


OnDone = Callable[[Outcome], None]


class Call:
    """An invocation between its admission and its answer.

    `client_context` is JSON on one line, ready for a header.  `on_done` is called exactly once, on the event
    loop, after logs and usage of the call are safe.
    """

    __slots__ = (
        "arrived",
        "client_context",
        "on_done",
        "payload",
        "ready",
        "request_id",
        "reserved",
        "started",
        "started_ms",
        "trace_id",
        "want_log",
    )

    def __init__(
        self,
        *,
        ready: Ready,
        payload: bytes,
        request_id: str,
        on_done: OnDone,
        client_context: bytes = b"",
        trace_id: str = "",
        want_log: bool = False,
    ) -> None:
        self.ready = ready
        self.payload = payload
        self.request_id = request_id
        self.on_done = on_done
        self.client_context = client_context
        self.trace_id = trace_id
        self.want_log = want_log
        self.reserved = False  # whether it was counted against the function's reserved concurrency
        self.arrived = 0.0
        self.started = 0.0  # monotonic
        self.started_ms = 0
