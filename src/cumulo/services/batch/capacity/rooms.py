"""Tells the scheduler of the container instances of an environment: new ones, what is free on them, those that are gone.

Where instances are ours, only those that we launched count.  One that was stopped is ended, as its group would on AWS.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from cumulo.base.task_runner import Room
from cumulo.services.batch.capacity.machines import Machine
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.model import ComputeEnvironment


class Told(msgspec.Struct, frozen=True):
    """What the scheduler was told of a room last."""

    kind: str
    vcpus: int
    memory: int
    ready: bool
    draining: bool = False


class Rooms:
    """What of each environment's container instances the scheduler knows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: dict[str, dict[str, Told]] = {}

    def heard(self, environment: ComputeEnvironment) -> bool:
        """Something has changed in its cluster; whether an instance is gone, or was stopped and is to be ended."""
        rooms = self._world.runner.room(environment.cluster) if environment.cluster else ()
        if not environment.has_instances:
            self._tell(environment, {room.instance: _told(room) for room in rooms if room.ready})
            return False
        self._join(environment, rooms)
        by_id = {room.ec2_id: room for room in rooms}
        told: dict[str, Told] = {}
        news = False
        for machine in self._world.machines.of(environment.arn):
            room = by_id.get(machine.id)
            if not machine.instance or machine.ending:
                continue
            if self._is_gone(machine):
                self._world.machines.forget(machine)
                news = True
                continue
            machine = self._world.machines.get(machine.id) or machine  # noqa: PLW2901 - it may have been stopped
            if machine.ending:
                news = True
            elif room is not None and room.instance == machine.instance:
                outdated = machine.generation < environment.generation
                told[room.instance] = _told(room, draining=outdated)
        self._tell(environment, told)
        return news

    def forget(self, environment: str) -> None:
        """An environment (ARN) is gone."""
        self._told.pop(environment, None)

    def _join(self, environment: ComputeEnvironment, rooms: Sequence[Room]) -> None:
        """Machines whose agents have registered them, also once more."""
        for room in rooms:
            machine = self._world.machines.get(room.ec2_id)
            if machine is None or machine.environment != environment.arn:
                continue
            if room.ready and machine.instance != room.instance:
                self._world.machines.put(replace(machine, instance=room.instance))

    def _is_gone(self, machine: Machine) -> bool:
        """Whether EC2 has terminated it; one that was stopped is marked to be ended."""
        host = self._world.host(machine.id)
        if host is not None and not host.running:
            self._world.machines.end(machine)
            return False
        return host is None

    def _tell(self, environment: ComputeEnvironment, rooms: dict[str, Told]) -> None:
        before = self._told.get(environment.arn, {})
        scheduler, now = self._world.scheduler, self._world.clock.monotonic()
        for instance in before:
            if instance not in rooms:
                scheduler.remove_room(environment.arn, instance)
        for instance, room in rooms.items():
            if before.get(instance) != room:
                scheduler.put_room(
                    environment.arn,
                    instance,
                    room.kind,
                    vcpus=room.vcpus,
                    memory=room.memory,
                    gpus=0,
                    ready=room.ready,
                    draining=room.draining,
                    now=now,
                )
        self._told[environment.arn] = rooms


def _told(room: Room, *, draining: bool = False) -> Told:
    vcpus = room.whole_cpu_units * 1000 // 1024
    return Told(room.kind, vcpus, room.whole_memory_mib, room.ready and not draining, draining)
