"""What is counted of requests, and how it becomes data of CloudWatch.  Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cumulo.base.ports.metrics import Datum
from cumulo.gateway.stages import Place

ROUTES_MAX: Final = 1000  # of one stage, with figures of their own
_UNITS: Final[Mapping[str, str]] = {
    "DataProcessed": "Bytes",
    "IntegrationLatency": "Milliseconds",
    "Latency": "Milliseconds",
}

Dimensions = Mapping[str, str]


class Statistic:
    """How many values there were, their sum, the least and the greatest."""

    __slots__ = ("high", "low", "many", "sum")

    def __init__(self, value: float) -> None:
        self.many = 1
        self.sum = self.low = self.high = value

    def add(self, value: float) -> None:
        """One more."""
        self.many += 1
        self.sum += value
        if value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value

    def merge(self, other: "Statistic") -> None:
        """All of another."""
        self.many += other.many
        self.sum += other.sum
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)


class Figures:
    """Statistics by the names of metrics."""

    __slots__ = ("by_name",)

    def __init__(self) -> None:
        self.by_name: dict[str, Statistic] = {}

    def add(self, name: str, value: float) -> None:
        """A value of a metric."""
        found = self.by_name.get(name)
        if found is None:
            self.by_name[name] = Statistic(value)
        else:
            found.add(value)

    def merge(self, other: "Figures") -> None:
        """All of another."""
        for name, statistic in other.by_name.items():
            found = self.by_name.get(name)
            if found is None:
                found = self.by_name[name] = Statistic(statistic.low)
                found.many, found.sum, found.high = statistic.many, statistic.sum, statistic.high
            else:
                found.merge(statistic)

    def data(self, dimensions: Dimensions, at: float) -> Iterator[Datum]:
        """As CloudWatch takes them."""
        for name, statistic in self.by_name.items():
            yield Datum(
                name=name,
                dimensions=dimensions,
                value=statistic.sum,
                unit=_UNITS.get(name, "Count"),
                at=at,
                count=statistic.many,
                minimum=statistic.low,
                maximum=statistic.high,
            )


class StageFigures:
    """The figures of a stage in one period: of those of its routes that have figures of their own, and of the rest."""

    __slots__ = ("listed", "place", "rest", "routes")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.rest = Figures()
        self.routes: dict[tuple[tuple[str, str], ...], Figures] = {}
        self.listed = False

    def route(self, dimensions: tuple[tuple[str, str], ...]) -> Figures:
        """Where a request of a route counts, by the dimensions that are its own; beyond the bound, with the rest."""
        found = self.routes.get(dimensions)
        if found is not None:
            return found
        if len(self.routes) >= ROUTES_MAX:
            return self.rest
        found = self.routes[dimensions] = Figures()
        return found

    def take(self) -> tuple[Figures, dict[tuple[tuple[str, str], ...], Figures]]:
        """What there is, of all together and of routes; a new period begins."""
        whole, routes = self.rest, self.routes
        self.rest, self.routes = Figures(), {}
        for figures in routes.values():
            whole.merge(figures)
        return whole, routes


def api_dimension(place: Place) -> tuple[str, str]:
    """What tells an API from others: HTTP and WebSocket APIs by their ids, REST APIs by their names' ASCII characters."""
    if place.kind != "REST":
        return ("ApiId", place.api_id)
    name = place.api_name.encode("ascii", "ignore").decode()
    return ("ApiName", name or place.api_id)


def data_of(stages: Iterable[StageFigures], at: float) -> dict[tuple[str, str], list[Datum]]:
    """The data of a period by account and region: of APIs, their stages, and routes.  A new period begins."""
    found: dict[tuple[str, str], list[Datum]] = {}
    apis: dict[tuple[str, str, tuple[str, str]], Figures] = {}
    for stage in stages:
        place = stage.place
        api = api_dimension(place)
        whole, routes = stage.take()
        data = found.setdefault((place.account, place.region), [])
        own = dict((api, ("Stage", place.stage)))
        data += whole.data(own, at)
        for dimensions, figures in routes.items():
            data += figures.data({**own, **dict(dimensions)}, at)
        apis.setdefault((place.account, place.region, api), Figures()).merge(whole)
    for (account, region, api), figures in apis.items():
        found[account, region] += figures.data(dict((api,)), at)
    return found
