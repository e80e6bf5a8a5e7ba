"""The one loop of Batch: what has happened is told to the scheduler, what it decides is written, committed, and done.

    Desk ──Outcome──▶ actions ─┬─▶ Scheduler ──decide──▶ Desk ──commit──▶ orders, stops ──▶ hands ──▶ Carrier
    rooms, timeouts ───────────┘                 └──▶ Launch, Terminate ──▶ Keeper

Nothing is done before it is kept.  Turns are as large as what has come meanwhile; with nothing to do the loop sleeps.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from cumulo.base.clock import Clock, millis
from cumulo.base.log import Log
from cumulo.services.batch import plan_events as said
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.needs import need_of
from cumulo.services.batch.running.carrier import Again, Carrier
from cumulo.services.batch.running.timeouts import Timeouts, is_timed
from cumulo.services.batch.scheduling.facts import (
    Action,
    Expire,
    Launch,
    Need,
    Scheduler,
    Start,
    Stuck,
    Terminate,
)
from cumulo.state.store import StoreBroken, StoreError

HANDS: Final = 16  # orders and stops that are under way at once
STARTS_MAX: Final = 64  # of one turn
AGAIN_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 600.0
FORGET_TURNS_MAX: Final = 100
_STARTED = (JobStatus.STARTING, JobStatus.RUNNING)
_log = Log("batch")


class Keeper(Protocol):
    """Who has instances launched and terminated."""

    def carry(self, action: Launch | Terminate) -> None:
        """Begin to carry it out; the scheduler is told."""
        ...


class Run:
    """See above.  `start` before requests are served, `run` beside the server.

    is_fargate   whether a compute environment (ARN) has no instances
    has_queue    whether a queue (ARN) is still there
    room         the vCPUs and MiB that this machine has left: what it cannot carry is not started
    blocked      is told of a job that stands still at the head of its queue, and why
    """

    def __init__(
        self,
        desk: Desk,
        scheduler: Scheduler,
        carrier: Carrier,
        keeper: Keeper,
        definitions: DefinitionRecords,
        clock: Clock,
        *,
        is_fargate: Callable[[str], bool],
        has_queue: Callable[[str], bool],
        room: Callable[[], tuple[float, int]],
        blocked: Callable[[Job], None],
    ) -> None:
        self._desk = desk
        self._scheduler = scheduler
        self._carrier = carrier
        self._keeper = keeper
        self._definitions = definitions
        self._clock = clock
        self._is_fargate = is_fargate
        self._has_queue = has_queue
        self._room = room
        self._blocked = blocked
        self._timeouts = Timeouts()
        self._wake = asyncio.Event()
        self._actions: deque[said.Action] = deque()
        self._todo: list[said.Order | said.Stop] = []  # to be done after the commit
        self._carried: deque[Launch | Terminate] = deque()
        self._hands: asyncio.Queue[said.Order | said.Stop] = asyncio.Queue()
        self._later: list[tuple[float, int, said.Order | said.Stop]] = []
        self._number = 0
        self._promised: dict[str, Need] = {}  # jobs on Fargate that are being ordered
        self._listens = False
        desk.listeners.append(self._heard)

    def start(self) -> None:
        """Take up what an earlier process has left: after the environments and queues were told to the scheduler."""
        for status in _STARTED:
            for job in self._desk.records.live(status):
                self._take_up(job)
        self._actions.extend(self._desk.unfinished())
        self._listens = True
        self._wake.set()

    def wake(self) -> None:
        """Something has changed that the scheduler was told of."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(self._hand())
            group.create_task(self._turns())
            group.create_task(self._forget())

    def clear(self) -> None:
        """Forget what was to be done."""
        self._actions.clear()
        self._todo.clear()
        self._later.clear()
        self._promised.clear()
        self._timeouts.clear()
        while not self._hands.empty():
            self._hands.get_nowait()

    # -- hearing ---------------------------------------------------------------------------------------------

    def _heard(self, outcome: said.Outcome) -> None:
        for change in outcome.changes:
            if is_timed(change.job):
                self._timeouts.watch(change.job)
        if self._listens:
            self._actions.extend(outcome.actions)
            self._wake.set()

    def _take_up(self, job: Job) -> None:
        """A job that has been started before."""
        if is_timed(job):
            self._timeouts.watch(job)
        if job.is_node or job.run is None:
            return
        need = self._need(job)
        if need is None:
            return
        instances: tuple[str, ...] = (job.run.instance,)
        if job.nodes:
            nodes = [self._desk.records.get(f"{job.id}#{number}") for number in range(job.nodes)]
            instances = tuple(node.run.instance if node and node.run else "" for node in nodes)
        self._scheduler.running(
            job.id,
            job.queue,
            job.run.environment,
            need,
            instances=instances,
            share=job.share,
            now=self._clock.monotonic(),
        )

    # -- turns -----------------------------------------------------------------------------------------------

    async def _turns(self) -> None:
        while True:
            await self._wait()
            try:
                await self._turn()
            except StoreBroken:
                raise
            except StoreError as error:
                _log.warning("what jobs have come to could not be kept; it will be", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
                self._wake.set()

    async def _wait(self) -> None:
        now = self._clock.monotonic()
        moments = [self._scheduler.due_at(), self._later[0][0] if self._later else None]
        deadline = self._timeouts.next_at()
        if deadline is not None:
            moments.append(now + (deadline - millis(self._clock)) / 1000)
        nearest = min((at for at in moments if at is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, nearest - now) if nearest is not None else None):
                await self._wake.wait()
        self._wake.clear()

    async def _turn(self) -> None:
        now = self._clock.monotonic()
        self._desk.note(*(said.TimedOut(*one) for one in self._timeouts.due(millis(self._clock))))
        self._tell()
        decided = self._scheduler.decide(now, starts_max=STARTS_MAX)
        for action in decided:
            self._decided(action, now)
        self._tell()
        if len(decided) >= STARTS_MAX:
            self._wake.set()
        await self._desk.records.store.commit()
        todo, self._todo = self._todo, []
        while self._later and self._later[0][0] <= now:
            todo.append(heapq.heappop(self._later)[2])
        for one in todo:
            self._hands.put_nowait(one)
        while self._carried:
            self._keeper.carry(self._carried.popleft())

    def _tell(self) -> None:
        """Tell the scheduler of all that has happened; orders and stops wait for the commit."""
        while self._actions:
            action = self._actions.popleft()
            if isinstance(action, said.Order):
                self._carrier.queued(action.job)
                self._todo.append(action)
            elif isinstance(action, said.Stop):
                self._todo.append(action)
            else:
                self._tell_of(action)

    def _tell_of(
        self, action: said.Submit | said.SubmitArray | said.Withdraw | said.Free | said.Return
    ) -> None:
        scheduler, now = self._scheduler, self._clock.monotonic()
        if isinstance(action, said.Withdraw):
            scheduler.withdraw(action.job)
        elif isinstance(action, said.Free):
            scheduler.ended(action.job, now)
        elif isinstance(action, said.Return):
            scheduler.refused(action.job, action.environment, now)
        else:
            self._submit(action, now)

    def _submit(self, action: said.Submit | said.SubmitArray, now: float) -> None:
        job = self._desk.records.get(action.job)
        need = self._need(job) if job is not None else None
        if job is None or need is None:
            return
        more = {"share": job.share, "priority": job.priority}
        if isinstance(action, said.SubmitArray):
            self._scheduler.submit_array(job.id, range(action.size), job.queue, need, **more, now=now)  # type: ignore[arg-type]
        else:
            self._scheduler.submit(job.id, job.queue, need, **more, now=now)  # type: ignore[arg-type]

    def _need(self, job: Job) -> Need | None:
        """What it takes; None when its queue or its definition is gone."""
        definition = self._definitions.by_arn(job.definition) if self._has_queue(job.queue) else None
        return need_of(definition, job) if definition is not None else None

    def _decided(self, action: Action, now: float) -> None:
        if isinstance(action, Start):
            self._start(action, now)
        elif isinstance(action, Stuck):
            self._stuck(action)
        elif isinstance(action, Expire):
            self._desk.note(said.Expired(action.job, action.action, action.reason))
        else:
            self._carried.append(action)

    def _start(self, action: Start, now: float) -> None:
        if self._is_fargate(action.environment):
            job = self._desk.records.get(action.job)
            need = self._need(job) if job is not None else None
            if need is not None and not self._has_room(need):
                self._scheduler.refused(action.job, action.environment, now)
                return
            if need is not None:
                self._promised[action.job] = need
        (outcome,) = self._desk.note(said.Started(action.job, action.environment, action.instances))
        if not outcome.jobs:  # it has ended meanwhile, or is gone
            self._promised.pop(action.job, None)
            self._scheduler.ended(action.job, now)

    def _has_room(self, need: Need) -> bool:
        vcpus, memory = self._room()
        vcpus -= sum(one.vcpus for one in self._promised.values()) / 1000
        memory -= sum(one.memory for one in self._promised.values())
        return need.vcpus / 1000 <= vcpus and need.memory <= memory

    def _stuck(self, action: Stuck) -> None:
        self._desk.note(said.Stuck(action.job, action.reason))
        job = self._desk.records.get(action.job)
        if action.reason and job is not None:
            self._blocked(job)

    # -- hands -----------------------------------------------------------------------------------------------

    async def _hand(self) -> None:
        while True:
            action = await self._hands.get()
            try:
                if isinstance(action, said.Order):
                    await self._carrier.order(action.job)
                else:
                    await self._carrier.stop(action)
            except StoreBroken:
                raise
            except (Again, StoreError) as error:
                _log.info("it will be tried again", job=action.job, why=str(error))
                self._number += 1
                at = self._clock.monotonic() + AGAIN_SECONDS
                heapq.heappush(self._later, (at, self._number, action))
                self._wake.set()
            if isinstance(action, said.Order) and self._promised.pop(action.job, None) is not None:
                self._wake.set()

    async def _forget(self) -> None:
        """Forget jobs that ended a week ago."""
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            try:
                for _ in range(FORGET_TURNS_MAX):
                    if not await self._desk.forget():
                        break
            except StoreBroken:
                raise
            except StoreError as error:
                _log.warning("old jobs could not be forgotten", error=str(error))
