"""What one stage's observer has, made together with the stage, so that a request looks up nothing."""

from typing import Final

from cumulo.base.clock import Clock
from cumulo.gateway.observing.figures import StageFigures
from cumulo.gateway.observing.log_groups import AccessLog, ExecutionLog
from cumulo.gateway.observing.metering import Use
from cumulo.gateway.observing.metrics import ApiMetrics
from cumulo.gateway.observing.passages import Passages, passage
from cumulo.gateway.observing.variables import Ended
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Visit

_CLIENT: Final = 400
_SERVER: Final = 500


class Means:
    """What observers of stages share with all others, and what is their stage's own."""

    __slots__ = ("access", "execution", "figures", "list_figures", "monotonic", "passages", "place", "use")

    def __init__(
        self,
        place: Place,
        *,
        clock: Clock,
        metrics: ApiMetrics,
        use: Use,
        passages: Passages,
        access: AccessLog | None,
        execution: ExecutionLog,
    ) -> None:
        self.place = place
        self.monotonic = clock.monotonic
        self.figures: StageFigures = metrics.of(place)
        self.list_figures = metrics.list
        self.use = use
        self.passages = passages
        self.access = access
        self.execution = execution

    def write(self, visit: Visit, status: int, sent: int, seconds: float) -> None:
        """The access log's line, where there is such a log."""
        if self.access is not None:
            self.access.write(Ended(visit, status, sent, received_bytes(visit), seconds))

    def remember(self, visit: Visit, route: str, status: int, seconds: float) -> None:
        """Keep it for whoever asks where its time went."""
        self.passages.add(passage(visit, self.place.kind, route, status, seconds))


def errors(status: int) -> tuple[int, int]:
    """Whether a status is a client's error, and whether it is a server's: metrics count each request as 0 or 1."""
    if status < _CLIENT:
        return 0, 0
    return (1, 0) if status < _SERVER else (0, 1)


def received_bytes(visit: Visit) -> int:
    """How large the request's body was, as far as anybody knows."""
    if visit.body is not None:
        return len(visit.body)
    length = visit.request.headers.get("content-length")
    return int(length) if length.isdecimal() and len(length) < 16 else 0
