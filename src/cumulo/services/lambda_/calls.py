"""One invocation on its way: what goes in, what comes out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.model import Ready

if TYPE_CHECKING:
    from cumulo.services.lambda_.streams import AnswerStream

PAYLOAD_BYTES_MAX = 6_291_456  # of a synchronous request
EVENT_BYTES_MAX = 1_048_576  # of an asynchronous one
ANSWER_BYTES_MAX = 6_291_556  # of a function's answer
STREAM_BYTES_MAX = 200 * 1024 * 1024  # of one that is streamed


class Outcome(msgspec.Struct, frozen=True):
    """What became of a call: the function's own answer or error, or (`refusal`) why it never ran to its end.

    The payload of a streamed answer went ahead, unless it ended in an error: then that is the payload.
    """

    payload: bytes = b""
    function_error: str = ""
    log_tail: bytes = b""
    version: str = ""
    refusal: AwsError | None = None
    error_type: str = ""
    waited_ms: float = 0.0
    init_ms: float | None = None
    duration_ms: float = 0.0


OnDone = Callable[[Outcome], None]


class Call:
    """An invocation between its admission and its answer.

    `client_context` is JSON on one line, ready for a header.  `on_done` is called exactly once, on the event
    loop, after logs and usage of the call are safe.  `stream` takes the pieces of an answer that is streamed; without
    it such an answer is collected.
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
        "stream",
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
        stream: "AnswerStream | None" = None,
    ) -> None:
        self.ready = ready
        self.payload = payload
        self.request_id = request_id
        self.on_done = on_done
        self.client_context = client_context
        self.trace_id = trace_id
        self.want_log = want_log
        self.stream = stream
        self.reserved = False  # whether it was counted against the function's reserved concurrency
        self.arrived = 0.0
        self.started = 0.0  # monotonic
        self.started_ms = 0
