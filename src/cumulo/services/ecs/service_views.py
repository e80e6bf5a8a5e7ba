"""Services, deployments and revisions as clients are shown them."""

from collections import Counter
from collections.abc import Callable, Sequence

from cumulo.base.arn import Arn, partition_of
from cumulo.services.ecs.model import FARGATE_PLATFORM, Document, Service
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling.beginnings import counts_of
from cumulo.services.ecs.scheduling.breaker import threshold
from cumulo.services.ecs.scheduling.model import Deployment, Progress
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.wire.service import Values

Connected = Callable[[Service, Document], Sequence[Document]]
Counts = Counter[tuple[str, str]]
_OF_SERVICE = (
    "loadBalancers",
    "serviceRegistries",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "deploymentConfiguration",
    "deploymentController",
    "availabilityZoneRebalancing",
)
_OF_DEPLOYMENT = ("networkConfiguration", "serviceConnectConfiguration", "volumeConfigurations")
_OF_REVISION = (*_OF_DEPLOYMENT, "loadBalancers", "serviceRegistries")


_UNDER_WAY = frozenset({Progress.PENDING, Progress.IN_PROGRESS, Progress.ROLLBACK_IN_PROGRESS})


class ServiceViews:
    """Makes the views; counts are of this moment.

    connected   `serviceConnectResources` of a service with this serviceConnectConfiguration
    """

    def __init__(self, records: Records, book: Book, connected: Connected | None = None) -> None:
        self._connected = connected
        self._records = records
        self._book = book

    def counts(self, service: Service) -> Counts:
        """Running and pending tasks, by deployment."""
        return counts_of(
            self._records.tasks.by("live_service", service_key(service.cluster_arn, service.name))
        )

    def service(self, service: Service, *, tags: bool = False) -> Values:
        """A service."""
        counts = self.counts(service)
        live = self._book.live(service.arn)
        primary = next((one for one in live if one.status == "PRIMARY"), None)
        view: Values = {
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": service.cluster_arn,
            "status": service.status,
            "desiredCount": service.desired_count,
            "runningCount": _sum(counts, "running"),
            "pendingCount": _sum(counts, "pending"),
            "launchType": service.launch_type or None,
            "capacityProviderStrategy": list(service.strategy) or None,
            "platformVersion": service.platform_version or None,
            "platformFamily": primary.platform_family or None if primary is not None else None,
            "taskDefinition": service.definition_arn,
            "deployments": [self._deployment(service, one, counts) for one in live],
            "roleArn": _role(service),
            "events": [
                {"id": one.id, "createdAt": one.at, "message": one.message}
                for one in self._book.story(service.arn)
            ],
            "createdAt": service.created_at,
            "createdBy": service.created_by or None,
            "schedulingStrategy": service.scheduling,
            "enableECSManagedTags": service.managed_tags,
            "propagateTags": service.propagate_tags,
            "enableExecuteCommand": service.execute_command,
            "resourceManagementType": "CUSTOMER",
            "loadBalancers": [],
            "serviceRegistries": [],
            "placementConstraints": [],
            "placementStrategy": [],
        }
        view |= {name: service.document[name] for name in _OF_SERVICE if name in service.document}
        if service.status == "ACTIVE" and primary is not None:
            current = [one.arn for one in live if one.progress in _UNDER_WAY]
            view["currentServiceDeployment"] = current[0] if current else None
            view["currentServiceRevisions"] = [self._summary(service, one, counts) for one in live]
        if tags:
            view["tags"] = [{"key": key, "value": value} for key, value in service.tags.items()]
        return view

    def _deployment(self, service: Service, one: Deployment, counts: Counts) -> Values:
        view: Values = {
            "id": one.id,
            "status": one.status,
            "taskDefinition": one.definition_arn,
            "desiredCount": _wanted(service, one, counts),
            "pendingCount": counts[one.id, "pending"],
            "runningCount": counts[one.id, "running"],
            "failedTasks": one.failed,
            "createdAt": one.created_at,
            "updatedAt": one.updated_at,
            "launchType": one.launch_type or None,
            "capacityProviderStrategy": list(one.strategy) or None,
            "platformVersion": _platform(one),
            "platformFamily": one.platform_family or None,
            "rolloutState": one.rollout,
            "rolloutStateReason": one.reason,
        }
        configuration = one.document.get("serviceConnectConfiguration")
        if configuration is not None and self._connected is not None:
            view["serviceConnectResources"] = list(self._connected(service, configuration)) or None
        return view | {name: one.document[name] for name in _OF_DEPLOYMENT if name in one.document}

    def _summary(self, service: Service, one: Deployment, counts: Counts) -> Values:
        return {
            "arn": one.revision_arn,
            "requestedTaskCount": _wanted(service, one, counts),
            "runningTaskCount": counts[one.id, "running"],
            "pendingTaskCount": counts[one.id, "pending"],
        }

    # -- the history -------------------------------------------------------------------------------------

    def history(self, service: Service, one: Deployment) -> Values:
        """A service deployment, whole."""
        configuration: Document = one.configuration
        breaker: Document = configuration.get("deploymentCircuitBreaker", {})
        view = _brief(service, one)
        view["targetServiceRevision"] = self._summary(service, one, self.counts(service))
        del view["targetServiceRevisionArn"]
        view |= {
            "sourceServiceRevisions": list(one.sources),
            "stoppedAt": one.stopped_at or None,
            "updatedAt": one.updated_at,
            "deploymentConfiguration": configuration,
            "rollback": one.rollback or None,
            "deploymentCircuitBreaker": {
                "status": _monitor(one, breaker),
                "failureCount": one.failed,
                "threshold": one.threshold or threshold(breaker, service.desired_count),
            },
        }
        alarms = configuration.get("alarms")
        if alarms:
            view["alarms"] = {"status": "DISABLED", "alarmNames": alarms.get("alarmNames", [])}
        return view

    def brief(self, service: Service, one: Deployment) -> Values:
        """A service deployment as it is listed."""
        return _brief(service, one)

    def revision(self, service: Service, one: Deployment) -> Values:
        """A service revision."""
        view: Values = {
            "serviceRevisionArn": one.revision_arn,
            "serviceArn": service.arn,
            "clusterArn": service.cluster_arn,
            "taskDefinition": one.definition_arn,
            "capacityProviderStrategy": list(one.strategy) or None,
            "launchType": one.launch_type or None,
            "platformVersion": _platform(one),
            "platformFamily": one.platform_family or None,
            "containerImages": list(one.images),
            "guardDutyEnabled": False,
            "createdAt": one.created_at,
        }
        return view | {name: one.document[name] for name in _OF_REVISION if name in one.document}


