"""Brings environments and queues out of CREATING, UPDATING and DELETING.

CREATING  its cluster, its networks                    ─▶ VALID, or INVALID with the reason
UPDATING  the same; instances of earlier generations end ─▶ VALID
DELETING  its instances end, then its cluster is deleted  ─▶ forgotten
Everything here may be done twice: a new process does again what was not finished.
"""

from typing import Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.services.batch.capacity.launching import Launching
from cumulo.services.batch.capacity.machines import SERVICE_TAG, mark_of
from cumulo.services.batch.capacity.orders import cluster_name
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.environment_states import Event, Status, moved
from cumulo.services.batch.model import ComputeEnvironment, JobQueue

DEFAULT_MINUTES: Final = 30  # that jobs have when their instance is to be replaced
_PROVIDERS: Final = {"FARGATE": ("FARGATE",), "FARGATE_SPOT": ("FARGATE", "FARGATE_SPOT")}
_BUSY: Final = "ClusterContains"  # ...TasksException, ...ContainerInstancesException

_log = Log("batch")


class Settling:
    """One step at a time; `step` says when the next one is due."""

    def __init__(self, world: World, launching: Launching) -> None:
        self._world = world
        self._launching = launching

    async def step(self) -> bool:
        """Do what can be done now; whether something is left that has to be looked at again."""
        left = False
        for environment in self._world.resources.environments.by("moving", "yes"):
            left = not await self._try_environment(environment) or left
        for queue in self._world.resources.queues.by("moving", "yes"):
            left = not await self._queue(queue) or left
        return left

    def replace_by(self, environment: ComputeEnvironment) -> float:
        """When (seconds since the epoch) instances of earlier generations are ended, whatever runs on them."""
        policy = environment.update_policy
        if policy.get("terminateJobsOnUpdate"):
            return environment.changed_at / 1000
        minutes = int(policy.get("jobExecutionTimeoutMinutes", DEFAULT_MINUTES))
        return environment.changed_at / 1000 + minutes * self._world.patience.minute

    async def _try_environment(self, environment: ComputeEnvironment) -> bool:
        """Whether nothing is left to do for it."""
        try:
            if environment.status == Status.DELETING:
                return await self._delete(environment)
            return await self._set_up(environment)
        except AwsError as error:
            if error.status >= 500:
                _log.warning("a compute environment has to wait", name=environment.name, error=str(error))
                return False
            return await self._leave(environment, Event.FAULTY, f"CLIENT_ERROR - {error.message}")

    async def _set_up(self, environment: ComputeEnvironment) -> bool:
        caller = _caller(environment)
        insights = str(environment.ecs_settings.get("containerInsights", "")).lower()
        cluster = environment.cluster or await self._world.runner.make_cluster(
            caller,
            cluster_name(environment),
            dict([SERVICE_TAG]),
            providers=_PROVIDERS.get(environment.type, ()),
            insights=insights,
        )
        if cluster != environment.cluster:
            environment = await self._with_cluster(environment, cluster)
        if not await self._replaced(environment):
            return False
        resources = environment.resources
        if resources.get("subnets"):
            await self._world.networks.subnets(caller, resources["subnets"])
        if resources.get("securityGroupIds"):
            await self._world.networks.check_security_groups(caller, resources["securityGroupIds"])
        return await self._leave(environment, Event.READY)

    async def _with_cluster(self, environment: ComputeEnvironment, cluster: str) -> ComputeEnvironment:
        current = self._world.resources.environments.get(environment.arn)
        assert current is not None, "it is forgotten only by what is done here"
        kept = self._world.resources.environments.put(replace(current, cluster=cluster))
        await self._world.resources.store.commit()
        return kept

    async def _replaced(self, environment: ComputeEnvironment) -> bool:
        """Whether no instance of an earlier generation is left; ends those whose time has come."""
        old = self._world.machines.outdated(environment.arn, environment.generation)
        if old and self._world.clock.now() >= self.replace_by(environment):
            for machine in old:
                await self._launching.end(machine)
        for machine in old:
            if not machine.instance:
                await self._launching.end(machine)  # nothing runs on it
        return not self._world.machines.outdated(environment.arn, environment.generation)

    async def _delete(self, environment: ComputeEnvironment) -> bool:
        if self._launching.goes_on(environment.arn):
            return False
        if environment.populated:
            await self._end_all(environment)
        if environment.cluster:
            try:
                await self._world.runner.delete_cluster(_caller(environment), environment.cluster)
            except AwsError as error:
                if environment.has_instances and error.code.startswith(_BUSY):
                    return False  # its instances are on their way out
                raise
        self._world.resources.environments.delete(environment)
        await self._world.resources.store.commit()
        return True

    async def _end_all(self, environment: ComputeEnvironment) -> None:
        """End every instance that EC2 has of it, also those that nobody knew of."""
        place = (environment.account, environment.region)
        for seen in await self._world.fleet.instances(*place):
            mark = mark_of(seen.tags)
            if mark is None or mark[0] != environment.uuid or seen.state in ("terminated", "shutting-down"):
                continue
            await self._world.fleet.terminate(*place, seen.id)
        for machine in self._world.machines.of(environment.arn):
            self._world.machines.forget(machine)

    async def _leave(self, environment: ComputeEnvironment, event: Event, reason: str = "") -> bool:
        current = self._world.resources.environments.get(environment.arn)
        if current is None or (current.status, current.changed_at) != (
            environment.status,
            environment.changed_at,
        ):
            return False  # a client came between
        self._world.resources.environments.put(moved(current, event, reason))
        await self._world.resources.store.commit()
        return True

    async def _queue(self, queue: JobQueue) -> bool:
        if queue.status != Status.DELETING:
            self._world.resources.queues.put(moved(queue, Event.READY))
            await self._world.resources.store.commit()
            return True
        if not await self._world.jobs.end_queue(queue.arn):
            return False
        self._world.resources.queues.delete(queue)
        await self._world.resources.store.commit()
        return True


def _caller(environment: ComputeEnvironment) -> Caller:
    return Caller(account=environment.account, access_key=environment.account, region=environment.region)
