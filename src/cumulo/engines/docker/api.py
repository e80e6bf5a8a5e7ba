"""Docker's API over a unix socket or TCP: requests with deadlines, and connections that are taken over."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from cumulo.engines.engine import EngineError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # for one request; a daemon that needs longer is taken for dead
CONCURRENT_MAX = 32
_HEAD_BYTES_MAX = 64 * 1024


class DockerError(EngineError):
    """The daemon said no.  `status` is HTTP's, `said` its own words."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"Docker: {said}")
        self.status = status
        self.said = said


class Unreachable(EngineError):
    """The daemon is not there, or does not answer in time."""


class Api:
    """One daemon.  `address` is unix:///path or tcp://host:port."""

    def __init__(self, address: str) -> None:
        self.address = address
        parts = urlsplit(address)
        self._path = parts.path if parts.scheme == "unix" else ""
        if parts.scheme not in {"unix", "tcp", "http"} or not (self._path or parts.hostname):
            raise EngineError(f"{address!r} is no address of Docker: unix:///path or tcp://host:port")
        self._host, self._port = parts.hostname or "docker", parts.port or 2375
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(CONCURRENT_MAX)

    @property
    def by_socket(self) -> bool:
        """Whether it listens at a unix socket."""
        return bool(self._path)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(self._path, limit=0) if self._path else aiohttp.TCPConnector(limit=0)
            )
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, read_bufsize=256 * 1024
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float = ANSWER_SECONDS,
        **query: Any,
    ) -> Any:
        """One request; its answer's JSON, None for an empty one.  DockerError, Unreachable."""
        async with self._gate, self.request(method, path, body, seconds=seconds, **query) as answer:
            raw = await self._read(answer)
        return json.loads(raw) if raw.strip() else None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        try:
            return await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float | None = ANSWER_SECONDS,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer whose body is still to be read.  `seconds` None: as long as it takes."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        raw = isinstance(body, bytes) or hasattr(body, "__aiter__")
        sent = {"data": body} if raw else {"json": body} if body is not None else {}
        if raw:
            headers = {"Content-Type": "application/x-tar"} | dict(headers or {})
        try:
            answer = await self._open().request(
                method, self._url(path, query), timeout=timeout, headers=headers, **sent
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        async with answer:
            if answer.status >= 400:
                raise DockerError(answer.status, _message(await self._read(answer)))
            yield answer

    async def pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body of an answer as it comes.  Unreachable when the daemon goes away meanwhile."""
        try:
            async for piece in answer.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    def _url(self, path: str, query: Mapping[str, Any]) -> URL:
        said = {key: _text(value) for key, value in query.items() if value is not None}
        end = f"?{urlencode(said)}" if said else ""
        return URL(f"http://{self._host}:{self._port}{quote(path, safe='/:@')}{end}", encoded=True)

    def _unreachable(self, error: BaseException) -> Unreachable:
        if isinstance(error, TimeoutError):
            return Unreachable(f"Docker at {self.address} did not answer in time")
        why = str(error) or type(error).__name__
        return Unreachable(f"Docker at {self.address} does not answer: {why}")

    async def take_over(
        self, path: str, body: Any = None, **query: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """POST, and then the connection itself: what Docker's attach and exec speak on."""
        raw = json.dumps(body).encode() if body is not None else b""
        end = f"?{urlencode({k: _text(v) for k, v in query.items()})}" if query else ""
        head = (
            f"POST {quote(path, safe='/:@')}{end} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await self._connect()
                try:
                    writer.write(head.encode() + raw)
                    await writer.drain()
                    await _expect_taken_over(reader)
                except BaseException:
                    writer.close()
                    raise
                return reader, writer
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise self._unreachable(error) from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._path:
            return await asyncio.open_unix_connection(self._path, limit=_HEAD_BYTES_MAX)
        return await asyncio.open_connection(self._host, self._port, limit=_HEAD_BYTES_MAX)


async def _expect_taken_over(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    if status in {101, 200}:
        return
    length = next(
        (
            int(line.split(":")[1])
            for line in head.lower().split("\r\n")
            if line.startswith("content-length:")
        ),
        0,
    )
    raise DockerError(status, _message(await reader.readexactly(min(length, _HEAD_BYTES_MAX))))


def _message(raw: bytes) -> str:
    """What an error answer says."""
    try:
        said = json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace").strip()[:500] or "an error without words"
    return str(said.get("message") or said.get("cause") or said) if isinstance(said, dict) else str(said)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
