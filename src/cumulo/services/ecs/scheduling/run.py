"""Carries out what `plan` decides, for every service."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.targets import TargetGroups
from cumulo.services.ecs.arns import arn, last_part
from cumulo.services.ecs.model import ContainerInstance, Service, StopCode, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling import breaker, rollout, sentences
from cumulo.services.ecs.scheduling.counting import Counting
from cumulo.services.ecs.scheduling.decisions import NEVER, Plan, Start, Stop
from cumulo.services.ecs.scheduling.facts import Eligible, Gatherer, Pace, is_wanted
from cumulo.services.ecs.scheduling.health import Standing
from cumulo.services.ecs.scheduling.model import Backoff, Deployment
from cumulo.services.ecs.scheduling.plan import plan
from cumulo.services.ecs.scheduling.requests import request_for
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.scheduling.telling import Announce, Telling
from cumulo.services.ecs.scheduling.wakes import Wakes
from cumulo.services.ecs.seams import Failure, Launched, Launches, Runner
from cumulo.state.store import StoreError

WORKERS = (
    8  # services that are looked at at the same time: one that launches slowly does not hold up the others
)
AFTER_FAULT_SECONDS = 5.0
SHOWN_SECONDS = 3600.0  # a deleted service, as INACTIVE
LONG_SECONDS, REST_FACTOR = (
    0.005,
    9,
)  # a decision about very many tasks takes so long; a tenth of the time is enough
_log = Log("ecs.scheduling")


class Scheduler:
    """Keeps services as they are wanted.  `run` it beside the server.

        a task, a service or an instance changes ─┐
        a moment comes that a plan asked for ─────┴▶ Wakes ─▶ turn: gather, plan, write, commit, launch and stop

    A service has one turn at a time.  What a turn did not finish when the process was killed is decided again from the
    shelves: tasks that were launched are there, so none is launched twice.
    """

    def __init__(
        self,
        records: Records,
        book: Book,
        *,
        launches: Launches,
        runner: Runner,
        targets: TargetGroups,
        eligible: Eligible,
        clock: Clock,
        announce: Announce,
        pace: Pace | None = None,
    ) -> None:
        pace = pace or Pace()
        self._records = records
        self._book = book
        self._launches = launches
        self._runner = runner
        self._clock = clock
        self._wakes = Wakes(clock)
        self.telling = Telling(book, clock, announce)
        self._gatherer = Gatherer(records, book, targets, eligible, pace)
        self._counting = Counting(book, clock, self.telling, self._gatherer.was_healthy, pace.settle_seconds)
        self._no_place: set[str] = set()  # services with tasks that had no place
        self._room: set[str] = set()  # of these: there may be room now
        records.tasks.listeners.append(self._hear_task)
        records.services.listeners.append(self._hear_service)
        records.instances.listeners.append(self._hear_instance)

    # -- what wakes it -----------------------------------------------------------------------------------

    def wake(self, service: Service) -> None:
        """Something about a service changed that no shelf tells of."""
        self._wakes.wake(_key(service))

    def wake_all(self) -> None:
        """Look at every service: after a start."""
        for service in self._records.services.all():
            self.wake(service)

    def fallback(self, service: Service) -> Deployment | None:
        """Where a rollback of the service would go, or None."""
        return self._gatherer.fallback(service, self._book.live(service.arn))

    def _hear_task(self, before: Task | None, after: Task | None) -> None:
        task = after or before
        if task is None:
            return
        if before is not None and before.is_live and (after is None or not after.is_live):
            self._there_is_room()
        if not task.service:
            return
        key = service_key(task.cluster_arn, task.service)
        service = self._records.services.get(key)
        if service is not None:
            self._counting.heard(service.arn, service.name, before, after)
            self._wakes.wake(key)

    def _hear_service(self, before: Service | None, after: Service | None) -> None:
        if after is not None:
            self.wake(after)
        elif before is not None:
            self._wakes.forget(_key(before))
            self._no_place.discard(_key(before))

    def _hear_instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        instance = after or before
        if instance is None or not _matters(before, after):
            return
        for task in self._records.tasks.by("instance", instance.arn):
            if task.service:
                self._wakes.wake(service_key(task.cluster_arn, task.service))
        for service in self._records.services.by("cluster", instance.cluster_arn):
            if service.scheduling == "DAEMON" and service.status == "ACTIVE":
                self.wake(service)
        self._there_is_room()

    def _there_is_room(self) -> None:
        self._room |= self._no_place
        for key in self._no_place:
            self._wakes.wake(key)
        self._no_place.clear()

    # -- the loop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep services, for ever."""
        self.wake_all()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wakes.ring())
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._one(await self._wakes.next())

    async def _one(self, key: str) -> None:
        try:
            at = await self.turn(key)
        except StoreError as error:
            _log.warning("a service waits for the disk", service=key, error=str(error))
            at = self._clock.now() + AFTER_FAULT_SECONDS
        except Exception:  # noqa: BLE001 - one service's fault must not stop the others
            _log.exception("a service could not be looked at", service=key)
            at = self._clock.now() + AFTER_FAULT_SECONDS
        self._wakes.done(key, at)

    async def work_off(self, turns_most: int = 10_000) -> int:
        """Everything that is due now, without waiting for anything; how many turns that took."""
        for turn in range(turns_most):
            key = self._wakes.due()
            if key is None:
                return turn
            await self._one(key)
        return turns_most

    async def turn(self, key: str) -> float:
        """Look at a service once; when to look again."""
        service = self._records.services.get(key)
        if service is None:
            return NEVER
        if service.status == "INACTIVE":
            return await self._forget_late(service)
        if key in self._room:
            self._room.discard(key)
            self._forget_no_place(service)
        now = self._clock.now()
        began = self._clock.monotonic()
        decided = plan(self._gatherer.gather(service, now), now)
        thought = self._clock.monotonic() - began
        service = self._write(service, decided)
        if decided.records or decided.notes or decided.gone or decided.sized is not None:
            await self._records.store.commit()
        await self._launch(key, service, decided.starts)
        await self._stop(service, decided.stops)
        if thought > LONG_SECONDS:
            await asyncio.sleep(thought * REST_FACTOR)
        return decided.again

    async def _forget_late(self, service: Service) -> float:
        """A deleted service is shown for a while."""
        gone_at = max((one.updated_at for one in self._book.history(service.arn)), default=0.0)
        until = gone_at + SHOWN_SECONDS
        if self._clock.now() < until:
            return until
        self._book.forget(service.arn)
        self._records.services.delete(service)
        await self._records.store.commit()
        return NEVER

    def _write(self, service: Service, decided: Plan) -> Service:
        for deployment in decided.records:
            self._book.deployments.put(deployment)
        changed = service
        if decided.back_to is not None:
            changed = rollout.applied(changed, decided.back_to)
        if decided.sized is not None:
            changed = replace(changed, desired_count=decided.sized)
        if decided.gone:
            changed = replace(changed, status="INACTIVE")
        for note in decided.notes:
            if note == sentences.BLOCKED:
                self.telling.complain(service.arn, service.name, note)
            else:
                self.telling.say(service.arn, service.name, note)
        for announcement in decided.announcements:
            self.telling.announce(service.arn, announcement)
        return self._records.services.put(changed) if changed != service else service

    def _forget_no_place(self, service: Service) -> None:
        primary = self._book.primary(service.arn)
        if primary is not None and primary.backoff.place_until:
            backoff = replace(primary.backoff, place_until=0.0)
            self._book.deployments.put(replace(primary, backoff=backoff))

    # -- doing -------------------------------------------------------------------------------------------

    async def _launch(self, key: str, service: Service, starts: Sequence[Start]) -> None:
        for start in starts:
            if self._records.services.get(key) is not service:
                return  # a client changed it meanwhile: its turn comes again
            request = request_for(service, start, self._records)
            if request is None:
                return
            try:
                launched = await self._launches.launch(request)
            except AwsError as error:
                launched = Launched(failures=[Failure(error.code, detail=error.message)] * start.count)
            self._after_launch(key, start, launched)
            await self._records.store.commit()

    def _after_launch(self, key: str, start: Start, launched: Launched) -> None:
        service = self._records.services.get(key)
        if service is None:
            return
        if launched.tasks:
            ids = [task.id for task in launched.tasks]
            self.telling.say(service.arn, service.name, sentences.started(ids))
        now = self._clock.now()
        deployment = self._book.find(service.arn, start.deployment.id)
        if deployment is None:
            return
        backoff: Backoff = deployment.backoff
        if launched.tasks:
            backoff = breaker.after_place(backoff)
        if launched.failures:
            backoff = breaker.after_no_place(backoff, now)
            self._no_place.add(key)
            self._complain(service, start, launched.failures[0])
        if backoff != deployment.backoff:
            self._book.deployments.put(replace(deployment, backoff=backoff, updated_at=now))
        if launched.failures:
            self._wakes.wake(key)  # the back-off decides when

    def _complain(self, service: Service, start: Start, failure: Failure) -> None:
        fargate = service.launch_type == "FARGATE" or start.provider.startswith("FARGATE")
        instance = last_part(failure.arn) if failure.arn else ""
        note = sentences.not_placed(failure.reason, instance, failure.detail)
        if self.telling.complain(service.arn, service.name, note):
            reason = "RESOURCE:FARGATE" if fargate else failure.reason
            where = (service.region, service.account, "capacity-provider")
            providers = (arn(*where, start.provider),) if start.provider else ()
            self.telling.act(service.arn, "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE", reason, providers)

    async def _stop(self, service: Service, stops: Sequence[Stop]) -> None:
        if not stops:
            return
        await asyncio.gather(*(self._stop_one(one) for one in stops))
        running = [one.piece for one in stops if one.piece.standing is not Standing.PENDING]
        pending = len(stops) - len(running)
        for one in stops:
            if one.piece.standing is Standing.SICK and one.piece.reason:
                piece = one.piece
                note = sentences.sick(piece.id, piece.port, piece.target_group)
                self.telling.say(service.arn, service.name, note)
        if running:
            note = sentences.stopped([one.id for one in running])
            self.telling.say(service.arn, service.name, note)
        if pending:
            self.telling.say(service.arn, service.name, sentences.stopped_pending(pending))
        await self._records.store.commit()

    async def _stop_one(self, stop: Stop) -> None:
        task = self._records.tasks.get(stop.piece.arn)
        if task is None or not is_wanted(task):
            return
        if task.protected_until > self._clock.now():
            service = self._records.services.get(service_key(task.cluster_arn, task.service))
            if service is not None and service.status == "ACTIVE":
                return  # it was protected meanwhile
        await self._runner.stop(task.arn, StopCode.SERVICE_SCHEDULER_INITIATED, stop.reason)


def _key(service: Service) -> str:
    return service_key(service.cluster_arn, service.name)


def _matters(before: ContainerInstance | None, after: ContainerInstance | None) -> bool:
    """Whether a change of an instance may change where tasks run."""
    if before is None or after is None:
        return True
    return (
        before.status,
        before.agent_connected,
        before.attributes,
        before.cpu_units,
        before.memory_mib,
    ) != (
        after.status,
        after.agent_connected,
        after.attributes,
        after.cpu_units,
        after.memory_mib,
    )
