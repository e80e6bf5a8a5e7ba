"""Which endpoints the services of a namespace offer, and where tasks serve them: read from what ECS keeps."""

from collections.abc import Iterator

from cumulo.services.ecs.discovery import connect_rules as rules
from cumulo.services.ecs.discovery.model import KnownNamespace
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.discovery.places import Place, named_port, place_of
from cumulo.services.ecs.model import ContainerInstance, Document, Service, Task
from cumulo.services.ecs.records import Records, service_key


class Offers:
    """Reads."""

    def __init__(self, records: Records, namespaces: Namespaces) -> None:
        self._records = records
        self._namespaces = namespaces

    def namespace(self, service: Service, configuration: Document) -> KnownNamespace | None:
        """The namespace of a service with this configuration: its own, or its cluster's."""
        text = str(configuration.get("namespace") or "")
        if not text:
            cluster = self._records.clusters.get(service.cluster_arn)
            text = cluster.service_connect_namespace if cluster is not None else ""
        return self._namespaces.known(service.account, service.region, text) if text else None

    def namespace_of(self, task: Task) -> KnownNamespace | None:
        """The namespace that a task takes part in; None when it takes part in none."""
        if not rules.enabled(task.service_connect) or not task.service:
            return None
        service = self._records.services.get(service_key(task.cluster_arn, task.service))
        return self.namespace(service, task.service_connect) if service is not None else None

    def reachable(self, task: Task) -> list[rules.Endpoint]:
        """What a task can reach by an alias."""
        known = self.namespace_of(task)
        return list(self.offered(task.account, task.region, known.id)) if known is not None else []

    def offered(self, account: str, region: str, namespace: str) -> Iterator[rules.Endpoint]:
        """Everything that services of all clusters offer in a namespace."""
        for service in self._records.services.all():
            configuration = service.document.get("serviceConnectConfiguration", {})
            if service.status != "ACTIVE" or (service.account, service.region) != (account, region):
                continue
            if not rules.enabled(configuration) or not configuration.get("services"):
                continue
            known = self.namespace(service, configuration)
            definition = self._records.definition(service.definition_arn)
            if known is not None and known.id == namespace and definition is not None:
                key = service_key(service.cluster_arn, service.name)
                yield from rules.endpoints(key, configuration, definition, known.name)

    def place(self, task: Task, port_name: str) -> Place | None:
        """Where a task answers at the port of that name; None when it has none, or no address yet."""
        definition = self._records.definition(task.definition_arn)
        found = named_port(definition, port_name) if definition is not None else None
        if definition is None or found is None:
            return None
        container, mapping = found
        return place_of(task, definition, self.instance(task), container, int(mapping["containerPort"]))

    def instance(self, task: Task) -> ContainerInstance | None:
        """The container instance that it runs on; None on Fargate."""
        return self._records.instances.get(task.instance_arn) if task.instance_arn else None
