"""The name server of an instance's pods, on the bridge's gateway address: UDP and TCP.

It answers for pods at once and asks the host's name servers for the rest.  Everything is bounded: questions under
way (of one pod and of all), connections, their life and their silence, sizes.  What is beyond is dropped over UDP and
closed over TCP; the asker tries again.
"""

import asyncio
import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, cast

from cumulo.base.tasks import cancel_all
from cumulo.engines.local import dns
from cumulo.engines.local.dns import Answer, Question
from cumulo.engines.local.upstream import Upstream

FORWARDED_MAX = 256
FORWARDED_MAX_EACH = 64
CONNECTIONS_MAX = 64
CONNECTIONS_MAX_EACH = 16
QUESTIONS_MAX = 200  # over one connection
SILENCE_SECONDS = 10.0
_PORT_TRIES = 16
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 1024 * 1024


class _Budget:
    """How many things are under way, of each and of all."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._of: Counter[str] = Counter()
        self._all = 0

    def enter(self, who: str) -> bool:
        if self._all >= self._most or self._of[who] >= self._most_each:
            return False
        self._all += 1
        self._of[who] += 1
        return True

    def leave(self, who: str) -> None:
        self._all -= 1
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: "NameServer") -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._server.asked_by_datagram(data, addr, self._transport)


class NameServer:
    """Serves one address."""

    def __init__(self, known: Callable[[Question], Answer | None], upstream: Upstream) -> None:
        self._known = known
        self._upstream = upstream
        self._address = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._streams: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._forwarded = _Budget(FORWARDED_MAX, FORWARDED_MAX_EACH)
        self._connections = _Budget(CONNECTIONS_MAX, CONNECTIONS_MAX_EACH)

    async def start(self, address: str) -> int:
        """Serve at port 53 of an address, or at another when somebody has that; returns the port."""
        datagrams, stream = _sockets(address)
        self._address = address
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
        self._streams = await asyncio.start_server(self._connected, sock=stream, limit=dns.QUERY_MAX + 2)
        port: int = stream.getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop serving; what is under way is dropped."""
        if self._transport is not None:
            self._transport.close()
        if self._streams is not None:
            self._streams.close()
        await cancel_all(self._tasks)
        self._transport, self._streams = None, None

    def asked_by_datagram(
        self, data: bytes, addr: tuple[str, int], transport: asyncio.DatagramTransport
    ) -> None:
        """A datagram came."""
        now = self._answer(data, dns.UDP_MAX)
        if isinstance(now, bytes):
            if now:
                transport.sendto(now, addr)
        elif self._forwarded.enter(addr[0]):
            self._spawn(self._forward_datagram(data, now, addr, transport))

    def _answer(self, data: bytes, limit: int) -> bytes | Question:
        """What to answer now (nothing: empty), or the question that others are to be asked."""
        try:
            question = dns.parse(data)
        except dns.Malformed as error:
            return b"" if error.code is None else dns.failure(data, error.code)
        known = self._known(question)
        return question if known is None else dns.build(question, known, limit)

    async def _forward_datagram(
        self, data: bytes, question: Question, addr: tuple[str, int], transport: asyncio.DatagramTransport
    ) -> None:
        try:
            answer = await self._upstream.ask(data, question, self._address, stream=False)
            if not transport.is_closing():
                transport.sendto(answer or dns.unanswered(question, dns.SERVER_FAILURE), addr)
        finally:
            self._forwarded.leave(addr[0])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        who = (writer.get_extra_info("peername") or ("",))[0]
        entered = self._connections.enter(who)
        try:
            if entered:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    await self._talk(reader, writer, who)
        finally:
            if entered:
                self._connections.leave(who)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: str) -> None:
        for _ in range(QUESTIONS_MAX):
            async with asyncio.timeout(SILENCE_SECONDS):
                length = int.from_bytes(await reader.readexactly(2), "big")
                if length > dns.QUERY_MAX:
                    return
                data = await reader.readexactly(length)
            now = self._answer(data, 65_535)
            if not isinstance(now, bytes):
                now = await self._forward_stream(data, now, who)
            if not now:
                return
            writer.write(len(now).to_bytes(2, "big") + now)
            async with asyncio.timeout(SILENCE_SECONDS):
                await writer.drain()

    async def _forward_stream(self, data: bytes, question: Question, who: str) -> bytes:
        if not self._forwarded.enter(who):
            return b""
        try:
            answer = await self._upstream.ask(data, question, self._address, stream=True)
        finally:
            self._forwarded.leave(who)
        return answer or dns.unanswered(question, dns.SERVER_FAILURE)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _sockets(address: str) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP at the same port: 53, or any that is free for both."""
    try:
        return _pair(address, dns.PORT)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
    for _ in range(_PORT_TRIES):
        with contextlib.suppress(OSError):
            return _pair(address, 0)
    raise OSError(errno.EADDRINUSE, f"no port is free at {address} for a name server")


def _pair(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((address, port))
        stream.listen(64)
        with contextlib.suppress(OSError):  # room for a burst of every pod's; only root may
            datagrams.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        datagrams.bind(stream.getsockname())
        stream.setblocking(False)
        datagrams.setblocking(False)
    except OSError:
        stream.close()
        datagrams.close()
        raise
    return datagrams, stream
