"""Gathers what `plan` decides from, out of the shelves and the target groups."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from cumulo.base.ports.targets import Target, TargetGroups
from cumulo.services.ecs.model import ContainerInstance, Document, Service, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling.decisions import NEVER, Facts
from cumulo.services.ecs.scheduling.health import Checks, Standing, Verdict, checks_of, judge
from cumulo.services.ecs.scheduling.model import Deployment
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.victims import Piece

Eligible = Callable[[Service, TaskDefinition], Sequence[str]]
_NO_LONGER_THERE = frozenset({TaskStatus.STOPPING, TaskStatus.DEPROVISIONING, TaskStatus.STOPPED})


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How quickly things are believed.

    settle_seconds   a task without any health check counts as healthy when it has run so long (AWS: 40)
    health_seconds   how often target groups are looked at while something changes
    calm_seconds     and while nothing does
    """

    settle_seconds: float = 5.0
    health_seconds: float = 0.5
    calm_seconds: float = 5.0


def is_wanted(task: Task) -> bool:
    """Whether a task neither has stopped nor was told to."""
    return task.is_live and task.desired_status != "STOPPED"


class Gatherer:
    """Makes the facts of a service."""

    def __init__(
        self, records: Records, book: Book, targets: TargetGroups, eligible: Eligible, pace: Pace
    ) -> None:
        self._records = records
        self._book = book
        self._targets = targets
        self._eligible = eligible
        self._pace = pace
        self._zones: dict[str, tuple[str, ...]] = {}
        self.was_healthy: set[str] = set()  # tasks (ARNs) that live, and were healthy once
        # Healthy ones that only a change of their record, or that their instance leaves, can make anything else.
        self._settled: dict[str, tuple[Task, bool, Piece]] = {}
        records.tasks.listeners.append(self._forget_task)
        records.instances.listeners.append(self._forget_zones)

    def _forget_task(self, before: Task | None, after: Task | None) -> None:
        if before is not None and (after is None or not is_wanted(after)):
            self._settled.pop(before.arn, None)

    def _forget_zones(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        instance = after or before
        if instance is not None and _zone_of(before) != _zone_of(after):
            self._zones.pop(instance.cluster_arn, None)

    def gather(self, service: Service, now: float) -> Facts:
        """What is known now."""
        deployments = tuple(self._book.live(service.arn))
        tasks = self._records.tasks.by("live_service", service_key(service.cluster_arn, service.name))
        wanted = [one for one in tasks if is_wanted(one)]
        ending = [one for one in tasks if not is_wanted(one)]
        pieces, again = self._pieces(service, deployments, wanted, now)
        configuration: Document = service.document.get("deploymentConfiguration", {})
        daemon = service.scheduling == "DAEMON"
        return Facts(
            active=service.status == "ACTIVE",
            desired=service.desired_count,
            minimum_percent=int(configuration.get("minimumHealthyPercent", 0 if daemon else 100)),
            maximum_percent=int(configuration.get("maximumPercent", 100 if daemon else 200)),
            breaker=configuration.get("deploymentCircuitBreaker", {}),
            early=configuration.get("earlySuccessCriteria", {}),
            bake_seconds=60.0 * int(configuration.get("bakeTimeInMinutes", 0) or 0),
            deployments=deployments,
            fallback=self.fallback(service, deployments),
            pieces=pieces,
            leaving=Counter(one.deployment for one in ending),
            lingering=sum(one.last_status not in _NO_LONGER_THERE for one in ending),
            daemon=daemon,
            eligible=self._instances(service, deployments) if daemon else (),
            busy=frozenset(one.instance_arn for one in ending) if daemon else frozenset(),
            zones=self._zones_of(service, pieces),
            even_zones=service.document.get("availabilityZoneRebalancing") == "ENABLED" and not daemon,
            look_again=again,
        )

    def fallback(self, service: Service, deployments: Sequence[Deployment]) -> Deployment | None:
        """Where a rollback would go: the last other deployment that was complete."""
        primary = next((one for one in deployments if one.status == "PRIMARY"), None)
        done = [
            one
            for one in self._book.deployments.by("service", service.arn)
            if one.completed_at and (primary is None or one.id != primary.id)
        ]
        return max(done, key=lambda one: (one.completed_at, one.number), default=None)

    def _pieces(
        self, service: Service, deployments: Iterable[Deployment], tasks: Sequence[Task], now: float
    ) -> tuple[tuple[Piece, ...], float]:
        checks = {one.id: self._checks(service, one) for one in deployments}
        unknown = self._checks(service, None)
        health: dict[str, Mapping[Target, str]] = {}

        def health_of(arn: str) -> Mapping[Target, str]:
            if arn not in health:
                health[arn] = self._targets.health(arn) if self._targets.group(arn) is not None else {}
            return health[arn]

        again = NEVER
        pieces: list[Piece] = []
        for task in tasks:
            instance = self._records.instances.get(task.instance_arn) if task.instance_arn else None
            doomed = bool(task.instance_arn) and (instance is None or instance.status != "ACTIVE")
            settled = self._settled.get(task.arn)
            if settled is not None and settled[0] is task and settled[1] is doomed:
                pieces.append(settled[2])
                continue
            of_it = checks.get(task.deployment, unknown)
            ec2_id = instance.ec2_id if instance is not None else ""
            verdict = judge(task, of_it, health_of, ec2_id, now)
            piece = _piece(task, verdict, doomed=doomed)
            pieces.append(piece)
            if verdict.again:
                again = min(again, verdict.again)
            if verdict.standing is Standing.HEALTHY:
                self.was_healthy.add(task.arn)
                if not of_it.target_groups:
                    self._settled[task.arn] = task, doomed, piece
        if pieces and any(one.target_groups for one in checks.values()):
            calm = all(one.standing is Standing.HEALTHY for one in pieces)
            again = min(again, now + (self._pace.calm_seconds if calm else self._pace.health_seconds))
        return tuple(pieces), again

    def _checks(self, service: Service, deployment: Deployment | None) -> Checks:
        definition = self._records.definition(deployment.definition_arn) if deployment is not None else None
        return checks_of(
            definition,
            deployment.target_groups if deployment is not None else (),
            grace_seconds=float(service.document.get("healthCheckGracePeriodSeconds", 0) or 0),
            settle_seconds=self._pace.settle_seconds,
        )

    def _instances(self, service: Service, deployments: Sequence[Deployment]) -> tuple[str, ...]:
        primary = deployments[0] if deployments else None
        definition = self._records.definition(primary.definition_arn) if primary is not None else None
        return tuple(self._eligible(service, definition)) if definition is not None else ()

    def _zones_of(self, service: Service, pieces: Sequence[Piece]) -> tuple[str, ...]:
        """Zones of the cluster's instances; on Fargate those that its tasks are in."""
        if not any(one.instance for one in pieces):
            return tuple(sorted({one.zone for one in pieces if one.zone}))
        if service.cluster_arn not in self._zones:
            instances = self._records.instances.by("cluster", service.cluster_arn)
            zones = {one.availability_zone for one in instances if one.status == "ACTIVE"}
            self._zones[service.cluster_arn] = tuple(sorted(zones - {""}))
        return self._zones[service.cluster_arn]


def _zone_of(instance: ContainerInstance | None) -> tuple[str, bool] | None:
    """What an instance adds to its cluster's zones."""
    return None if instance is None else (instance.availability_zone, instance.status == "ACTIVE")


def _piece(task: Task, verdict: Verdict, *, doomed: bool) -> Piece:
    return Piece(
        arn=task.arn,
        id=task.id,
        deployment=task.deployment,
        standing=verdict.standing,
        created_at=task.created_at,
        zone=task.availability_zone,
        instance=task.instance_arn,
        provider=task.capacity_provider,
        doomed=doomed,
        waits=bool(task.waits),
        protected_until=task.protected_until,
        reason=verdict.reason,
        target_group=verdict.target_group,
        port=verdict.port,
    )


def active_instances(records: Records) -> Eligible:
    """Every ACTIVE instance of a service's cluster: whom DAEMON services serve when nobody knows better."""

    def eligible(service: Service, definition: TaskDefinition) -> Sequence[str]:
        del definition
        instances = records.instances.by("cluster", service.cluster_arn)
        return [one.arn for one in instances if one.status == "ACTIVE" and one.agent_connected]

    return eligible
