"""Tasks that wait in PROVISIONING for their capacity provider to have room: placed when there is, given up in the end."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.model import ContainerInstance, StopCode, Task, TaskDefinition
from cumulo.services.ecs.placement.choosing import Choice
from cumulo.services.ecs.placement.ledger import Ledger
from cumulo.services.ecs.places import Places, rules_of
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.seams import Runner
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.services.ecs.task_making import CAPACITY, placed
from cumulo.state.store import StoreError

PATIENCE_SECONDS: Final = 900.0  # how long a task may wait for capacity
EVERY_SECONDS: Final = 30.0
AT_ONCE: Final = 8
EMPTY: Final = "EMPTY CAPACITY PROVIDER"
INACTIVE: Final = "NO ACTIVE INSTANCES"


class WaitingTasks:
    """Run `run` beside the service."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        places: Places,
        *,
        runner: Runner,
        zones: SubnetZones,
        clock: Clock,
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._places = places
        self._runner = runner
        self._zones = zones
        self._clock = clock
        self._woken = asyncio.Event()
        records.tasks.listeners.append(self._heard_task)
        records.instances.listeners.append(self._heard_instance)

    async def run(self) -> None:
        """Place when room may have come, for ever."""
        while True:
            self._woken.clear()
            with contextlib.suppress(StoreError):  # the disk refuses: tried again
                await self.place()
                await self.give_up()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), EVERY_SECONDS)

    async def place(self) -> None:
        """Place those for which there is room, in the order in which they came."""
        zones = await self._all_zones()
        before: list[Task] = []
        seated: list[Task] = []
        for number, waiting in enumerate(self._waiting(), start=1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # many kinds of tasks take their time: others have a turn
            # From here to the write nothing is awaited: the room that a task is given is still there.
            task = self._records.tasks.get(waiting.arn)
            if task is not waiting:
                continue
            found = self._seat(task, zones.get(task.arn, {}))
            if found is not None:
                before.append(task)
                seated.append(self._records.tasks.put(found))
        if not seated:
            return
        try:
            await self._records.store.commit()
        except StoreError:
            for task, found in zip(before, seated, strict=True):
                if self._records.tasks.get(task.arn) is found:
                    self._records.tasks.put(task)
            raise
        for task in seated:
            self._runner.take_up(task)

    async def give_up(self) -> None:
        """Stop those that have waited too long."""
        for task in self._waiting():
            if task.created_at + PATIENCE_SECONDS <= self._clock.now():
                await self._runner.stop(task.arn, StopCode.TASK_FAILED_TO_START, self._why(task))

    def _waiting(self) -> list[Task]:
        found = self._records.tasks.by("waits", CAPACITY)
        return sorted(
            (one for one in found if one.desired_status == "RUNNING"), key=lambda one: one.created_at
        )

    async def _all_zones(self) -> dict[str, Mapping[str, str]]:
        """The zones of every task's subnets; a task whose subnets are gone stays where it is."""
        found: dict[str, Mapping[str, str]] = {}
        for task in self._waiting():
            subnets = (task.network.get("awsvpcConfiguration") or {}).get("subnets", ())
            if subnets:
                with contextlib.suppress(AwsError):
                    found[task.arn] = await self._zones.zones(task.account, task.region, subnets)
        return found

    def _seat(self, task: Task, zones: Mapping[str, str]) -> Task | None:
        definition = self._records.definition(task.definition_arn)
        if definition is None or (task.attachment_id and not zones):
            return None
        host = self._choice(definition, task, zones).take()
        if host is None or host.instance is None:
            return None
        zone = host.instance.availability_zone
        subnet = self._places.subnet_in(zone, zones)
        found = placed(task, instance_arn=host.arn, zone=zone, subnet=subnet)
        return replace(found, version=task.version + 1)

    def _choice(self, definition: TaskDefinition, task: Task, zones: Mapping[str, str]) -> Choice:
        rules = rules_of(
            definition,
            task.placement.get("constraints", ()),
            task.placement.get("strategies", ()),
            service=bool(task.service),
        )
        return self._places.choice_by(definition, task, rules, zones)

    def _why(self, task: Task) -> str:
        """The stopped reason, as AWS gives it for a task that no instance took."""
        hosts = [
            host
            for host in self._ledger.hosts(task.cluster_arn)
            if host.instance is not None and host.instance.capacity_provider == task.capacity_provider
        ]
        if not hosts:
            return EMPTY
        if not self._places.has_instances(task.cluster_arn, task.capacity_provider):
            return INACTIVE
        definition = self._records.definition(task.definition_arn)
        nearest = None if definition is None else self._choice(definition, task, {}).nearest()
        return nearest[1] if nearest else EMPTY

    def _heard_task(self, before: Task | None, after: Task | None) -> None:
        ended = before is not None and before.is_live and (after is None or not after.is_live)
        begun = after is not None and before is None and bool(after.waits)
        if begun or (ended and self._records.tasks.count("waits", CAPACITY)):
            self._woken.set()

    def _heard_instance(self, _before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        if after is not None and self._records.tasks.count("waits", CAPACITY):
            self._woken.set()
