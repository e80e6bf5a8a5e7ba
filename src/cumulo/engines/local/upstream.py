"""Asks the host's name servers what the engine does not know."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cumulo.engines.local import dns
from cumulo.engines.local.dns import Question

Server = tuple[str, int]

SERVERS_MAX = 3  # as every resolver does
SECONDS_EACH = 2.0
_ANSWER_MAX = 65_535


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """The name servers of a resolv.conf."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            found.append(words[1])
    return tuple(found[:SERVERS_MAX])


class HostServers:
    """The name servers of a resolv.conf, which is read again when it changes."""

    def __init__(self, path: Path = Path("/etc/resolv.conf")) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._servers: tuple[Server, ...] = ()

    def __call__(self) -> tuple[Server, ...]:
        """The servers now; none when the file cannot be read."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on the way of each question
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                text = self._path.read_text(errors="replace")
                self._servers = tuple((server, dns.PORT) for server in parse_resolv_conf(text))
                self._seen = seen
        except OSError:
            return ()
        return self._servers


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, number: int, question: Question, answer: "asyncio.Future[bytes]") -> None:
        self._number = number
        self._question = question
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        if not self._answer.done() and dns.is_answer(data, self._number, self._question):
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


class Upstream:
    """Forwards questions, one server after another."""

    def __init__(
        self, servers: Callable[[], tuple[Server, ...]], *, seconds_each: float = SECONDS_EACH
    ) -> None:
        self._servers = servers
        self._seconds = seconds_each

    async def ask(self, message: bytes, question: Question, own: str, *, stream: bool) -> bytes | None:
        """The answer, with the question's number; None when nobody gave one.

        own      our own address, which is not asked: that would go round in circles
        stream   over TCP, for what is too long for UDP
        """
        for server in self._servers()[:SERVERS_MAX]:
            if server[0] == own:
                continue
            number = secrets.randbelow(65_536)
            asked = dns.renumbered(message, number)
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(self._seconds):
                    ask = self._by_stream if stream else self._by_datagram
                    answer = await ask(server, asked, number, question)
                if answer is not None:
                    return dns.renumbered(answer, question.number)
        return None

    async def _by_datagram(
        self, server: Server, asked: bytes, number: int, question: Question
    ) -> bytes | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        # A socket for each question: its port is as hard to guess as its number.
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Asking(number, question, answer), remote_addr=server
        )
        try:
            transport.sendto(asked)
            return await answer
        finally:
            transport.close()

    async def _by_stream(self, server: Server, asked: bytes, number: int, question: Question) -> bytes | None:
        reader, writer = await asyncio.open_connection(*server, limit=_ANSWER_MAX + 2)
        try:
            writer.write(len(asked).to_bytes(2, "big") + asked)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            return answer if dns.is_answer(answer, number, question) else None
        finally:
            writer.close()
