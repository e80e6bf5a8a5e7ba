"""How Batch stands, as JSON: the pages behind `cumulo batch top`.

GET /_cumulo/batch                queues with their shares, environments with their instances, jobs by state; see overview.py
GET /_cumulo/batch/savings        what attempts took by queue, share and kind of capacity, and what Spot saved
?account=, ?region=               only theirs
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from cumulo.services.batch.metering import JobMeter, Used
from cumulo.services.batch.overview import Overview
from cumulo.wire.http import Request, Response

_JSON: Final = ("content-type", "application/json")
_SPOT: Final = ("SPOT", "FARGATE_SPOT")


class Standing:
    """The pages."""

    def __init__(self, overview: Overview, meter: JobMeter) -> None:
        self._overview = overview
        self._meter = meter

    async def handle(self, request: Request, /) -> Response:
        """Answer GET."""
        if request.method != "GET":
            return _answer(405, {"message": "use GET"})
        query = dict(parse_qsl(request.query))
        account, region = query.get("account", ""), query.get("region", "")
        used = [one for one in self._meter.used() if _is_of(one, account, region)]
        if request.path.endswith("/savings"):
            return _answer(200, savings(used))
        return _answer(200, {**self._overview.show(account, region), "spot": spot(used)})


def savings(used: Sequence[Used]) -> dict[str, Any]:
    """What was used, row by row, and what was saved of it."""
    rows = [{**msgspec.structs.asdict(one), "saved": one.on_demand - one.paid} for one in used]
    return {"used": rows, "saved": sum(float(one["saved"]) for one in rows), "currency": "USD"}


def spot(used: Sequence[Used]) -> dict[str, float]:
    """USD that jobs on Spot cost, and would have cost on demand."""
    rows = [one for one in used if one.kind in _SPOT]
    return {"paid": sum(one.paid for one in rows), "on_demand": sum(one.on_demand for one in rows)}


def _is_of(one: Used, account: str, region: str) -> bool:
    parts = one.queue.split(":")
    return account in ("", parts[4]) and region in ("", parts[3])


def _answer(status: int, value: Any) -> Response:
    return Response(status, [_JSON], msgspec.json.encode(value))
