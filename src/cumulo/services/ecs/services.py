"""Services: create, update, delete, describe, list.  What they want is brought about by `scheduling`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from cumulo.base.arn import Arn, parse_arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import Networks
from cumulo.base.ports.targets import TargetGroups
from cumulo.services.ecs import service_checks, service_making
from cumulo.services.ecs.arns import arn, last_part
from cumulo.services.ecs.clusters import find_cluster
from cumulo.services.ecs.definitions.finding import runnable_definition
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import Cluster, Service, TaskDefinition
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.scheduling.beginnings import Beginnings
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.services.ecs.strategies import checked_strategy
from cumulo.services.ecs.tagging import checked_tags
from cumulo.services.ecs.terms import network_of
from cumulo.wire.service import Operation, Values

DESCRIBED_MAX = 10
LISTED_DEFAULT, LISTED_MAX = 10, 100
_ROLLING_ONLY = (
    "rolling deployments by ECS; other controllers and strategies, alarms, hooks, EBS volumes, VPC Lattice and"
    " Classic Load Balancers are refused by name"
)


def _nobody(_access_key: str) -> str:
    """Nobody is known by a name."""
    return ""


CheckGroups = Callable[[str, str, Sequence[str]], Awaitable[None]]
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
        check_groups: CheckGroups | None = None,
        connections: Connections | None = None,
        namespaces: Namespaces | None = None,
        principal_of: Callable[[str], str] = _nobody,
    ) -> None:
        """Who looks at a service before it is accepted, and who makes it.

        check_groups   at its security groups, by account, region and ids
        connections    at what it says of discovery and Service Connect
        principal_of   the ARN of who holds an access key; empty when it is not known
        """
        self._check_groups = check_groups
        self._principal_of = principal_of
        self._records = records
        self._book = book
        self._views = views
        self._beginnings = beginnings
        self._targets = targets
        self._networks = networks
        self._clock = clock
        self._connections = connections
        self._namespaces = namespaces

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "CreateService": Operation(self.create, note=_ROLLING_ONLY),
            "UpdateService": Operation(self.update, note=_ROLLING_ONLY),
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
        fingerprint = service_making.fingerprint(values)
        existing = self._existing(cluster, values["serviceName"], fingerprint)
        if existing is not None:
            return {"service": self._views.service(existing, tags=True)}
        if not values.get("taskDefinition"):
            raise service_checks.no_definition()
        definition = runnable_definition(self._records, caller, values["taskDefinition"])
        launch_type = service_making.runs_on(cluster, values)
        network_of(definition, values.get("networkConfiguration", {}), launch_type)
        service = replace(self._new(caller, cluster, definition, values), fingerprint=fingerprint)
        service_checks.check(service, definition, self._targets)
        await self._check_network(caller, service)
        await self._check_connections(service, definition, "CreateService")
        await self._records.store.ready()
        existing = self._existing(cluster, service.name, fingerprint)  # another one may have come meanwhile
        if existing is not None:
            return {"service": self._views.service(existing, tags=True)}
        self._book.forget(service.arn)
        self._records.services.put(service)
        self._beginnings.begin(service)
        shown = self._views.service(service, tags=True)  # before the scheduler looks at it
        await self._records.store.commit()
        return {"service": shown}

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
        launch_type, strategy = service_making.capacity(cluster, values)
        return Service(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arn(caller.region, caller.account, "service", cluster.name, name),
            cluster_arn=cluster.arn,
            definition_arn=definition.arn,
            desired_count=service_making.desired(values, daemon=daemon, new=True),
            launch_type=launch_type,
            strategy=strategy,
            platform_version=service_making.platform(launch_type, strategy, values),
            scheduling="DAEMON" if daemon else "REPLICA",
            document=service_making.document_of(values, cluster, daemon=daemon),
            execute_command=values.get("enableExecuteCommand", False),
            propagate_tags=values.get("propagateTags", "NONE"),
            managed_tags=values.get("enableECSManagedTags", False),
            tags=checked_tags(values.get("tags", ()), {}),
            created_at=self._clock.now(),
            created_by=self._principal_of(caller.access_key)
            or str(Arn("iam", "", caller.account, "root", partition_of(caller.region))),
            role_arn=service_making.role_arn(caller, values.get("role", "")),
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
        if self._check_groups is not None:
            await self._check_groups(caller.account, caller.region, network.get("securityGroups", ()))

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
        if values.get("forceNewDeployment") or service_making.is_another(service, changed):
            self._beginnings.begin(changed)
        shown = self._views.service(changed)
        await self._records.store.commit()
        return {"service": shown}

    def _changed(self, caller: Caller, service: Service, values: Values) -> tuple[Service, TaskDefinition]:
        daemon = service.scheduling == "DAEMON"
        cluster = find_cluster(self._records, caller, service.cluster_arn)
        definition = self._definition(caller, service, values)
        document: dict[str, Any] = {**service.document}
        document |= {name: values[name] for name in service_making.KEPT if name in values}
        if "availabilityZoneRebalancing" in values:
            document["availabilityZoneRebalancing"] = values["availabilityZoneRebalancing"]
        if "deploymentConfiguration" in values:
            merged = service_making.merged(
                service.document["deploymentConfiguration"], values["deploymentConfiguration"]
            )
            document["deploymentConfiguration"] = service_checks.default_percents(merged, daemon=daemon)
        if "serviceConnectConfiguration" in values:
            document["serviceConnectConfiguration"] = service_making.connect(values, cluster)
        launch_type, strategy = service.launch_type, service.strategy
        if "capacityProviderStrategy" in values:
            strategy = checked_strategy(values["capacityProviderStrategy"], cluster.capacity_providers)
            launch_type = "" if strategy else service.launch_type or service_making.type_of(service)
        desired = service.desired_count
        if "desiredCount" in values:
            desired = service_making.desired(values, daemon=daemon)
        platform = service.platform_version
        if values.get("platformVersion") or strategy != service.strategy:
            platform = service_making.platform(launch_type, strategy, values)
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
        shown = self._views.service(changed)
        await self._records.store.commit()
        return {"service": shown}

    def _of(self, caller: Caller, values: Values, *, active: bool = True) -> Service:
        """The service that a request means.  AwsError when there is none, or (`active`) none to be changed."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        found = self._find(cluster, values["service"])
        if found is None or (not active and found.status == "INACTIVE"):
            raise AwsError("ServiceNotFoundException", "Service not found." if active else "")
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
            raise invalid(f"services can have at most {DESCRIBED_MAX} items.")
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
        if self._namespaces is not None:
            wanted = (await self._namespaces.resolve(caller.account, caller.region, wanted)).arn
        found = [
            one
            for one in self._records.services.all()
            if (one.account, one.region, one.status) == (caller.account, caller.region, "ACTIVE")
            and one.document.get("serviceConnectConfiguration", {}).get("enabled")
            and self._namespace(one) == wanted
        ]
        return _listed(found, values)

    def _namespace(self, service: Service) -> str:
        """The ARN of a service's namespace, as far as it is known."""
        text = str(service.document["serviceConnectConfiguration"].get("namespace", ""))
        if self._namespaces is None:
            return text
        known = self._namespaces.known(service.account, service.region, text)
        return known.arn if known is not None else text


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
