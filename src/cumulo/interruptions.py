"""The page behind `cumulo interrupt`: POST /_cumulo/interrupt takes Spot capacity away, as AWS does when it needs it.

{"target": "i-0123..."}  an EC2 Spot instance: warned, drained when its agent is told so, terminated
{"target": "arn:aws:ecs:...:task/..."}  or a task's id: a task on FARGATE_SPOT: told to end, stopped
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.wire.http import Request, Response

ORDER_BYTES_MAX = 4096
_JSON = ("content-type", "application/json")


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to take away."""

    target: str


class Interruptions:
    """Interrupts what it is told, for whoever may read the data folder (the caller guards it)."""

    def __init__(
        self, instance: Callable[[str], Awaitable[float]], task: Callable[[str], Awaitable[str]]
    ) -> None:
        """`instance` gives when it will be gone (seconds since the epoch), `task` the task's ARN."""
        self._instance = instance
        self._task = task

    async def handle(self, request: Request, /) -> Response:
        """Answer POST /_cumulo/interrupt."""
        if request.method != "POST":
            return _told(405, message="use POST")
        try:
            order = msgspec.json.decode(await request.body.read(ORDER_BYTES_MAX), type=Order)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _told(400, message=f"the order cannot be read: {error}")
        try:
            if order.target.startswith("i-"):
                return _told(200, instance=order.target, gone_at=await self._instance(order.target))
            return _told(200, task=await self._task(order.target))
        except AwsError as error:
            return _told(error.status, message=error.message)


def _told(status: int, **values: Any) -> Response:
    return Response(status, [_JSON], msgspec.json.encode(values))
