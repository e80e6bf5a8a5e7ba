"""Asynchronous invocations: a durable queue in front of the functions.

    enqueue -> row committed -> 202
    run     -> due rows, fairly by function -> invoke -> the verdict of `plan_events.after`, committed

An event leaves its row only in a commit that comes after its run's end was recorded: a kill at any point means
that it runs again, never that it is lost.  Memory holds counters by function, the ids of what runs, and the
payloads of what runs; everything else stays in the table.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.services.lambda_.calls import Outcome
from cumulo.services.lambda_.model import Ready, Resolver
from cumulo.services.lambda_.plan_events import (
    Condition,
    Discard,
    Event,
    FunctionKey,
    Policy,
    Remove,
    Result,
    Retry,
    after,
    share,
    too_old,
)
from cumulo.state.store import Store, StoreError

RUNNING_MAX = 64
RUNNING_PER_FUNCTION_MAX = 32
LOOK_SECONDS_MAX = 1.0  # how long a retry that fell due may go unnoticed
_COLUMNS = "id, qualifier, request_id, enqueued_at, next_at, attempts, throttles"
_MINE = "account = ? AND region = ? AND function = ?"
_log = Log("lambda")


class RunEvent(Protocol):
    """Runs a function once; FunctionCaller.run."""

    def __call__(
        self, ready: Ready, event: bytes, request_id: str, *, client_context: bytes = b""
    ) -> Awaitable[Outcome]:
        """Wait for its end; AwsError when it was refused."""
        ...


OnDiscard = Callable[[Event, Condition, Outcome | None], Awaitable[None]]
"""Told before an event is given up (dead-letter queues and destinations will live behind it)."""


async def _nobody_listens(event: Event, condition: Condition, outcome: Outcome | None) -> None:  # noqa: ARG001
    return


class EventQueue:
    """The queue of one cloud."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        resolver: Resolver,
        run_event: RunEvent,
        policy_of: Callable[[Ready], Policy] = lambda _ready: Policy(),
        on_discard: OnDiscard = _nobody_listens,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._resolver = resolver
        self._run_event = run_event
        self._policy_of = policy_of
        self._on_discard = on_discard
        self._taken: dict[str, FunctionKey] = {}
        self._dropped: set[str] = set()  # taken, and their function was deleted meanwhile
        self._running: Counter[FunctionKey] = Counter()
        self._quiet: dict[FunctionKey, float] = {}  # nothing of theirs is due before then
        self._news = 0  # counts commits that made something due, or due later
        self._wake = asyncio.Event()
        self._backlog: Counter[FunctionKey] = Counter()
        for account, region, name, count in store.query_now(
            "SELECT account, region, function, COUNT(*) FROM lambda_events GROUP BY 1, 2, 3"
        ):
            self._backlog[account, region, name] = count

    def __len__(self) -> int:
        return self._backlog.total()

    async def enqueue(
        self, ready: Ready, qualifier: str | None, payload: bytes, request_id: str, client_context: bytes
    ) -> None:
        """Keep an event; returns when it is safe."""
        await self._store.ready()
        version = ready.version
        key = (version.account, version.region, version.name)
        now = self._clock.now()
        if qualifier is None and ready.invoked_arn != version.function_arn:
            qualifier = ready.invoked_arn.removeprefix(f"{version.function_arn}:")
        self._store.execute(
            "INSERT INTO lambda_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
            (self._ids.hex(32), *key, qualifier, request_id, payload, client_context, now, now),
        )
        self._backlog[key] += 1
        await self._store.commit()
        self._tell(key)

    def forget(self, account: str, region: str, name: str) -> None:
        """The function was deleted: its events go; durable with the next commit."""
        key = (account, region, name)
        self._store.execute(f"DELETE FROM lambda_events WHERE {_MINE}", key)  # noqa: S608 - a constant
        self._backlog.pop(key, None)
        self._quiet.pop(key, None)
        self._dropped.update(id_ for id_, owner in self._taken.items() if owner == key)

    def _tell(self, key: FunctionKey) -> None:
        """A row was committed.  Not earlier: the queue would look, find nothing, and be quiet."""
        self._news += 1
        self._quiet.pop(key, None)
        self._wake.set()

    async def run(self) -> None:
        """Carry events out, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    found = await self._dispatch(group)
                except StoreError:  # what would run could not be struck off, and would run again and again
                    found = 0
                self._wake.clear()
                if not found:
                    # Not wait_for: it can swallow a cancellation that comes together with the event.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS_MAX):
                            await self._wake.wait()

    async def _dispatch(self, group: asyncio.TaskGroup) -> int:
        """Start what is due and what there is room for; how many that were.  StoreError when the disk refuses."""
        await self._store.ready()
        now = self._clock.now()
        shares = share(
            [
                key
                for key, count in self._backlog.items()
                if count > self._running[key] and self._quiet.get(key, 0.0) <= now
            ],
            self._running,
            slots=RUNNING_MAX,
            per_function=RUNNING_PER_FUNCTION_MAX,
        )
        for key, count in shares.items():
            for event in await self._due(key, count):
                self._taken[event.id] = key
                self._running[key] += 1
                group.create_task(self._carry_out(event))
        return len(shares)

    async def _due(self, key: FunctionKey, count: int) -> list[Event]:
        """The oldest that are due; when there are fewer than asked for, the function is quiet for a while."""
        mine = sum(1 for owner in self._taken.values() if owner == key)
        now = self._clock.now()
        news = self._news
        rows = await self._store.query(
            f"SELECT {_COLUMNS} FROM lambda_events WHERE {_MINE} ORDER BY next_at LIMIT ?",  # noqa: S608
            (*key, count + mine),
        )
        waiting = [_event(key, row) for row in rows if row[0] not in self._taken]
        due = [event for event in waiting if event.next_at <= now][:count]
        if not due and news == self._news:
            self._quiet[key] = waiting[0].next_at if waiting else now + LOOK_SECONDS_MAX
        return due

    async def _carry_out(self, event: Event) -> None:
        try:
            await self._attempt(event)
        except StoreError as error:
            _log.error("event verdict not kept", queued=event.id, error=str(error))
            await asyncio.sleep(LOOK_SECONDS_MAX)
        except Exception:  # noqa: BLE001 - the queue outlives one event's trouble
            _log.exception("event failed", queued=event.id)
            await asyncio.sleep(LOOK_SECONDS_MAX)
        finally:
            self._taken.pop(event.id, None)
            self._dropped.discard(event.id)
            self._running[event.function] -= 1
            if self._running[event.function] <= 0:
                del self._running[event.function]
            self._wake.set()

    async def _attempt(self, event: Event) -> None:
        account, region, name = event.function
        caller = Caller(account=account, region=region, request_id=event.request_id)
        outcome: Outcome | None = None
        policy = Policy()
        verdict: Remove | Retry | Discard
        try:
            ready = self._resolver.resolve(caller, name, event.qualifier)
            policy = self._policy_of(ready)
            if too_old(event, policy, self._clock.now()):
                await self._settle(event, Discard(Condition.AGE_EXCEEDED, event.attempts), None)
                return
            rows = await self._store.query(
                "SELECT payload, client_context FROM lambda_events WHERE id = ?", (event.id,)
            )
            if not rows or event.id in self._dropped:
                return
            payload, context = rows[0]
            outcome = await self._run_event(ready, payload, event.request_id, client_context=context)
            result = Result.FUNCTION_ERROR if outcome.function_error else Result.OK
        except AwsError as error:
            result = _result_of(error, self._zero(caller, event))
        verdict = after(event, result, policy, self._clock.now())
        await self._settle(event, verdict, outcome)

    def _zero(self, caller: Caller, event: Event) -> bool:
        try:
            ready = self._resolver.resolve(caller, event.function[2], event.qualifier)
        except AwsError:
            return False
        return ready.reserved_concurrency == 0

    async def _settle(self, event: Event, verdict: Remove | Retry | Discard, outcome: Outcome | None) -> None:
        """Write the verdict down."""
        if isinstance(verdict, Retry):
            self._store.execute(
                "UPDATE lambda_events SET next_at = ?, attempts = ?, throttles = ? WHERE id = ?",
                (verdict.next_at, verdict.attempts, verdict.throttles, event.id),
            )
            await self._store.commit()
            self._tell(event.function)
            return
        if isinstance(verdict, Discard):
            await self._on_discard(event, verdict.condition, outcome)
        self._store.execute("DELETE FROM lambda_events WHERE id = ?", (event.id,))
        if event.id not in self._dropped:
            self._backlog[event.function] -= 1
            if self._backlog[event.function] <= 0:
                del self._backlog[event.function]
        await self._store.commit()


def _event(key: FunctionKey, row: tuple[Any, ...]) -> Event:
    id_, qualifier, request_id, enqueued_at, next_at, attempts, throttles = row
    return Event(
        id=id_,
        function=key,
        qualifier=qualifier,
        request_id=request_id,
        enqueued_at=enqueued_at,
        next_at=next_at,
        attempts=attempts,
        throttles=throttles,
    )


def _result_of(error: AwsError, zero: bool) -> Result:
    if error.code == "ResourceNotFoundException":
        return Result.GONE
    if error.code == "TooManyRequestsException" and zero:
        return Result.ZERO_CONCURRENCY
    return Result.THROTTLED
