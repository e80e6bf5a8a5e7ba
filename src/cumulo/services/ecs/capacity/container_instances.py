"""Operations on container instances."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Host, Hosts
from cumulo.base.pages import page
from cumulo.services.ecs import arns
from cumulo.services.ecs.capacity import views
from cumulo.services.ecs.capacity.finding import cluster_of, find_instance, instance_arn
from cumulo.services.ecs.capacity.instance_attributes import (
    CUSTOM_MAX,
    attribute,
    custom_count,
    registered_attributes,
)
from cumulo.services.ecs.capacity.joining import DEREGISTERED, inactive
from cumulo.services.ecs.capacity.resources import AGENT_PORTS, registered_cpu, registered_memory
from cumulo.services.ecs.model import Cluster, ContainerInstance, StopCode
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Launches, Runner
from cumulo.wire.service import Values

DESCRIBED_MAX: Final = 100
LISTED_MAX: Final = 100
UPDATED_MAX: Final = 10
FORCED: Final = "Container instance deregistration forced by user"

Matches = Callable[[str], Callable[[ContainerInstance], bool]]
"""Compiles an expression of the cluster query language.  AwsError InvalidParameterException."""


class ContainerInstances:
    """The operations; `matches` knows the cluster query language."""

    def __init__(
        self,
        records: Records,
        hosts: Callable[[], Hosts],
        runner: Runner,
        launches: Launches,
        clock: Clock,
        ids: Ids,
        *,
        matches: Matches,
        capabilities: Sequence[str],
    ) -> None:
        self._records = records
        self._hosts = hosts
        self._runner = runner
        self._launches = launches
        self._clock = clock
        self._ids = ids
        self._matches = matches
        self._capabilities = capabilities

    # -- looking -----------------------------------------------------------------------------------------

    async def describe(self, caller: Caller, values: Values) -> Values:
        """DescribeContainerInstances."""
        cluster = cluster_of(self._records, caller, values)
        names = values["containerInstances"]
        if not names:
            raise invalid("Container instance cannot be empty.")
        if len(names) > DESCRIBED_MAX:
            raise invalid(f"instanceIds can have at most {DESCRIBED_MAX} items.")
        include = values.get("include", ())
        found = [(name, find_instance(self._records, cluster, name)) for name in names]
        return {
            "containerInstances": [self.view(one, include) for _, one in found if one is not None],
            "failures": [_missing(cluster, name) for name, one in found if one is None],
        }

    async def list_(self, caller: Caller, values: Values) -> Values:
        """ListContainerInstances: without a status, all that are not INACTIVE."""
        cluster = cluster_of(self._records, caller, values)
        size = values.get("maxResults", LISTED_MAX)
        if not 1 <= size <= LISTED_MAX:
            raise invalid(f"maxResults must be between 1 and {LISTED_MAX}.")
        status = values.get("status")
        expression = values.get("filter")
        test = self._matches(expression) if expression else _anything
        chosen = sorted(
            one.arn
            for one in self._records.instances.by("cluster", cluster.arn)
            if (one.status == status if status else one.status != "INACTIVE") and test(one)
        )
        taken, token = page(
            chosen,
            lambda arn: arn,
            marker=values.get("nextToken"),
            size=size,
            error="InvalidParameterException",
        )
        return {"containerInstanceArns": taken, "nextToken": token}

    # -- changing ----------------------------------------------------------------------------------------

    async def update_state(self, caller: Caller, values: Values) -> Values:
        """UpdateContainerInstancesState: ACTIVE, or DRAINING, which takes no new tasks."""
        cluster = cluster_of(self._records, caller, values)
        names, status = values["containerInstances"], values["status"]
        if status not in ("ACTIVE", "DRAINING"):
            raise invalid("Container instances status should be one of [ACTIVE,DRAINING]")
        if not names:
            raise invalid("Container instance cannot be empty.")
        if len(names) > UPDATED_MAX:
            raise invalid(f"instanceIds can have at most {UPDATED_MAX} items.")
        changed: list[ContainerInstance] = []
        failures: list[dict[str, str]] = []
        for name in names:
            found = find_instance(self._records, cluster, name)
            if found is None:
                failures.append(_missing(cluster, name))
            elif found.status not in ("ACTIVE", "DRAINING"):
                failures.append({"arn": found.arn, "reason": found.status})
            else:
                changed.append(self._with_status(found, status))
        await self._records.store.commit()
        if status == "ACTIVE":
            await self._launches.place_waiting()
        return {"containerInstances": [self.view(one) for one in changed], "failures": failures}

    def _with_status(self, instance: ContainerInstance, status: str) -> ContainerInstance:
        if instance.status == status:
            return instance
        return self._records.instances.put(
            replace(instance, status=status, status_reason="", version=instance.version + 1)
        )

    async def deregister(self, caller: Caller, values: Values) -> Values:
        """DeregisterContainerInstance: with `force` its tasks are stopped; final while the instance runs."""
        cluster = cluster_of(self._records, caller, values)
        found = find_instance(self._records, cluster, values["containerInstance"])
        if found is None or found.status == "INACTIVE":
            raise invalid("Referenced container instance was not found.")
        tasks = self._records.tasks.by("instance", found.arn)
        if tasks and not values.get("force"):
            raise invalid("Found running tasks on the instance.")
        gone = self._records.instances.put(inactive(found, self._clock.now(), DEREGISTERED))
        await self._records.store.commit()
        for task in tasks:
            await self._runner.stop(task.arn, StopCode.USER_INITIATED, FORCED)
        return {"containerInstance": self.view(gone)}

    # -- registering by hand -----------------------------------------------------------------------------

    async def register(self, caller: Caller, values: Values) -> Values:
        """RegisterContainerInstance, as an agent calls it.

        The identity document of an instance that EC2 shows running makes it a container instance that runs tasks, if
        this machine has room for it; any other is registered with its agent not connected, for nobody here could run
        its tasks.
        """
        cluster = cluster_of(self._records, caller, values)
        document = _document(values.get("instanceIdentityDocument", ""))
        ec2_id = str(document.get("instanceId", ""))
        host = await self._host(caller, ec2_id, cluster) if ec2_id else None
        known = self._registered_before(cluster, values.get("containerInstanceArn", ""), ec2_id)
        made = known or self._new(cluster, host, document)
        made = _with_resources(made, values.get("totalResources", ()))
        more = {one["name"]: one.get("value", "") for one in values.get("attributes", ())}
        kept = [one for one in made.attributes if one["name"] not in more]
        attributes = (*kept, *(attribute(name, value) for name, value in more.items()))
        if custom_count(attributes) > CUSTOM_MAX:
            raise invalid(f"An instance can have at most {CUSTOM_MAX} custom attributes.")
        tags = {one.get("key", ""): one.get("value", "") for one in values.get("tags", ())}
        made = self._records.instances.put(
            replace(
                made, attributes=attributes, tags={**made.tags, **tags}, version=made.version + bool(known)
            )
        )
        await self._records.store.commit()
        if made.agent_connected:
            await self._launches.place_waiting()
        return {"containerInstance": self.view(made, ("TAGS",))}

    async def _host(self, caller: Caller, ec2_id: str, cluster: Cluster) -> Host | None:
        """The caller's instance, which is given a body now if it has none."""
        host = self._hosts().host(ec2_id)
        if host is None:
            host = await self._hosts().embody(caller.account, caller.region, ec2_id, cluster.name)
        own = host is not None and (host.account, host.region) == (caller.account, caller.region)
        return host if own else None

    def _registered_before(self, cluster: Cluster, arn: str, ec2_id: str) -> ContainerInstance | None:
        if arn:
            found = find_instance(self._records, cluster, arn)
            if found is None or found.status == "INACTIVE":
                raise invalid("Referenced container instance was not found.")
            return found
        for one in self._records.instances.by("ec2", ec2_id) if ec2_id else ():
            if one.cluster_arn == cluster.arn and one.status != "INACTIVE":
                return one
        return None

    def _new(self, cluster: Cluster, host: Host | None, document: Mapping[str, Any]) -> ContainerInstance:
        id_ = self._ids.hex(32)
        plain = ContainerInstance(
            account=cluster.account,
            region=cluster.region,
            id=id_,
            arn=arns.arn(cluster.region, cluster.account, "container-instance", cluster.name, id_),
            cluster_arn=cluster.arn,
            ec2_id=str(document.get("instanceId", "")),
            instance_type=str(document.get("instanceType", "")),
            availability_zone=str(document.get("availabilityZone", "")),
            agent_connected=False,
            ports_tcp=AGENT_PORTS,
            registered_at=self._clock.now(),
        )
        if host is None:
            return plain
        return replace(
            plain,
            instance_type=host.kind,
            availability_zone=host.zone,
            agent_connected=host.running,
            slice=host.slice,
            address=host.address,
            cpu_units=registered_cpu(host.vcpus),
            memory_mib=registered_memory(host.memory_mib, host.agent.reserved_mib),
            attributes=registered_attributes(host, self._capabilities),
            spot=host.spot,
        )

    def view(self, instance: ContainerInstance, include: Sequence[str] = ()) -> dict[str, Any]:
        """An instance as DescribeContainerInstances shows it."""
        tasks = self._records.tasks.by("instance", instance.arn)
        return views.container_instance(instance, tasks, include)


def _missing(cluster: Cluster, name: str) -> dict[str, str]:
    return {"arn": instance_arn(cluster, name), "reason": "MISSING"}


def _anything(_instance: ContainerInstance) -> bool:
    return True


def _document(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise invalid("The instance identity document is not valid.") from None


def _with_resources(instance: ContainerInstance, told: Sequence[Mapping[str, Any]]) -> ContainerInstance:
    """The instance with the resources that its agent tells; never more than its slice has."""
    for resource in told:
        name = resource.get("name")
        number = int(resource.get("integerValue", 0))
        ports = tuple(int(one) for one in resource.get("stringSetValue", ()) if one.isdigit())
        if name == "CPU":
            bound = instance.cpu_units if instance.slice else number
            instance = replace(instance, cpu_units=min(number, bound))
        elif name == "MEMORY":
            bound = instance.memory_mib if instance.slice else number
            instance = replace(instance, memory_mib=min(number, bound))
        elif name == "PORTS":
            instance = replace(instance, ports_tcp=ports)
        elif name == "PORTS_UDP":
            instance = replace(instance, ports_udp=ports)
    return instance
