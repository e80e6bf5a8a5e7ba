"""The connections of all WebSocket APIs: who is there, how long they may be, and how it ends.  In memory alone.

connection_made ──▶ here, can be found ──▶ idle, too old, stage gone ──sweep──▶ closed ──▶ $disconnect, a few at a time

One sweep looks at all of them, so a connection has no timer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.context import Times, Visits
from cumulo.gateway.stages import Stages
from cumulo.gateway.websocket.limits import Limits

TICKS_MAX = 100

_log = logging.getLogger(__name__)


class Member(Protocol):
    """A connection, as this knows it."""

    id: str
    api_id: str
    stage: str
    connected_ms: int

    @property
    def is_open(self) -> bool:
        """Whether messages can go out."""
        ...

    def look(self, now: float) -> None:
        """End what has lasted too long."""
        ...

    def release(self) -> None:
        """There is room for more messages."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye."""
        ...

    def abort(self) -> None:
        """Cut it."""
        ...


class Connections:
    """Who is connected.  `stages` say what a message's route is now: a new deployment is for old connections too."""

    def __init__(self, *, stages: Stages, clock: Clock, ids: Ids, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.stages = stages
        self.clock = clock
        self.limits = limits
        self.visits = Visits(clock, ids)
        self.times = Times()
        self._open: dict[str, Member] = {}
        self._coming = 0  # $connect has not decided yet
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns = 0
        self._turns_bytes = 0
        self.unheard_bytes = 0
        self.waiting_bytes = 0
        self._forgetting = False
        self._waiting: deque[Member] = deque()
        self._farewells: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._leaving = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self.stopping = False

    def __len__(self) -> int:
        return len(self._open)

    def members(self) -> tuple[Member, ...]:
        """Who is connected now."""
        return tuple(self._open.values())

    def find(self, api_id: str, stage: str, connection_id: str) -> Member | None:
        """The connection, when it is open and of that stage."""
        found = self._open.get(connection_id)
        if found is None or found.api_id != api_id or found.stage != stage or not found.is_open:
            return None
        return found

    def anywhere(self, connection_id: str) -> Member | None:
        """The connection, when it is open, of whatever API: ids are unique."""
        found = self._open.get(connection_id)
        return found if found is not None and found.is_open else None

    # -- coming and going ----------------------------------------------------------------------------------

    def may_come(self) -> bool:
        """Whether one more connection has room; then it counts until `came` or `stayed_away`."""
        if self.stopping or len(self._open) + self._coming >= self.limits.open_max:
            return False
        self._coming += 1
        return True

    def decided(self) -> None:
        """$connect has decided, either way."""
        self._coming -= 1

    def add(self, member: Member) -> None:
        """It is connected."""
        self._open[member.id] = member
        if self._sweeper is None:
            self._sweep_later()

    def remove(self, member: Member) -> None:
        """It is gone; harmless when it never was here."""
        self._open.pop(member.id, None)

    # -- messages on their way -----------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether messages must wait."""
        return self._turns >= self.limits.turns_max or self._turns_bytes >= self.limits.turns_bytes_max

    def begin_turn(self, turn: Coroutine[Any, Any, None], size: int) -> None:
        """Let a message of so many bytes take its way."""
        self._turns += 1
        self._turns_bytes += size
        self.start(self._turn(turn, size))

    def wait(self, member: Member) -> None:
        """Tell it when there is room."""
        self._waiting.append(member)

    async def _turn(self, turn: Coroutine[Any, Any, None], size: int) -> None:
        try:
            await turn
        finally:
            self._turns -= 1
            self._turns_bytes -= size
            while self._waiting and not self.full:
                self._waiting.popleft().release()

    def start(self, run: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that somebody keeps, and that a stop ends."""
        task = asyncio.get_running_loop().create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a WebSocket's turn failed", exc_info=task.exception())

    # -- the end -------------------------------------------------------------------------------------------

    def say_goodbye(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call a $disconnect route, when its turn has come: thousands may go at once."""
        if self._forgetting:
            return
        self._farewells.append(farewell)
        self._next_farewell()

    def _next_farewell(self) -> None:
        while self._farewells and self._leaving < self.limits.farewells_max:
            self._leaving += 1
            self.start(self._farewell(self._farewells.popleft()))

    async def _farewell(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await farewell()
        finally:
            self._leaving -= 1
            self._next_farewell()

    async def stop(self, seconds: float) -> None:
        """Say goodbye to everybody, call their $disconnect routes for so long, then cut."""
        self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for member in tuple(self._open.values()):
            member.close(1001, "Going away")
        try:
            async with asyncio.timeout(seconds):
                await self._emptied(seconds / 2)
        except TimeoutError:
            _log.warning("not every $disconnect route was called in time")
        self._farewells.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    async def _emptied(self, patience: float) -> None:
        """Until all have gone, of whom some are cut after a while, and all their tasks are done."""
        loop = asyncio.get_running_loop()
        cut_at = loop.time() + patience
        while self._open or self._tasks or self._farewells:
            if self._open and loop.time() > cut_at:
                for member in tuple(self._open.values()):
                    member.abort()
            await asyncio.sleep(0.02)

    async def reset(self) -> None:
        """Cut everybody, and call nobody."""
        self._forgetting = True
        try:
            for member in tuple(self._open.values()):
                member.abort()
            self._farewells.clear()
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=1.0)
            for _ in range(TICKS_MAX):  # until the transports have told of their end
                if not self._open:
                    break
                await asyncio.sleep(0.01)
        finally:
            self._forgetting = False

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(self.limits.sweep_seconds, self.sweep)

    def sweep(self) -> None:
        """Look at all of them."""
        self._sweeper = None
        now = self.clock.monotonic()
        for member in tuple(self._open.values()):
            member.look(now)
        if self._open and not self.stopping:
            self._sweep_later()
