"""Services, whole: the operations, the scheduler that keeps them, and what their tasks take part in.

Services, ServiceDeployments ──▶ Book ◀──▶ Scheduler ──▶ Launches, Runner
TargetAttachment, Registries, Connect: traffic finds the tasks
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports.discovery import CloudMap
from cumulo.base.ports.networks import Networks
from cumulo.base.ports.targets import TargetGroups
from cumulo.engines.engine import Engine
from cumulo.services.ecs.discovery.connect import Connect
from cumulo.services.ecs.discovery.model import DiscoveryRecords
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.discovery.registrar import Registrar
from cumulo.services.ecs.discovery.registries import Registries
from cumulo.services.ecs.happenings.happenings import DEPLOYMENT, Happenings
from cumulo.services.ecs.model import Service, Task, TaskDefinition
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.scheduling.beginnings import Beginnings
from cumulo.services.ecs.scheduling.facts import Eligible, Pace
from cumulo.services.ecs.scheduling.model import Announcement
from cumulo.services.ecs.scheduling.pins import DeploymentPins
from cumulo.services.ecs.scheduling.run import Scheduler
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.targets import TargetAttachment
from cumulo.services.ecs.seams import Attachment, Launches, Runner
from cumulo.services.ecs.service_deployments import ServiceDeployments
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.services.ecs.services import CheckGroups, Services
from cumulo.wire.service import Operation

Publish = Callable[[Mapping[str, Sequence[str]]], Awaitable[None]]


class ServiceHouse:
    """Everything of services.  `attachments` are given to the Runner before it starts.

    apart   accounts are strangers to one another, and see no names of others
    """

    def __init__(
        self,
        records: Records,
        *,
        launches: Launches,
        runner: Runner,
        targets: TargetGroups,
        networks: Networks,
        check_groups: CheckGroups,
        cloud_map: CloudMap,
        publish: Publish,
        engine: Callable[[], Awaitable[Engine]],
        eligible: Eligible,
        happenings: Happenings,
        clock: Clock,
        ids: Ids,
        principal_of: Callable[[str], str],
        pace: Pace | None = None,
        apart: bool = False,
    ) -> None:
        self._records = records
        self._happenings = happenings
        self.book = Book(records.store, ids)
        self.pins = DeploymentPins(records, self.book)
        self.scheduler = Scheduler(
            records,
            self.book,
            launches=launches,
            runner=runner,
            targets=targets,
            eligible=eligible,
            clock=clock,
            announce=self._announce,
            pace=pace,
        )
        self.kept = DiscoveryRecords(records.store)
        self.namespaces = Namespaces(self.kept, cloud_map)
        self._registrar = Registrar(records, self.kept, cloud_map, publish, apart=apart)
        self._registries = Registries(records, cloud_map, self._registrar)
        self._connect = Connect(
            records,
            self.kept,
            self.namespaces,
            cloud_map,
            self._registrar,
            engine,
            clock=clock,
            rand=random.Random(),
        )
        target_attachment = TargetAttachment(
            records, self.book, targets=targets, telling=self.scheduler.telling, clock=clock
        )
        self.attachments: tuple[Attachment, ...] = (self._registries, self._connect, target_attachment)
        views = ServiceViews(records, self.book, self._connect.resources)
        self._services = Services(
            records,
            self.book,
            views,
            Beginnings(records, self.book, clock, ids, self.scheduler.telling),
            targets=targets,
            networks=networks,
            check_groups=check_groups,
            clock=clock,
            connections=self._check_connections,
            principal_of=principal_of,
            namespaces=self.namespaces,
        )
        self._deployments = ServiceDeployments(records, self.book, views, self.scheduler, clock)

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {**self._services.operations(), **self._deployments.operations()}

    def uses(self, definition_arn: str) -> bool:
        """Whether a deployment still starts tasks of a definition."""
        return any(
            one.is_live and one.definition_arn == definition_arn for one in self.book.deployments.all()
        )

    def is_replaced(self, task: Task) -> bool:
        """Whether a task belongs to a deployment that another one takes the place of."""
        return any(
            one.status == "PRIMARY" and one.id != task.deployment
            for found in (self._records.services.get(service_key(task.cluster_arn, task.service)),)
            if found is not None
            for one in self.book.live(found.arn)
        )

    def find(self, account: str, region: str, resource: str) -> Service | None:
        """The ACTIVE service that `service/<cluster>/<name>` means."""
        kind, _, rest = resource.partition("/")
        cluster, _, name = rest.partition("/")
        for one in self._records.clusters.by("place", f"{account}\x1f{region}"):
            if one.name == cluster and kind == "service":
                found = self._records.services.get(service_key(one.arn, name))
                return found if found is not None and found.status == "ACTIVE" else None
        return None

    async def scale(self, account: str, region: str, resource: str, count: int) -> None:
        """Change a service's desired count as UpdateService does.  AwsError."""
        service = self.find(account, region, resource)
        if service is None:
            raise invalid(f"ECS service doesn't exist: {resource}")
        caller = Caller(account=account, region=region)
        values = {"cluster": service.cluster_arn, "service": service.name, "desiredCount": count}
        await self._services.update(caller, values)

    async def start(self) -> None:
        """After a restart: names are published again, proxies listen again."""
        await self._registrar.start()
        await self._connect.start()

    async def close(self) -> None:
        """Let go."""
        await self._connect.close()
        await self._registrar.close()

    def clear(self) -> None:
        """Forget deployments, events and what was registered."""
        self.book.deployments.clear()
        self.book.events.clear()
        self.kept.clear()

    async def _check_connections(self, service: Service, definition: TaskDefinition, operation: str) -> None:
        await self._registries.check(
            service.account, service.document.get("serviceRegistries", ()), definition
        )
        configuration = service.document.get("serviceConnectConfiguration")
        if configuration is None:
            return
        cluster = self._records.clusters.get(service.cluster_arn)
        await self._connect.check(
            service.account,
            service.region,
            cluster.service_connect_namespace if cluster is not None else "",
            configuration,
            definition,
            service=service_key(service.cluster_arn, service.name),
            operation=operation,
        )

    def _announce(self, service_arn: str, news: Announcement) -> None:
        found = self._records.services.by("arn", service_arn)
        if not found:
            return
        if news.detail_type == DEPLOYMENT:
            self._happenings.deployment_change(found[0], news.deployment, news.kind, news.name, news.reason)
            return
        more = {"capacityProviderArns": list(news.providers), "reason": news.reason}
        self._happenings.service_action(
            found[0], news.kind, news.name, **{key: value for key, value in more.items() if value}
        )
