"""The front door: an HTTP/1.1 server on asyncio, made for uvloop.

    listen/adopt ──▶ Connection ──complete head──▶ Lane.take ──▶ reply        (callbacks only)
     (or by TLS: secure.py)     └──────────────▶ Handler, in a task ──▶ Response

A request that a lane wants is answered without a coroutine, a task or a future.  Time-outs cost a request
nothing: one sweep a second looks at all connections.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from heapq import nsmallest
from typing import Any, Final, Protocol

import msgspec

from cumulo.base import limits as house
from cumulo.base.clock import Clock
from cumulo.base.threads import surely
from cumulo.wire.answers import Answers
from cumulo.wire.body import Budget
from cumulo.wire.connection import Connection
from cumulo.wire.head import HeadReader
from cumulo.wire.http import Handler, Lane, Request
from cumulo.wire.secure import Contexts, SecureListener, sockets_for

BACKLOG: Final = 2048
FILE_THREADS: Final = 8  # that send files
CUT_SECONDS_MAX: Final = 2.0  # what cancelled handlers get to end

OnDone = Callable[[Request, int, float], None]
Upgrade = Callable[[Request], asyncio.Protocol | None]

_log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may ask of one server."""

    head_bytes_max: int = house.REQUEST_LINE_AND_HEADERS_BYTES_MAX
    headers_count_max: int = house.HEADERS_COUNT_MAX
    bodies_bytes_max: int = house.BODY_IN_MEMORY_BYTES_TOTAL_MAX
    lane_body_bytes_max: int = 6 * house.MIB + 64 * 1024  # Lambda's payload, and room for its envelope
    ahead_bytes_max: int = 64 * 1024  # sent ahead by a client whose request is being answered
    connections_max: int = house.CONNECTIONS_MAX
    adopted_connections_max: int = 512  # of one adopted socket, so that no sandbox can take them all
    adopted_connections_total_max: int = house.CONNECTIONS_MAX // 2  # so that many together cannot, either
    refused_connections_max: int = 256  # told that there are too many, and not gone yet
    head_seconds_max: float = house.HEADER_READ_SECONDS_MAX
    body_stall_seconds_max: float = house.BODY_STALL_SECONDS_MAX
    idle_seconds_max: float = house.IDLE_CONNECTION_SECONDS_MAX
    linger_seconds_max: float = 5.0
    linger_bytes_max: int = 2 * house.BODY_BYTES_MAX
    idle_seconds_when_full: float = 1.0  # idle for longer: closed when there is no room for who comes
    half_closed_seconds_max: float = 1.0  # a client that closed its side has gone, or waits this long
    sweep_seconds: float = 1.0


