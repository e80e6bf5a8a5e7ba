"""WebSockets on the front door, spoken to by a real client."""

import asyncio

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from cumulo.base.clock import SystemClock
from cumulo.wire.http import BytesBody, Headers, Request, Response
from cumulo.wire.server import Server
from cumulo.wire.websocket import WebSocket, wants_websocket


async def plain(_request, /):
    return Response(200, [], b"plain")


def served(answer, runner=asyncio.run, **options):
    """Run `client(url)` beside a server whose sockets run `serve`: answer is (serve, client)."""

    async def main(serve, client):
        server = Server(
            plain,
            clock=SystemClock(),
            upgrade=lambda request: (
                WebSocket(request, serve, **options) if wants_websocket(request) else None
            ),
        )
        port = await server.listen("127.0.0.1", 0)
        try:
            return await asyncio.wait_for(client(f"ws://127.0.0.1:{port}/there?x=1"), 20)
        finally:
            await server.stop(0.1)

    return runner(main(*answer))


async def echo(socket):
    while (message := await socket.receive()) is not None:
        await socket.send(message)


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_text_and_bytes_come_back_as_they_were_sent_also_in_fragments(runner):
    async def client(url):
        async with connect(url) as ws:
            await ws.send("grüße")
            await ws.send(b"\x00\xff" * 70_000)
            await ws.send([b"a", b"b", b"c"])
            return [await ws.recv() for _ in range(3)]

    assert served((echo, client), runner) == ["grüße", b"\x00\xff" * 70_000, b"abc"]


def test_the_connection_ends_when_whoever_answers_is_done():
    async def once(socket):
        await socket.send("bye")

    async def client(url):
        async with connect(url) as ws:
            assert await ws.recv() == "bye"
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            return ws.close_code

    assert served((once, client)) == 1000


def test_whoever_answers_hears_that_the_client_has_gone():
    ended = asyncio.Queue()

    async def until_gone(socket):
        await ended.put(await socket.receive())

    async def client(url):
        async with connect(url):
            pass
        return await ended.get()

    assert served((until_gone, client)) is None


def test_a_message_that_is_too_long_ends_the_connection_with_1009():
    async def client(url):
        async with connect(url) as ws:
            await ws.send(b"x" * 2000)
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            return ws.close_code

    assert served((echo, client), message_bytes_max=1000) == 1009


def test_a_client_that_does_not_read_holds_the_sender_back():
    sent = []

    async def flood(socket):
        for number in range(2000):
            await socket.send(b"x" * 50_000)
            sent.append(number)

    async def client(url):
        async with connect(url, max_queue=1, max_size=None, close_timeout=0.1):
            before = -1
            while len(sent) != before:  # until it no longer gets on
                before = len(sent)
                await asyncio.sleep(0.2)
            return len(sent)

    assert served((flood, client)) < 2000


def test_a_handshake_without_a_key_is_refused():
    async def client(url):
        port = int(url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return line

    assert served((echo, client)).startswith(b"HTTP/1.1 4")


def test_what_is_no_websocket_goes_the_ordinary_way():
    async def client(url):
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises((InvalidStatus, InvalidMessage)):
            async with connect(url) as ws:
                await ws.recv()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        whole = await reader.read()
        writer.close()
        return whole

    async def main():
        server = Server(plain, clock=SystemClock(), upgrade=lambda _request: None)
        port = await server.listen("127.0.0.1", 0)
        try:
            return await client(f"ws://127.0.0.1:{port}/")
        finally:
            await server.stop(0.1)

    assert asyncio.run(main()).endswith(b"plain")


class Pipe(asyncio.Transport):
    """A transport that remembers what it was told."""

    def __init__(self):
        super().__init__()
        self.reading = True
        self.sent = bytearray()

    def write(self, data):
        self.sent += data

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def close(self):
        self.reading = False


def frame(opcode, payload):
    """As a client sends it, masked with zeros."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65_536:
        head += bytes([0xFE]) + length.to_bytes(2, "big")
    else:
        head += bytes([0xFF]) + length.to_bytes(8, "big")
    return head + bytes(4) + payload


def shaken(work):
    """Run `work(socket, pipe)` when a client that says nothing more has shaken hands."""

    async def silent(socket):
        await socket._closed.wait()

    async def main():
        raw = [
            (b"host", b"x"), (b"upgrade", b"websocket"), (b"connection", b"Upgrade"),
            (b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        ]  # fmt: skip
        request = Request("GET", "/x", "", Headers(raw), BytesBody(b""))
        socket, pipe = WebSocket(request, silent), Pipe()
        socket.connection_made(pipe)
        try:
            return await work(socket, pipe)
        finally:
            socket.connection_lost(None)
            await socket._task

    return asyncio.run(main())


def test_what_nobody_takes_is_held_up_to_a_bound_of_bytes_and_read_on_afterwards():
    async def work(socket, pipe):
        taken = 0
        while pipe.reading and taken < 64:
            socket.data_received(frame(2, b"x" * 500_000))
            taken += 1
        assert taken <= 3, "a megabyte, and one message more"
        for _ in range(taken):
            assert len(await socket.receive()) == 500_000
        assert pipe.reading

    shaken(work)


def test_a_client_that_sends_pings_and_reads_no_answers_is_not_read_any_more():
    async def work(socket, pipe):
        socket.data_received(frame(9, b"p"))
        assert pipe.reading
        socket.pause_writing()
        assert not pipe.reading
        socket.resume_writing()
        assert pipe.reading

    shaken(work)
