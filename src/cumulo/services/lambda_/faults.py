"""How a run can fail without the function's code saying so, in AWS's words.  Pure."""

import msgspec

from cumulo.sandbox.contract import Exit
from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX

_SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
    31: "bad system call",
}


TOO_LARGE = "Function.ResponseSizeTooLarge"


class Fault(msgspec.Struct, frozen=True):
    """`kind` and `message` are the answer's errorType and errorMessage; `status` and `reported` go into REPORT."""

    kind: str
    message: str
    status: str = "error"
    reported: str = ""

    @property
    def error_type(self) -> str:
        """What the REPORT line calls it."""
        return "" if self.status == "timeout" else self.reported or self.kind


def timed_out(timeout_s: float) -> Fault:
    """The function did not answer in time."""
    return Fault("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds", status="timeout")


def exited(how: Exit) -> Fault:
    """The runtime's process ended."""
    if how.out_of_memory:
        return Fault(
            "Runtime.ExitError",
            "Runtime exited with error: signal: killed",
            reported="Runtime.OutOfMemory",
        )
    if how.signal:
        name = _SIGNALS.get(how.signal, f"signal {how.signal}")
        return Fault("Runtime.ExitError", f"Runtime exited with error: signal: {name}")
    if how.code:
        return Fault("Runtime.ExitError", f"Runtime exited with error: exit status {how.code}")
    return Fault("Runtime.ExitError", "Runtime exited without providing a reason")


def not_startable(kind: str, message: str) -> Fault:
    """The runtime's process could not even begin."""
    return Fault(kind, message)


def truncated() -> Fault:
    """The runtime broke its streamed answer off."""
    return Fault("Runtime.TruncatedResponse", "Response payload is not complete")


def answer_too_large(bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
    """The body for an answer beyond the limit."""
    return msgspec.json.encode(
        {
            "errorType": TOO_LARGE,
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({bytes_max} bytes).",
        }
    )


def body(fault: Fault, request_id: str) -> bytes:
    """The payload that the caller gets."""
    return msgspec.json.encode(
        {"errorType": fault.kind, "errorMessage": f"RequestId: {request_id} Error: {fault.message}"}
    )


def unexplained(error_type: str) -> bytes:
    """The payload for an error that the runtime reported without a body."""
    return msgspec.json.encode({"errorType": error_type or "Runtime.Unknown", "errorMessage": ""})
