"""`serviceConnectConfiguration`: what may be said, and what it means.  Pure."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from cumulo.base.errors import not_implemented
from cumulo.services.ecs.discovery.model import Alias
from cumulo.services.ecs.discovery.places import named_port
from cumulo.services.ecs.model import Document, TaskDefinition
from cumulo.services.ecs.refusals import invalid

HTTP = frozenset(
    {"http"}
)  # what is looked into; http2 and grpc pass as bytes, a connection to one backend each
_NAMES_MAX = 250 * 250
_DNS_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?")
_DISCOVERY_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,62}[a-z0-9_])?")
_IDLE_SECONDS = {"http": 300.0, "http2": 300.0, "grpc": 300.0}
_IDLE_SECONDS_TCP = 3600.0
_REQUEST_SECONDS = 15.0


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a service offers in its namespace.

    service  key of the ECS service
    name     dnsName, or discoveryName.namespace
    """

    service: str
    name: str
    port: int
    port_name: str
    discovery_name: str
    app_protocol: str = ""
    idle_seconds: float = 0.0
    request_seconds: float = 0.0


def enabled(configuration: Document) -> bool:
    """Whether tasks take part."""
    return bool(configuration.get("enabled"))


def check(configuration: Document, definition: TaskDefinition, operation: str) -> None:
    """AwsError for what cannot be, whatever Cloud Map and other services have."""
    if not enabled(configuration):
        return
    if definition.network_mode not in {"awsvpc", "bridge"}:
        raise invalid(
            f"Service Connect is not supported with the network mode {definition.network_mode}: use awsvpc or bridge."
        )
    if "accessLogConfiguration" in configuration:
        raise not_implemented("ecs", operation, "Service Connect writes no access logs")
    names: set[str] = set()
    for service in configuration.get("services", ()):
        _check_service(service, definition, operation)
        name = discovery_name(service)
        if name in names:
            raise invalid(f"discoveryName({name}) must be unique in the service connect configuration.")
        names.add(name)


def _check_service(service: Document, definition: TaskDefinition, operation: str) -> None:
    name = service["portName"]
    found = named_port(definition, name)
    if found is None:
        raise invalid(
            f"portName({name}) does not refer to any named PortMapping in the container definitions."
        )
    if found[1].get("protocol", "tcp") != "tcp":
        raise invalid(f"portName({name}) refers to a PortMapping whose protocol is not tcp.")
    if "tls" in service:
        raise not_implemented("ecs", operation, "Service Connect has no TLS: there is no private CA")
    if "ingressPortOverride" in service:
        raise not_implemented(
            "ecs", operation, "ingressPortOverride: no proxy listens beside the server's own port"
        )
    if not _DISCOVERY_NAME.fullmatch(discovery_name(service)):
        raise invalid(f"discoveryName({discovery_name(service)}) is not valid.")
    aliases = service.get("clientAliases", ())
    if len(aliases) != 1:
        raise invalid("clientAliases must have 1 element.")
    _check_alias(aliases[0], operation)
    timeout = service.get("timeout", {})
    if not found[1].get("appProtocol") and "perRequestTimeoutSeconds" in timeout:
        raise invalid("perRequestTimeoutSeconds is not supported for the TCP appProtocol.")


def _check_alias(alias: Document, operation: str) -> None:
    if not 1 <= alias["port"] <= 65535:
        raise invalid("The port of a client alias must be between 1 and 65535.")
    if "dnsName" in alias and not _DNS_NAME.fullmatch(alias["dnsName"]):
        raise invalid(f"dnsName({alias['dnsName']}) is not valid.")
    if "testTrafficRules" in alias:
        raise not_implemented("ecs", operation, "testTrafficRules: there are no blue/green deployments")


def discovery_name(service: Document) -> str:
    """The name in Cloud Map."""
    return str(service.get("discoveryName") or service["portName"])


def endpoints(
    key: str, configuration: Document, definition: TaskDefinition, namespace: str
) -> tuple[Endpoint, ...]:
    """What a service offers; `namespace` is the name of that."""
    if not enabled(configuration):
        return ()
    found = []
    for service in configuration.get("services", ()):
        mapped = named_port(definition, service["portName"])
        for alias in service.get("clientAliases", ()) if mapped is not None else ():
            assert mapped is not None
            protocol = str(mapped[1].get("appProtocol", ""))
            timeout = service.get("timeout", {})
            name = str(alias.get("dnsName") or f"{discovery_name(service)}.{namespace}").lower()
            idle = timeout.get("idleTimeoutSeconds", _IDLE_SECONDS.get(protocol, _IDLE_SECONDS_TCP))
            request = timeout.get("perRequestTimeoutSeconds", _REQUEST_SECONDS if protocol else 0)
            found.append(
                Endpoint(
                    service=key,
                    name=name,
                    port=int(alias["port"]),
                    port_name=str(service["portName"]),
                    discovery_name=discovery_name(service),
                    app_protocol=protocol,
                    idle_seconds=float(idle),
                    request_seconds=float(request),
                )
            )
    return tuple(found)


def aliases(offered: Iterable[Endpoint]) -> tuple[Alias, ...]:
    """Addresses for the names of endpoints: one each, 127.255.0.1 and so on.  The first of two that are alike counts."""
    addresses: dict[str, str] = {}
    made: dict[tuple[str, int], Alias] = {}
    for one in sorted(offered, key=lambda one: (one.name, one.port)):
        if len(addresses) >= _NAMES_MAX:
            break
        number = len(addresses) + 1
        address = addresses.setdefault(one.name, f"127.255.{number // 250}.{number % 250 or 250}")
        made.setdefault(
            (one.name, one.port),
            Alias(
                name=one.name,
                port=one.port,
                address=address,
                service=one.service,
                port_name=one.port_name,
                app_protocol=one.app_protocol,
                idle_seconds=one.idle_seconds,
                request_seconds=one.request_seconds,
            ),
        )
    return tuple(made.values())


def lines(given: Iterable[Alias]) -> Mapping[str, str]:
    """For /etc/hosts: name to address."""
    return {one.name: one.address for one in given}
