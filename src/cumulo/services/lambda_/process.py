"""One life of a runtime's process: its sandbox, its Runtime API socket and its pipes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from cumulo.base.clock import Clock
from cumulo.sandbox.contract import Exit, Sandbox
from cumulo.services.lambda_.output import Line, Output
from cumulo.services.lambda_.runtime_api import CONNECTIONS_MAX, Connection
from cumulo.services.lambda_.runtime_contract import Runtime

PEAK_FRESH_S = 0.1  # a call shorter than PEAK_SHORT_MS believes a memory reading that is no older
PEAK_SHORT_MS = 10.0
MIB = 1024 * 1024


class Closer(Protocol):
    """Something that stops listening when told."""

    def close(self) -> None:
        """Listen no more."""
        ...


ServeCloud = Callable[[socket.socket, str], Awaitable[Closer]]
"""Begins to answer AWS calls on a sandbox's `cloud_socket`; the text is the sandbox's name."""

ServeSecurely = Callable[[socket.socket, str], Closer]
"""The same for its `secure_socket`."""


class Process:
    """A running (or ended) sandbox and what listens for it."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        self.output = Output(sandbox.output, sandbox.telemetry)
        self.connections: set[Connection] = set()
        self.started = clock.monotonic()
        self._clock = clock
        self._closers: list[Closer] = []
        self._watched: frozenset[int] = frozenset()
        self._peak_mib = 0
        self._peak_at = -1.0

    async def listen(
        self, runtime: Runtime, cloud: ServeCloud | None, secure: ServeSecurely | None = None
    ) -> None:
        """Answer on its sockets."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(runtime), sock=self.sandbox.runtime_socket)
        self._closers.append(server)
        if cloud is not None:
            self._closers.append(await cloud(self.sandbox.cloud_socket, self.sandbox.name))
        if secure is not None and self.sandbox.secure_socket is not None:
            self._closers.append(secure(self.sandbox.secure_socket, self.sandbox.name))

    def admit(self, connection: Connection) -> bool:
        """Note a connection; False when there are too many."""
        if len(self.connections) >= CONNECTIONS_MAX:
            return False
        self.connections.add(connection)
        return True

    def settle(self) -> None:
        """The runtime is initialised: from here on the function's own limits hold."""
        settle = getattr(self.sandbox, "settle", None)
        if settle is not None:
            settle()

    def drain(self) -> list[Line]:
        """What it printed since the last time."""
        return self.output.drain()

    def watch(self, call: Callable[[], None]) -> None:
        """Call whenever it prints; for calls that take long enough to be worth it."""
        loop = asyncio.get_running_loop()
        self._watched = self.output.open
        for fd in self._watched:
            loop.add_reader(fd, call)

    def unwatch(self) -> None:
        """Look only when asked."""
        if self._watched:
            loop = asyncio.get_running_loop()
            for fd in self._watched:
                loop.remove_reader(fd)
            self._watched = frozenset()

    def narrow_watch(self) -> None:
        """Stop watching pipes that have ended, which would be readable for ever."""
        for fd in self._watched - self.output.open:
            asyncio.get_running_loop().remove_reader(fd)
        self._watched &= self.output.open

    def peak_mib(self, call_ms: float) -> int:
        """The most memory it used.  Reading it costs as much as a quick call, so quick calls share readings."""
        now = self._clock.monotonic()
        if call_ms > PEAK_SHORT_MS or now - self._peak_at > PEAK_FRESH_S:
            self._peak_at = now
            self._peak_mib = max(self._peak_mib, -(-self.sandbox.memory_peak_bytes() // MIB))
        return self._peak_mib

    async def ended(self) -> Exit:
        """Wait for its end."""
        return await self.sandbox.wait()

    async def close(self) -> None:
        """End it and give everything back."""
        self.unwatch()
        self.output.close()
        for closer in self._closers:
            closer.close()
        for connection in list(self.connections):
            connection.drop()
        await self.sandbox.close()
