"""What discovery keeps: where tasks are registered, which aliases clients were given, which namespaces names mean."""

import msgspec

from cumulo.services.ecs.shelf import Shelf
from cumulo.state.store import Store, join_key


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a service of Cloud Map; written before it is registered, deleted after it is deregistered.

    service_id     Cloud Map's; the instance has the id of the task
    name           under which pods find its address; empty: only calls of the API do
    port           0: it has none
    custom_health  whether Cloud Map is told of the task's health
    """

    task_arn: str
    account: str
    region: str
    service_id: str
    instance: str
    name: str = ""
    address: str = ""
    port: int = 0
    custom_health: bool = False


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that a client task reaches at `address`:`port` inside its own network, by the name `name`.

    service, port_name   who serves it: key of the ECS service, and the name of the port mapping
    app_protocol         http, http2, grpc; empty: TCP
    idle_seconds         0: for ever
    request_seconds      for an answer; 0: for ever
    """

    name: str
    port: int
    address: str
    service: str
    port_name: str
    app_protocol: str = ""
    idle_seconds: float = 0.0
    request_seconds: float = 0.0


class ConnectClient(msgspec.Struct, frozen=True, kw_only=True):
    """A task that has aliases: those that there were when it was made, for as long as it lives."""

    task_arn: str
    aliases: tuple[Alias, ...]


class KnownNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """What a name or ARN of a namespace meant when somebody used it."""

    account: str
    region: str
    text: str
    id: str
    arn: str
    name: str


class KnownService(msgspec.Struct, frozen=True, kw_only=True):
    """The service of Cloud Map that an endpoint of Service Connect is."""

    namespace: str  # its id
    name: str
    arn: str


class PlaceNames(msgspec.Struct, frozen=True, kw_only=True):
    """Names that clients gave to instances of their own, of an account and region."""

    account: str
    region: str
    names: dict[str, tuple[str, ...]] = {}


class DiscoveryRecords:
    """The shelves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.registrations = Shelf(
            store,
            "ecs_registrations",
            Registration,
            lambda one: join_key(one.task_arn, one.service_id),
            task=lambda one: one.task_arn,
        )
        self.clients = Shelf(store, "ecs_connect_clients", ConnectClient, lambda one: one.task_arn)
        self.namespaces = Shelf(
            store,
            "ecs_namespaces",
            KnownNamespace,
            lambda one: join_key(one.account, one.region, one.text),
        )
        self.services = Shelf(
            store, "ecs_connect_services", KnownService, lambda one: join_key(one.namespace, one.name)
        )

        self.names = Shelf(
            store, "ecs_place_names", PlaceNames, lambda one: join_key(one.account, one.region)
        )

    def clear(self) -> None:
        """Forget everything."""
        for shelf in (self.registrations, self.clients, self.namespaces, self.services, self.names):
            shelf.clear()

    def know_service(self, namespace: str, name: str, arn: str) -> None:
        """Remember what an endpoint is in Cloud Map."""
        if self.service_arn(namespace, name) != arn:
            self.services.put(KnownService(namespace=namespace, name=name, arn=arn))

    def service_arn(self, namespace: str, name: str) -> str:
        """Its ARN; empty when no task was ever registered there."""
        known = self.services.get(join_key(namespace, name))
        return known.arn if known is not None else ""
