"""Long polls of queues, taken apart into short ones, so that nobody else has to wait for them."""

import re
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from cumulo.companions.journal import operation_of
from cumulo.wire.http import Headers, Request, Response

WAIT_SECONDS_MAX: Final = 20
PAUSE_SECONDS: Final = 0.1

_WAIT: Final = re.compile(r"WaitTimeSeconds")

Answer = Callable[[Request, bytes], Response]


def answer_poll(request: Request, body: bytes, answer: Answer) -> Response:
    """Answer any request; one that waits for messages is asked again and again instead."""
    if operation_of(request, body) != "ReceiveMessage" or not _WAIT.search(body.decode("latin-1")):
        return answer(request, body)
    seconds, body = _without_wait(request, body)
    request.headers = Headers(
        (name, str(len(body)).encode() if name == b"content-length" else value)
        for name, value in request.headers.raw
    )
    deadline = time.monotonic() + seconds
    while True:
        response = answer(request, body)
        empty = isinstance(response.body, bytes) and b"ReceiptHandle" not in response.body
        if response.status != 200 or not empty or time.monotonic() >= deadline:
            return response
        time.sleep(PAUSE_SECONDS)


def _without_wait(request: Request, body: bytes) -> tuple[int, bytes]:
    """How long the client wants to wait, and its request with no wait at all."""
    if "x-amz-target" in request.headers:
        try:
            values: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            return 0, body
        wait = values.get("WaitTimeSeconds")
        if not isinstance(wait, int) or not 0 < wait <= WAIT_SECONDS_MAX:
            return 0, body  # nothing, or something that moto has to refuse
        return wait, msgspec.json.encode({**values, "WaitTimeSeconds": 0})
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
    text = dict(pairs).get("WaitTimeSeconds", "")
    if not text.isdigit() or not 0 < int(text) <= WAIT_SECONDS_MAX:
        return 0, body
    return int(text), urlencode([(k, "0" if k == "WaitTimeSeconds" else v) for k, v in pairs]).encode()
