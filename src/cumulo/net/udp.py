"""A front for UDP: each client's datagrams go to one backend, and its answers back, until the flow is silent.

datagram of a new client ──pick──▶ flow (a socket of its own) ──silent for `idle_seconds`──▶ forgotten
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from cumulo.base.clock import Clock
from cumulo.net.listening import Front, Listening
from cumulo.net.messages import Link
from cumulo.net.pool import Backend
from cumulo.net.tcp import Splice

FLOWS_MAX: Final = 1024
EARLY_MAX: Final = 64  # datagrams that wait for a flow's socket; more are lost, as datagrams may be

_log = logging.getLogger(__name__)

UdpPick = Callable[[Link], Splice | None]
"""Decides about a new flow; None: its datagrams are lost.  Of a Splice, `pool`, `preferred` and `idle_seconds` count."""

Address = tuple[str, int]


class UdpFront(Front):
    """Serves any number of UDP sockets with one `pick`; of new flows beyond `flows_max` the datagrams are lost."""

    def __init__(
        self, pick: UdpPick, *, clock: Clock, flows_max: int = FLOWS_MAX, sweep_seconds: float = 1.0
    ) -> None:
        super().__init__(clock, connections_max=flows_max, sweep_seconds=sweep_seconds)
        self.pick = pick
        self.flows_max = flows_max

    async def _open(self, tls: ssl.SSLContext | None, **where: Any) -> Listening:
        """Receive at an address (`host`, `port`), or on a socket that is bound already (`sock`)."""
        assert not self.stopping, "a closed front stays closed"
        if tls is not None:
            raise ValueError("there is no TLS over UDP here")
        if "host" in where:
            where = {"local_addr": (where["host"], where["port"])}
        listening = Listening()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Door(self, listening), **where)
        listening.server = cast("asyncio.AbstractServer", transport)  # closes alike
        name = transport.get_extra_info("sockname")
        listening.address, listening.port = name[0], name[1]
        self._listening = [other for other in self._listening if other.server is not None]
        self._listening.append(listening)
        return listening


class _Door(asyncio.DatagramProtocol):
    """The socket that clients send to."""

    def __init__(self, front: UdpFront, listening: Listening) -> None:
        self.front = front
        self.listening = listening
        self.flows: dict[Any, Flow] = {}
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        flow = self.flows.get(address)
        if flow is None:
            flow = self._begin(address)
            if flow is None:
                return
        flow.send(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None
        for flow in tuple(self.flows.values()):
            flow.abort()

    def _begin(self, address: Any) -> "Flow | None":
        front = self.front
        if len(front.connections) >= front.flows_max or front.stopping:
            return None
        link = Link(address[0], address[1], "udp", self.listening.port, self.listening.address)
        try:
            splice = front.pick(link)
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no backend for a flow from %s", link.peer)
            return None
        backend = splice.pool.pick(splice.preferred) if splice is not None else None
        if splice is None or backend is None:
            return None
        flow = self.flows[address] = Flow(self, address, splice, backend)
        front.admit(flow)
        return flow


class Flow(asyncio.DatagramProtocol):
    """One client and its backend."""

    def __init__(self, door: _Door, address: Any, splice: Splice, backend: Backend) -> None:
        self.backend: Backend | None = backend
        self._door = door
        self._address = address
        self._splice = splice
        self._since = door.front.tick
        self._early: list[bytes] = []
        self._ended = False
        self._transport: asyncio.DatagramTransport | None = None
        splice.pool.begin(backend)
        self._task = door.front.start(self._open(backend))

    async def _open(self, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: self, remote_addr=(backend.address, backend.port))
        except OSError as fault:
            _log.debug("no socket for a flow to %r: %s", backend, fault)
            self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        if self._ended:
            self._transport.abort()
            return
        early, self._early = self._early, []
        for data in early:
            self._transport.sendto(data)

    def send(self, data: bytes) -> None:
        """From the client to the backend."""
        self._since = self._door.front.tick
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._early) < EARLY_MAX:
            self._early.append(data)

    def datagram_received(self, data: bytes, _: Any) -> None:
        """From the backend to the client."""
        self._since = self._door.front.tick
        if self._door.transport is not None and not self._ended:
            self._door.transport.sendto(data, self._address)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the client's next datagram is a new flow's."""
        _log.debug("%r: %s", self.backend, exc)
        if self.backend is not None:
            self.backend.failures += 1
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is closed."""
        self.abort()

    def check(self, tick: float) -> None:
        """Forget a flow that is silent."""
        if tick - self._since > self._splice.idle_seconds:
            self.abort()

    def close_idle(self) -> None:
        """A flow does not say when it has ended: it is silent, or cut."""

    def abort(self) -> None:
        """Forget it.  Harmless when done before."""
        if self._ended:
            return
        self._ended = True
        self._task.cancel()
        if self._transport is not None:
            self._transport.abort()
        backend, self.backend = self.backend, None
        if backend is not None:
            self._splice.pool.end(backend)
        self._door.flows.pop(self._address, None)
        self._door.front.forget(self)