def _brief(service: Service, one: Deployment) -> Values:
    return {
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "createdAt": one.created_at,
        "startedAt": one.started_at or None,
        "finishedAt": one.finished_at or None,
        "targetServiceRevisionArn": one.revision_arn,
        "status": one.progress,
        "statusReason": one.progress_reason or None,
    }


def _platform(one: Deployment) -> str | None:
    """The version that LATEST stands for; nothing on EC2."""
    return FARGATE_PLATFORM if one.platform_version == "LATEST" else one.platform_version or None


def _monitor(one: Deployment, breaker: Document) -> str:
    if not breaker.get("enable"):
        return "DISABLED"
    if one.tripped:
        return "TRIGGERED"
    return "MONITORING" if one.progress is Progress.IN_PROGRESS else "MONITORING_COMPLETE"


def _sum(counts: Counts, kind: str) -> int:
    return sum(number for (_, what), number in counts.items() if what == kind)


def _wanted(service: Service, one: Deployment, counts: Counts) -> int:
    """What a deployment is to have: an older one keeps what it has until it is replaced."""
    if one.status == "PRIMARY":
        return service.desired_count
    return counts[one.id, "running"] + counts[one.id, "pending"]


def _role(service: Service) -> str | None:
    """The role by which ECS registers targets: the one of the client, or ECS's own."""
    if service.role_arn:
        return service.role_arn
    if not service.document.get("loadBalancers") and not service.document.get("networkConfiguration"):
        return None
    resource = "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    return str(Arn("iam", "", service.account, resource, partition_of(service.region)))
