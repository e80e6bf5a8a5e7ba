"""The Runtime API: what a function's runtime speaks to us, on its sandbox's own listening socket.

    GET  /2018-06-01/runtime/invocation/next            long poll: answered when there is a call
    POST /2018-06-01/runtime/invocation/{id}/response   the function's answer
    POST /2018-06-01/runtime/invocation/{id}/error      the function raised
    POST /2018-06-01/runtime/init/error                 it could not even be loaded

An answer with `Lambda-Runtime-Function-Response-Mode: streaming` is passed on while it arrives, when whoever called
wants it so; an error in its middle comes in trailers.

Everything that arrives may be hostile.  Per connection one request is read at a time, a head is at most
`HEAD_BYTES_MAX`, and only one connection at a time may bring the answer to the current call, so a sandbox holds
no more of our memory than one answer and its heads.  Who does not take the pieces of a streamed answer stops the
reading.
"""

import asyncio
from enum import Enum
from typing import cast

import httptools

from cumulo.services.lambda_ import runtime_answers as answers
from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX, STREAM_BYTES_MAX
from cumulo.services.lambda_.runtime_contract import Runtime, Sink, Verdict
from cumulo.services.lambda_.runtime_shapes import Shape

CONNECTIONS_MAX = 32
HEAD_BYTES_MAX = 1_200_000  # the Python runtime sends its X-Ray cause, up to 1 MB, in a header
INIT_ERROR_BYTES_MAX = 256 * 1024
DISCARD_BYTES_MAX = 64 * 1024 * 1024

_NEXT = b"/2018-06-01/runtime/invocation/next"
_INVOCATION = b"/2018-06-01/runtime/invocation/"
_INIT_ERROR = b"/2018-06-01/runtime/init/error"
_OTHER_APIS = (b"/2020-01-01/extension/", b"/2020-08-15/logs", b"/2022-07-01/telemetry")
_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"
_INVOCATION_ID = b"lambda-runtime-invocation-id"
_MODE = b"lambda-runtime-function-response-mode"
_CONTENT_TYPE = b"content-type"
_EXPECT = b"expect"
_HOLD = b"cumulo-hold-answer"  # our Python transport sends it
_HELD_ONLY = {_HOLD: b"1"}
_WANTED = frozenset({_ERROR_TYPE, _ERROR_BODY, _INVOCATION_ID, _MODE, _EXPECT, _HOLD})


class Target(Enum):
    """What a request is for."""

    NEXT = "next"
    RESPONSE = "response"
    ERROR = "error"
    INIT_ERROR = "init error"
    REFUSED = "refused"


