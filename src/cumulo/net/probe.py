"""Looks whether somebody answers at an address.  A probe always ends within its time, and leaves nothing open."""

import asyncio
import contextlib
import ssl
from enum import StrEnum
from typing import Any, Final, cast

import msgspec

from cumulo.net.heads import END, HeadReader, hopeless
from cumulo.net.limits import Limits
from cumulo.net.messages import Refused

_HEADS: Final = 64 * 1024


class Failure(StrEnum):
    """Why there was no answer."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"  # connected, then closed or reset before an answer
    MALFORMED = "malformed"  # what came is no HTTP
    TLS = "tls"


class Probed(msgspec.Struct, frozen=True):
    """What came of it: a status, or a failure.

    status   of the answer; 0 without one
    failure  None when there was an answer (or, over TCP, a connection)
    """

    status: int = 0
    failure: Failure | None = None


async def probe_http(
    address: str,
    port: int,
    path: str,
    *,
    timeout_seconds: float,
    host: str = "",
    method: str = "GET",
    agent: str = "",
    tls: ssl.SSLContext | None = None,
) -> Probed:
    """Ask for a path, and give the status.  Redirects are not followed, the body is not waited for.

    `host` is the Host header, by default the address and port; `timeout_seconds` is for all of it.
    """
    host = host or (f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    agent_line = f"User-Agent: {agent}\r\n" if agent else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{agent_line}Accept: */*\r\n\r\n"
    probe = _Probe(head.encode("latin-1"))
    return await _within(timeout_seconds, _run(probe, address, port, tls))


async def probe_tcp(
    address: str,
    port: int,
    *,
    timeout_seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Probed:
    """Connect (and shake hands, with `tls`), and close again."""
    return await _within(timeout_seconds, _run(None, address, port, tls))


async def _within(seconds: float, run: Any) -> Probed:
    try:
        async with asyncio.timeout(seconds):
            return cast("Probed", await run)
    except TimeoutError:
        return Probed(failure=Failure.TIMEOUT)
    except ConnectionRefusedError:
        return Probed(failure=Failure.REFUSED)
    except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
        return Probed(failure=Failure.CLOSED)
    except ssl.SSLError:
        return Probed(failure=Failure.TLS)
    except OSError:
        return Probed(failure=Failure.UNREACHABLE)


async def _run(probe: "_Probe | None", address: str, port: int, tls: ssl.SSLContext | None) -> Probed:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {} if tls is None else {"ssl": tls, "server_hostname": address}
    transport, _ = await loop.create_connection(lambda: probe or asyncio.Protocol(), address, port, **options)
    try:
        return Probed() if probe is None else await probe.result
    finally:
        with contextlib.suppress(RuntimeError):
            transport.abort()


class _Probe(asyncio.Protocol):
    """One request on one connection."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._held = b""
        self._reader = HeadReader(headers_count_max=Limits().headers_count_max)
        self.result: asyncio.Future[Probed] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._head)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while not self.result.done():
            end = self._held.find(END) + 4
            if end < 4:
                if len(self._held) > _HEADS or hopeless(self._held):
                    self.result.set_result(Probed(failure=Failure.MALFORMED))
                return
            raw, self._held = self._held[:end], self._held[end:]
            try:
                status = self._reader.answer(raw).status
            except Refused:
                self.result.set_result(Probed(failure=Failure.MALFORMED))
                return
            if status >= 200:
                self.result.set_result(Probed(status))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.result.done():
            self.result.set_result(Probed(failure=Failure.CLOSED))
