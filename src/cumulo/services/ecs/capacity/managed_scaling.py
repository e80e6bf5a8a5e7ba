"""Carries out what `scaling_plan` decides: groups grow for tasks that wait, and shrink when instances stay empty."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.instances import Group, GroupMember, Groups, Hosts
from cumulo.base.log import Log
from cumulo.base.ports.metrics import Datum, Metrics
from cumulo.services.ecs.capacity.joining import is_daemon
from cumulo.services.ecs.capacity.scaling_plan import (
    Decision,
    Facts,
    Member,
    Memory,
    Need,
    Settings,
    decide,
)
from cumulo.services.ecs.model import CapacityProvider, Cluster, ContainerInstance, Task
from cumulo.services.ecs.records import Records
from cumulo.state.store import StoreError, join_key

SHRINK_SECONDS: Final = 900.0  # as AWS: its alarm wants 15 minutes
SETTLE_SECONDS: Final = 0.2  # so that a burst of tasks is one decision
AGAIN_SECONDS: Final = 5.0
NAMESPACE: Final = "AWS/ECS/ManagedScaling"
_CAPACITY: Final = "capacity"
_LEAVING: Final = ("Terminating", "Terminated", "Detach", "Standby", "EnteringStandby")

_log = Log("ecs")


class ManagedScaling:
    """Run `run` beside the server; it hears of tasks, instances and providers by itself."""

    def __init__(
        self,
        records: Records,
        groups: Groups,
        hosts: Callable[[], Hosts],
        metrics: Metrics,
        clock: Clock,
        *,
        shrink_seconds: float = SHRINK_SECONDS,
    ) -> None:
        self._records = records
        self._groups = groups
        self._hosts = hosts
        self._metrics = metrics
        self._clock = clock
        self._shrink_seconds = shrink_seconds
        self._due: set[str] = set()
        self._at: dict[str, float] = {}
        self._memories: dict[str, Memory] = {}
        self._woken = asyncio.Event()
        records.tasks.listeners.append(self._heard_task)
        records.instances.listeners.append(self._heard_instance)
        records.clusters.listeners.append(self._heard_cluster)
        for provider in records.providers.all():
            self.look_at(provider)

    def look_at(self, provider: CapacityProvider) -> None:
        """Decide about a provider soon."""
        self._wake(join_key(provider.account, provider.region, provider.name))

    def _wake(self, key: str) -> None:
        self._due.add(key)
        self._woken.set()

    def _heard_task(self, before: Task | None, after: Task | None) -> None:
        task = after or before
        if task is None or not task.capacity_provider or task.is_fargate:
            return
        if before is None or after is None or _place(before) != _place(after):
            self._wake(join_key(task.account, task.region, task.capacity_provider))

    def _heard_instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        for instance in (before, after):
            if instance is not None and instance.capacity_provider:
                self._wake(join_key(instance.account, instance.region, instance.capacity_provider))

    def _heard_cluster(self, before: Cluster | None, after: Cluster | None) -> None:
        had = set(before.capacity_providers) if before else set()
        has = set(after.capacity_providers) if after else set()
        cluster = after or before
        if cluster is not None:
            for name in had ^ has:
                self._wake(join_key(cluster.account, cluster.region, name))

    async def run(self) -> None:
        """Decide whenever something has happened, for ever."""
        while True:
            self._woken.clear()
            pause: float | None = AGAIN_SECONDS
            with contextlib.suppress(StoreError):  # the disk refuses: every request hears of it
                pause = await self.step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
                await asyncio.sleep(SETTLE_SECONDS)

    async def step(self) -> float | None:
        """Decide about everything that is due; seconds until something is, or None.  StoreError."""
        now = self._clock.monotonic()
        due = self._due | {key for key, at in self._at.items() if at <= now}
        self._due = set()
        for key in sorted(due):
            self._at.pop(key, None)
            try:
                await self._look(key)
            except AwsError as error:
                _log.warning("a group cannot be scaled", provider=key, error=str(error))
                self._at[key] = now + AGAIN_SECONDS
        return min((max(at - now, 0.0) for at in self._at.values()), default=None)

    async def _look(self, key: str) -> None:
        provider = self._records.providers.get(key)
        if provider is None or not self._scales(provider):
            self._memories.pop(key, None)
            return
        group = await self._groups.group(provider.account, provider.region, provider.group_name)
        if group is None:
            self._memories.pop(key, None)
            return
        settings = self._settings(provider)
        now = self._clock.monotonic()
        decision = decide(self._facts(provider, group), settings, self._memories.get(key, Memory()), now)
        if decision.look_at is not None:
            self._at[key] = decision.look_at
        await self._do(provider, decision)
        self._memories[key] = decision.memory
        await self._publish(provider, decision.reservation)

    async def _publish(self, provider: CapacityProvider, reservation: float) -> None:
        """AWS's metric of it, for each cluster; lost when nobody takes it."""
        data = [
            Datum(
                name="CapacityProviderReservation",
                dimensions={"CapacityProviderName": provider.name, "ClusterName": cluster.name},
                value=reservation,
                unit="Percent",
                at=self._clock.now(),
            )
            for cluster in self._clusters(provider)
        ]
        with contextlib.suppress(AwsError):
            await self._metrics.put(provider.account, provider.region, NAMESPACE, data)

    def _scales(self, provider: CapacityProvider) -> bool:
        """Whether it is to be scaled: managed, and some cluster has it."""
        scaling = provider.auto_scaling_group.get("managedScaling", {})
        return scaling.get("status") == "ENABLED" and any(self._clusters(provider))

    def _clusters(self, provider: CapacityProvider) -> Iterable[Cluster]:
        place = join_key(provider.account, provider.region)
        return (
            one
            for one in self._records.clusters.by("place", place)
            if one.status == "ACTIVE" and provider.name in one.capacity_providers
        )

    def _settings(self, provider: CapacityProvider) -> Settings:
        scaling = provider.auto_scaling_group["managedScaling"]
        return Settings(
            target=int(scaling["targetCapacity"]),
            step_least=int(scaling["minimumScalingStepSize"]),
            step_most=int(scaling["maximumScalingStepSize"]),
            warmup_seconds=min(float(scaling["instanceWarmupPeriod"]), self._shrink_seconds),
            protects=provider.auto_scaling_group.get("managedTerminationProtection") == "ENABLED",
            shrink_seconds=self._shrink_seconds,
        )

    def _facts(self, provider: CapacityProvider, group: Group) -> Facts:
        waiting = [
            Need(task.cpu_units, task.memory_mib)
            for task in self._records.tasks.by("waits", _CAPACITY)
            if task.capacity_provider == provider.name
            and (task.account, task.region) == (provider.account, provider.region)
            and task.desired_status == "RUNNING"
        ]
        members = [one for one in group.members if not one.state.startswith(_LEAVING)]
        instances = {one.id: self._instance(one) for one in members}
        sizes = [Need(one.cpu_units, one.memory_mib) for one in instances.values() if one is not None]
        return Facts(
            least=group.least,
            most=group.most,
            desired=group.desired,
            members=tuple(self._member(one, instances[one.id]) for one in members),
            waiting=waiting,
            size=sizes[-1] if sizes else None,
            room=self._hosts().room_for(group.kind) if group.kind else 1,
        )

    def _instance(self, member: GroupMember) -> ContainerInstance | None:
        found = [one for one in self._records.instances.by("ec2", member.id) if one.status != "INACTIVE"]
        return found[-1] if found else None

    def _member(self, member: GroupMember, instance: ContainerInstance | None) -> Member:
        if instance is None:
            return Member(id=member.id, joined=False, protected=member.protected)
        tasks = self._records.tasks.by("instance", instance.arn)
        return Member(
            id=member.id,
            tasks=sum(not is_daemon(self._records, task) for task in tasks),
            joined=instance.agent_connected,
            draining=instance.status == "DRAINING",
            protected=member.protected,
        )

    # -- doing -------------------------------------------------------------------------------------------

    async def _do(self, provider: CapacityProvider, decision: Decision) -> None:
        place = (provider.account, provider.region)
        name = provider.group_name
        if decision.protect:
            await self._groups.protect(*place, name, decision.protect, protected=True)
        if decision.release:
            await self._groups.protect(*place, name, decision.release, protected=False)
        if decision.desired is not None:
            _log.info("a group grows", provider=provider.name, instances=decision.desired)
            await self._groups.set_desired(*place, name, decision.desired)
        if decision.remove:
            await self._remove(provider, decision)

    async def _remove(self, provider: CapacityProvider, decision: Decision) -> None:
        """End empty instances: they drain first, so that nothing is placed on them meanwhile."""
        leaving: list[str] = []
        for id_ in decision.remove:
            instance = self._instance(GroupMember(id_, ""))
            if instance is None:
                leaving.append(id_)
            elif all(
                is_daemon(self._records, task) for task in self._records.tasks.by("instance", instance.arn)
            ):
                if instance.status == "ACTIVE":
                    self._records.instances.put(
                        replace(instance, status="DRAINING", version=instance.version + 1)
                    )
                leaving.append(id_)
        await self._records.store.commit()
        for id_ in leaving:
            _log.info("a group shrinks", provider=provider.name, instance=id_)
            await self._groups.terminate(provider.account, provider.region, id_)


def _place(task: Task) -> tuple[str, str, bool]:
    return task.waits, task.instance_arn, task.is_live
