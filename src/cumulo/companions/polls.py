"""Long polls of queues, taken apart into short ones, so that nobody else has to wait for them."""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from cumulo.companions.journal import operation_of
from cumulo.wire.http import BytesBody, Headers, Request, Response

WAIT_SECONDS_MAX: Final = 20
PAUSE_SECONDS: Final = 0.1

_DEFAULT: Final = "ReceiveMessageWaitTimeSeconds"

Answer = Callable[[Request, bytes], Response]


def answer_poll(request: Request, body: bytes, answer: Answer) -> Response:
    """Answer any request; one that waits for messages is asked again and again instead."""
    if operation_of(request, body) != "ReceiveMessage":
        return answer(request, body)
    json = "x-amz-target" in request.headers
    seconds, short = _short_json(request, body, answer) if json else _short_form(body)
    changed = _with(request, {b"content-length": str(len(short)).encode()})
    deadline = time.monotonic() + seconds
    while True:
        response = answer(changed, short)
        empty = isinstance(response.body, bytes) and b"ReceiptHandle" not in response.body
        if response.status != 200 or not empty or time.monotonic() >= deadline:
            return response
        time.sleep(PAUSE_SECONDS)


def _short_json(request: Request, body: bytes, answer: Answer) -> tuple[int, bytes]:
    """How long the client wants to wait, and its request with no wait at all."""
    try:
        values = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return 0, body
    wait = values.get("WaitTimeSeconds")
    if wait is None:
        wait = _queue_default(request, values.get("QueueUrl"), answer)
    if not isinstance(wait, int) or not 0 <= wait <= WAIT_SECONDS_MAX:
        return 0, body  # moto has to refuse it
    return wait, msgspec.json.encode({**values, "WaitTimeSeconds": 0})


def _queue_default(request: Request, url: object, answer: Answer) -> int:
    """How long a poll of this queue waits when it does not say."""
    body = msgspec.json.encode({"QueueUrl": url, "AttributeNames": [_DEFAULT]})
    ask = _with(
        request,
        {b"x-amz-target": b"AmazonSQS.GetQueueAttributes", b"content-length": str(len(body)).encode()},
    )
    response = answer(ask, body)
    if response.status != 200 or not isinstance(response.body, bytes):
        return 0
    return int(msgspec.json.decode(response.body).get("Attributes", {}).get(_DEFAULT, 0))


def _short_form(body: bytes) -> tuple[int, bytes]:
    """The same in the query protocol, where a queue's default is not looked up."""
    values = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    text = values.get("WaitTimeSeconds", "0")
    if not text.isdigit() or int(text) > WAIT_SECONDS_MAX:
        return 0, body  # moto has to refuse it
    return int(text), urlencode({**values, "WaitTimeSeconds": "0"}, encoding="latin-1").encode()


def _with(request: Request, headers: dict[bytes, bytes]) -> Request:
    raw = Headers((name, headers.get(name, value)) for name, value in request.headers.raw)
    return Request(request.method, request.path, request.query, raw, BytesBody(b""), peer=request.peer)
