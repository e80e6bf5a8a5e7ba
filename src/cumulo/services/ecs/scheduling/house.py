"""Services, put together: their operations, their scheduler, and their tasks' part in target groups.

operations ──▶ Services, Book ──▶ Scheduler ──▶ Launches, Runner
                                     │
                                     └──▶ Happenings (EventBridge)        TargetAttachment ◀── Runner
"""

from collections.abc import Callable, Mapping, Sequence

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import Target, TargetGroup, TargetGroups
from cumulo.services.ecs.arns import arn
from cumulo.services.ecs.happenings.happenings import DEPLOYMENT, Happenings
from cumulo.services.ecs.placement.ledger import Ledger
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.scheduling.beginnings import Beginnings
from cumulo.services.ecs.scheduling.daemons import suited_instances
from cumulo.services.ecs.scheduling.facts import Pace
from cumulo.services.ecs.scheduling.model import Announcement
from cumulo.services.ecs.scheduling.run import Scheduler
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.targets import TargetAttachment
from cumulo.services.ecs.seams import Launches, Runner
from cumulo.services.ecs.service_deployments import ServiceDeployments
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.services.ecs.services import Services
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.wire.service import Operation


class Scheduling:
    """Everything of services.  `run` it beside the server; give `attachment` to the runner.

    targets   asked late, for load balancers are built after ECS
    """

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        *,
        launches: Launches,
        runner: Runner,
        targets: Callable[[], TargetGroups],
        zones: SubnetZones,
        happenings: Happenings,
        clock: Clock,
        ids: Ids,
        pace: Pace | None = None,
    ) -> None:
        self._records = records
        self._happenings = happenings
        self._book = book = Book(records.store, ids)
        groups = _Late(targets)
        self._scheduler = Scheduler(
            records,
            book,
            launches=launches,
            runner=runner,
            targets=groups,
            eligible=suited_instances(ledger),
            clock=clock,
            announce=self._announce,
            pace=pace,
        )
        telling = self._scheduler.telling
        views = ServiceViews(records, book)
        beginnings = Beginnings(records, book, clock, ids, telling)
        self.services = Services(records, book, views, beginnings, targets=groups, zones=zones, clock=clock)
        self._deployments = ServiceDeployments(records, book, views, self._scheduler, clock)
        self.attachment = TargetAttachment(records, book, targets=groups, telling=telling, clock=clock)

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {**self.services.operations(), **self._deployments.operations()}

    async def run(self) -> None:
        """Keep services, for ever."""
        await self._scheduler.run()

    def clear(self) -> None:
        """Forget deployments and events."""
        self._book.clear()

    def _announce(self, service_arn: str, one: Announcement) -> None:
        services = self._records.services.by("arn", service_arn)
        if not services:
            return
        if one.detail_type == DEPLOYMENT:
            self._happenings.deployment_change(services[0], one.deployment, one.kind, one.name, one.reason)
            return
        more: dict[str, object] = {}
        if one.reason:
            more["reason"] = one.reason
        if one.providers:
            where = services[0].region, services[0].account
            more["capacityProviderArns"] = [arn(*where, "capacity-provider", name) for name in one.providers]
        self._happenings.service_action(services[0], one.kind, one.name, **more)


class _Late:
    """Target groups that are looked up when they are asked."""

    def __init__(self, targets: Callable[[], TargetGroups]) -> None:
        self._targets = targets

    def group(self, arn: str) -> TargetGroup | None:
        return self._targets().group(arn)

    async def register(self, arn: str, targets: Sequence[Target]) -> None:
        await self._targets().register(arn, targets)

    async def deregister(self, arn: str, targets: Sequence[Target]) -> None:
        await self._targets().deregister(arn, targets)

    def health(self, arn: str) -> Mapping[Target, str]:
        return self._targets().health(arn)
