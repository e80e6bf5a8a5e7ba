"""Service Connect: tasks of services in a namespace reach one another by the names that these services offer.

A task is given the endpoints that there are when it is made, as in AWS, and keeps them: lines of /etc/hosts lead to
addresses that are its own alone, where a proxy of ours listens, also again after a restart.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.discovery import CloudMap, DiscoveryService
from cumulo.engines.engine import Engine, Unsupported
from cumulo.net.listening import Front
from cumulo.net.pool import Pool
from cumulo.services.ecs.discovery import connect_rules as rules
from cumulo.services.ecs.discovery import registry_rules
from cumulo.services.ecs.discovery.model import Alias, ConnectClient, DiscoveryRecords, Registration
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.discovery.offers import Offers
from cumulo.services.ecs.discovery.places import Place
from cumulo.services.ecs.discovery.proxies import ServerPool, front_for
from cumulo.services.ecs.discovery.registrar import Registrar
from cumulo.services.ecs.model import Document, Health, Service, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.running.refusal import cannot_create

DRAIN_SECONDS_MAX = 5.0
_SERVES = frozenset({TaskStatus.ACTIVATING, TaskStatus.RUNNING})
_Key = tuple[str, str]  # of an endpoint: key of the service, name of the port


class Connect:
    """The Attachment of Service Connect."""

    def __init__(
        self,
        records: Records,
        kept: DiscoveryRecords,
        namespaces: Namespaces,
        cloud_map: CloudMap,
        registrar: Registrar,
        engine: Callable[[], Awaitable[Engine]],
        *,
        clock: Clock,
        rand: random.Random,
    ) -> None:
        self._records = records
        self._kept = kept
        self._namespaces = namespaces
        self._offers = Offers(records, namespaces)
        self._map = cloud_map
        self._registrar = registrar
        self._engine = engine
        self._clock = clock
        self._random = rand
        self._pools: dict[_Key, ServerPool] = {}
        self._users: Counter[_Key] = Counter()  # of a pool: fronts that lead to it
        self._fronts: dict[str, dict[tuple[str, Alias], Front]] = {}  # of each task: by pod and alias
        self._naming = asyncio.Lock()
        self._log = Log("ecs")
        records.tasks.listeners.append(self._heard)

    # -- services -----------------------------------------------------------------------------------------

    async def check(
        self,
        account: str,
        region: str,
        cluster_namespace: str,
        configuration: Document,
        definition: TaskDefinition,
        *,
        service: str,
        operation: str,
    ) -> None:
        """What CreateService and UpdateService ask before they accept it.  AwsError.

        service   key of the service that has this configuration, or will
        """
        rules.check(configuration, definition, operation)
        if not rules.enabled(configuration):
            return
        text = str(configuration.get("namespace") or cluster_namespace)
        if not text:
            raise invalid(
                "A namespace is required for Service Connect: neither the service nor its cluster has one."
            )
        namespace = await self._namespaces.resolve(account, region, text)
        wanted = {rules.discovery_name(one) for one in configuration.get("services", ())}
        taken = {
            one.discovery_name
            for one in self._offers.offered(account, region, namespace.id)
            if one.service != service
        }
        if wanted & taken:
            raise invalid(f"SC service is already used by {namespace.arn}")

    def resources(self, service: Service, configuration: Document) -> list[Mapping[str, str]]:
        """`serviceConnectResources`, as a deployment shows them: what Cloud Map knows of a service."""
        known = self._offers.namespace(service, configuration)
        if known is None or not rules.enabled(configuration):
            return []
        names = [rules.discovery_name(one) for one in configuration.get("services", ())]
        arns = {name: self._kept.service_arn(known.id, name) for name in names}
        return [
            {"discoveryName": name} | ({"discoveryArn": arns[name]} if arns[name] else {}) for name in names
        ]

    # -- the life of a task -------------------------------------------------------------------------------

    def hosts(self, task: Task) -> Mapping[str, str]:
        """The aliases that the task is given: chosen once."""
        if not rules.enabled(task.service_connect):
            return {}
        client = self._kept.clients.get(task.arn)
        if client is None:
            found = rules.aliases(self._offers.reachable(task))
            client = self._kept.clients.put(ConnectClient(task_arn=task.arn, aliases=found))
        return rules.lines(client.aliases)

    async def prepare(self, task: Task, pod: str) -> None:
        """Listen inside, where the aliases lead.  EngineError."""
        client = self._kept.clients.get(task.arn)
        if client is None or not client.aliases:
            return
        await self._kept.store.commit()
        engine = await self._engine()
        fronts = self._fronts.setdefault(task.arn, {})
        for alias in client.aliases:
            if (pod, alias) in fronts:
                continue
            try:
                listener = await engine.listen_inside(pod, alias.port, alias.address)
            except Unsupported as error:
                raise cannot_create(f"Service Connect: {error}") from error
            front = front_for(alias, self._pool(alias), self._clock)
            fronts[pod, alias] = front
            await front.serve_socket(listener)

    async def attach(self, task: Task) -> None:
        """Its endpoints get traffic (they hear of the task's changes); Cloud Map knows of them."""
        known = self._offers.namespace_of(task)
        if known is None:
            return
        for one in task.service_connect.get("services", ()):
            place = self._offers.place(task, str(one["portName"]))
            if place is None:
                continue
            name = rules.discovery_name(one)
            try:
                found = await self._in_cloud_map(task, known.id, name)
            except AwsError as error:
                self._log.warning("an endpoint is not in Cloud Map", task=task.arn, error=str(error))
                continue
            self._kept.know_service(known.id, name, found.arn)
            registration = Registration(
                task_arn=task.arn,
                account=task.account,
                region=task.region,
                service_id=found.id,
                instance=task.id,
                address=place[0],
                port=place[1],
            )
            said = registry_rules.attributes(task, self._offers.instance(task), place)
            await self._registrar.register(registration, said)

    async def _in_cloud_map(self, task: Task, namespace: str, name: str) -> DiscoveryService:
        """The service of Cloud Map that an endpoint is."""
        arn = self._kept.service_arn(namespace, name)
        if arn:
            try:
                return await self._map.service(task.account, task.region, arn.rpartition("/")[2])
            except AwsError as error:
                if error.code != "ServiceNotFound":
                    raise
        async with self._naming:  # two tasks that come at once must not make it twice
            return await self._map.service_named(task.account, task.region, namespace, name)

    async def detach(self, task: Task) -> None:
        """No new request comes; those under way have a few seconds."""
        await self._registrar.deregister(task.arn)
        for (service, _), pool in tuple(self._pools.items()):
            if service == service_key(task.cluster_arn, task.service):
                await pool.drained(task.arn, DRAIN_SECONDS_MAX)

    async def gone(self, task: Task) -> None:
        """What listens in its pods is closed."""
        for (_, alias), front in self._fronts.pop(task.arn, {}).items():
            await front.close()
            self._let_go(alias)
        client = self._kept.clients.get(task.arn)
        if client is not None:
            self._kept.clients.delete(client)
            await self._kept.store.commit()
        await self._registrar.deregister(task.arn)

    async def start(self) -> None:
        """After a restart: forget tasks that ended meanwhile.  Those that live are prepared again."""
        for client in self._kept.clients.all():
            task = self._records.tasks.get(client.task_arn)
            if task is None or not task.is_live:
                self._kept.clients.delete(client)
        await self._kept.store.commit()

    async def close(self) -> None:
        """Close every proxy."""
        for fronts in self._fronts.values():
            for front in fronts.values():
                await front.close()
        self._fronts.clear()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._users.clear()

    # -- servers ------------------------------------------------------------------------------------------

    def _pool(self, alias: Alias) -> Pool:
        """The servers of an alias; whoever asks lets go of it later."""
        key = (alias.service, alias.port_name)
        servers = self._pools.get(key)
        if servers is None:
            servers = self._pools[key] = ServerPool("/".join(key), self._clock, self._random)
            for task in self._records.tasks.by("live_service", alias.service):
                servers.put(task.arn, self._serving(task, alias.port_name), well=_well(task))
        self._users[key] += 1
        return servers.pool

    def _let_go(self, alias: Alias) -> None:
        key = (alias.service, alias.port_name)
        self._users[key] -= 1
        if self._users[key] <= 0:
            del self._users[key]
            self._pools.pop(key).close()

    def _serving(self, task: Task, port_name: str) -> Place | None:
        """Where a task answers; None when it does not."""
        if task.last_status not in _SERVES or not rules.enabled(task.service_connect):
            return None
        return self._offers.place(task, port_name)

    def _heard(self, before: Task | None, after: Task | None) -> None:
        """A task changed: it may serve from now on, or no more."""
        task = after or before
        if task is None or not task.service or not self._pools:
            return
        service = service_key(task.cluster_arn, task.service)
        for key, servers in self._pools.items():
            if key[0] == service:
                place = self._serving(after, key[1]) if after is not None else None
                servers.put(task.arn, place, well=_well(task))


def _well(task: Task) -> bool:
    return task.health is not Health.UNHEALTHY
