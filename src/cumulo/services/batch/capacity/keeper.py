"""Keeps the scheduler and the world in step: what is to be done for environments, queues and instances.

    operations ──wake──▶ settle     clusters, INVALID, instances that end, deletion; what a restart finds again
    ECS ──heard_room──▶ rooms ──told──▶ scheduler ──Launch, Terminate──▶ carry ──▶ EC2
`loop.py` calls all this.
"""

from collections.abc import Callable

from msgspec.structs import replace

from cumulo.services.batch.capacity.finding import Finding
from cumulo.services.batch.capacity.known import Known, wish_of
from cumulo.services.batch.capacity.launching import Launching
from cumulo.services.batch.capacity.rooms import Rooms
from cumulo.services.batch.capacity.settling import Settling
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.environment_states import Status
from cumulo.services.batch.model import ComputeEnvironment, JobQueue
from cumulo.services.batch.scheduling.facts import Launch, Terminate
from cumulo.state.store import StoreError


class Keeper:
    """`woken`: there is something for `settle` to do; `told`: the scheduler was told something, let it decide again."""

    def __init__(self, world: World, *, woken: Callable[[], None], told: Callable[[], None]) -> None:
        self._world = world
        self._woken = woken
        self._told = told
        self._known = Known(world)
        self._rooms = Rooms(world)
        self._launching = Launching(world)
        self._settling = Settling(world, self._launching)
        self._finding = Finding(world, self._known, self._launching, self._heard)
        self._again_at: float | None = None
        world.resources.environments.listeners.append(self._environment_changed)
        world.resources.queues.listeners.append(self._queue_changed)

    def start(self) -> None:
        """Tell the scheduler of what there is, and note what has to be found or finished; `settle` does it."""
        self._finding.start(self._known.start())
        for environment in self._world.resources.environments.all():
            self._heard(environment)
        self.wake()

    def wake(self) -> None:
        """There is something for `settle` to do."""
        self._again_at = self._world.clock.monotonic()
        self._woken()

    def due_at(self) -> float | None:
        """When (monotonic seconds) `settle` has to be called; None: when something wakes it."""
        times = [at for at in (self._again_at, self._finding.look_at()) if at is not None]
        return min(times, default=None)

    async def settle(self) -> None:
        """Bring environments and queues out of their passing states, find instances again, end those that have to end."""
        clock = self._world.clock
        self._again_at = None
        try:
            well = await self._finding.step()
            for environment in self._world.resources.environments.all():
                self._heard(environment)
            look_at = self._finding.look_at()
            if look_at is not None and look_at <= clock.monotonic():
                await self._finding.look()
            failed = await self._settling.step() or not well
        except StoreError:  # the disk refuses: every request hears of it
            failed = True
        if failed:
            self._later()
        self._told()

    def heard_room(self, cluster: str) -> None:
        """The HeardRoom of TaskRunner.listen: there may be more room in a cluster (ARN), or less."""
        for environment in self._world.resources.environments.by("cluster", cluster):
            if environment.status == Status.DELETING:
                self.wake()
            self._heard(environment)
            self._told()

    async def carry(self, action: Launch | Terminate) -> None:
        """Carry out what the scheduler has decided; it is told what came of it.  Several may go on at once."""
        if isinstance(action, Launch):
            await self._launching.launch(action)
        else:
            await self._launching.terminate(action)
        environment = self._world.resources.environments.get(action.environment)
        if environment is not None:
            self._heard(environment)
            await self._emptied(action.environment)
            if environment.status == Status.UPDATING:
                self.wake()
        if self._world.machines.ending():
            self._later()  # EC2 could not be told
            self._woken()
        self._told()

    def desired(self, environment: ComputeEnvironment) -> int:
        """The vCPUs that an environment has, and those on their way; what clients want of one that never had any."""
        if not environment.populated:
            return max(int(environment.resources.get("minvCpus", 0)), wish_of(environment))
        return self._world.scheduler.vcpus(environment.arn) // 1000

    def clear(self) -> None:
        """Forget what is known of instances (a reset)."""
        self._world.machines.clear()
        self._again_at = None

    def _later(self) -> None:
        again = self._world.clock.monotonic() + self._world.patience.again
        self._again_at = again if self._again_at is None else min(again, self._again_at)

    def _heard(self, environment: ComputeEnvironment) -> None:
        if self._known.waits(environment) or environment.status == Status.DELETING:
            return
        if self._rooms.heard(environment):
            self.wake()
        wish = wish_of(environment)
        if wish and self._world.scheduler.vcpus(environment.arn) >= wish * 1000:
            # It has what a client wanted; from now on it has what its jobs need.
            resources = {**environment.resources, "desiredvCpus": environment.resources["minvCpus"]}
            self._world.resources.environments.put(replace(environment, resources=resources))

    async def _emptied(self, arn: str) -> None:
        """Note that EC2 has no instance of an environment any more, so that nobody asks it after a restart."""
        found = self._world.resources.environments.get(arn)
        if found is None or not found.populated or found.status == Status.DELETING:
            return
        if not self._world.machines.of(arn) and not self._launching.goes_on(arn):
            self._world.resources.environments.put(replace(found, populated=False))
            await self._world.resources.store.commit()

    def _environment_changed(
        self, before: ComputeEnvironment | None, after: ComputeEnvironment | None
    ) -> None:
        if after is None or after.status == Status.DELETING:
            gone = after or before
            if gone is not None:
                self._rooms.forget(gone.arn)
        elif before is not None and before.generation != after.generation:
            self._heard(after)
        self._told()

    def _queue_changed(self, _before: JobQueue | None, _after: JobQueue | None) -> None:
        self._told()
