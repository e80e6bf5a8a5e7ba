"""Service discovery: the tasks of a service with `serviceRegistries` are instances in Cloud Map, with names for pods."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.discovery import CloudMap, DiscoveryService
from cumulo.services.ecs.discovery import registry_rules as rules
from cumulo.services.ecs.discovery.model import Registration
from cumulo.services.ecs.discovery.registrar import Registrar
from cumulo.services.ecs.model import ContainerInstance, Document, Task, TaskDefinition
from cumulo.services.ecs.records import Records, service_key


class Registries:
    """The Attachment of service registries."""

    def __init__(self, records: Records, cloud_map: CloudMap, registrar: Registrar) -> None:
        self._records = records
        self._map = cloud_map
        self._registrar = registrar
        self._log = Log("ecs")

    async def check(self, account: str, registries: Sequence[Document], definition: TaskDefinition) -> None:
        """What CreateService and UpdateService ask before they accept it.  AwsError."""
        rules.check(registries, definition)
        for registry in registries:
            try:
                service = await self._service(account, registry)
            except AwsError as error:
                raise rules.not_found(registry, error) from None
            rules.check_records(registry, service, definition)

    def hosts(self, task: Task) -> Mapping[str, str]:  # noqa: ARG002 - names come from the name server
        """None."""
        return {}

    async def prepare(self, task: Task, pod: str) -> None:
        """Nothing listens inside."""

    async def attach(self, task: Task) -> None:
        """Register it.  A registry that is gone keeps no task from running."""
        definition = self._records.definition(task.definition_arn)
        for registry in self._registries(task) if definition is not None else ():
            assert definition is not None
            instance = self._instance(task)
            place = rules.registered_at(task, definition, instance, registry)
            if place is None:
                self._log.warning("a task has no address to register", task=task.arn)
                continue
            try:
                registration = await self._registration(task, registry)
            except AwsError as error:
                self._log.warning("a task is not registered", task=task.arn, error=str(error))
                continue
            made = replace(registration, address=place[0], port=place[1])
            await self._registrar.register(made, rules.attributes(task, instance, place))

    async def detach(self, task: Task) -> None:
        """Take it out: whoever asks from now on does not learn of it."""
        await self._registrar.deregister(task.arn)

    async def gone(self, task: Task) -> None:
        """The same, for one that never was detached."""
        await self._registrar.deregister(task.arn)

    def _registries(self, task: Task) -> Sequence[Document]:
        if not task.service:
            return ()
        service = self._records.services.get(service_key(task.cluster_arn, task.service))
        return tuple(service.document.get("serviceRegistries", ())) if service is not None else ()

    def _instance(self, task: Task) -> ContainerInstance | None:
        return self._records.instances.get(task.instance_arn) if task.instance_arn else None

    async def _service(self, account: str, registry: Document) -> DiscoveryService:
        arn = parse_arn(str(registry["registryArn"]))
        if arn is None:
            raise AwsError("ServiceNotFound", str(registry["registryArn"]))
        return await self._map.service(account, arn.region, arn.resource.rpartition("/")[2])

    async def _registration(self, task: Task, registry: Document) -> Registration:
        service = await self._service(task.account, registry)
        namespace = await self._map.namespace(task.account, task.region, service.namespace)
        named = bool(service.record_types) and namespace.kind.startswith("DNS")
        return Registration(
            task_arn=task.arn,
            account=task.account,
            region=task.region,
            service_id=service.id,
            instance=task.id,
            name=f"{service.name}.{namespace.name}".lower() if named else "",
            custom_health=service.custom_health,
        )
