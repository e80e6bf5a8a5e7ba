"""Begins deployments: a new one becomes PRIMARY, the one before gives way."""

from collections import Counter

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.ecs.arns import arn, cluster_name
from cumulo.services.ecs.model import Document, Service, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling import rollout
from cumulo.services.ecs.scheduling.facts import is_wanted
from cumulo.services.ecs.scheduling.model import Announcement, Deployment, Progress
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.telling import Telling

_DIGITS = 19
_HISTORY_CHARACTERS = 21


class Beginnings:
    """Writes deployments; durable with the next commit."""

    def __init__(self, records: Records, book: Book, clock: Clock, ids: Ids, telling: Telling) -> None:
        self._records = records
        self._book = book
        self._clock = clock
        self._ids = ids
        self._telling = telling

    def begin(self, service: Service) -> Deployment:
        """A deployment of the service as it is now."""
        now = self._clock.now()
        history = self._book.history(service.arn)
        sources = self._sources(service)
        for one in history:
            if one.status == "PRIMARY":
                self._book.deployments.put(replace(rollout.supersede(one, now), rollback_of=""))
            elif one.progress is Progress.ROLLBACK_IN_PROGRESS:
                self._book.deployments.put(rollout.rolled_back(one, well=False, now=now))
        digits = self._digits()
        where = (service.region, service.account)
        cluster = cluster_name(service.cluster_arn)
        name = self._ids.upper(_HISTORY_CHARACTERS)
        deployment = rollout.begin(
            service,
            history[0].number + 1 if history else 1,
            digits,
            arn(*where, "service-deployment", cluster, service.name, name),
            arn(*where, "service-revision", cluster, service.name, digits),
            sources=sources,
            images=self._images(service),
            platform_family="Linux" if service.platform_version else "",
            now=now,
        )
        self._book.add(deployment)
        self._telling.announce(
            service.arn,
            Announcement(
                detail_type="ECS Deployment State Change",
                kind="INFO",
                name="SERVICE_DEPLOYMENT_IN_PROGRESS",
                at=now,
                deployment=deployment.id,
                reason=deployment.reason,
            ),
        )
        return deployment

    def _digits(self) -> str:
        number = int(self._ids.hex(16), 16)
        return str(number % 9 * 10 ** (_DIGITS - 1) + 10 ** (_DIGITS - 1) + number % 10 ** (_DIGITS - 1))

    def _sources(self, service: Service) -> list[Document]:
        tasks = self._records.tasks.by("live_service", service_key(service.cluster_arn, service.name))
        counts = counts_of(tasks)
        return [
            {
                "arn": one.revision_arn,
                "requestedTaskCount": service.desired_count if one.status == "PRIMARY" else 0,
                "runningTaskCount": counts[one.id, "running"],
                "pendingTaskCount": counts[one.id, "pending"],
            }
            for one in self._book.live(service.arn)
        ]

    def _images(self, service: Service) -> list[Document]:
        definition = self._records.definition(service.definition_arn)
        containers = definition.containers if definition is not None else ()
        return [{"containerName": one["name"], "image": one.get("image", "")} for one in containers]


def counts_of(tasks: list[Task]) -> Counter[tuple[str, str]]:
    """How many tasks run and how many are on their way, by deployment."""
    counts: Counter[tuple[str, str]] = Counter()
    for task in tasks:
        if is_wanted(task):
            counts[task.deployment, "running" if task.last_status == "RUNNING" else "pending"] += 1
    return counts
