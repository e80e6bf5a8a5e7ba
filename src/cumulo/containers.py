"""The page behind `cumulo image run`: POST /_cumulo/containers with an Order, answered by a line of JSON for each event.

{"started": {"pod": ..., "address": ..., "ports": [...]}}
{"stdout": "<base64>"}   {"stderr": "<base64>"}
{"exit": 7, "out_of_memory": false, "error": ""}
{"refused": "why it could not be run"}
"""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.engines.engine import EngineError, Exit
from cumulo.engines.images import PullError
from cumulo.engines.one_shot import BadOrder, OneShots, Order, Output, Started
from cumulo.wire.http import Request, Response

ORDER_BYTES_MAX = 1024 * 1024
LINES = ("content-type", "application/x-ndjson")


class Containers:
    """Runs what it is told, for whoever may read the data folder (the caller guards it)."""

    def __init__(self, shots: OneShots) -> None:
        self._shots = shots

    async def handle(self, request: Request, /) -> Response:
        """Answer POST /_cumulo/containers."""
        if request.method != "POST":
            return _told(405, "use POST")
        try:
            order = msgspec.json.decode(await request.body.read(ORDER_BYTES_MAX), type=Order)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _told(400, f"the order cannot be read: {error}")
        return Response(200, [LINES], self._lines(order))

    async def _lines(self, order: Order) -> AsyncIterator[bytes]:
        try:
            async with aclosing(self._shots.run(order)) as events:
                async for event in events:
                    yield msgspec.json.encode(_shown(event)) + b"\n"
        except (BadOrder, PullError, EngineError, AwsError) as error:
            yield msgspec.json.encode({"refused": str(error)}) + b"\n"


def _shown(event: Started | Output | Exit) -> Mapping[str, Any]:
    match event:
        case Started(pod, address, ports):
            return {"started": {"pod": pod, "address": address, "ports": ports}}
        case Output(stream, data):
            return {stream: base64.b64encode(data).decode()}
        case _:
            return {"exit": event.code, "out_of_memory": event.out_of_memory, "error": event.error}


def _told(status: int, message: str) -> Response:
    return Response(status, [("content-type", "application/json")], msgspec.json.encode({"message": message}))
