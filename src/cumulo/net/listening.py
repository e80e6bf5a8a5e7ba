"""What all fronts have in common: sockets to listen on, connections to bound, to sweep and to drain."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from cumulo.base.clock import Clock
from cumulo.base.tasks import cancel_all
from cumulo.net.pool import Backend

BACKLOG: Final = 2048
TLS_HANDSHAKE_SECONDS: Final = 10.0


class Listening:
    """A socket that a front listens on, at `address` and `port`."""

    def __init__(self) -> None:
        self.server: asyncio.AbstractServer | None = None
        self.address = ""
        self.port = 0

    def close(self) -> None:
        """Accept no more; connections that are there go on.  Harmless when done before."""
        if self.server is not None:
            self.server.close()
            self.server = None


class Connection(Protocol):
    """A client of a front."""

    backend: Backend | None

    def check(self, tick: float) -> None:
        """Look whether somebody keeps it waiting for too long."""
        ...

    def close_idle(self) -> None:
        """Close if nothing is going on; otherwise as soon as nothing is."""
        ...

    def abort(self) -> None:
        """Drop it."""
        ...


class Front:
    """Listens, and keeps its clients: at most `connections_max`, looked at once every `sweep_seconds`."""

    def __init__(self, clock: Clock, *, connections_max: int, sweep_seconds: float) -> None:
        self.clock = clock
        self.tick = clock.monotonic()
        self.stopping = False
        self.connections: set[Connection] = set()
        self._connections_max = connections_max
        self._sweep_seconds = sweep_seconds
        self._listening: list[Listening] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event | None = None

    async def listen(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> Listening:
        """Listen at an address; port 0 lets the system choose.  OSError when it is taken."""
        return await self._open(tls, host=address, port=port, reuse_address=True)

    async def serve_socket(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> Listening:
        """Serve a socket that listens already (of whatever network namespace); closed with the listening."""
        sock.setblocking(False)
        return await self._open(tls, sock=sock)

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Accept no more, let what runs finish for so long, then cut.  May be done twice."""
        self.stopping = True
        self._quiet = asyncio.Event()
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        for connection in tuple(self.connections):
            connection.close_idle()
        if self.connections and grace_seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), grace_seconds)
        for connection in tuple(self.connections):
            connection.abort()
        await cancel_all(self._tasks)
        self.let_go()
        await asyncio.sleep(0)  # lets the transports tell their connections
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def cut(self, backend: Backend) -> int:
        """Drop all connections that a backend is busy with; gives how many."""
        cut = [connection for connection in self.connections if connection.backend is backend]
        for connection in cut:
            connection.abort()
        return len(cut)

    # For the kinds of fronts

    def client(self, listening: Listening) -> asyncio.BaseProtocol:
        """The protocol of a new connection."""
        raise NotImplementedError

    def swept(self) -> bool:
        """Look after what else there is; True when there is something to look after next time."""
        return False

    def let_go(self) -> None:
        """The front closes: drop what else there is."""

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in; False when there are too many."""
        if self._sweeper is None and not self.stopping:
            self.set_time()
            self._sweeper = asyncio.get_running_loop().call_later(self._sweep_seconds, self._sweep)
        self.connections.add(connection)
        return len(self.connections) <= self._connections_max and not self.stopping

    def forget(self, connection: Connection) -> None:
        """Let a connection go."""
        self.connections.discard(connection)
        if self._quiet is not None and not self.connections:
            self._quiet.set()

    def start(self, run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something for a connection, in a task that does not outlive the front."""
        task = asyncio.get_running_loop().create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def set_time(self) -> None:
        """See what time it is."""
        self.tick = self.clock.monotonic()

    def _sweep(self) -> None:
        self.set_time()
        for connection in tuple(self.connections):
            connection.check(self.tick)
        again = self.swept() or bool(self.connections)
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self._sweep_seconds, self._sweep) if again else None

    async def _open(self, tls: ssl.SSLContext | None, **where: Any) -> Listening:
        assert not self.stopping, "a closed front stays closed"
        listening = Listening()
        loop = asyncio.get_running_loop()
        if tls is not None:
            where |= {"ssl": tls, "ssl_handshake_timeout": TLS_HANDSHAKE_SECONDS}
        sock: socket.socket | None = where.get("sock")
        unix = sock is not None and sock.family == socket.AF_UNIX
        create: Callable[..., Any] = loop.create_unix_server if unix else loop.create_server
        server = await create(lambda: self.client(listening), backlog=BACKLOG, **where)
        listening.server = server
        name = server.sockets[0].getsockname()
        if isinstance(name, tuple):
            listening.address, listening.port = name[0], name[1]
        self._listening = [other for other in self._listening if other.server is not None]
        self._listening.append(listening)
        return listening


class Dialled(Protocol):
    """The protocol of a connection to a backend."""

    def abandon(self) -> None:
        """Nobody waits for it any more: close it, even if it is only made after this."""
        ...


DialledT = TypeVar("DialledT", bound=Dialled)


async def connect(backend: Backend, protocol: DialledT) -> DialledT:
    """Connect to a backend.  OSError, which TLS's errors are too.

    Who gives up leaves nothing open: a connection may be there before its coroutine is told so.
    """
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if backend.tls is not None:
        options = {"ssl": backend.tls, "server_hostname": backend.address}
    make: Callable[[], Any] = lambda: protocol  # noqa: E731 - for its type
    try:
        await loop.create_connection(make, backend.address, backend.port, **options)
    except BaseException:
        protocol.abandon()
        raise
    return protocol
