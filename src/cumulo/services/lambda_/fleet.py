"""All execution environments: takes calls, starts and ends environments as `plan.py` decides.

invoke -> admitted -> an idle environment        (no coroutine, no task)
                   -> waits -> launch -> freed -> the oldest waiting call
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.limits import STOP_GRACE_SECONDS
from cumulo.base.log import Log
from cumulo.services.lambda_ import plan
from cumulo.services.lambda_.calls import Call, Outcome
from cumulo.services.lambda_.environment_states import Phase
from cumulo.services.lambda_.environments import Environment
from cumulo.services.lambda_.plan import Capacity, Load, Reason
from cumulo.services.lambda_.pools import AccountUse, FunctionUse, Pool
from cumulo.services.lambda_.sandbox_env import Naming
from cumulo.services.lambda_.world import World

TICK_S = 1.0
WAITING_PER_FUNCTION_MAX = 10_000
WAITING_BYTES_MAX = 512 * 1024 * 1024  # payloads of all waiting calls together
_log = Log("lambda")


class FleetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet may do."""

    concurrency: int = 1000  # of an account in a region
    idle_seconds: float = 600.0
    age_seconds_max: float = 4 * 3600.0
    wait_seconds_max: float = 30.0  # for room on this machine
    capacity: Capacity = Capacity()


