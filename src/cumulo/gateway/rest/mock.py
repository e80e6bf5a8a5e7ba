"""MOCK: no backend at all; the request template says {"statusCode": 200}, and the integration response the rest."""

import re
from typing import Any, Final

import msgspec

from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import Failed
from cumulo.gateway.rest.integration_request import Prepare
from cumulo.gateway.rest.integration_response import Finish, MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.mappings import Endpoint

_LENIENT: Final = re.compile(rb"[{,]\s*['\"]?statusCode['\"]?\s*:\s*['\"]?(\d{3})['\"]?\s*[,}]")


class Mock:
    """A MOCK integration."""

    def __init__(self, prepare: Prepare, finish: Finish) -> None:
        self._prepare = prepare
        self._finish = finish

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:  # noqa: ARG002 - every integration's
        """Answer.  Refused: 500, when the template gives no status."""
        status = status_in(self._prepare(call).body)
        if status is None:
            raise Failed(
                "DEFAULT_5XX",
                log="Execution failed due to configuration error: Unable to parse statusCode. "
                "It should be an integer that is defined in the request template.",
            )
        return self._finish(call, Endpoint(status, (), b""), str(status))


def status_in(body: bytes) -> int | None:
    """The status of {"statusCode": 200}, which AWS reads leniently; None when there is none."""
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        found = _LENIENT.search(body)
        return int(found[1]) if found is not None else None
    status = said.get("statusCode") if isinstance(said, dict) else None
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    return status if isinstance(status, int) and not isinstance(status, bool) else None
