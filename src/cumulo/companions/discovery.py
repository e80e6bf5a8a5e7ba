"""Cloud Map through the companions, wherever it lives: namespaces, services, and the instances of the cloud's own."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from cumulo.base.errors import AwsError
from cumulo.base.ports.discovery import DiscoveryService, Namespace
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions

_TARGET: Final = "Route53AutoNaming_v20170314."
_PAGES_MAX: Final = 100
_CHANGES: Final = frozenset(
    {
        "RegisterInstance",
        "DeregisterInstance",
        "UpdateInstanceCustomHealthStatus",
        "UpdateService",
        "DeleteService",
        "DeleteNamespace",
    }
)


class Discovery:
    """The CloudMap of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def namespace(self, account: str, region: str, which: str, *, make: bool = False) -> Namespace:
        """The namespace with this name, id or ARN; with `make` one for HTTP is made when no name is like that."""
        id_ = which.rpartition("/")[2]
        if which.startswith("arn:") or id_.startswith("ns-"):
            answer = await self._call("GetNamespace", account, region, {"Id": id_})
            return _namespace(answer["Namespace"])
        async for one in self._pages("ListNamespaces", "Namespaces", account, region):
            if one["Name"] == which:
                return _namespace(one)
        if not make:
            raise AwsError("NamespaceNotFound", which)
        await self._call("CreateHttpNamespace", account, region, {"Name": which})
        return await self.namespace(account, region, which)

    async def service(self, account: str, region: str, service_id: str) -> DiscoveryService:
        """A service."""
        answer = await self._call("GetService", account, region, {"Id": service_id})
        return _service(answer["Service"])

    async def service_named(
        self, account: str, region: str, namespace_id: str, name: str
    ) -> DiscoveryService:
        """The service of this name in a namespace, for API calls alone; made when there is none."""
        async for one in self._pages("ListServices", "Services", account, region):
            if one["Name"] == name and one.get("NamespaceId", namespace_id) == namespace_id:
                found = await self.service(account, region, one["Id"])
                if found.namespace == namespace_id:
                    return found
        asked = {"Name": name, "NamespaceId": namespace_id, "Type": "HTTP"}
        answer = await self._call("CreateService", account, region, asked)
        return _service(answer["Service"])

    async def register(
        self, account: str, region: str, service_id: str, instance: str, attributes: Mapping[str, str]
    ) -> None:
        """Add an instance, or give it these attributes: moto would have it twice."""
        which = {"ServiceId": service_id, "InstanceId": instance}
        try:
            known = await self._call("GetInstance", account, region, which)
        except AwsError as error:
            if error.code != "InstanceNotFound":
                raise
        else:
            if known["Instance"].get("Attributes") == dict(attributes):
                return
            await self.deregister(account, region, service_id, instance)
        await self._call("RegisterInstance", account, region, {**which, "Attributes": dict(attributes)})

    async def deregister(self, account: str, region: str, service_id: str, instance: str) -> None:
        """Take an instance out; harmless when it, or the service, is not there."""
        try:
            await self._call(
                "DeregisterInstance", account, region, {"ServiceId": service_id, "InstanceId": instance}
            )
        except AwsError as error:
            if error.code not in {"InstanceNotFound", "ServiceNotFound"}:
                raise

    async def set_health(
        self, account: str, region: str, service_id: str, instance: str, *, healthy: bool
    ) -> None:
        """Say whether an instance of a service with custom health is well."""
        status = "HEALTHY" if healthy else "UNHEALTHY"
        values = {"ServiceId": service_id, "InstanceId": instance, "Status": status}
        await self._call("UpdateInstanceCustomHealthStatus", account, region, values)

    async def names(self, account: str, region: str) -> Mapping[str, Sequence[str]]:
        """The names in private namespaces that have instances which ECS did not register, with their addresses."""
        namespaces = {
            one["Id"]: one["Name"]
            async for one in self._pages("ListNamespaces", "Namespaces", account, region)
            if one.get("Type") == "DNS_PRIVATE"
        }
        found: dict[str, Sequence[str]] = {}
        if not namespaces:
            return found
        async for one in self._pages("ListServices", "Services", account, region):
            service = await self.service(account, region, one["Id"])
            if service.namespace in namespaces and "A" in service.record_types:
                addresses = await self._addresses(account, region, service.id)
                if addresses:
                    found[f"{service.name}.{namespaces[service.namespace]}".lower()] = addresses
        return found

    async def _addresses(self, account: str, region: str, service_id: str) -> Sequence[str]:
        """Of instances that are well; of all, where none is."""
        asked = {"ServiceId": service_id}
        addresses = {}
        async for one in self._pages("ListInstances", "Instances", account, region, asked):
            said = one.get("Attributes") or {}
            if "AWS_INSTANCE_IPV4" in said and "ECS_SERVICE_NAME" not in said:
                addresses[one["Id"]] = said["AWS_INSTANCE_IPV4"]
        if not addresses:
            return ()
        health = (await self._call("GetInstancesHealthStatus", account, region, asked)).get("Status", {})
        well = [address for id_, address in addresses.items() if health.get(id_) != "UNHEALTHY"]
        return well or list(addresses.values())

    def watch(self, changed: Callable[[str, str], None]) -> None:
        """Tell of each account and region where a client changed something that may change names."""

        def heard(operation: str, account: str, region: str) -> None:
            if operation in _CHANGES:
                changed(account, region)

        self._companions.listen("servicediscovery", heard)

    async def _pages(
        self, operation: str, member: str, account: str, region: str, asked: Mapping[str, Any] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        token: dict[str, Any] = dict(asked or {})
        for _ in range(_PAGES_MAX):
            answer = await self._call(operation, account, region, token)
            for one in answer.get(member, []):
                yield one
            if not answer.get("NextToken"):
                return
            token["NextToken"] = answer["NextToken"]

    async def _call(
        self, operation: str, account: str, region: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        return await call_json(
            self._companions,
            "servicediscovery",
            _TARGET + operation,
            account=account,
            region=region,
            values=values,
        )


def _namespace(said: Mapping[str, Any]) -> Namespace:
    return Namespace(said["Id"], said["Arn"], said["Name"], said.get("Type", "HTTP"))


def _service(said: Mapping[str, Any]) -> DiscoveryService:
    config = said.get("DnsConfig") or {}
    return DiscoveryService(
        id=said["Id"],
        arn=said["Arn"],
        name=said["Name"],
        namespace=said.get("NamespaceId") or config.get("NamespaceId", ""),
        record_types=tuple(record["Type"] for record in config.get("DnsRecords") or ()),
        custom_health=bool(said.get("HealthCheckCustomConfig")),
    )
