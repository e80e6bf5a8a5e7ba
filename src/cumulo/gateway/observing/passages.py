"""The last requests to APIs, with where their time went; kept small, for bodies may be large."""

from typing import Any, Final, NamedTuple

from cumulo.base.recent import Recent
from cumulo.gateway.visit import Visit

KEPT: Final = 2000
_CHARACTERS_MAX: Final = 256


class Passage(NamedTuple):
    """One request.

    request_id, extended_id  as its answer's headers tell (of HTTP and WebSocket APIs they are one)
    trace                    X-Amzn-Trace-Id
    route                    `GET /pets/{id}`, `$default`; empty: there was none
    started_ms               since the epoch
    seconds                  until the answer left
    authorizer, integration  when it was asked (seconds after the start) and for how long; None: it was not
    function_id              the request id of the function that was called; `authorizer_id` of the authorizer's
    error                    the gateway response's type, where the gateway itself answered
    """

    request_id: str
    extended_id: str
    trace: str
    kind: str
    api_id: str
    stage: str
    route: str
    method: str
    path: str
    status: int
    started_ms: int
    seconds: float
    authorizer: tuple[float, float] | None
    integration: tuple[float, float] | None
    function_id: str
    authorizer_id: str
    error: str


Passages = Recent[Passage]


def passage(visit: Visit, kind: str, route: str, status: int, seconds: float) -> Passage:
    """What is kept of a visit."""
    context: dict[str, Any] = visit.context
    address, request = visit.address, visit.request
    told, error = context.get("integration"), context.get("error")
    authorizer = context.get("authorizer") if visit.authorizer_span is not None else None
    path = address.raw_path
    return Passage(
        context["requestId"],
        context["extendedRequestId"],
        visit.trace,
        kind,
        address.api_id,
        address.stage,
        route,
        request.method,
        path if len(path) <= _CHARACTERS_MAX else path[:_CHARACTERS_MAX],
        status,
        visit.started_ms,
        seconds,
        visit.authorizer_span,
        visit.integration_span,
        (told.get("requestId") or "") if told is not None else "",
        str((authorizer or visit.facts).get("requestId") or "") if visit.authorizer_span is not None else "",
        error["responseType"] if error is not None else "",
    )
