"""Finds instances again after a restart, and those that never come to be of use.

EC2 keeps the instances; their tags say whose they are.  Whatever has our tags and belongs to nobody is ended.
"""

from collections.abc import Callable

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.instances import SeenInstance
from cumulo.base.log import Log
from cumulo.services.batch.capacity.known import Known
from cumulo.services.batch.capacity.launching import NO_CAPACITY, Launching
from cumulo.services.batch.capacity.machines import Machine, mark_of
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.environment_states import Status
from cumulo.services.batch.model import ComputeEnvironment

_ENDED = ("shutting-down", "terminated")

_log = Log("batch")

Place = tuple[str, str]


class Finding:
    """What EC2 has, against what is known.  `heard` tells the scheduler of the rooms of an environment."""

    def __init__(
        self,
        world: World,
        known: Known,
        launching: Launching,
        heard: Callable[[ComputeEnvironment], None],
    ) -> None:
        self._heard = heard
        self._world = world
        self._known = known
        self._launching = launching
        self._unseen: dict[Place, list[str]] = {}
        self._looked_at = world.clock.monotonic()

    def start(self, waiting: list[ComputeEnvironment]) -> None:
        """These environments had instances before the restart."""
        for one in waiting:
            self._unseen.setdefault((one.account, one.region), []).append(one.arn)

    async def step(self) -> bool:
        """Find what can be found now, and see after those that do not join; whether something is left."""
        well = True
        for place in list(self._unseen):
            try:
                seen = await self._world.fleet.instances(*place)
            except AwsError as error:
                _log.warning("EC2 cannot be asked for its instances", region=place[1], error=str(error))
                well = False
                continue
            await self._take_over(place, seen)
        for machine in self._world.machines.ending():
            well = await self._launching.end(machine) and well
        return well

    async def _take_over(self, place: Place, seen: list[SeenInstance]) -> None:
        own = [one for one in self._world.resources.environments.all() if (one.account, one.region) == place]
        by_uuid = {one.uuid: one for one in own}
        for one in seen:
            mark = mark_of(one.tags)
            if mark is None or one.state in _ENDED or self._world.machines.get(one.id) is not None:
                continue
            environment = by_uuid.get(mark[0])
            machine = self._machine(one, mark[1], environment)
            if environment is None:
                _log.info("an instance of nobody's is ended", instance=one.id)
                await self._launching.end(machine)
            else:
                self._world.machines.put(machine)
        for arn in self._unseen.pop(place, []):
            found = self._world.resources.environments.get(arn)
            if found is not None and found.status != Status.DELETING:
                if found.populated and not self._world.machines.of(arn):
                    found = self._world.resources.environments.put(replace(found, populated=False))
                self._known.found(found)
                self._heard(found)  # first: a room that comes is taken for one of those on their way
                self._tell_of_those_to_come(found)

    def _machine(
        self, seen: SeenInstance, generation: int, environment: ComputeEnvironment | None
    ) -> Machine:
        return Machine(
            id=seen.id,
            account=seen.account,
            region=seen.region,
            environment=environment.arn if environment is not None else "",
            kind=seen.kind,
            generation=generation,
            vcpus=self._world.kinds.vcpus(seen.kind),
            since=self._world.clock.monotonic(),
        )

    def _tell_of_those_to_come(self, environment: ComputeEnvironment) -> None:
        """Instances that have not joined yet: the scheduler must not launch others in their place."""
        joined = {room.ec2_id for room in self._world.runner.room(environment.cluster) if room.ready}
        now = self._world.clock.monotonic()
        for machine in self._world.machines.of(environment.arn):
            if machine.id not in joined and machine.generation == environment.generation:
                self._world.scheduler.launched(environment.arn, machine.kind, 1, now=now)

    # -- those that do not join --------------------------------------------------------------------------

    def look_at(self) -> float | None:
        """When (monotonic) to look after instances that have not joined; None: there are none."""
        if not self._world.machines.joining():
            return None
        return self._looked_at + self._world.patience.look

    async def look(self) -> None:
        """End those that should have joined long ago, and forget those that EC2 has ended itself."""
        now, patience = self._world.clock.monotonic(), self._world.patience
        self._looked_at = now
        late = [one for one in self._world.machines.joining() if one.since + patience.look <= now]
        for place in dict.fromkeys((one.account, one.region) for one in late):
            try:
                seen = await self._world.fleet.instances(*place)
            except AwsError:
                continue
            alive = {one.id for one in seen if one.state not in _ENDED}
            for machine in late:
                if (machine.account, machine.region) != place:
                    continue
                current = self._world.machines.get(machine.id)
                if current is None or current.instance:
                    continue
                if machine.id not in alive:
                    self._world.machines.forget(current)
                    self._will_not_come(current)
                elif machine.since + patience.join <= now:
                    await self._launching.end(current)
                    self._will_not_come(current)

    def _will_not_come(self, machine: Machine) -> None:
        environment = self._world.resources.environments.get(machine.environment)
        if environment is None or environment.generation != machine.generation:
            return
        _log.warning("an instance has not joined its cluster", instance=machine.id, type=machine.kind)
        self._world.scheduler.launched(
            machine.environment,
            machine.kind,
            1,
            failed=NO_CAPACITY.format(machine.kind),
            now=self._world.clock.monotonic(),
        )