class EnvironmentFleet:
    """The environments of all functions."""

    def __init__(
        self,
        *,
        world: World,
        ids: Ids,
        limits: FleetLimits,
        reserved_total: Callable[[str, str], int] = lambda _account, _region: 0,
    ) -> None:
        self._world = world
        self._clock = world.clock
        self._ids = ids
        self._limits = limits
        self._reserved_total = reserved_total
        self._pools: dict[str, Pool] = {}
        self._by_name: dict[str, Environment] = {}
        self._functions: dict[tuple[str, str, str], FunctionUse] = {}
        self._accounts: dict[tuple[str, str], AccountUse] = {}
        self._starved: dict[str, Pool] = {}  # pools whose calls wait for room, in order
        self._in_flight = self._used_mib = 0
        self._waiting_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closing = False
        self._forgotten: list[Callable[[str, str, str], None]] = []

    # -- calls -------------------------------------------------------------------------------------------

    def invoke(self, call: Call) -> None:
        """Take a call, or raise AwsError TooManyRequestsException and nothing has happened."""
        self._admit(call)
        pool = self._pools.get(call.ready.generation)
        if pool is None:
            pool = self._pools[call.ready.generation] = Pool(call.ready)
        if not pool.waiting:
            environment = plan.choose(pool.idle, pool.reset)
            if environment is not None:
                (pool.idle or pool.reset).pop()
                environment.begin(call)
                return
        self._wait(pool, call)

    def _admit(self, call: Call) -> None:
        version = call.ready.version
        now = call.arrived = self._clock.monotonic()
        key = (version.account, version.region)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = AccountUse(now)
        function = self._functions.get((*key, version.name))
        if function is None:
            function = self._functions[*key, version.name] = FunctionUse(now)
        reserved = call.ready.reserved_concurrency
        load = Load(
            self._limits.concurrency,
            self._reserved_total(*key),
            account.unreserved,
            reserved,
            function.in_flight,
        )
        reason = plan.admit(load)
        if reason is not None:
            raise throttled(reason, 0.1)
        rate, reason = plan.rate_limit(load)
        bucket = account.rate if reserved is None else function.rate
        if not bucket.take(now, rate, rate):
            raise throttled(reason, bucket.wait_s(rate))
        if self._closing:
            raise AwsError("ServiceException", "the cloud is stopping", status=500, fields=_SERVER)
        self._in_flight += 1
        function.in_flight += 1
        call.reserved = reserved is not None
        if reserved is None:
            account.unreserved += 1

    def _wait(self, pool: Pool, call: Call) -> None:
        full = self._waiting_bytes + len(call.payload) > WAITING_BYTES_MAX
        if full or len(pool.waiting) >= WAITING_PER_FUNCTION_MAX:
            self.finished(call)
            raise throttled(Reason.CONCURRENCY, 1.0)
        pool.waiting.append(call)
        self._waiting_bytes += len(call.payload)
        if call.ready.generation not in self._starved:
            self._launch_for(pool)

    def _next_waiting(self, pool: Pool) -> Call:
        call = pool.waiting.popleft()
        self._waiting_bytes -= len(call.payload)
        return call

    # -- launches ----------------------------------------------------------------------------------------

    def _launch_for(self, pool: Pool) -> None:
        """Start what those who wait need, as far as the machine holds it."""
        now = self._clock.monotonic()
        starting, settling = pool.coming(now, plan.SETTLING_YOUNG_S)
        wanted = plan.launches_wanted(waiting=len(pool.waiting), starting=starting, settling=settling)
        if settling:
            self._look_again()
        for _ in range(wanted):
            if not self._launch(pool, now):
                self._starved[pool.ready.generation] = pool
                return
        self._starved.pop(pool.ready.generation, None)

    def _launch(self, pool: Pool, now: float) -> bool:
        version = pool.ready.version
        if self._launching() >= self._limits.capacity.launching:
            return False
        leaving = [e for e in self._by_name.values() if e.state is Phase.STOPPING]
        epoch = self._clock.now()
        room = plan.make_room(
            need_mib=version.memory_mib,
            capacity=self._limits.capacity,
            used_mib=self._used_mib,
            count=len(self._by_name),
            leaving_mib=sum(e.ready.version.memory_mib for e in leaving),
            leaving=len(leaving),
            idle=(o for p in self._pools.values() if p is not pool for o in p.occupants(epoch)),
        )
        for name in room.evict:
            self._end(self._by_name[name])
        if not room.fits:
            return False
        function = self._functions[version.account, version.region, version.name]
        if not function.starts.take(now, plan.STARTS_PER_SECOND, plan.STARTS_BURST):
            return False
        names = self._names(version.version)
        environment = Environment(pool.ready, names, self._world, self)
        pool.members[names.sandbox] = self._by_name[names.sandbox] = environment
        self._used_mib += version.memory_mib
        environment.start()
        return True

    def _names(self, version: str) -> Naming:
        token = self._ids.hex(32)
        day = self._world.today()
        return Naming(sandbox=f"fn-{token[:20]}", tmp=f"tmp-{token[:20]}", stream=f"{day}/[{version}]{token}")

    def _launching(self) -> int:
        """Environments that are being started; one that takes long does not hold up the others."""
        now = self._clock.monotonic()
        return sum(
            1 for e in self._by_name.values() if e.state is Phase.STARTING and now - e.born_at < 3 * TICK_S
        )

    def _look_again(self) -> None:
        """Think again about those who wait, when the runtimes that settle should have settled."""
        if self._again is None:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(plan.SETTLING_YOUNG_S, self._looked_again)

    def _looked_again(self) -> None:
        self._again = None
        for pool in list(self._pools.values()):
            if pool.waiting:
                self._launch_for(pool)

    def _feed_starved(self) -> None:
        for pool in list(self._starved.values()):
            if pool.waiting:
                self._launch_for(pool)
            else:
                self._starved.pop(pool.ready.generation, None)

    # -- what environments report (Keeper) ---------------------------------------------------------------

    def freed(self, environment: Environment) -> None:
        """Give it the call that waited longest, or keep it, or end it."""
        pool = self._pools.get(environment.ready.generation)
        if pool is not None and pool.waiting:
            environment.begin(self._next_waiting(pool))
        elif pool is None or pool.retired or environment.condemned or self._closing:
            environment.stop()
        elif environment.state is Phase.RESET:
            pool.reset.append(environment)
        else:
            pool.idle.append(environment)
        if self._starved:
            self._feed_starved()

    def lost(self, environment: Environment) -> None:
        """It is not idle any more."""
        pool = self._pools.get(environment.ready.generation)
        if pool is not None:
            pool.drop(environment)

    def unstartable(self, environment: Environment, refusal: AwsError) -> None:
        """One who waited for it learns that the machine could not."""
        pool = self._pools.get(environment.ready.generation)
        if pool is not None and pool.waiting:
            call = self._next_waiting(pool)
            self.finished(call)
            self._world.endings.answer(call.on_done, Outcome(refusal=refusal))

    def finished(self, call: Call) -> int:
        """A call does not count any more; how many others do."""
        version = call.ready.version
        function = self._functions[version.account, version.region, version.name]
        function.in_flight -= 1
        if not call.reserved:
            self._accounts[version.account, version.region].unreserved -= 1
        self._in_flight -= 1
        return self._in_flight

    def ended(self, environment: Environment) -> None:
        """Nothing of it is left but its /tmp, which goes now."""
        self._by_name.pop(environment.names.sandbox, None)
        self._used_mib -= environment.ready.version.memory_mib
        self._world.launcher.drop_tmp(environment.names.tmp)
        generation = environment.ready.generation
        pool = self._pools.get(generation)
        if pool is not None:
            pool.drop(environment)
            pool.members.pop(environment.names.sandbox, None)
            if pool.waiting:
                self._launch_for(pool)
            elif pool.empty:
                self._pools.pop(generation, None)  # ending the last one may have removed it
        if self._starved:
            self._feed_starved()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Own a task until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an environment's task failed", exc_info=error)

    # -- model.Fleet -------------------------------------------------------------------------------------

    def retire(self, generation: str) -> None:
        """Take no new calls on its environments: idle ones end now, busy ones after their call."""
        pool = self._pools.get(generation)
        if pool is None:
            return
        pool.retired = True
        for environment in (*pool.idle, *pool.reset):
            self._end(environment)
        if pool.empty:
            self._pools.pop(generation, None)  # ending the last one may have removed it

    def when_forgotten(self, tell: Callable[[str, str, str], None]) -> None:
        """Also tell this one when a function is deleted (the queue of events, which is built later)."""
        self._forgotten.append(tell)

    def forget(self, account: str, region: str, name: str) -> None:
        """The function was deleted: its environments end, its queued events go with the next commit."""
        for tell in self._forgotten:
            tell(account, region, name)
        for generation, pool in list(self._pools.items()):
            version = pool.ready.version
            if (version.account, version.region, version.name) == (account, region, name):
                self.retire(generation)
        use = self._functions.get((account, region, name))
        if use is not None and use.in_flight == 0:
            del self._functions[account, region, name]

    # -- time --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reap and look after those who wait, once a second, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """One round of it."""
        now, epoch = self._clock.monotonic(), self._clock.now()
        idle = [o for pool in self._pools.values() for o in pool.occupants(epoch)]
        doomed = plan.reap(
            idle,
            now=now,
            idle_seconds=self._limits.idle_seconds,
            age_seconds_max=self._limits.age_seconds_max,
        )
        for name in doomed:
            self._end(self._by_name[name])
        for environment in self._by_name.values():
            if now - environment.born_at >= self._limits.age_seconds_max:
                environment.condemned = True
        for pool in list(self._pools.values()):
            self._expire(pool, now)
        self._feed_starved()

    def _expire(self, pool: Pool, now: float) -> None:
        """Refuse those who waited too long for room on this machine."""
        while pool.waiting and now - pool.waiting[0].arrived > self._limits.wait_seconds_max:
            if pool.members and pool.ready.generation not in self._starved:
                return  # something runs or starts for them
            call = self._next_waiting(pool)
            self.finished(call)
            self._world.endings.answer(call.on_done, Outcome(refusal=throttled(Reason.CONCURRENCY, 1.0)))
        if pool.empty:
            self._pools.pop(pool.ready.generation, None)

    def _end(self, environment: Environment) -> None:
        pool = self._pools.get(environment.ready.generation)
        if pool is not None:
            pool.drop(environment)
        environment.stop()

    # -- facts -------------------------------------------------------------------------------------------

    def looks_at(self, code: Path) -> bool:
        """Whether an environment still has this folder mounted."""
        return any(environment.ready.code == code for environment in self._by_name.values())

    def counts(self) -> dict[str, int]:
        """How many environments there are, by state; and `waiting` calls."""
        found = {phase.value: 0 for phase in Phase}
        for environment in self._by_name.values():
            found[environment.state.value] += 1
        found["waiting"] = sum(len(pool.waiting) for pool in self._pools.values())
        return found

    async def close(self) -> None:
        """End everything; calls that are in flight are refused."""
        self._closing = True
        if self._again is not None:
            self._again.cancel()
        refusal = AwsError("ServiceException", "the cloud is stopping", status=500, fields=_SERVER)
        for pool in list(self._pools.values()):
            pool.idle.clear()
            pool.reset.clear()
            while pool.waiting:
                call = self._next_waiting(pool)
                self.finished(call)
                self._world.endings.answer(call.on_done, Outcome(refusal=refusal))
        for environment in list(self._by_name.values()):
            environment.stop()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=STOP_GRACE_SECONDS)
        while self._tasks:  # something that never answers; the launcher's own close reaps what it holds
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks))


_SERVER = {"Type": "Server"}


def throttled(reason: Reason, retry_after_s: float) -> AwsError:
    """AWS's answer to a call too many."""
    seconds = str(max(1, round(retry_after_s)))
    return AwsError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        fields={"Type": "User", "Reason": reason.value, "retryAfterSeconds": seconds},
    )
