"""Cloud Map, wherever its companion lives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec


class Namespace(msgspec.Struct, frozen=True):
    """A namespace of Cloud Map.  `kind` is DNS_PRIVATE, DNS_PUBLIC or HTTP."""

    id: str
    arn: str
    name: str
    kind: str


class DiscoveryService(msgspec.Struct, frozen=True, kw_only=True):
    """A service of Cloud Map, whose instances have the name `<name>.<namespace>`.

    record_types   of DNS: A, AAAA, SRV, CNAME; none in an HTTP namespace
    custom_health  whether somebody else than Cloud Map says which instances are well
    """

    id: str
    arn: str
    name: str
    namespace: str  # its id
    record_types: tuple[str, ...] = ()
    custom_health: bool = False


class CloudMap(Protocol):
    """Service discovery, wherever its companion lives.  AwsError as Cloud Map says it (ServiceNotFound, ...)."""

    async def namespace(self, account: str, region: str, which: str, *, make: bool = False) -> Namespace:
        """The namespace with this name, id or ARN; with `make` one for HTTP is made when no name is like that."""
        ...

    async def service(self, account: str, region: str, service_id: str) -> DiscoveryService:
        """A service."""
        ...

    async def service_named(
        self, account: str, region: str, namespace_id: str, name: str
    ) -> DiscoveryService:
        """The service of this name in a namespace, for API calls alone; made when there is none."""
        ...

    async def register(
        self, account: str, region: str, service_id: str, instance: str, attributes: Mapping[str, str]
    ) -> None:
        """Add an instance, or give it these attributes."""
        ...

    async def deregister(self, account: str, region: str, service_id: str, instance: str) -> None:
        """Take an instance out; harmless when it, or the service, is not there."""
        ...

    async def set_health(
        self, account: str, region: str, service_id: str, instance: str, *, healthy: bool
    ) -> None:
        """Say whether an instance of a service with custom health is well."""
        ...

    async def names(self, account: str, region: str) -> Mapping[str, Sequence[str]]:
        """The names in private namespaces that have instances which ECS did not register, with their addresses."""
        ...

    def watch(self, changed: Callable[[str, str], None]) -> None:
        """Tell of each account and region where a client changed something that may change names.  Returns at once."""
        ...
