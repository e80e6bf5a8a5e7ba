"""Takes spot instances away when somebody says so: AWS's warning, two minutes, and the end."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from cumulo.base.arn import partition_of
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.instances import Groups, HostEvents, Machines
from cumulo.base.log import Log
from cumulo.base.ports import EventBus
from cumulo.services.ec2.model import Instance
from cumulo.services.ec2.records import Records
from cumulo.state.store import StoreError

WARNING_SECONDS: Final = 120.0
AGAIN_SECONDS: Final = 5.0

_log = Log("ec2")


class SpotInterruptions:
    """Run `run` beside the server."""

    def __init__(
        self,
        records: Records,
        machines: Machines,
        groups: Groups,
        events: HostEvents,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._records = records
        self._machines = machines
        self._groups = groups
        self._events = events
        self._bus = bus
        self._clock = clock
        self._woken = asyncio.Event()

    async def interrupt(self, instance_id: str, seconds: float = WARNING_SECONDS) -> float:
        """Warn, and end the instance after so many seconds; when that will be.  Harmless when it was warned before.

        AwsError InvalidInstanceID.NotFound, or UnsupportedOperation for one that is no spot instance or does not run.
        """
        instance = self._records.get(instance_id)
        if instance is None or instance.state == "terminated":
            raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        if not instance.spot or instance.state != "running":
            raise AwsError(
                "UnsupportedOperation", f"The instance {instance_id} is not a running spot instance."
            )
        if instance.interrupt_at:
            return instance.interrupt_at
        at = self._clock.now() + seconds
        self._records.put(replace(instance, interrupt_at=at))
        await self._records.store.commit()
        await self._tell(instance, at)
        if instance.host is not None and instance.host.agent.spot_draining:
            await self._events.leaving(instance.host)
        self._woken.set()
        return at

    async def run(self) -> None:
        """End instances whose time has come, for ever."""
        while True:
            self._woken.clear()
            pause = await self.end_due()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def end_due(self) -> float | None:
        """End those whose time has come; seconds until the next, or None."""
        now = self._clock.now()
        failed = False
        for instance in self._records.all():
            if instance.state == "running" and 0 < instance.interrupt_at <= now:
                failed = not await self._end(instance) or failed
        left = [
            one.interrupt_at - now
            for one in self._records.all()
            if one.state == "running" and one.interrupt_at > now
        ]
        if failed:
            left.append(AGAIN_SECONDS)
        return min(left, default=None)

    async def _end(self, instance: Instance) -> bool:
        place = (instance.account, instance.region)
        try:
            if instance.group:
                await self._groups.replace(*place, instance.id)
            else:
                await self._machines.terminate(*place, instance.id)
            current = self._records.get(instance.id)
            if current is not None:
                self._records.put(replace(current, interrupt_at=0.0))
                await self._records.store.commit()
        except (AwsError, StoreError) as error:
            _log.warning("a spot instance could not be ended", instance=instance.id, error=str(error))
            return False
        return True

    async def _tell(self, instance: Instance, at: float) -> None:
        arn = f"arn:{partition_of(instance.region)}:ec2:{instance.region}:{instance.account}:instance/{instance.id}"
        detail = {"instance-id": instance.id, "instance-action": "terminate"}
        try:
            await self._bus.put(
                instance.account,
                instance.region,
                "aws.ec2",
                "EC2 Spot Instance Interruption Warning",
                detail,
                [arn],
                at=self._clock.now(),
            )
        except AwsError as error:
            _log.warning("the event of an interruption was lost", instance=instance.id, error=str(error))
        _log.info(
            "a spot instance will be taken away",
            instance=instance.id,
            at=datetime.fromtimestamp(at, UTC).isoformat(),
        )
