"""Services: create, update, delete, describe, list.  What they want is brought about by `scheduling`."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from cumulo.base.arn import Arn, parse_arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import Networks, TargetGroups
from cumulo.services.ecs import service_checks
from cumulo.services.ecs.arns import arn, last_part
from cumulo.services.ecs.clusters import find_cluster
from cumulo.services.ecs.definitions.finding import runnable_definition
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import Cluster, Document, Service, TaskDefinition
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.scheduling.beginnings import Beginnings
from cumulo.services.ecs.scheduling.rollout import OF_REVISION
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.services.ecs.strategies import checked_strategy
from cumulo.services.ecs.tagging import checked_tags
from cumulo.wire.service import Operation, Values

DESCRIBED_MAX = 10
LISTED_DEFAULT, LISTED_MAX = 10, 100
_KEPT = (
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "serviceConnectConfiguration",
)


Connections = Callable[[Service, TaskDefinition, str], Awaitable[None]]


class Services:
    """The operations."""

    def __init__(
        self,
        records: Records,
        book: Book,
        views: ServiceViews,
        beginnings: Beginnings,
        *,
        targets: TargetGroups,
        networks: Networks | None,
        clock: Clock,
        connections: Connections | None = None,
    ) -> None:
        """`connections` looks at what a service says of discovery and Service Connect, before it is accepted."""
        self._records = records
        self._book = book
        self._views = views
        self._beginnings = beginnings
        self._targets = targets
        self._networks = networks
        self._clock = clock
        self._connections = connections

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "CreateService": Operation(self.create),
            "UpdateService": Operation(self.update),
            "DeleteService": Operation(self.delete),
            "DescribeServices": Operation(self.describe),
            "ListServices": Operation(self.list_),
            "ListServicesByNamespace": Operation(self.list_by_namespace),
        }

    # -- creating ----------------------------------------------------------------------------------------

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateService."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        service_checks.check_name(values["serviceName"])
        service_checks.refuse("CreateService", values)
        fingerprint = _fingerprint(values)
        existing = self._existing(cluster, values["serviceName"], fingerprint)
        if existing is not None:
            return {"service": self._views.service(existing, tags=True)}
        if not values.get("taskDefinition"):
            raise service_checks.no_definition()
        definition = runnable_definition(self._records, caller, values["taskDefinition"])
        service = replace(self._new(caller, cluster, definition, values), fingerprint=fingerprint)
        service_checks.check(service, definition, self._targets)
        await self._check_network(caller, service)
        await self._check_connections(service, definition, "CreateService")
        await self._records.store.ready()
        existing = self._existing(cluster, service.name, fingerprint)  # another one may have come meanwhile
        if existing is None:
            self._book.forget(service.arn)
            self._records.services.put(service)
            self._beginnings.begin(service)
            await self._records.store.commit()
        return {"service": self._views.service(existing or service, tags=True)}

    def _existing(self, cluster: Cluster, name: str, fingerprint: str) -> Service | None:
        """The service when the same request made it before.  AwsError when its name is taken."""
        found = self._records.services.get(service_key(cluster.arn, name))
        if found is None or found.status == "INACTIVE":
            return None
        if found.status == "DRAINING":
            raise invalid("Unable to Start a service that is still Draining.")
        if found.fingerprint != fingerprint:
            raise invalid("Creation of service was not idempotent.")
        return found

    def _new(self, caller: Caller, cluster: Cluster, definition: TaskDefinition, values: Values) -> Service:
        name = values["serviceName"]
        daemon = values.get("schedulingStrategy", "REPLICA") == "DAEMON"
        launch_type, strategy = _capacity(cluster, values)
        return Service(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arn(caller.region, caller.account, "service", cluster.name, name),
            cluster_arn=cluster.arn,
            definition_arn=definition.arn,
            desired_count=_desired(values, daemon=daemon),
            launch_type=launch_type,
            strategy=strategy,
            platform_version=_platform(launch_type, strategy, values),
            scheduling="DAEMON" if daemon else "REPLICA",
            document=_document(values, cluster, daemon=daemon),
            execute_command=values.get("enableExecuteCommand", False),
            propagate_tags=values.get("propagateTags", "NONE"),
            managed_tags=values.get("enableECSManagedTags", False),
            tags=checked_tags(values.get("tags", ()), {}),
            created_at=self._clock.now(),
            created_by=str(Arn("iam", "", caller.account, "root", partition_of(caller.region))),
            role_arn=_role_arn(caller, values.get("role", "")),
            client_token=values.get("clientToken", ""),
        )

    async def _check_network(self, caller: Caller, service: Service) -> None:
        network = service.document.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if self._networks is None or not network:
            return
        try:
            await self._networks.network_of(caller, network["subnets"])
        except AwsError as error:
            if error.status >= 500:
                raise
            raise invalid(
                f"Error retrieving subnet information for [{', '.join(network['subnets'])}]: {error.message}"
                f" (ErrorCode: {error.code})"
            ) from error

    async def _check_connections(self, service: Service, definition: TaskDefinition, operation: str) -> None:
        if self._connections is not None:
            await self._connections(service, definition, operation)

    # -- changing ----------------------------------------------------------------------------------------

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateService."""
        service_checks.refuse("UpdateService", values)
        before = self._of(caller, values)
        changed, definition = self._changed(caller, before, values)
        service_checks.check(changed, definition, self._targets)
        if "networkConfiguration" in values:
            await self._check_network(caller, changed)
        await self._check_connections(changed, definition, "UpdateService")
        await self._records.store.ready()
        service = self._of(caller, values)
        if service is not before:  # it changed while the subnets were asked for
            changed, definition = self._changed(caller, service, values)
            service_checks.check(changed, definition, self._targets)
        self._records.services.put(changed)
        if values.get("forceNewDeployment") or _is_another(service, changed):
            self._beginnings.begin(changed)
        await self._records.store.commit()
        return {"service": self._views.service(changed)}

    def _changed(self, caller: Caller, service: Service, values: Values) -> tuple[Service, TaskDefinition]:
        daemon = service.scheduling == "DAEMON"
        cluster = find_cluster(self._records, caller, service.cluster_arn)
        definition = self._definition(caller, service, values)
        document: dict[str, Any] = {**service.document}
        document |= {name: values[name] for name in _KEPT if name in values}
        if "availabilityZoneRebalancing" in values:
            document["availabilityZoneRebalancing"] = values["availabilityZoneRebalancing"]
        if "deploymentConfiguration" in values:
            merged = {**service.document["deploymentConfiguration"], **values["deploymentConfiguration"]}
            document["deploymentConfiguration"] = service_checks.default_percents(merged, daemon=daemon)
        if "serviceConnectConfiguration" in values:
            document["serviceConnectConfiguration"] = _connect(values, cluster)
        launch_type, strategy = service.launch_type, service.strategy
        if "capacityProviderStrategy" in values:
            strategy = checked_strategy(values["capacityProviderStrategy"], cluster.capacity_providers)
            launch_type = "" if strategy else service.launch_type or _type_of(service)
        desired = service.desired_count
        if "desiredCount" in values:
            desired = _desired(values, daemon=daemon)
        platform = service.platform_version
        if values.get("platformVersion") or strategy != service.strategy:
            platform = _platform(launch_type, strategy, values)
        changed = replace(
            service,
            definition_arn=definition.arn,
            desired_count=desired,
            launch_type=launch_type,
            strategy=strategy,
            platform_version=platform,
            document=document,
            execute_command=values.get("enableExecuteCommand", service.execute_command),
            propagate_tags=values.get("propagateTags", service.propagate_tags),
            managed_tags=values.get("enableECSManagedTags", service.managed_tags),
            fingerprint="",
        )
        return changed, definition

    def _definition(self, caller: Caller, service: Service, values: Values) -> TaskDefinition:
        """The new one; or the service's own, which may be INACTIVE by now."""
        if values.get("taskDefinition"):
            return runnable_definition(self._records, caller, values["taskDefinition"])
        found = self._records.definition(service.definition_arn)
        if found is None:
            return runnable_definition(self._records, caller, service.definition_arn)
        return found

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteService."""
        service = self._of(caller, values, active=False)
        if service.status == "DRAINING":
            return {"service": self._views.service(service)}
        if service.desired_count > 0 and service.scheduling == "REPLICA" and not values.get("force"):
            raise invalid("The service cannot be stopped while it is scaled above 0.")
        await self._records.store.ready()
        service = self._of(caller, values, active=False)
        changed = self._records.services.put(
            replace(service, status="DRAINING", desired_count=0, fingerprint="")
        )
        await self._records.store.commit()
        return {"service": self._views.service(changed)}

    def _of(self, caller: Caller, values: Values, *, active: bool = True) -> Service:
        """The service that a request means.  AwsError when there is none, or (`active`) none to be changed."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        found = self._find(cluster, values["service"])
        if found is None or (not active and found.status == "INACTIVE"):
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if active and found.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return found

    def _find(self, cluster: Cluster, text: str) -> Service | None:
        found = self._records.services.get(service_key(cluster.arn, last_part(text)))
        parsed = parse_arn(text)
        return None if parsed is not None and found is not None and not _names(text, found) else found

    # -- showing -----------------------------------------------------------------------------------------

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeServices."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        names = values["services"]
        if not names:
            raise invalid("Services cannot be empty.")
        if len(names) > DESCRIBED_MAX:
            raise invalid(f"Services cannot have more than {DESCRIBED_MAX} elements.")
        tags = "TAGS" in values.get("include", ())
        services, failures = [], []
        for name in dict.fromkeys(names):
            found = self._find(cluster, name)
            if found is None:
                missing = name if parse_arn(name) else _arn_of(cluster, name)
                failures.append({"arn": missing, "reason": "MISSING"})
            else:
                services.append(self._views.service(found, tags=tags))
        return {"services": services, "failures": failures}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListServices."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        found = [
            one
            for one in self._records.services.by("cluster", cluster.arn)
            if one.status == "ACTIVE"
            and values.get("launchType") in {None, one.launch_type}
            and values.get("schedulingStrategy") in {None, one.scheduling}
            and values.get("resourceManagementType") in {None, "CUSTOMER"}
        ]
        return _listed(found, values)

    async def list_by_namespace(self, caller: Caller, values: Values) -> Values | None:
        """ListServicesByNamespace: those whose Service Connect is in the namespace (name or ARN)."""
        wanted = values["namespace"]
        found = [
            one
            for one in self._records.services.all()
            if (one.account, one.region, one.status) == (caller.account, caller.region, "ACTIVE")
            and one.document.get("serviceConnectConfiguration", {}).get("enabled")
            and wanted in _namespaces(one)
        ]
        return _listed(found, values)


