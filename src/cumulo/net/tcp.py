"""A front for TCP, and for TLS that ends here: bytes go both ways, untouched.

    accepted ──pick──▶ connecting ──▶ joined ──one side ends──▶ half closed ──the other──▶ closed
                └──None, or no backend──▶ reset

Hardly anything is read from the client before its backend is connected.  Who is slower holds the other's source.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from cumulo.base import limits as house
from cumulo.base.clock import Clock
from cumulo.net import proxy_protocol
from cumulo.net.limits import WRITE_BYTES_HIGH
from cumulo.net.link import link_of
from cumulo.net.listening import Front, Listening, connect
from cumulo.net.messages import Link
from cumulo.net.pool import Backend, Pool

_log = logging.getLogger(__name__)


class Splice(msgspec.Struct, frozen=True, kw_only=True):
    """Join the client with a backend of `pool`.

    preferred        taken when it may get connections; `pool.pick_by(link.peer)` makes a client stay with one
    proxy_protocol   tell the backend about the client, in version 2
    connect_seconds  to connect, TLS included
    idle_seconds     without a byte in either direction; then both sides are reset
    tries            backends to try when they cannot be connected to
    """

    pool: Pool
    preferred: Backend | None = None
    proxy_protocol: bool = False
    connect_seconds: float = 10.0
    idle_seconds: float = 350.0
    tries: int = 1


Pick = Callable[[Link], Splice | Awaitable[Splice | None] | None]
"""Decides about a new connection; None refuses it with a reset."""

TcpDone = Callable[[Link, Splice | None, Backend | None, int, int, float], None]
"""Told of each connection that has ended: what was picked, the backend (None: there was none), the bytes from the
client and those to it, and how many seconds it lasted."""


class TcpFront(Front):
    """Serves any number of listening sockets with one `pick`."""

    def __init__(
        self,
        pick: Pick,
        *,
        clock: Clock,
        done: TcpDone | None = None,
        connections_max: int = house.CONNECTIONS_MAX,
        sweep_seconds: float = 1.0,
    ) -> None:
        super().__init__(clock, connections_max=connections_max, sweep_seconds=sweep_seconds)
        self.pick = pick
        self.done = done

    def client(self, listening: Listening) -> "Inbound":
        """The protocol of a new connection."""
        return Inbound(self, listening.port)


class Side(asyncio.Protocol):
    """One of two connections that are joined."""

    __slots__ = ("_early", "bytes_read", "ended", "front", "other", "since", "transport")

    transport: asyncio.Transport

    def __init__(self, front: TcpFront) -> None:
        self.front = front
        self.since = front.tick
        self.other: Side | None = None
        self.ended = False  # its peer has closed its side
        self._early: list[
            bytes
        ] = []  # what came before there was another: one read at the most, and little more
        self.bytes_read = 0

    def set_up(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.since = self.front.tick
        self.bytes_read += len(data)
        if self.other is not None:
            self.other.transport.write(data)
        else:
            self._early.append(data)
            if not self.transport.is_closing():
                self.transport.pause_reading()

    def join(self, other: "Side") -> None:
        """From now on, what it reads is written to the other."""
        self.other = other
        if self._early:
            other.transport.writelines(self._early)
            self._early = []
        if self.ended:
            if other.transport.can_write_eof():
                other.transport.write_eof()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass it on: the other way may stay open, where the transport can do that."""
        self.ended = True
        other = self.other
        if (
            other is None
            or other.transport.is_closing()
            or other.ended
            or not other.transport.can_write_eof()
        ):
            return False
        other.transport.write_eof()
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Its peer is slow: hold the other."""
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Its peer has caught up."""
        self.since = self.front.tick
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def part(self, exc: Exception | None) -> None:
        """This side is gone: end the other, after what waits for it, or at once when something broke."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if exc is None:
                other.transport.close()
            else:
                other.transport.abort()


class Inbound(Side):
    """The client's side, which owns the pair."""

    __slots__ = ("_began", "_port", "_splice", "_task", "_told", "backend", "link")

    link: Link

    def __init__(self, front: TcpFront, port: int) -> None:
        super().__init__(front)
        self._port = port
        self._began = front.clock.monotonic()
        self._splice: Splice | None = None
        self._task: asyncio.Task[None] | None = None
        self._told = False
        self.backend: Backend | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find a backend."""
        self.set_up(transport)
        self.link = link_of(transport, self._port)
        admitted = self.front.admit(self)
        self.since = self.front.tick
        if not admitted:
            self.transport.abort()
            return
        self._task = self.front.start(self._join())

    async def _join(self) -> None:
        try:
            picked = self.front.pick(self.link)
            splice = picked if picked is None or isinstance(picked, Splice) else await picked
        except Exception:  # noqa: BLE001 - the caller's code
            _log.exception("no backend for a connection from %s", self.link.peer)
            splice = None
        outbound = await self._connected(splice) if splice is not None else None
        self._task = None
        if outbound is None or splice is None:
            self.transport.abort()
            return
        if self.transport.is_closing():
            outbound.transport.abort()
            return
        if splice.proxy_protocol:
            outbound.transport.write(proxy_protocol.header(self.link))
        self.since = self.front.tick
        self.join(outbound)
        outbound.join(self)

    async def _connected(self, splice: Splice) -> "Outbound | None":
        """A connection to a backend, in flight from the moment it is tried; None when none can be had."""
        self._splice = splice
        pool = splice.pool
        tried: tuple[Backend, ...] = ()
        backend = pool.pick(splice.preferred)
        while backend is not None and len(tried) < splice.tries:
            tried += (backend,)
            self.backend = backend
            pool.begin(backend)
            try:
                async with asyncio.timeout(splice.connect_seconds):
                    return await connect(backend, Outbound(self.front))
            except OSError as fault:  # which TimeoutError is too
                _log.debug("%r cannot be connected to: %s", backend, fault)
            backend.failures += 1
            self._let_backend_go()
            backend = pool.pick(exclude=tried)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the pair."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        to_client = self.other.bytes_read if self.other is not None else 0
        self._finish(exc, to_client)

    def other_lost(self, exc: Exception | None, bytes_read: int) -> None:
        """The backend's side is gone."""
        self._account(bytes_read)
        if exc is None:
            self.transport.close()
        else:
            self.transport.abort()

    def _finish(self, exc: Exception | None, to_client: int) -> None:
        self.part(exc)
        self._account(to_client)
        self.front.forget(self)

    def _account(self, to_client: int) -> None:
        """Tell of the connection, once."""
        backend = self.backend
        if self._told:
            return
        self._told = True
        self._let_backend_go()
        if self.front.done is not None:
            seconds = self.front.clock.monotonic() - self._began
            try:
                self.front.done(self.link, self._splice, backend, self.bytes_read, to_client, seconds)
            except Exception:  # noqa: BLE001 - the caller's code
                _log.exception("a connection could not be counted")

    def _let_backend_go(self) -> None:
        backend, self.backend = self.backend, None
        if backend is not None and self._splice is not None:
            self._splice.pool.end(backend)

    def check(self, tick: float) -> None:
        """Drop a pair on which nothing has moved for too long."""
        other = self.other
        if other is None or self._splice is None:
            return
        if tick - max(self.since, other.since) > self._splice.idle_seconds:
            self.transport.abort()

    def close_idle(self) -> None:
        """A joined pair is never idle."""

    def abort(self) -> None:
        """Drop both."""
        if self.other is not None:
            self.other.transport.abort()
        self.transport.abort()


class Outbound(Side):
    """The backend's side."""

    __slots__ = ("_abandoned",)

    def __init__(self, front: TcpFront) -> None:
        super().__init__(front)
        self._abandoned = False

    def abandon(self) -> None:
        """Nobody waits for it any more: close it, even if it is only made after this."""
        self._abandoned = True
        if hasattr(self, "transport"):
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait until it is joined."""
        self.set_up(transport)
        if self._abandoned:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the client's side."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            assert isinstance(other, Inbound)
            other.other_lost(exc, self.bytes_read)