class Listener(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""
        ...


class Adopted:
    """A listening socket that is being served."""

    def __init__(self, peer: str, connections_max: int, *, adopted: bool = True) -> None:
        self.peer = peer
        self.adopted = adopted
        self.connections_max = connections_max
        self.connections: set[Connection] = set()
        self.listener: Listener | None = None

    def close(self) -> None:
        """Stop accepting and drop the connections; harmless when done before."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        for connection in tuple(self.connections):
            connection.abort()


class Server:
    """Serves any number of listening sockets with one handler.

    `lanes` are asked in order before the handler.  `on_done` is told of every answered request, its status and
    how many seconds it took.  `upgrade` is asked about requests that want another protocol: the protocol that
    it returns gets the connection; None lets the request be answered as usual.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        lanes: Sequence[Lane] = (),
        clock: Clock,
        on_done: OnDone | None = None,
        upgrade: Upgrade | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.handler = handler
        self.lanes = tuple(lanes)
        self.clock = clock
        self.on_done = on_done
        self.upgrade = upgrade
        self.limits = limits
        self.heads = HeadReader(headers_count_max=limits.headers_count_max)
        self.answers = Answers(clock.now())
        self.budget = Budget(limits.bodies_bytes_max)
        self.tick = clock.monotonic()
        self.stopping = False
        self._full_at = -1.0  # when nobody could be asked to make room
        self.connections: set[Connection] = set()
        self._refused = 0
        self._inside = 0  # connections of adopted sockets
        self._adopted: set[Adopted] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event | None = None
        self._pool: ThreadPoolExecutor | None = None

    async def listen(self, host: str, port: int) -> int:
        """Serve an address; gives the port, which the system chooses when `port` is 0."""
        origin = Adopted("", self.limits.connections_max, adopted=False)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(self, origin), host, port, backlog=BACKLOG, reuse_address=True
        )
        for sock in listener.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited by what it accepts
        origin.listener = listener
        self._adopted.add(origin)
        return int(listener.sockets[0].getsockname()[1])

    async def listen_securely(self, host: str, port: int, contexts: Contexts) -> int:
        """Serve an address by TLS; gives the port, which the system chooses when `port` is 0.  OSError."""
        origin = Adopted("", self.limits.connections_max, adopted=False)
        sockets = await sockets_for(host, port, BACKLOG)
        self._secure(origin, sockets, contexts)
        return int(sockets[0].getsockname()[1])

    def adopt_securely(self, sock: socket.socket, peer: str, contexts: Contexts) -> Adopted:
        """Serve a socket that listens already by TLS; requests from it carry `peer`."""
        origin = Adopted(peer, self.limits.adopted_connections_max)
        self._adopted = {other for other in self._adopted if other.listener is not None}
        self._secure(origin, [sock], contexts)
        return origin

    async def adopt(self, sock: socket.socket, peer: str) -> Adopted:
        """Serve a socket that listens already; requests from it carry `peer`."""
        origin = Adopted(peer, self.limits.adopted_connections_max)
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        listener = await create(lambda: Connection(self, origin), sock=sock, start_serving=False)
        try:
            await listener.start_serving()
        except BaseException:  # who wanted it was cancelled
            listener.close()
            raise
        origin.listener = listener
        self._adopted = {other for other in self._adopted if other.listener is not None}
        self._adopted.add(origin)
        return origin

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more, let running requests finish for so long, then cut."""
        self.stopping = True
        self._quiet = asyncio.Event()
        for origin in self._adopted:
            if origin.listener is not None:
                origin.listener.close()
                origin.listener = None
        for connection in tuple(self.connections):
            connection.close_idle()
        if self.connections:
            try:
                await asyncio.wait_for(self._quiet.wait(), grace_seconds)
            except TimeoutError:
                _log.warning("cutting requests that did not finish in time")
        for connection in tuple(self.connections):
            connection.abort()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=CUT_SECONDS_MAX)
        await asyncio.sleep(0)  # lets the transports tell their connections
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    # The connections' side

    def admit(self, connection: Connection, origin: Adopted) -> bool:
        """Take a new connection in; False when there are too many."""
        full = (
            len(self.connections) >= self.limits.connections_max
            or len(origin.connections) >= origin.connections_max
            or (origin.adopted and self._inside >= self.limits.adopted_connections_total_max)
        )
        full = full and not self._make_room(origin)
        if (
            full
            and len(self.connections) >= self.limits.connections_max + self.limits.refused_connections_max
        ):
            connection.abort()
        if self._sweeper is None:
            self._set_time()
            self._sweeper = asyncio.get_running_loop().call_later(self.limits.sweep_seconds, self._sweep)
        self.connections.add(connection)
        origin.connections.add(connection)
        self._inside += origin.adopted
        return not full

    def _make_room(self, origin: Adopted) -> bool:
        """Close the sixteenth of a socket's connections that has been idle for longest; False when none has been for long.

        Looking at all of them is paid by those that come after: once for many, and once a sweep when it was in vain.
        """
        if self._full_at == self.tick:
            return False
        limit = self.tick - self.limits.idle_seconds_when_full
        idle = [one for one in origin.connections if one.idle_since < limit]
        for one in nsmallest(len(origin.connections) // 16 + 1, idle, key=lambda one: one.idle_since):
            one.close_idle()
        if not idle:
            self._full_at = self.tick
        return bool(idle)

    def forget(self, connection: Connection, origin: Adopted) -> None:
        """Let a connection go."""
        if connection in origin.connections:
            self._inside -= origin.adopted
        self.connections.discard(connection)
        origin.connections.discard(connection)
        if self._quiet is not None and not self.connections:
            self._quiet.set()

    def start(self, run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a request's handler in a task."""
        task = asyncio.get_running_loop().create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def threads(self, work: Callable[[], bool], /) -> bool:
        """Do something that may block, in a thread.  Who is cancelled meanwhile waits for the thread first."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="files")
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        return await surely(future)

    def _secure(self, origin: Adopted, sockets: Sequence[socket.socket], contexts: Contexts) -> None:
        origin.listener = SecureListener(sockets, contexts, lambda name: Connection(self, origin, name))
        self._adopted.add(origin)

    def _set_time(self) -> None:
        self.tick = self.clock.monotonic()
        self.answers.set_time(self.clock.now())

    def _sweep(self) -> None:
        self._set_time()
        for connection in tuple(self.connections):
            connection.check(self.tick)
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep) if self.connections else None
