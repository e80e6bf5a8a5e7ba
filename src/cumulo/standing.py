"""What a cloud shows of itself: figures for /metrics, what is not as it should be, tags of what is on the bill."""

from collections.abc import Mapping

from cumulo.apis_slot import ApisSlot
from cumulo.companions.companions import Companions
from cumulo.compute_slot import ComputeSlot
from cumulo.meter.labels import TagsOf
from cumulo.pages import answer
from cumulo.services.ecr.house import EcrHouse
from cumulo.services.lambda_.events import EventQueue
from cumulo.services.lambda_.fleet import EnvironmentFleet
from cumulo.services.lambda_.service import Lambda
from cumulo.wire.http import Request, Response


class Standing:
    """Asks those who know, whenever it is asked; ECS and what goes with it only when they are built.

    notes  what was noted while the cloud was built, and later
    """

    def __init__(
        self,
        *,
        notes: list[str],
        lambda_: Lambda,
        fleet: EnvironmentFleet,
        events: EventQueue,
        ecr: EcrHouse,
        companions: Companions,
        compute: ComputeSlot,
        apis: ApisSlot,
    ) -> None:
        self._notes = notes
        self._lambda = lambda_
        self._fleet = fleet
        self._events = events
        self._ecr = ecr
        self._companions = companions
        self._compute = compute
        self._apis = apis

    def gauges(self) -> Mapping[str, float]:
        """What /metrics and `cumulo status` show of the state of things."""
        built, apis = self._compute.built, self._apis.built
        return {f"environments_{name}": float(count) for name, count in self._fleet.counts().items()} | {
            "functions": float(self._lambda.count()),
            "repositories": float(self._ecr.count()),
            **(built.gauges() if built is not None else {}),
            **(apis.gauges() if apis is not None else {}),
            "queued_events": float(len(self._events)),
            "companions_started": float(self._companions.started),
        }

    def notes(self) -> list[str]:
        """What does not work as on AWS, or not now, each in a sentence."""
        built = self._compute.built
        return [*self._notes, *(built.troubles() if built is not None else ())]

    def tags_of(self, service: str) -> TagsOf | None:
        """Who knows the tags of a service's resources."""
        late = {
            name: tags_of
            for built in (self._compute.built, self._apis.built)
            if built is not None
            for name, tags_of in built.tags().items()
        }
        early: Mapping[str, TagsOf] = {"ecr": self._ecr.tags_of, "lambda": self._lambda.tags_of}
        return early.get(service) or late.get(service)

    async def page(self, _request: Request, /) -> Response:
        """/_cumulo/notes."""
        return answer(200, {"notes": self.notes()})