def _listed(found: list[Service], values: Values) -> Values:
    values = {"maxResults": LISTED_DEFAULT, **values}
    ordered = sorted(found, key=lambda one: one.arn)
    page, token = one_page(ordered, lambda one: one.arn, values, most=LISTED_MAX)
    return {"serviceArns": [one.arn for one in page], "nextToken": token}


def _arn_of(cluster: Cluster, name: str) -> str:
    return arn(cluster.region, cluster.account, "service", cluster.name, name)


def _names(text: str, service: Service) -> bool:
    """Whether an ARN, in the long form or in the old one, is the service's."""
    parsed = parse_arn(text)
    short = arn(service.region, service.account, "service", service.name)
    return text in {service.arn, short} or parsed is None


def _namespaces(service: Service) -> set[str]:
    namespace = str(service.document["serviceConnectConfiguration"].get("namespace", ""))
    return {namespace, last_part(namespace)} - {""}


def _fingerprint(values: Values) -> str:
    """Of a CreateService request: the same for the same request."""
    text = msgspec.json.encode(values, order="deterministic")
    return hashlib.sha256(text).hexdigest()


def _capacity(cluster: Cluster, values: Values) -> tuple[str, tuple[Document, ...]]:
    """Launch type and strategy: what was asked for, else the cluster's default, else EC2."""
    asked = values.get("capacityProviderStrategy", ())
    launch_type = values.get("launchType", "")
    if asked and launch_type:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    strategy: tuple[Document, ...] = checked_strategy(asked, cluster.capacity_providers)
    if strategy or launch_type:
        return launch_type, strategy
    return ("", cluster.default_strategy) if cluster.default_strategy else ("EC2", ())


