"""Looks at EC2's instances after every call that may have changed them, and keeps their bodies in step.

    guard ──wake──▶ look: what EC2 shows ──plan──▶ records ──commit──▶ settle: slices, addresses, who uses them
                                                      └─ what does not fit is ended again

What EC2 shows is the truth; the records say what of it has a body here.  Everything that was not finished is done again
at the next look, also after a restart.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from cumulo.base.arn import partition_of
from cumulo.base.errors import AwsError
from cumulo.base.instances import Host, HostEvents, SeenInstance
from cumulo.base.log import Log
from cumulo.engines.engine import EngineError
from cumulo.services.ec2.asking import Wanted
from cumulo.services.ec2.by_hand import ByHand
from cumulo.services.ec2.embodying import Parts, embodied
from cumulo.services.ec2.market import Market
from cumulo.services.ec2.model import Instance, Place
from cumulo.services.ec2.plan import Change, Event, changes, fitting
from cumulo.state.store import StoreError

AGAIN_SECONDS: Final = 5.0  # after something failed
ENDING_SECONDS: Final = 0.5  # while tasks end in a slice
METER_SECONDS: Final = 3600.0
EMBODY_SECONDS_MAX: Final = 30.0
DEFAULT_CLUSTER: Final = "default"
_STATES: Final = {
    Change.APPEARED: "running",
    Change.STARTED: "running",
    Change.STOPPED: "stopped",
    Change.TERMINATED: "terminated",
}

_log = Log("ec2")


class Watch:
    """Run `run` beside the server; `wake` says that something may have changed."""

    def __init__(self, parts: Parts, events: HostEvents) -> None:
        self._parts = parts
        self._records = parts.records
        self._events = events
        self._due: set[Place] = set()
        self._late: set[Place] = set()  # where something waits for room that will be free
        self._by_hand = ByHand(parts, self._fits)
        self._market = Market(parts.records, parts.machines, parts.groups)
        self._settled: dict[str, Instance] = {}
        self._woken = asyncio.Event()
        self._ending = False  # whether all that is left to do is to wait for tasks
        self._metered_at = parts.clock.monotonic()

    def wake(self, place: Place | None = None) -> None:
        """Look at a place soon; without one, go through what is known again."""
        if place is not None:
            self._due.add(place)
        else:
            self._settled.clear()
        self._woken.set()

    async def run(self) -> None:
        """Look, settle and meter, for ever."""
        while True:
            self._woken.clear()
            pause = METER_SECONDS
            try:
                if not await self.step():
                    pause = ENDING_SECONDS if self._ending and not self._due else AGAIN_SECONDS
            except StoreError:  # the disk refuses: every request hears of it
                pause = AGAIN_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def step(self) -> bool:
        """Do everything that is due; whether nothing has to be tried again.  StoreError."""
        well = True
        self._due, self._late = self._due | self._late, set()
        for place in list(self._due):
            self._due.discard(place)  # first: a call that comes meanwhile wants another look
            try:
                await self.look(place)
            except AwsError as error:
                _log.warning("EC2 cannot be asked for its instances", region=place.region, error=str(error))
                self._due.add(place)
                well = False
            except StoreError:
                self._due.add(place)
                raise
        self._ending = well
        await self._join_default()
        waiting = await self._by_hand.join()
        settled = await self.settle()
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self._parts.clock.monotonic() >= self._metered_at + METER_SECONDS:
            await self.meter()
        return well and settled and not self._late and not self._due

    async def embody(self, place: Place, instance_id: str, cluster: str) -> None:
        """Give a running instance that has no body one, as far as there is room; its agent joins this cluster.

        Returns when it was tried: `hosts` shows what came of it.
        """
        future = self._by_hand.ask(instance_id, cluster)
        self.wake(place)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(future), EMBODY_SECONDS_MAX)

    def lost(self, place: Place) -> None:
        """EC2 has forgotten everything of a place: its instances are gone."""
        for event in changes(self._records.of(place), []):
            self._take_over(event, {})
        self._records.drop(place)
        self._woken.set()

    # -- looking -----------------------------------------------------------------------------------------

    async def look(self, place: Place) -> None:
        """Take over what EC2 shows of a place.  AwsError: it cannot be asked."""
        parts = self._parts
        tickets = parts.promises.ended(place)
        seen = await parts.machines.instances(place.account, place.region)
        events = changes(self._records.of(place), seen)
        events = await self._market.told(events)
        answers = {e.id: await self._ask(e.seen) for e in events if e.change is Change.APPEARED and e.seen}
        # From here to the commit nothing awaits: what calls have reserved becomes what their instances are promised.
        parts.promises.seen(tickets)
        refused = [event for event in events if not self._take_over(event, answers)]
        if refused and any(one.is_ending for one in self._records.all()):
            # There will be room when the last tasks of those that were ended are gone: the next look decides.
            late = [event for event in refused if not isinstance(answers.get(event.id), AwsError)]
            refused = [event for event in refused if event not in late]
            events = [event for event in events if event not in late]
            if late:
                self._late.add(place)
        alive = any(one.state != "terminated" for one in self._records.of(place).values())
        if not (alive or refused or place in self._late):
            self._records.drop(place)
        await self._records.store.commit()
        for event in refused:
            await self._refuse(event)
        for event in events:
            await self._tell(place, event)

    async def _ask(self, seen: SeenInstance) -> "Wanted | AwsError | None":
        machines = self._parts.machines
        try:
            data = await machines.user_data(seen.account, seen.region, seen.id)
            return await self._parts.asking.wanted(
                seen.account, seen.region, kind=seen.kind, image=seen.image, user_data=data
            )
        except AwsError as error:
            if error.status >= 500:
                raise
            return error

    def _take_over(self, event: Event, answers: "Mapping[str, Wanted | AwsError | None]") -> bool:
        """Write down what has happened; False when the instance cannot be carried."""
        before = self._records.get(event.id)
        now = self._parts.clock.now()
        if event.change is Change.APPEARED:
            assert event.seen is not None
            return self._appeared(event.seen, answers.get(event.id))
        assert before is not None
        if event.change is Change.STARTED:
            if before.rested and not self._fits(before):
                return False
            host = before.host and replace(before.host, running=True)
            before = replace(before, rested=False)
            self._records.put(
                replace(before, state="running", host=host, started_at=now, metered_at=now, interrupt_at=0.0)
            )
            return True
        charged = self._parts.meter.charge(before, ends=True)
        host = charged.host and replace(charged.host, running=False)
        state = "stopped" if event.change is Change.STOPPED else "terminated"
        self._records.put(replace(charged, state=state, host=host))
        return True

    def _appeared(self, seen: SeenInstance, wanted: "Wanted | AwsError | None") -> bool:
        if isinstance(wanted, AwsError):
            return False
        begun = seen.launched_at or self._parts.clock.now()
        instance = Instance(
            account=seen.account,
            region=seen.region,
            id=seen.id,
            kind=seen.kind,
            state="running" if seen.state in ("pending", "running") else "stopped",
            group=seen.group,
            spot=seen.spot,
            started_at=begun,
            metered_at=begun,
        )
        if wanted is not None:
            instance = embodied(instance, seen, wanted)
            if not self._wants_now(instance):
                instance = replace(instance, joins=True)
            elif not self._fits(instance):
                return False
        self._records.put(instance)
        return True

    def _wants_now(self, instance: Instance) -> bool:
        """Whether it has a cluster to join: one that was named, or `default` when that is there."""
        assert instance.host is not None
        agent = instance.host.agent
        if agent.cluster:
            return True
        return self._events.wanted(instance.account, instance.region, DEFAULT_CLUSTER)

    def _fits(self, instance: Instance) -> bool:
        load = replace(instance, rested=False, joins=False).load
        return fitting(self._parts.carriage.room(), load, 1) == 1

    async def _refuse(self, event: Event) -> None:
        """End what cannot be carried, so that nothing is promised twice."""
        seen = event.seen
        assert seen is not None
        _log.warning("an EC2 instance does not fit on this machine", instance=seen.id, type=seen.kind)
        place = (seen.account, seen.region)
        try:
            if event.change is Change.STARTED:
                await self._parts.machines.stop(*place, seen.id)
            elif seen.group:
                await self._parts.groups.terminate(*place, seen.id)
            else:
                await self._parts.machines.terminate(*place, seen.id)
        except AwsError as error:
            _log.warning("it could not be ended", instance=seen.id, error=str(error))
            self._due.add(Place(*place))

    async def _tell(self, place: Place, event: Event) -> None:
        """EC2's event of the change; lost when nobody takes it."""
        state = _STATES[event.change]
        arn = f"arn:{partition_of(place.region)}:ec2:{place.region}:{place.account}:instance/{event.id}"
        detail = {"instance-id": event.id, "state": state}
        try:
            await self._parts.bus.put(
                place.account,
                place.region,
                "aws.ec2",
                "EC2 Instance State-change Notification",
                detail,
                [arn],
                at=self._parts.clock.now(),
            )
        except AwsError as error:
            _log.warning("an event of an EC2 instance was lost", instance=event.id, error=str(error))

    async def _join_default(self) -> None:
        """Give a body to those that waited for the cluster `default`, as far as there is room."""
        waiting = [one for one in self._records.all() if one.joins and one.state == "running"]
        for one in waiting:
            if not self._wants_now(one):
                continue
            joined = replace(one, joins=False)
            if self._fits(joined):
                self._records.put(joined)
            else:
                _log.warning("an EC2 instance joins no cluster: it does not fit", instance=one.id)
        if waiting:
            await self._records.store.commit()

    # -- settling ----------------------------------------------------------------------------------------

    async def settle(self) -> bool:
        """Make bodies and users follow the records; whether nothing is left to do."""
        well = True
        for instance in self._records.all():
            if self._settled.get(instance.id) == instance:
                continue
            try:
                well = await self._settle(instance) and well
            except (EngineError, AwsError) as error:
                _log.warning("an EC2 instance has no body yet", instance=instance.id, error=str(error))
                well = self._ending = False
        return well

    async def _settle(self, instance: Instance) -> bool:
        host = instance.host
        if host is None or instance.joins:
            return await self._done(instance)
        if instance.state == "running":
            made = await self._parts.bodies.make(host)
            current = self._records.get(instance.id)
            if current is None or current.state != "running":
                return False  # it went meanwhile: once more, with what is now
            kept = replace(current, host=made)
            if kept != current:
                self._records.put(kept)
                await self._records.store.commit()
            await self._events.joined(made)
            return await self._done(kept)
        if instance.state == "stopped":
            await self._events.stopped(host)
            if not await self._parts.bodies.rest(host):
                return False
            current = self._records.get(instance.id)
            if current is None or current.state != "stopped":
                return False
            rested = self._records.put(replace(current, rested=True))
            await self._records.store.commit()
            return await self._done(rested)
        await self._events.left(host)
        if not await self._parts.bodies.drop(host):
            return False
        return await self._done(instance)

    async def _done(self, instance: Instance) -> bool:
        if instance.state == "terminated":
            self._records.forget(instance)
            self._settled.pop(instance.id, None)
            await self._records.store.commit()
        else:
            self._settled[instance.id] = instance
        return True

    # -- the rest ----------------------------------------------------------------------------------------

    async def meter(self) -> None:
        """Put what runs on the bill, up to now."""
        self._metered_at = self._parts.clock.monotonic()
        for instance in self._records.all():
            charged = self._parts.meter.charge(instance)
            if charged != instance:
                self._records.put(charged)
                if self._settled.get(instance.id) == instance:
                    self._settled[instance.id] = charged
        await self._records.store.commit()

    def hosts(self) -> Sequence[Host]:
        """Those that have a body."""
        return [
            one.host
            for one in self._records.all()
            if one.host is not None and not one.joins and one.state != "terminated"
        ]

    def clear(self) -> None:
        """Forget what is due."""
        self._due.clear()
        self._late.clear()
        self._settled.clear()
