"""The client for HTTP/1.1, against servers that are written out byte by byte."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.net.http_client import ClientLimits, HttpClient
from cumulo.net.http_connection import HttpFailed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: 1\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """A server on this machine; `connections` counts."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.connections = 0
        self.url = ""
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Backend":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return head, body
    at = lower.find(b"content-length: ")
    length = int(lower[at + 16 :].split(b"\r\n")[0]) if at >= 0 else 0
    return head, await reader.readexactly(length)


def always(*pieces: bytes, close: bool = False) -> Serve:
    """Answers every request with these pieces."""

    async def serve(reader, writer):
        while True:
            await request_of(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if close:
                writer.close()
                return

    return serve


def play(serve: Serve, scene, **options):
    """Run a scene with a client and a backend."""

    async def run():
        client = HttpClient(clock=options.pop("clock", SystemClock()), limits=ClientLimits(**options))
        async with Backend(serve) as backend:
            try:
                return await asyncio.wait_for(scene(client, backend), 20)
            finally:
                client.close()

    return asyncio.run(run())


async def get(client, backend, path="/", **options):
    return await client.send("GET", backend.url + path, (), **{"seconds": 5, **options})


def test_a_request_is_answered_and_the_connection_kept():
    async def scene(client, backend):
        answers = [await get(client, backend) for _ in range(3)]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 3
        assert ("X-One", "1") in answers[0].headers
        assert (backend.connections, client.connections) == (1, 1)

    play(always(OK), scene)


def test_what_is_sent_is_what_was_said():
    seen = []

    async def serve(reader, writer):
        seen.append(await request_of(reader))
        writer.write(OK)

    async def scene(client, backend):
        headers = [("x-a", "1"), ("x-a", "2"), ("Content-Length", "99"), ("Transfer-Encoding", "chunked")]
        await client.send("POST", backend.url + "?q=1", headers, b"body", seconds=5)
        host = backend.url.removeprefix("http://").encode()
        assert seen == [
            (
                b"POST /?q=1 HTTP/1.1\r\nhost: %b\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\n" % host,
                b"body",
            )
        ]

    play(serve, scene)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"6\r\n world\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", b"hello", b" world"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-", b"Length: 11\r\n\r\nhello world"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_arrive_however_they_are_framed(pieces, stream):
    async def scene(client, backend):
        for _ in range(2):
            answer = await get(client, backend, stream=stream)
            body = (
                answer.body
                if isinstance(answer.body, bytes)
                else b"".join([piece async for piece in answer.body])
            )
            assert (answer.status, body) == (200, b"hello world")
        assert backend.connections == 1

    play(always(*pieces), scene)


def test_a_body_may_end_with_the_connection():
    async def scene(client, backend):
        answer = await get(client, backend)
        assert answer.body == b"hello world"
        await get(client, backend)
        assert backend.connections == 2

    play(always(b"HTTP/1.1 200 OK\r\n\r\nhello ", b"world", close=True), scene)


def test_answers_without_a_body_have_none():
    async def scene(client, backend):
        answer = await client.send("HEAD", backend.url, (), seconds=5)
        assert (answer.body, dict(answer.headers)["Content-Length"]) == (b"", "2")
        assert (await client.send("HEAD", backend.url, (), seconds=5)).status == 200
        assert backend.connections == 1

    play(always(OK.removesuffix(b"ok")), scene)


async def two_pieces():
    yield b"hello "
    await asyncio.sleep(0)
    yield b"world"


@pytest.mark.parametrize("headers", [(), (("content-length", "11"),)])
def test_bodies_are_sent_piece_by_piece(headers):
    seen = []

    async def serve(reader, writer):
        while True:
            seen.append(await request_of(reader))
            writer.write(OK)

    async def scene(client, backend):
        for _ in range(2):
            answer = await client.send("POST", backend.url, headers, two_pieces(), seconds=5)
            assert answer.body == b"ok"
        assert [body for _, body in seen] == [b"hello world"] * 2
        assert (b"chunked" in seen[0][0]) == (not headers)
        assert backend.connections == 1

    play(serve, scene)


def test_a_request_and_its_answer_may_stream_at_once():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            writer.write(await reader.readexactly(1))

    async def scene(client, backend):
        echoes: asyncio.Queue[bytes] = asyncio.Queue()

        async def body():
            yield b"1"
            for byte in (b"2", b"3", b"4"):
                await echoes.get()
                yield byte

        answer = await client.send(
            "POST", backend.url, (("content-length", "4"),), body(), seconds=5, stream=True
        )
        got = b""
        async for piece in answer.body:
            got += piece
            echoes.put_nowait(piece)
        assert got == b"1234"

    play(serve, scene)


def test_what_a_body_raises_is_raised():
    async def broken():
        yield b"1"
        raise KeyError("gone")

    async def scene(client, backend):
        with pytest.raises(KeyError):
            await client.send("POST", backend.url, (), broken(), seconds=5)
        assert client.connections == 0 or await settled(client)

    play(always(OK), scene)


async def settled(client):
    for _ in range(100):
        if not client.connections:
            return True
        await asyncio.sleep(0.01)
    return False


def test_an_early_answer_to_a_body_is_taken_and_the_connection_is_not_kept():
    async def endless():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.001)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async def scene(client, backend):
        answer = await client.send("POST", backend.url, (), endless(), seconds=5)
        assert answer.status == 413
        assert await settled(client)

    play(serve, scene)


