"""What the Runtime API answers: calls, thanks and refusals, each as the bytes of a whole HTTP answer."""

from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX, STREAM_BYTES_MAX, Call

_REASONS = {
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


def json_answer(status: int, body: bytes, *, close: bool = False) -> bytes:
    """A whole HTTP answer."""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n"
    )
    return head.encode() + body


def _refusal(status: int, kind: str, message: str) -> bytes:
    return json_answer(status, f'{{"errorMessage":"{message}","errorType":"{kind}"}}\n'.encode())


ACCEPTED = json_answer(202, b'{"status":"OK"}\n')
WRONG_ID = _refusal(400, "InvalidRequestID", "Invalid request ID")
WRONG_INVOCATION = _refusal(400, "InvalidInvocationId", "Invalid invocation ID")
WRONG_STATE = _refusal(403, "InvalidStateTransition", "State transition is not allowed")
WRONG_MODE = _refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")
_SIZE = "Exceeded maximum allowed payload size ({} bytes)."
TOO_LARGE = _refusal(413, "RequestEntityTooLarge", _SIZE.format(ANSWER_BYTES_MAX))
STREAM_TOO_LARGE = _refusal(413, "RequestEntityTooLarge", _SIZE.format(STREAM_BYTES_MAX))
NOT_FOUND = _refusal(404, "NotFound", "No such page")
NOT_BUILT = _refusal(
    501, "NotImplemented", "Extensions, Logs and Telemetry API are not implemented by Cumulo"
)
BAD_METHOD = _refusal(405, "MethodNotAllowed", "Method not allowed")
BAD_REQUEST = json_answer(400, b'{"errorMessage":"Bad request","errorType":"BadRequest"}\n', close=True)
HEAD_TOO_LARGE = json_answer(
    431, b'{"errorMessage":"Headers too large","errorType":"HeadersTooLarge"}\n', close=True
)


def next_answer(call: Call, deadline_ms: int) -> bytes:
    """The answer to a runtime's poll."""
    context = b"Lambda-Runtime-Client-Context: %b\r\n" % call.client_context if call.client_context else b""
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {call.request_id}\r\n"
        f"Lambda-Runtime-Invocation-Id: {call.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {call.ready.invoked_arn}\r\n"
        f"Lambda-Runtime-Trace-Id: {call.trace_id}\r\n"
        f"Content-Length: {len(call.payload)}\r\n"
    )
    return b"%b%b\r\n%b" % (head.encode("latin-1", "replace"), context, call.payload)
