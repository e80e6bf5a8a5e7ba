"""What tests of discovery share: records with services and tasks, and a Cloud Map in memory."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ports.discovery import DiscoveryService, Namespace
from cumulo.engines.engine import Engine
from cumulo.engines.fake import FakeEngine
from cumulo.services.ecs.discovery.connect import Connect
from cumulo.services.ecs.discovery.model import DiscoveryRecords
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.discovery.registrar import Registrar
from cumulo.services.ecs.discovery.registries import Registries
from cumulo.services.ecs.model import (
    Cluster,
    ContainerInstance,
    Service,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskStatus,
)
from cumulo.services.ecs.records import Records
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "eu-central-1"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c"
REGISTRY = f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:service/srv-web"


class FakeMap:
    """A Cloud Map: a namespace `corp.local` with a service `web`; `fails` are errors to come."""

    def __init__(self) -> None:
        self.namespaces = {"ns-1": Namespace("ns-1", _arn("namespace/ns-1"), "corp.local", "DNS_PRIVATE")}
        self.services = {
            "srv-web": DiscoveryService(
                id="srv-web",
                arn=REGISTRY,
                name="web",
                namespace="ns-1",
                record_types=("A",),
                custom_health=True,
            )
        }
        self.instances: dict[tuple[str, str], Mapping[str, str]] = {}
        self.health: list[tuple[str, bool]] = []
        self.fails: list[AwsError] = []
        self.calls = 0
        self.strangers: dict[str, Sequence[str]] = {}
        self.changed: Callable[[str, str], None] = lambda _account, _region: None

    def _call(self) -> None:
        self.calls += 1
        if self.fails:
            raise self.fails.pop(0)

    async def namespace(self, account: str, region: str, which: str, *, make: bool = False) -> Namespace:
        self._call()
        for one in self.namespaces.values():
            if which in (one.id, one.arn, one.name):
                return one
        if not make:
            raise AwsError("NamespaceNotFound", which)
        made = Namespace(f"ns-{which}", _arn(f"namespace/ns-{which}"), which, "HTTP")
        self.namespaces[made.id] = made
        return made

    async def service(self, account: str, region: str, service_id: str) -> DiscoveryService:
        self._call()
        if service_id not in self.services:
            raise AwsError("ServiceNotFound", service_id)
        return self.services[service_id]

    async def service_named(
        self, account: str, region: str, namespace_id: str, name: str
    ) -> DiscoveryService:
        self._call()
        id_ = f"srv-{namespace_id}-{name}"
        made = DiscoveryService(id=id_, arn=_arn(f"service/{id_}"), name=name, namespace=namespace_id)
        return self.services.setdefault(id_, made)

    async def register(
        self, account: str, region: str, service_id: str, instance: str, attributes: Mapping[str, str]
    ) -> None:
        self._call()
        self.instances[service_id, instance] = dict(attributes)

    async def deregister(self, account: str, region: str, service_id: str, instance: str) -> None:
        self._call()
        self.instances.pop((service_id, instance), None)

    async def set_health(
        self, account: str, region: str, service_id: str, instance: str, *, healthy: bool
    ) -> None:
        self._call()
        self.health.append((instance, healthy))

    async def names(self, account: str, region: str) -> Mapping[str, Sequence[str]]:
        self._call()
        return dict(self.strangers)

    def watch(self, changed: Callable[[str, str], None]) -> None:
        self.changed = changed


class World:
    """One data folder; `again` is what a restarted control plane has."""

    def __init__(self, folder: Path, cloud_map: FakeMap | None = None, engine: Engine | None = None) -> None:
        self.folder = folder
        self.map = cloud_map or FakeMap()
        self.engine: Any = engine or FakeEngine(SystemClock())
        self.published: list[Mapping[str, list[str]]] = []
        self.pauses: list[float] = []
        self.store = Store(folder / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.kept = DiscoveryRecords(self.store)
        self.registrar = Registrar(self.records, self.kept, self.map, self._publish, pause=self._pause)
        self.registries = Registries(self.records, self.map, self.registrar)
        self.connect = Connect(
            self.records,
            self.kept,
            Namespaces(self.kept, self.map),
            self.map,
            self.registrar,
            self._engine,
            clock=SystemClock(),
            rand=random.Random(1),
        )

    async def _publish(self, table: Mapping[str, list[str]]) -> None:
        self.published.append(table)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def _engine(self) -> Engine:
        engine: Engine = self.engine
        return engine

    async def close(self) -> None:
        await self.connect.close()
        await self.registrar.close()
        await self.store.close()

    async def again(self) -> "World":
        await self.close()
        return World(self.folder, self.map, self.engine)

    def cluster(self, **more: Any) -> Cluster:
        return self.records.clusters.put(
            Cluster(account=ACCOUNT, region=REGION, name="c", arn=CLUSTER, **more)
        )

    def definition(
        self, *containers: Mapping[str, Any], mode: str = "awsvpc", family: str = "f"
    ) -> TaskDefinition:
        made = TaskDefinition(
            account=ACCOUNT,
            region=REGION,
            family=family,
            revision=1,
            arn=_ecs(f"task-definition/{family}:1"),
            document={"networkMode": mode, "containerDefinitions": containers},
        )
        return self.records.definitions.put(made)

    def service(self, name: str, definition: TaskDefinition, **document: Any) -> Service:
        return self.records.services.put(
            Service(
                account=ACCOUNT,
                region=REGION,
                name=name,
                arn=_ecs(f"service/c/{name}"),
                cluster_arn=CLUSTER,
                definition_arn=definition.arn,
                document=document,
            )
        )

    def instance(self, **more: Any) -> ContainerInstance:
        return self.records.instances.put(
            ContainerInstance(
                account=ACCOUNT,
                region=REGION,
                id="i",
                arn=_ecs("container-instance/c/i"),
                cluster_arn=CLUSTER,
                **({"ec2_id": "i-1", "address": "10.9.0.1"} | more),
            )
        )

    def task(self, id_: str, service: Service, **more: Any) -> Task:
        values: dict[str, Any] = {
            "last_status": TaskStatus.RUNNING,
            "private_ip": "",
            "family": "f",
            "availability_zone": f"{REGION}a",
        } | more
        return self.records.tasks.put(
            Task(
                account=ACCOUNT,
                region=REGION,
                id=id_,
                arn=_ecs(f"task/c/{id_}"),
                cluster_arn=CLUSTER,
                definition_arn=service.definition_arn,
                service=service.name,
                service_connect=service.document.get("serviceConnectConfiguration", {}),
                **values,
            )
        )

    def change(self, task: Task, **more: Any) -> Task:
        return self.records.tasks.put(replace(task, **more))


def container(name: str, *mappings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": name, "image": "i", "portMappings": mappings}


def bound(name: str, container_port: int, host_port: int) -> tuple[TaskContainer, ...]:
    """A task's container whose port is mapped."""
    binding = {"containerPort": container_port, "hostPort": host_port, "protocol": "tcp", "bindIP": "0.0.0.0"}
    return (TaskContainer(name=name, arn="a", image="i", bindings=(binding,)),)


def _arn(rest: str) -> str:
    return f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:{rest}"


def _ecs(rest: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:{rest}"


def story(work: Any) -> Any:
    """A test that is a coroutine, with a world of its own."""

    def test(tmp_path: Path) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await work(World(tmp_path))

        asyncio.run(bounded())

    test.__name__, test.__doc__ = work.__name__, work.__doc__
    return test


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    while not condition():  # noqa: ASYNC110 - of a store, which wakes nobody
        await asyncio.sleep(0.001)