def _type_of(service: Service) -> str:
    """The launch type of a service that gives up its strategy."""
    return "FARGATE" if service_checks.is_on_fargate(service) else "EC2"


def _platform(launch_type: str, strategy: tuple[Document, ...], values: Values) -> str:
    """What is shown: a Fargate service that names none has LATEST."""
    asked = str(values.get("platformVersion", ""))
    fargate = launch_type == "FARGATE" or any(
        str(one["capacityProvider"]).startswith("FARGATE") for one in strategy
    )
    return asked or ("LATEST" if fargate else "")


def _desired(values: Values, *, daemon: bool) -> int:
    count = values.get("desiredCount")
    if daemon:
        if count is not None:
            raise invalid(
                "The daemon scheduling strategy does not support a desired count for services. Remove the desired"
                " count value and try again"
            )
        return 0
    if count is None:
        raise invalid("desiredCount is required for the REPLICA scheduling strategy.")
    return int(count)


def _document(values: Values, cluster: Cluster, *, daemon: bool) -> Document:
    document: dict[str, Any] = {name: values[name] for name in _KEPT if name in values}
    if "serviceConnectConfiguration" in document:
        document["serviceConnectConfiguration"] = _connect(values, cluster)
    configuration = service_checks.default_percents(values.get("deploymentConfiguration", {}), daemon=daemon)
    even = values.get("availabilityZoneRebalancing")
    if even is None:
        even = "DISABLED" if daemon or configuration["maximumPercent"] <= 100 else "ENABLED"
    return document | {
        "deploymentConfiguration": configuration,
        "deploymentController": {"type": "ECS"},
        "availabilityZoneRebalancing": even,
    }


def _connect(values: Values, cluster: Cluster) -> Document:
    """A serviceConnectConfiguration with its namespace: the cluster's, when it names none."""
    connect: Values = values["serviceConnectConfiguration"]
    if not connect.get("enabled") or connect.get("namespace"):
        return connect
    if not cluster.service_connect_namespace:
        raise invalid(
            "The service connect configuration needs a namespace: name one, or set the cluster's default."
        )
    return {**connect, "namespace": cluster.service_connect_namespace}


def _role_arn(caller: Caller, role: str) -> str:
    if not role or role.startswith("arn:"):
        return role
    return str(Arn("iam", "", caller.account, f"role/{role}", partition_of(caller.region)))


def _is_another(before: Service, after: Service) -> bool:
    """Whether tasks of the service are made of something else now: a new deployment begins."""
    if any(before.document.get(name) != after.document.get(name) for name in OF_REVISION):
        return True
    return (
        before.definition_arn,
        before.launch_type,
        before.strategy,
        before.platform_version,
        before.propagate_tags,
        before.managed_tags,
    ) != (
        after.definition_arn,
        after.launch_type,
        after.strategy,
        after.platform_version,
        after.propagate_tags,
        after.managed_tags,
    )