def test_a_kept_connection_that_died_is_replaced():
    async def serve(reader, writer):
        await request_of(reader)
        writer.write(OK)
        await request_of(reader)
        writer.transport.abort()

    async def scene(client, backend):
        await get(client, backend)
        assert (await get(client, backend)).body == b"ok"
        assert backend.connections == 2
        with pytest.raises(HttpFailed):  # it might have been done
            await client.send("POST", backend.url, (), b"x", seconds=5)

    play(serve, scene)


def test_what_cannot_be_sent_again_goes_over_no_connection_that_waited_long():
    clock = VirtualClock()

    async def scene(client, backend):
        await get(client, backend)
        clock.advance(2)
        await client.send("POST", backend.url, (), b"x", seconds=5)
        assert backend.connections == 2

    play(always(OK), scene, clock=clock)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"",
    ],
)
def test_what_is_no_answer_fails(said):
    async def scene(client, backend):
        with pytest.raises(HttpFailed) as caught:
            await get(client, backend)
        assert not caught.value.timed_out
        assert await settled(client)

    play(always(said, close=True), scene)


def test_nobody_waits_for_longer_than_was_said():
    async def serve(reader, writer):
        await reader.read()

    async def scene(client, backend):
        with pytest.raises(HttpFailed) as caught:
            await get(client, backend, seconds=0.05)
        assert caught.value.timed_out
        assert await settled(client)

    play(serve, scene)


def test_nobody_at_the_address_fails():
    async def scene(client, backend):
        with pytest.raises(HttpFailed):
            await client.send("GET", "http://127.0.0.1:1/", (), seconds=5)
        with pytest.raises(HttpFailed):
            await client.send("GET", "https" + backend.url[4:], (), seconds=0.1)
        assert await settled(client)

    play(always(OK), scene)


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http:///x", "example.com", "http://x/ä", "http://x/a b", "http://x:0/"]
)
def test_what_is_no_url_fails(url):
    async def scene(client, backend):
        with pytest.raises(HttpFailed):
            await client.send("GET", url, (), seconds=5)

    play(always(OK), scene)


def test_no_header_starts_a_line_of_its_own():
    async def scene(client, backend):
        with pytest.raises(HttpFailed):
            await client.send("GET", backend.url, (("a", "b\r\nc: d"),), seconds=5)

    play(always(OK), scene)


def test_long_answers_are_bounded_unless_they_stream():
    async def scene(client, backend):
        with pytest.raises(HttpFailed):
            await get(client, backend, bytes_max=1)
        assert (await get(client, backend, bytes_max=2)).body == b"ok"

    play(always(OK), scene)


def test_a_slow_reader_holds_the_backend():
    total = 20_000_000
    written = 0

    async def serve(reader, writer):
        nonlocal written
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while written < total:
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async def scene(client, backend):
        answer = await get(client, backend, stream=True)
        await asyncio.sleep(0.3)
        assert written < total  # what sockets and bounds hold, and no more
        size = 0
        async for piece in answer.body:
            size += len(piece)
        assert size == total

    play(serve, scene)


def test_a_stream_that_is_given_up_leaves_nothing_open():
    async def scene(client, backend):
        answer = await get(client, backend, stream=True)
        await answer.body.aclose()
        assert await settled(client)

    play(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), scene)


def test_a_stream_that_stalls_is_given_up():
    async def scene(client, backend):
        answer = await get(client, backend, stream=True)
        with pytest.raises(HttpFailed):
            async for _ in answer.body:
                pass

    play(
        always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
        scene,
        stall_seconds_max=0.05,
        sweep_seconds=0.02,
    )


def test_connections_that_wait_too_long_are_closed():
    async def scene(client, backend):
        await get(client, backend)
        assert client.connections == 1
        assert await settled(client)

    play(always(OK), scene, idle_seconds=0.05, sweep_seconds=0.02)


def test_there_are_only_so_many_connections():
    gate, asked = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await request_of(reader)
        asked.set()
        await gate.wait()
        writer.write(OK)

    async def scene(client, backend):
        first = asyncio.ensure_future(get(client, backend))
        await asked.wait()
        with pytest.raises(HttpFailed, match="too many"):
            await get(client, backend)
        gate.set()
        assert (await first).body == b"ok"

    play(serve, scene, per_origin_max=1)