class Connection(asyncio.Protocol):
    """One connection of a runtime."""

    __slots__ = (
        "_body",
        "_claimed",
        "_content_type",
        "_dead",
        "_discarded",
        "_handed",
        "_head_bytes",
        "_headers",
        "_held",
        "_holding",
        "_idle_bytes",
        "_in_head",
        "_last_call",
        "_length",
        "_limit",
        "_parser",
        "_plain",
        "_polling",
        "_refusal",
        "_runtime",
        "_shape",
        "_sink",
        "_stalled",
        "_target",
        "_transport",
        "_url",
    )

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._polling = False
        self._last_call = False
        self._claimed = False
        self._dead = False
        self._held = b""
        self._handed = (
            ""  # the request id of a call that was handed over here, and to which nothing has come yet
        )
        self._plain = False  # the last answer's headers said nothing but "hold my answer"
        self._shape = Shape()
        self._sink: Sink | None = None
        self._holding = False  # the sink is full
        self._stalled = False  # our answers are not read
        self._in_head = True
        self._head_bytes = 0
        self._idle_bytes = 0  # since the last piece of a body: trailers and what is between chunks
        self._url = b""
        self._content_type = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] | None = None
        self._length = 0
        self._limit = ANSWER_BYTES_MAX
        self._discarded = 0
        self._target = Target.REFUSED
        self._refusal = answers.NOT_FOUND

    # -- asyncio -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._runtime.connected(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give back what this connection held."""
        self._transport = None
        self._sink = None
        if self._polling:
            self._polling = False
            self._runtime.poll_lost(self)
        if self._claimed:
            self._claimed = False
            self._runtime.unclaim(self)
        self._runtime.disconnected(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what it cannot read ends the connection."""
        handed, self._handed = self._handed, ""
        if handed and self._shape.known:
            payload = self._shape.body(data)  # the parser is between two requests, and stays there
            if payload is not None and self._take_known(handed, payload):
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up(answers.BAD_REQUEST)
            return
        if handed and self._plain and self._polling and not self._last_call:
            self._shape.learn(data)
        if self._held and not self._polling:
            self._send(b"")
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._give_up(answers.HEAD_TOO_LARGE)
        else:
            self._idle_bytes += len(data)
            if self._idle_bytes > HEAD_BYTES_MAX + len(data):
                self._give_up(b"")

    def pause_writing(self) -> None:
        """It does not read our answers: then we do not read its requests."""
        self._stalled = True
        self._pace()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stalled = False
        self._pace()

    # -- httptools ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A new request; there may be none while a poll is open."""
        if self._polling:
            self._give_up(b"")
        self._in_head = True
        self._head_bytes = 0
        self._idle_bytes = 0
        self._url = b""
        self._content_type = b""
        if self._headers:
            self._headers = {}

    def on_url(self, url: bytes) -> None:
        """A piece of the path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few that matter."""
        key = name.lower()
        if key in _WANTED:
            self._headers[key] = value
        elif key == _CONTENT_TYPE:
            self._content_type = value

    def on_headers_complete(self) -> None:
        """Decide what this request is, and whether its body is worth keeping."""
        if self._dead:
            return
        self._in_head = False
        self._body = None
        self._length = 0
        self._discarded = 0
        target = self._target = self._route(self._parser.get_method(), self._url)
        if target is not Target.NEXT and target is not Target.REFUSED:
            self._body = []
            self._limit = INIT_ERROR_BYTES_MAX if target is Target.INIT_ERROR else ANSWER_BYTES_MAX
            if _MODE in self._headers and target is Target.RESPONSE:
                self._begin_mode(self._headers[_MODE].lower())
        if self._headers and self._headers.get(_EXPECT, b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        """Collect, within the limit; or pass on, or drop."""
        self._idle_bytes = 0
        if self._body is None:
            if self._sink is not None:
                self._pass_on(chunk)
                return
            self._discarded += len(chunk)
            if self._discarded > DISCARD_BYTES_MAX:
                self._give_up(b"")
            return
        self._length += len(chunk)
        if self._length <= self._limit:
            self._body.append(chunk)
            return
        self._body = None
        self._refuse_size(answers.TOO_LARGE)

    def on_message_complete(self) -> None:
        """Act on a whole request."""
        if self._dead:
            return
        match self._target:
            case Target.NEXT:
                self._polling = True
                self._last_call = not self._parser.should_keep_alive()
                if not self._runtime.polled(self):
                    self._polling = False
                    self._send(answers.WRONG_STATE)
            case Target.RESPONSE | Target.ERROR:
                self._deliver()
            case Target.INIT_ERROR:
                kind = self._headers.get(_ERROR_TYPE, b"Runtime.Unknown").decode("latin-1")
                taken = self._runtime.init_failed(b"".join(self._body or ()), kind)
                self._send(answers.ACCEPTED if taken else answers.WRONG_STATE)
            case Target.REFUSED if _HOLD in self._headers:
                # It has polled in the same breath, but ends when it reads this: a call must not go there.
                self._give_up(self._held + self._refusal)
            case Target.REFUSED:
                self._send(self._refusal)
        self._body = None
        if not self._polling and not self._parser.should_keep_alive() and self._transport is not None:
            self._send(b"")
            self._transport.close()

    # -- ours --------------------------------------------------------------------------------------------

    def send_call(self, request_id: str, data: bytes) -> None:
        """Answer the open poll with a call."""
        self._polling = False
        if self._transport is not None:
            held, self._held = self._held, b""
            self._transport.write(held + data)
            if self._last_call:
                self._transport.close()
            self._handed = request_id
            self._shape.expect(request_id)

    def hold(self) -> None:
        """Whoever takes the pieces of the answer has enough for now."""
        self._holding = True
        self._pace()

    def release(self) -> None:
        """They take more."""
        self._holding = False
        self._pace()

    def overtaken(self) -> None:
        """Another connection brings the answer; what comes here from now on is refused."""
        self._claimed = False
        self._body = None
        self._target = self._refuse(answers.WRONG_STATE)

    def drop(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take_known(self, request_id: str, payload: bytes) -> bool:
        """Take an answer and the poll after it, as the parser's callbacks do; False when it may not come."""
        if self._runtime.claim(self, request_id) is not Verdict.WELCOME:
            return False
        self._held = answers.ACCEPTED
        self._runtime.answered(payload)
        self._polling = True
        self._last_call = False
        if not self._runtime.polled(self):
            self._polling = False
            self._send(answers.WRONG_STATE)
        return True

    def _pace(self) -> None:
        """Read, unless one of the two sides is to wait."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._holding or self._stalled:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _begin_mode(self, mode: bytes) -> None:
        """The runtime says how its answer comes."""
        if mode == b"streaming":
            self._sink = self._runtime.stream(self, self._content_type.decode("latin-1"))
            if self._sink is not None:
                self._body = None
                self._limit = STREAM_BYTES_MAX
        elif mode != b"buffered":
            self._body = None
            self._claimed = False
            self._runtime.failed(b"", "Runtime.InvalidResponseModeHeader")
            self._target = self._refuse(answers.WRONG_MODE)

    def _pass_on(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length <= self._limit and self._sink is not None:
            self._sink.put(chunk)
            return
        self._sink = None
        self._refuse_size(answers.STREAM_TOO_LARGE)

    def _refuse_size(self, refusal: bytes) -> None:
        if self._claimed:
            self._claimed = False
            self._runtime.too_large()
        self._target = self._refuse(refusal)

    def _deliver(self) -> None:
        if self._transport is None or not self._claimed:
            return
        self._claimed = False
        self._sink = None
        body = self._body or []
        payload = body[0] if len(body) == 1 else b"".join(body)
        # The runtime goes on while the rest of the work is done here.  One that has said so polls in the same
        # breath, and takes this together with the next call.
        self._plain = self._headers == _HELD_ONLY and self._target is Target.RESPONSE
        if _HOLD in self._headers:
            self._held = answers.ACCEPTED
        else:
            self._send(answers.ACCEPTED)
        if self._target is Target.ERROR:
            kind = self._headers.get(_ERROR_TYPE, b"").decode("latin-1")
            self._runtime.failed(payload, kind)
        elif _ERROR_TYPE in self._headers:
            # Streamed, and broken off in the middle: the error comes in the trailers.
            self._runtime.failed(_trailer_body(self._headers), self._headers[_ERROR_TYPE].decode("latin-1"))
        else:
            self._runtime.answered(payload)

    def _route(self, method: bytes, url: bytes) -> Target:
        if url == _NEXT:
            return Target.NEXT if method == b"GET" else self._refuse(answers.BAD_METHOD)
        if url.startswith(_INVOCATION):
            request_id, _, verb = url[len(_INVOCATION) :].partition(b"/")
            if verb != b"response" and verb != b"error":  # noqa: PLR1714 - quicker than a set
                return self._refuse(answers.NOT_FOUND)
            if method != b"POST":
                return self._refuse(answers.BAD_METHOD)
            return self._claim(request_id, Target.RESPONSE if verb == b"response" else Target.ERROR)
        if url == _INIT_ERROR:
            return Target.INIT_ERROR if method == b"POST" else self._refuse(answers.BAD_METHOD)
        return self._refuse(answers.NOT_BUILT if url.startswith(_OTHER_APIS) else answers.NOT_FOUND)

    def _claim(self, request_id: bytes, target: Target) -> Target:
        echoed = self._headers.get(_INVOCATION_ID)
        if echoed is not None and echoed != request_id:
            return self._refuse(answers.WRONG_INVOCATION)
        verdict = self._runtime.claim(self, request_id.decode("latin-1"))
        if verdict is Verdict.WELCOME:
            self._claimed = True
            return target
        return self._refuse(answers.WRONG_ID if verdict is Verdict.WRONG_ID else answers.WRONG_STATE)

    def _refuse(self, answer: bytes) -> Target:
        self._refusal = answer
        return Target.REFUSED

    def _send(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(held + data)

    def _give_up(self, last_words: bytes) -> None:
        self._dead = True
        transport = self._transport
        if transport is None:
            return
        if last_words and not self._polling:
            transport.write(last_words)
            transport.close()
        else:
            transport.abort()


def _trailer_body(headers: dict[bytes, bytes]) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(headers.get(_ERROR_BODY, b""), validate=True)
    except binascii.Error:
        return b""
