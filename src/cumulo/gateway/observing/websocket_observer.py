"""Observes a stage of a WebSocket API: its events, and what backends do with its connections."""

from collections.abc import Mapping
from typing import Any, Final

from cumulo.gateway.definitions.v2 import V2Stage
from cumulo.gateway.observing.figures import Figures
from cumulo.gateway.observing.http_observer import detailed
from cumulo.gateway.observing.metering import ApiMeter
from cumulo.gateway.observing.prices import MESSAGE_STEP_BYTES, is_free, steps
from cumulo.gateway.observing.stage_observer import Means, received_bytes
from cumulo.gateway.observing.websocket_lines import lines_of
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Visit

CONNECT: Final = "CONNECT"
MESSAGE: Final = "MESSAGE"
DISCONNECT: Final = "DISCONNECT"
_UNDELIVERED: Final = 429  # without an error: the client reads too slowly for what its backend has answered


class WebSocketObserver:
    """tools.Observer."""

    def __init__(self, means: Means, stage: V2Stage, meter: ApiMeter) -> None:
        self._means = means
        self._stage = stage
        self._meter = meter
        self._is_detailed = detailed(stage)

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:
        """Something happened to a connection."""
        means, context = self._means, visit.context
        seconds = means.monotonic() - visit.started
        out = context.get("messageDirection") == "OUT"
        event = context.get("eventType", "")
        if event == DISCONNECT:
            self._meter.ended(place, int(context["connectedAt"]))
        messages = _messages(visit, event, status, response_bytes, out=out)
        charged = sum(steps(size, MESSAGE_STEP_BYTES) for size in messages)
        if charged:
            means.use.add(charged)
        if not means.figures.listed:
            means.list_figures(means.figures)
        route = context.get("routeKey", "")
        figures = means.figures.rest
        if route and self._is_detailed is not None and self._is_detailed(route):
            figures = means.figures.route((("Route", route),))
        _count(figures, visit, event, status, len(messages))
        self._write(visit, status, route)
        if means.access is not None and event:
            means.write(visit, status, response_bytes, seconds)
        means.remember(visit, route, status, seconds)

    def _write(self, visit: Visit, status: int, route: str) -> None:
        """The execution log, where the route's settings (or the stage's) ask for one."""
        if not visit.context.get("eventType"):
            return
        default, own = self._stage.default_route_settings, self._stage.route_settings.get(route)
        level = own.logging_level if own is not None and own.logging_level else default.logging_level
        if level not in ("INFO", "ERROR"):
            return
        traces = own.data_trace_enabled if own is not None else None
        traces = default.data_trace_enabled if traces is None else traces
        at = visit.started_ms
        lines = [(at, text) for text in lines_of(visit, status, level=level, traces=bool(traces))]
        if lines:
            self._means.execution.write(visit.context["requestId"], lines)


def _messages(visit: Visit, event: str, status: int, response_bytes: int, *, out: bool) -> list[int]:
    """The sizes of the messages that an event is: what came, what went back, what a backend sent."""
    if event != MESSAGE:
        return []
    if out:
        return [received_bytes(visit)] if status == 200 else []
    if is_free(visit.context):
        return []
    sizes = [received_bytes(visit)]
    if response_bytes and status != _UNDELIVERED:
        sizes.append(response_bytes)
    return sizes


def _count(figures: Figures, visit: Visit, event: str, status: int, messages: int) -> None:
    context = visit.context
    if event == CONNECT:
        figures.add("ConnectCount", 1)
    for _ in range(messages):
        figures.add("MessageCount", 1)
    client, execution, integration = _errors(context, status)
    figures.add("ClientError", client)
    figures.add("ExecutionError", execution)
    figures.add("IntegrationError", integration)
    if visit.integration_span is not None:
        figures.add("IntegrationLatency", visit.integration_span[1] * 1000)


def _errors(context: Mapping[str, Any], status: int) -> tuple[int, int, int]:
    """Whether the gateway refused a client, an integration could not be called, or it answered with an error."""
    error, told = context.get("error"), context.get("integration")
    if error is None:
        return 0, 0, int(told is not None and status >= 400 and status != _UNDELIVERED)
    if told is None and status < 500:
        return 1, 0, 0
    answered = told.get("status") if told is not None else None
    if isinstance(answered, int) and answered >= 400 and not (told or {}).get("error"):
        return 0, 0, 1
    return 0, 1, 0
