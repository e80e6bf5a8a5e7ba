"""The proxies of Service Connect: what listens inside clients' pods, and who answers.

pod 127.255.0.N:port ──front──▶ pool of the endpoint ──▶ a server task's own address and port
"""

import asyncio
import contextlib
import random
from collections.abc import Hashable

from cumulo.base.clock import Clock
from cumulo.net.front import HttpFront
from cumulo.net.listening import Front
from cumulo.net.messages import Forward, ReadBody, RequestHead
from cumulo.net.pool import Backend, Mark, Pool
from cumulo.net.tcp import Splice, TcpFront
from cumulo.services.ecs.discovery import connect_rules as rules
from cumulo.services.ecs.discovery.model import Alias
from cumulo.services.ecs.discovery.outliers import Outlier
from cumulo.services.ecs.discovery.places import Place

TRIES = 3  # the first, and two more
CONNECT_SECONDS = 5.0
_FOR_EVER = 365 * 86_400.0
_CLIENT_CONNECTIONS_MAX = 1024  # of one pod at one endpoint


class Server(Backend):
    """A server task.  `fails` hears of each connection that could not be had, or broke."""

    __slots__ = ("_failures", "outlier", "pool")

    def __init__(self, place: Place, key: Hashable, pool: "ServerPool") -> None:
        self.pool = pool
        self.outlier = Outlier()
        self._failures = 0
        super().__init__(*place, key=key)

    @property
    def failures(self) -> int:
        """Connections refused, timed out, or broken before an answer, since ever."""
        return self._failures

    @failures.setter
    def failures(self, number: int) -> None:
        grew, self._failures = number > self._failures, number
        if grew:
            self.pool.failed(self)


class ServerPool:
    """The server tasks of one endpoint, shared by all clients."""

    def __init__(self, name: str, clock: Clock, rand: random.Random) -> None:
        self.clients = 0
        self._clock = clock
        self.pool = Pool(random=rand, now=clock.monotonic, name=name)
        self._servers: dict[str, Server] = {}
        self._unwell: set[str] = set()
        self._ejected: dict[str, asyncio.TimerHandle] = {}

    def put(self, task_arn: str, place: Place | None, *, well: bool) -> None:
        """A task serves at a place (None: not, or no more)."""
        server = self._servers.get(task_arn)
        if server is not None and place != (server.address, server.port):
            self._drop(task_arn)
            server = None
        if place is None:
            return
        if well:
            self._unwell.discard(task_arn)
        else:
            self._unwell.add(task_arn)
        if server is None:
            server = self._servers[task_arn] = Server(place, task_arn, self)
            self.pool.add(server)
        self._mark(task_arn)

    def _drop(self, task_arn: str) -> None:
        self.pool.remove(self._servers.pop(task_arn))
        self._unwell.discard(task_arn)
        timer = self._ejected.pop(task_arn, None)
        if timer is not None:
            timer.cancel()

    def _mark(self, task_arn: str) -> None:
        server = self._servers.get(task_arn)
        if server is not None:
            down = task_arn in self._unwell or task_arn in self._ejected
            self.pool.mark(server, Mark.DOWN if down else Mark.UP)

    def failed(self, server: Server) -> None:
        """A backend failed: it may be an outlier."""
        seconds = server.outlier.failed(self._clock.monotonic())
        arn = str(server.key)
        if not seconds or self._servers.get(arn) is not server:
            return
        self._ejected[arn] = asyncio.get_running_loop().call_later(seconds, self._back, arn)
        self._mark(arn)

    def _back(self, task_arn: str) -> None:
        self._ejected.pop(task_arn, None)
        self._mark(task_arn)

    async def drained(self, task_arn: str, seconds_max: float) -> None:
        """Let no more come to a task, and wait until it is busy with nothing."""
        server = self._servers.get(task_arn)
        if server is None:
            return
        self._drop(task_arn)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self.pool.drained(server)

    def close(self) -> None:
        """Nobody asks any more."""
        for arn in tuple(self._servers):
            self._drop(arn)


def front_for(alias: Alias, pool: Pool, clock: Clock) -> Front:
    """What serves an alias in one pod."""
    if alias.app_protocol in rules.HTTP:
        forward = Forward(
            pool=pool,
            connect_seconds=CONNECT_SECONDS,
            idle_seconds=alias.request_seconds or alias.idle_seconds or _FOR_EVER,
            tries=TRIES,
        )

        def route(_head: RequestHead, _read: ReadBody) -> Forward:
            return forward

        return HttpFront(route, clock=clock, done=_judge)
    splice = Splice(
        pool=pool,
        connect_seconds=CONNECT_SECONDS,
        idle_seconds=alias.idle_seconds or _FOR_EVER,
        tries=TRIES,
    )
    return TcpFront(lambda _: splice, clock=clock, connections_max=_CLIENT_CONNECTIONS_MAX)


def _judge(_head: object, _decision: object, status: int, _seconds: float, backend: Backend | None) -> None:
    """What a server answered: errors of its own count, as connections that fail do."""
    if not isinstance(backend, Server) or not status:
        return
    if status >= 500:
        backend.pool.failed(backend)
    else:
        backend.outlier.answered()
