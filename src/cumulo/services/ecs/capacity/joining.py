"""EC2's instances become container instances: they join their cluster, go, and take their tasks with them."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Host, Hosts
from cumulo.base.log import Log
from cumulo.services.ecs import arns
from cumulo.services.ecs.capacity.instance_attributes import located, registered_attributes
from cumulo.services.ecs.capacity.resources import registered_cpu, registered_memory
from cumulo.services.ecs.model import Cluster, ContainerInstance, StopCode, Tags, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.seams import Launches, Runner
from cumulo.state.store import join_key

RETIRING: Final = "its Auto Scaling group is about to end it"
DEREGISTERED: Final = "deregistered"  # why an INACTIVE instance does not come back while it runs
_DEFAULT: Final = "default"
_GOOD: Final = frozenset({"ACTIVE", "PROVISIONING"})

_log = Log("ecs")


class Joining:
    """The HostEvents of ECS.

    capabilities  names of attributes that every instance of ours has
    """

    def __init__(
        self,
        records: Records,
        hosts: Callable[[], Hosts],
        runner: Runner,
        launches: Launches,
        clock: Clock,
        ids: Ids,
        *,
        capabilities: Sequence[str],
    ) -> None:
        self._records = records
        self._hosts = hosts
        self._runner = runner
        self._launches = launches
        self._clock = clock
        self._ids = ids
        self._capabilities = capabilities
        self._retiring: set[str] = set()  # ids of EC2, as long as somebody waits for them to be empty
        records.clusters.listeners.append(self._heard_cluster)

    def wanted(self, account: str, region: str, cluster: str) -> bool:
        """Whether there is a cluster of this name to join."""
        return self._cluster(account, region, cluster) is not None

    async def joined(self, host: Host) -> None:
        """Register the instance, or see that its agent is there again."""
        cluster = self._cluster(host.account, host.region, host.agent.cluster)
        if cluster is None:
            _log.info("an EC2 instance waits for its cluster", instance=host.id, cluster=host.agent.cluster)
            return
        known = self._known(host)
        if known is not None and known.status == "INACTIVE":
            if known.status_reason == DEREGISTERED:
                return  # final, as on AWS, as long as the instance runs
            known = None
        if known is None:
            self._records.instances.put(self._registered(host, cluster))
        else:
            attributes = known.attributes
            if known.address != host.address:
                attributes = located(attributes, host.address)
            now = replace(
                known,
                agent_connected=True,
                slice=host.slice,
                address=host.address,
                attributes=attributes,
            )
            if now.status_reason == RETIRING and host.id not in self._retiring:
                now = replace(now, status="ACTIVE", status_reason="")  # it was not ended after all
            if now != known:
                self._records.instances.put(replace(now, version=now.version + 1))
        await self._records.store.commit()
        await self._launches.place_waiting()

    async def stopped(self, host: Host) -> None:
        """Its agent is gone, and its tasks; it may come back."""
        known = self._known(host)
        if known is not None:
            if known.status == "INACTIVE" and known.status_reason:
                known = self._records.instances.put(replace(known, status_reason=""))
            if known.agent_connected:
                self._records.instances.put(replace(known, agent_connected=False, version=known.version + 1))
            await self._records.store.commit()
        await self._gone(host, "stopped")

    async def left(self, host: Host) -> None:
        """It is terminated: INACTIVE, and its tasks stop."""
        known = self._known(host)
        if known is not None and (known.status != "INACTIVE" or known.agent_connected):
            gone = inactive(replace(known, agent_connected=False), self._clock.now())
            self._records.instances.put(gone)
            await self._records.store.commit()
        await self._gone(host, "terminated")

    async def leaving(self, host: Host) -> None:
        """A spot instance will be taken away: let its services place their tasks elsewhere."""
        known = self._known(host)
        if known is None or known.status != "ACTIVE":
            return
        self._records.instances.put(replace(known, status="DRAINING", version=known.version + 1))
        await self._records.store.commit()

    async def retiring(self, instance_ids: Sequence[str]) -> bool:
        """Managed draining: DRAINING, so that services place their tasks elsewhere; whether tasks are left there."""
        left = False
        for id_ in instance_ids:
            for instance in self._records.instances.by("ec2", id_):
                if instance.status not in ("ACTIVE", "DRAINING") or not self._drains(instance):
                    continue
                self._retiring.add(id_)
                if instance.status == "ACTIVE":
                    drained = replace(instance, status="DRAINING", status_reason=RETIRING)
                    self._records.instances.put(replace(drained, version=instance.version + 1))
                tasks = self._records.tasks.by("instance", instance.arn)
                left = left or not all(is_daemon(self._records, task) for task in tasks)
        await self._records.store.commit()
        return left

    def retired(self, instance_ids: Sequence[str]) -> None:
        """See HostEvents."""
        self._retiring.difference_update(instance_ids)

    def _drains(self, instance: ContainerInstance) -> bool:
        """Whether its capacity provider manages draining."""
        key = join_key(instance.account, instance.region, instance.capacity_provider)
        provider = self._records.providers.get(key) if instance.capacity_provider else None
        return provider is not None and provider.auto_scaling_group.get("managedDraining") == "ENABLED"

    async def _gone(self, host: Host, how: str) -> None:
        reason = f"Host EC2 (instance {host.id}) {how}."
        for instance in self._records.instances.by("ec2", host.id):
            for task in self._records.tasks.by("instance", instance.arn):
                await self._runner.stop(task.arn, StopCode.TERMINATION_NOTICE, reason)

    def _heard_cluster(self, before: Cluster | None, after: Cluster | None) -> None:
        came = after is not None and after.status == "ACTIVE"
        was = before is not None and before.status == "ACTIVE"
        if came and not was:
            self._hosts().wake()
        if after is not None and (before is None or before.capacity_providers != after.capacity_providers):
            self._associate(after)

    def _associate(self, cluster: Cluster) -> None:
        """Instances that came from a provider's group before the cluster had the provider are its own too."""
        for instance in self._records.instances.by("cluster", cluster.arn):
            host = self._hosts().host(instance.ec2_id) if instance.ec2_id else None
            if host is None or instance.status == "INACTIVE":
                continue
            name = self._provider(host, cluster)
            if name != instance.capacity_provider:
                self._records.instances.put(
                    replace(instance, capacity_provider=name, version=instance.version + 1)
                )

    def _cluster(self, account: str, region: str, name: str) -> Cluster | None:
        arn = arns.arn(region, account, "cluster", arns.last_part(name) or _DEFAULT)
        found = self._records.clusters.get(arn)
        return found if found is not None and found.status in _GOOD else None

    def _known(self, host: Host) -> ContainerInstance | None:
        """The newest registration of the instance; one that is not INACTIVE comes first."""
        found = self._records.instances.by("ec2", host.id)
        return max(found, key=lambda one: (one.status != "INACTIVE", one.registered_at), default=None)

    def _registered(self, host: Host, cluster: Cluster) -> ContainerInstance:
        id_ = self._ids.hex(32)
        return ContainerInstance(
            account=host.account,
            region=host.region,
            id=id_,
            arn=arns.arn(host.region, host.account, "container-instance", cluster.name, id_),
            cluster_arn=cluster.arn,
            ec2_id=host.id,
            instance_type=host.kind,
            capacity_provider=self._provider(host, cluster),
            slice=host.slice,
            address=host.address,
            availability_zone=host.zone,
            cpu_units=registered_cpu(host.vcpus),
            memory_mib=registered_memory(host.memory_mib, host.agent.reserved_mib),
            attributes=registered_attributes(host, self._capabilities),
            registered_at=self._clock.now(),
            spot=host.spot,
            tags=_tags(host),
        )

    def _provider(self, host: Host, cluster: Cluster) -> str:
        """The capacity provider of its cluster whose group it came from."""
        if not host.group:
            return ""
        for name in cluster.capacity_providers:
            provider = self._records.providers.get(join_key(cluster.account, cluster.region, name))
            if provider is not None and provider.group_name == host.group:
                return name
        return ""


def is_daemon(records: Records, task: Task) -> bool:
    """Whether a task belongs to a DAEMON service: it lives and ends with its instance."""
    service = records.services.get(service_key(task.cluster_arn, task.service)) if task.service else None
    return service is not None and service.scheduling == "DAEMON"


def inactive(instance: ContainerInstance, now: float, reason: str = "") -> ContainerInstance:
    """The instance, of no use any more; it stays describable for a while."""
    return replace(
        instance,
        status="INACTIVE",
        status_reason=reason,
        inactive_at=instance.inactive_at or now,
        version=instance.version + 1,
    )


def _tags(host: Host) -> Tags:
    own = {name: value for name, value in host.tags.items() if not name.startswith("aws:")}
    return (own if host.agent.propagate_tags else {}) | dict(host.agent.tags)
