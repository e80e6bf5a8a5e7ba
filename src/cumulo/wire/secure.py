"""Listening for TLS: a client's first words are looked at before the handshake, so that its whole context can be chosen.

    accept ──peek (the name it asks for)──▶ Contexts ──its certificate, whom it trusts──▶ handshake ──▶ Connection

A context that is exchanged in the middle of a handshake (SNI callback) shows another certificate, but asks for no
client's: that is why.  Time and number of those who have not greeted yet are bounded.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cumulo.wire.greeting import GREETING_BYTES_MAX, NoGreeting, name_asked
from cumulo.wire.http import Secured

GREETING_SECONDS_MAX: Final = 10.0  # from the connection to the end of the handshake
GREETING_MAX: Final = 1024  # connections whose handshake is not over, of one listener
LOOK_AGAIN_SECONDS: Final = 0.01  # when only a part of the greeting is there
ACCEPT_AGAIN_SECONDS: Final = 1.0  # when the machine has no more descriptors
ACCEPTS_MAX: Final = 64  # at once, before others get their turn
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


class Contexts(Protocol):
    """Who knows what a client is to be shown."""

    async def context_for(self, name: str) -> ssl.SSLContext | None:
        """What is shown to a client that asks for a name (lower case; empty: for none); None: nothing, it is let go."""
        ...


Make = Callable[[str], asyncio.Protocol]
"""The protocol of a connection whose client asked for a name."""


class SecureListener:
    """Accepts TLS on sockets that listen."""

    def __init__(self, sockets: Sequence[socket.socket], contexts: Contexts, make: Make) -> None:
        self.sockets = list(sockets)
        self._contexts = contexts
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()
        for sock in self.sockets:
            sock.setblocking(False)
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Accept no more, and let go of who has not finished greeting; harmless when done before."""
        for sock in self.sockets:
            if sock.fileno() >= 0:  # whose it is may have closed it
                self._loop.remove_reader(sock.fileno())
            sock.close()
        self.sockets.clear()
        for task in self._greeting:
            task.cancel()

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                client, _address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._rest(sock)
                return
            if len(self._greeting) >= GREETING_MAX:
                client.close()
                continue
            task = self._loop.create_task(self._greet(client))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _rest(self, sock: socket.socket) -> None:
        _log.error("no descriptor is left for a client")
        self._loop.remove_reader(sock.fileno())
        self._loop.call_later(ACCEPT_AGAIN_SECONDS, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        if sock in self.sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    async def _greet(self, client: socket.socket) -> None:
        """Take one client through its handshake; whatever it does wrong, it is let go."""
        client.setblocking(False)
        handed_over = False
        try:
            async with asyncio.timeout(GREETING_SECONDS_MAX):
                name = await self._name_of(client)
                context = await self._contexts.context_for(name)
                if context is not None:
                    handed_over = True  # the loop closes it from here on
                    await self._loop.connect_accepted_socket(
                        lambda: self._make(name),
                        client,
                        ssl=context,
                        ssl_handshake_timeout=GREETING_SECONDS_MAX,
                    )
        except (OSError, TimeoutError, NoGreeting) as error:  # TLS's errors are OSErrors
            _log.debug("a client's handshake failed", extra={"why": repr(error)})
        except asyncio.CancelledError:
            pass  # the listener closes
        finally:
            if not handed_over:
                client.close()

    async def _name_of(self, client: socket.socket) -> str:
        while True:
            await self._readable(client)
            data = client.recv(GREETING_BYTES_MAX, socket.MSG_PEEK)
            if not data:
                raise NoGreeting
            name = name_asked(data)
            if name is not None:
                return name
            await asyncio.sleep(LOOK_AGAIN_SECONDS)  # what is there would be readable for ever

    async def _readable(self, client: socket.socket) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(client.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(client.fileno())


def secured(transport: asyncio.BaseTransport, name: str) -> Secured:
    """What TLS says of a connection that is made."""
    found = transport.get_extra_info("ssl_object")
    certificate = found.getpeercert(binary_form=True) if found is not None else None
    return Secured(name, certificate or b"")


async def sockets_for(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Sockets that listen at every address of a host, all at one port; 0 lets the system choose.  OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = undo.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited by what it accepts
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
            sock.listen(backlog)
            port = port or sock.getsockname()[1]
            sockets.append(sock)
        undo.pop_all()
    return sockets
