"""Observes a stage of an HTTP API."""

from cumulo.gateway.definitions.v2 import V2Stage
from cumulo.gateway.observing.figures import Figures
from cumulo.gateway.observing.prices import HTTP_STEP_BYTES, is_free, steps
from cumulo.gateway.observing.stage_observer import Means, errors, received_bytes
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Visit


class HttpObserver:
    """tools.Observer."""

    def __init__(self, means: Means, stage: V2Stage) -> None:
        self._means = means
        self._is_detailed = detailed(stage)

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:  # noqa: ARG002 - it knows
        """A request was answered."""
        means, context = self._means, visit.context
        seconds = means.monotonic() - visit.started
        processed = received_bytes(visit) + response_bytes
        if context.get("error") is None or not is_free(context):
            means.use.add(steps(processed, HTTP_STEP_BYTES))
        if not means.figures.listed:
            means.list_figures(means.figures)
        route = context.get("routeKey", "")
        figures = means.figures.rest
        if route and self._is_detailed is not None and self._is_detailed(route):
            figures = means.figures.route(_dimensions(route))
        _count(figures, visit, status, seconds, processed)
        if means.access is not None:
            means.write(visit, status, response_bytes, seconds)
        means.remember(visit, route, status, seconds)


def _count(figures: Figures, visit: Visit, status: int, seconds: float, processed: int) -> None:
    theirs, ours = errors(status)
    add = figures.add
    add("Count", 1)
    add("4xx", theirs)
    add("5xx", ours)
    add("Latency", seconds * 1000)
    add("DataProcessed", processed)
    if visit.integration_span is not None:
        add("IntegrationLatency", visit.integration_span[1] * 1000)


def _dimensions(route: str) -> tuple[tuple[str, str], ...]:
    method, _, resource = route.partition(" ")
    return (("Method", method), ("Resource", resource or method))


class Detailed:
    """Which routes of a stage have metrics of their own."""

    def __init__(self, stage: V2Stage) -> None:
        self._every = bool(stage.default_route_settings.detailed_metrics_enabled)
        self._own = {
            key: one.detailed_metrics_enabled
            for key, one in stage.route_settings.items()
            if one.detailed_metrics_enabled is not None
        }

    def __call__(self, route: str) -> bool:
        """Whether this one has."""
        return self._own.get(route, self._every)

    @property
    def any(self) -> bool:
        """Whether one may have."""
        return self._every or any(self._own.values())


def detailed(stage: V2Stage) -> Detailed | None:
    """Which routes have metrics of their own; None: none has."""
    found = Detailed(stage)
    return found if found.any else None
