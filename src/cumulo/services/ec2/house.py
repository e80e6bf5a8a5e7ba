"""EC2's bodies, whole; app.py builds one, gives its guards to the companions, and runs it beside the server.

companions ──guard──▶ Watch ──▶ Records, Bodies (the engine), InstanceMeter
                        └──HostEvents──▶ ECS: container instances
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from cumulo.base.carriage import Carriage
from cumulo.base.clock import Clock
from cumulo.base.instances import Groups, Host, HostEvents, InstanceKind, Machines
from cumulo.base.log import Log
from cumulo.base.ports import EventBus, UsageLedger
from cumulo.companions.guards import Guard
from cumulo.engines.engine import EngineError
from cumulo.services.ec2.asking import Asking
from cumulo.services.ec2.bodies import Bodies, Slicing
from cumulo.services.ec2.embodying import Parts
from cumulo.services.ec2.group_guard import GroupGuard
from cumulo.services.ec2.guard import InstanceGuard, StackGuard
from cumulo.services.ec2.kinds import Kinds
from cumulo.services.ec2.metering import InstanceMeter
from cumulo.services.ec2.model import Place
from cumulo.services.ec2.plan import fitting
from cumulo.services.ec2.records import Promises, Records
from cumulo.services.ec2.spot import WARNING_SECONDS, SpotInterruptions
from cumulo.services.ec2.watch import Watch
from cumulo.state.store import Store

MANY: Final = 100_000  # more instances than any machine carries

_log = Log("ec2")


class Ec2House:
    """Everything of EC2 that is ours: `Hosts` and `InstanceAddresses` of the house.

    knows   whether the companion for EC2 may know anything: it is not started for nothing
    engine  opens late
    note    is told what does not work here as on AWS, once
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        carriage: Carriage,
        machines: Machines,
        groups: Groups,
        usages: UsageLedger,
        bus: EventBus,
        knows: Callable[[], bool],
        engine: Callable[[], Awaitable[Slicing]],
        note: Callable[[str], None],
        machine: str,
    ) -> None:
        self._records = Records(store)
        self._promises = Promises(self._records)
        carriage.add(self._promises.promised)
        self._carriage = carriage
        self._machines = machines
        self._groups = groups
        self._bus = bus
        self._clock = clock
        self._knows = knows
        self._bodies = Bodies(engine, note)
        self._kinds = Kinds()
        self._asking = Asking(machines, self._kinds, machine)
        self._meter = InstanceMeter(usages, clock, self._kinds)
        self._watch: Watch
        self._spot: SpotInterruptions
        self._events: HostEvents

    def connect(self, events: HostEvents) -> None:
        """Who uses the instances; before anything else is called."""
        self._events = events
        parts = Parts(
            records=self._records,
            promises=self._promises,
            carriage=self._carriage,
            machines=self._machines,
            groups=self._groups,
            asking=self._asking,
            bodies=self._bodies,
            meter=self._meter,
            bus=self._bus,
            clock=self._clock,
        )
        self._watch = Watch(parts, events)
        self._spot = SpotInterruptions(
            self._records, self._machines, self._groups, events, self._bus, self._clock
        )

    def guards(self) -> Mapping[str, Guard]:
        """For `Companions.guard`, by service."""
        groups = GroupGuard(
            self._records,
            self._watch.wake,
            groups=self._groups,
            events=self._events,
            wake_all=self._watch.wake,
        )
        stacks = StackGuard(self._records, self._watch.wake)
        instances = InstanceGuard(
            self._records,
            self._watch.wake,
            promises=self._promises,
            carriage=self._carriage,
            machines=self._machines,
            asking=self._asking,
            wanted=self._events.wanted,
        )
        return {"ec2": instances, "autoscaling": groups, "cloudformation": stacks}

    # -- what others ask -----------------------------------------------------------------------------------

    def host(self, instance_id: str) -> Host | None:
        """An instance with a body, or None."""
        found = self._records.get(instance_id)
        return None if found is None or found.joins or found.state == "terminated" else found.host

    def hosts(self) -> Sequence[Host]:
        """All of them."""
        return self._watch.hosts()

    def room_for(self, kind: str) -> int:
        """How many more instances of a type this machine has room for; 0 for a type that is not known."""
        known = self._asking.known(kind)
        return 0 if known is None else fitting(self._carriage.room(), known.load, MANY)

    async def embody(self, account: str, region: str, instance_id: str, cluster: str) -> Host | None:
        """See Hosts."""
        await self._watch.embody(Place(account, region), instance_id, cluster)
        return self.host(instance_id)

    def kinds(self) -> Sequence[InstanceKind]:
        """The instance types that are known by heart."""
        return self._kinds.all()

    def wake(self) -> None:
        """Look again soon: something changed that decides who has a body."""
        self._watch.wake()

    def address_of(self, instance_id: str) -> str:
        """Under which address this machine reaches an instance's host ports; empty when it is none of ours."""
        host = self.host(instance_id)
        return host.address if host is not None else ""

    def tags_of(self, _account: str, _region: str, resource: str) -> Mapping[str, str]:
        """The tags that an instance had when it was first seen, for the bill; none for those without a body."""
        found = self._records.get(resource)
        return found.host.tags if found is not None and found.host is not None else {}

    async def interrupt(self, instance_id: str, seconds: float = WARNING_SECONDS) -> float:
        """Take a spot instance away after a warning; when that will be.  AwsError for others."""
        return await self._spot.interrupt(instance_id, seconds)

    # -- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Say what is due after a restart: cheap; the work is done by `run`."""
        places = self._records.places()
        if places and not self._knows():
            # What EC2 has forgotten is gone: there is nothing to look at.
            for place in places:
                self._watch.lost(place)
            await self._records.store.commit()
            return
        for place in places:
            self._watch.wake(place)

    async def run(self) -> None:
        """Follow EC2, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run())
            group.create_task(self._spot.run())

    async def reap(self) -> None:
        """Remove the bodies of instances that are gone, once: a kill may have come between.  EngineError."""
        await self._bodies.reap(lambda: {one.id for one in self._records.all()})

    async def close(self) -> None:
        """Put what runs on the bill."""
        await self._watch.meter()

    async def reset(self) -> None:
        """Forget every instance, and take its body."""
        for one in self._records.all():
            if one.host is not None:
                with contextlib.suppress(EngineError):
                    await self._bodies.drop(one.host)
        self._watch.clear()
        self._promises.clear()
        self._records.clear()
        await self._records.store.commit()

    async def step(self) -> bool:
        """Do what is due now; for tests."""
        await self._spot.end_due()
        return await self._watch.step()
