"""Where deployments and events are kept."""

from cumulo.base.ids import Ids
from cumulo.services.ecs.scheduling.model import Deployment, ServiceEvent
from cumulo.services.ecs.shelf import Shelf
from cumulo.state.store import Store, join_key

EVENTS_KEPT = 100
DEPLOYMENTS_KEPT = 100


class Book:
    """Deployments and events of all services, in the order in which they came.

    deployments: key is service ARN and number.    events: service ARN and number.
    """

    def __init__(self, store: Store, ids: Ids) -> None:
        self._ids = ids
        self.deployments = Shelf(
            store,
            "ecs_deployments",
            Deployment,
            lambda one: join_key(one.service_arn, f"{one.number:08d}"),
            service=lambda one: one.service_arn,
            live=lambda one: one.service_arn if one.is_live else "",
            id=lambda one: join_key(one.service_arn, one.id),
            arn=lambda one: one.arn,
            revision=lambda one: one.revision_arn,
        )
        self.events = Shelf(
            store,
            "ecs_events",
            ServiceEvent,
            lambda one: join_key(one.service_arn, f"{one.number:08d}"),
            service=lambda one: one.service_arn,
        )

    def live(self, service_arn: str) -> list[Deployment]:
        """Those that are shown, the PRIMARY first, then the newest."""
        found = self.deployments.by("live", service_arn)
        return sorted(found, key=lambda one: (one.status != "PRIMARY", -one.number))

    def history(self, service_arn: str) -> list[Deployment]:
        """All that are kept, the newest first."""
        return sorted(self.deployments.by("service", service_arn), key=lambda one: -one.number)

    def primary(self, service_arn: str) -> Deployment | None:
        """What the service wants now."""
        found = self.live(service_arn)
        return found[0] if found and found[0].status == "PRIMARY" else None

    def find(self, service_arn: str, deployment_id: str) -> Deployment | None:
        """A service's deployment by its id."""
        found = self.deployments.by("id", join_key(service_arn, deployment_id))
        return found[0] if found else None

    def add(self, deployment: Deployment) -> None:
        """Keep a new deployment, and forget the oldest when there are too many."""
        self.deployments.put(deployment)
        kept = self.history(deployment.service_arn)
        for old in kept[DEPLOYMENTS_KEPT:]:
            if not old.is_live:
                self.deployments.delete(old)

    def note(self, service_arn: str, message: str, at: float) -> None:
        """Add an event."""
        story = self.story(service_arn)
        number = story[0].number + 1 if story else 1
        self.events.put(
            ServiceEvent(service_arn=service_arn, number=number, id=self._ids.uuid(), at=at, message=message)
        )
        for old in story[EVENTS_KEPT - 1 :]:
            self.events.delete(old)

    def story(self, service_arn: str) -> list[ServiceEvent]:
        """A service's events, the newest first."""
        return sorted(self.events.by("service", service_arn), key=lambda one: -one.number)

    def forget(self, service_arn: str) -> None:
        """Drop everything of a service: another one takes its name."""
        for deployment in self.deployments.by("service", service_arn):
            self.deployments.delete(deployment)
        for event in self.events.by("service", service_arn):
            self.events.delete(event)

    def clear(self) -> None:
        """Forget everything."""
        self.deployments.clear()
        self.events.clear()
