"""Observes a stage of a REST API."""

from cumulo.gateway.definitions.rest import RestStage
from cumulo.gateway.observing.figures import ROUTES_MAX, Figures
from cumulo.gateway.observing.prices import REST_STEP_BYTES, is_free, steps
from cumulo.gateway.observing.stage_observer import Means, errors
from cumulo.gateway.rest.settings import setting_of
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Visit

Dimensions = tuple[tuple[str, str], ...]


class RestObserver:
    """tools.Observer."""

    def __init__(self, means: Means, stage: RestStage) -> None:
        self._means = means
        self._stage = stage
        self._detailed = any(one.metrics_enabled for one in stage.method_settings.values())
        self._routes: dict[tuple[str, str], Dimensions | None] = {}

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:  # noqa: ARG002 - it knows
        """A request was answered."""
        means, context = self._means, visit.context
        seconds = means.monotonic() - visit.started
        if context.get("error") is None or not is_free(context):
            means.use.add(steps(response_bytes, REST_STEP_BYTES))
        if not means.figures.listed:
            means.list_figures(means.figures)
        path, method = context.get("resourcePath"), context["httpMethod"]
        _count(self._figures(path, method), visit, status, seconds)
        if visit.log:
            means.execution.write(context["requestId"], visit.log)
        if means.access is not None:
            means.write(visit, status, response_bytes, seconds)
        means.remember(visit, f"{method} {path}" if path is not None else "", status, seconds)

    def _figures(self, path: str | None, method: str) -> Figures:
        """Where a request to a method counts."""
        figures = self._means.figures
        if not self._detailed or path is None:
            return figures.rest
        key = (method, path)
        dimensions = self._routes[key] if key in self._routes else self._dimensions(method, path)
        return figures.rest if dimensions is None else figures.route(dimensions)

    def _dimensions(self, method: str, path: str) -> Dimensions | None:
        """Those of a method with metrics of its own; None: it has none."""
        if len(self._routes) >= ROUTES_MAX:  # clients may name any method where a resource takes ANY
            self._routes.clear()
        setting = setting_of(self._stage, path, method)
        if setting is setting_of(self._stage, path, ""):  # that of all methods
            setting = setting_of(self._stage, path, "ANY")
        dimensions = (("Method", method), ("Resource", path)) if setting.metrics_enabled else None
        self._routes[method, path] = dimensions
        return dimensions


def _count(figures: Figures, visit: Visit, status: int, seconds: float) -> None:
    theirs, ours = errors(status)
    add = figures.add
    add("Count", 1)
    add("4XXError", theirs)
    add("5XXError", ours)
    add("Latency", seconds * 1000)
    if visit.integration_span is not None:
        add("IntegrationLatency", visit.integration_span[1] * 1000)
    hit = visit.context.get("cacheHit")
    if hit is not None:
        add("CacheHitCount", 1 if hit else 0)
        add("CacheMissCount", 0 if hit else 1)
