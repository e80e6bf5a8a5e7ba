"""Recognises an answer of our own Python transport by its bytes, once the parser has understood one like it.  Pure.

That transport sends an answer and the poll for the next call together, and the same bytes around every answer:

    POST .../<request id>/response HTTP/1.1  Cumulo-Hold-Answer: 1  Content-Length: <n> | rest | body | poll

The first of a connection goes through the HTTP parser.  If it said nothing but "hold my answer", `rest` and
`poll` are remembered, and the next ones are compared instead of parsed, which saves a dozen callbacks a call.
Whatever differs in a single byte, or comes in pieces, goes to the parser as before.
"""

from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX

_START = (
    b"POST /2018-06-01/runtime/invocation/%b/response HTTP/1.1\r\nCumulo-Hold-Answer: 1\r\nContent-Length: "
)
_POLL = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_DIGITS_MAX = len(str(ANSWER_BYTES_MAX))
_SHAPE_BYTES_MAX = 2048


class Shape:
    """What surrounds the answers on one connection."""

    __slots__ = ("_poll", "_rest", "_start", "known")

    def __init__(self) -> None:
        self.known = False
        self._start = b""
        self._rest = b""
        self._poll = b""

    def expect(self, request_id: str) -> None:
        """The next answer is to this call."""
        self._start = _START % request_id.encode("latin-1")

    def learn(self, data: bytes) -> None:
        """Remember the shape of these bytes, which the parser took for one plain answer and one poll."""
        if not data.startswith(self._start):
            return
        start = len(self._start)
        end = data.find(b"\r\n", start)
        body = data.find(_END, start) + len(_END)
        digits = data[start:end]
        if not digits.isdigit() or len(digits) > _DIGITS_MAX:
            return
        poll = body + int(digits)
        alone = data.startswith(_POLL, poll) and data.find(_END, poll) == len(data) - len(_END)
        if alone and body - end + len(data) - poll <= _SHAPE_BYTES_MAX:
            self.known, self._rest, self._poll = True, data[end:body], data[poll:]

    def body(self, data: bytes) -> bytes | None:
        """The answer in these bytes; None when they have another shape."""
        if not data.startswith(self._start):
            return None
        start = len(self._start)
        end = data.find(b"\r\n", start, start + _DIGITS_MAX + 2)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._rest, end):
            return None
        body = end + len(self._rest)
        body_end = body + int(digits)
        whole = body_end + len(self._poll) == len(data) and data.endswith(self._poll)
        return data[body:body_end] if whole and body_end - body <= ANSWER_BYTES_MAX else None
