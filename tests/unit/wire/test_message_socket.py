"""WebSockets that a handler opens with an answer, spoken to by a real client and by hand."""

import asyncio
import socket
import struct

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cumulo.base.clock import SystemClock
from cumulo.wire.handshake import acceptance, refusal
from cumulo.wire.http import Response, Switching
from cumulo.wire.message_socket import MessageSocket
from cumulo.wire.server import Server
from cumulo.wire.websocket import wants_websocket
from cumulo.wire.websocket_frames import Kind

HELLO = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Echo(MessageSocket):
    broken_seconds = 0.05

    def __init__(self, **limits):
        super().__init__(
            **({"frame_bytes_max": 32768, "message_bytes_max": 131072, "send_bytes_max": 262144} | limits)
        )
        self.was_opened = asyncio.Event()
        self.over = asyncio.get_running_loop().create_future()
        self.heard = []

    def opened(self):
        self.was_opened.set()

    def arrived(self, kind, data):
        self.heard.append((kind, data))
        self.send(kind, data)

    def ended(self, code, reason):
        self.over.set_result((code, reason))


class Door:
    """A handler that thinks for a while before it lets a client in."""

    def __init__(self):
        self.sockets = []
        self.go = asyncio.Event()
        self.go.set()
        self.asked = asyncio.Event()
        self.answer = None
        self.limits = {}

    async def __call__(self, request, /):
        if not wants_websocket(request):
            return Response(200, [], b"plain")
        self.asked.set()
        await self.go.wait()
        refused = self.answer or refusal(request)
        if refused is not None:
            return refused
        self.sockets.append(Echo(**self.limits))
        return Switching(self.sockets[-1], acceptance(request, request.headers.get("sec-websocket-protocol")))


def run(client, runner=asyncio.run):
    async def main():
        door = Door()
        server = Server(door, clock=SystemClock())
        port = await server.listen("127.0.0.1", 0)
        try:
            return await asyncio.wait_for(client(door, port), 20)
        finally:
            await server.stop(0.1)
            for one in door.sockets:
                one.abort()

    return runner(main())


def masked(opcode, data=b"", *, fin=True, mask=b"\1\2\3\4"):
    size = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


async def spoken(port, *pieces):
    """What a server says to these bytes, sent one after the other, after its answer to the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_text_and_bytes_come_back_whole_also_in_fragments(runner):
    async def client(door, port):
        async with connect(f"ws://127.0.0.1:{port}/x", max_size=None) as ws:
            await ws.send("grüße")
            await ws.send([b"a" * 30000, b"b" * 30000, b"c"])
            assert await ws.recv() == "grüße"
            assert await ws.recv() == b"a" * 30000 + b"b" * 30000 + b"c"
            await (await ws.ping())
            assert ws.response.headers["Connection"] == "Upgrade"
            assert "Content-Length" not in ws.response.headers
        assert ws.close_code == 1000
        assert await door.sockets[0].over == (1000, "")

    run(client, runner)


def test_the_client_waits_until_the_handler_has_decided_and_what_it_sent_ahead_is_not_lost():
    async def client(door, port):
        door.go.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO + masked(1, b"one") + masked(1, b"tw")[:5])
        await door.asked.wait()
        writer.write(masked(1, b"tw")[5:] + masked(8))
        await writer.drain()
        assert not door.sockets
        door.go.set()
        answer = await reader.read()
        writer.close()
        head, _, frames = answer.partition(b"\r\n\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert frames == b"\x81\x03one\x81\x02tw\x88\x00"
        assert await door.sockets[0].over == (1005, "")

    run(client)


def test_a_handler_may_refuse_with_any_answer_and_the_connection_goes_on():
    async def client(door, port):
        door.answer = Response(401, [("X-Why", "because")], b"no")
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()
        assert caught.value.response.status_code == 401
        assert caught.value.response.body == b"no"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO + b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"no")).startswith(b"HTTP/1.1 401 ")
        assert (await reader.readuntil(b"plain")).startswith(b"HTTP/1.1 200 ")
        writer.close()

    run(client)


@pytest.mark.parametrize("rudely", [True, False])
def test_a_client_that_goes_before_the_answer_never_had_a_connection(rudely):
    async def client(door, port):
        door.go.clear()
        sock = socket.create_connection(("127.0.0.1", port))
        if rudely:  # a reset, not a farewell
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(HELLO)
        await door.asked.wait()
        sock.close()
        await asyncio.sleep(0.05)
        door.go.set()
        await asyncio.sleep(0.05)
        if rudely:
            assert not door.sockets  # the handler was cancelled
        else:
            assert await door.sockets[0].over == (1006, "")

    run(client)


def test_an_answer_that_cannot_be_written_ends_the_protocol_and_is_a_500():
    async def client(door, port):
        made = []

        async def evil(request, /):
            made.append(Echo())
            return Switching(made[0], [("X", "a\r\nY: b")])

        server = Server(evil, clock=SystemClock())
        other = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", other)
        writer.write(HELLO)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 500 ")
        assert await made[0].over == (1006, "")
        assert not made[0].was_opened.is_set()
        writer.close()
        await server.stop(0.1)

    run(client)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426),
        (("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
    ],
)
def test_a_handshake_that_is_none_is_refused(header, status):
    async def client(door, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO.replace(header[0].encode(), header[1].encode()))
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 %d " % status)
        writer.close()

    run(client)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([b"\x81\x03abc"], 1002),  # no mask
        ([masked(3, b"x")], 1002),  # no such opcode
        ([masked(0, b"x")], 1002),  # nothing to continue
        ([masked(1, b"x", fin=False), masked(1, b"y")], 1002),  # a message inside another
        ([masked(9, b"x", fin=False)], 1002),  # half a ping
        ([masked(9, b"x" * 126)], 1002),  # a ping too long
        ([masked(0x41, b"x")], 1002),  # a reserved bit: nobody agreed on compression
        ([masked(1, b"\xff")], 1007),
        ([masked(1, b"\xc3", fin=False), masked(0, b"x")], 1007),
        ([masked(8, b"\x03\xed")], 1002),  # 1005 is for nobody to send
        ([masked(8, b"\x03")], 1002),
        ([masked(8, b"\x03\xe8\xff")], 1007),
        ([b"\x82\xff" + (1 << 40).to_bytes(8, "big")], 1009),
        ([masked(2, b"x" * 32769)], 1009),
        ([masked(2, b"x" * 32000, fin=False), *[masked(0, b"x" * 32000, fin=False)] * 4], 1009),
    ],
)
def test_whoever_breaks_the_protocol_is_told_how_and_cut_off(sent, code):
    async def client(door, port):
        said = await spoken(port, HELLO, *sent)
        assert said[:1] == b"\x88"
        assert int.from_bytes(said[2:4], "big") == code
        assert (await door.sockets[0].over)[0] == code

    run(client)


def test_control_frames_come_through_between_fragments():
    async def client(door, port):
        said = await spoken(
            port,
            HELLO,
            masked(1, b"a", fin=False),
            masked(9, b"?"),
            masked(0, b""),
            masked(10),
            masked(8, b"\x03\xe8bye"),
        )
        assert said == b"\x8a\x01?" + b"\x81\x01a" + b"\x88\x02\x03\xe8"
        assert await door.sockets[0].over == (1000, "bye")

    run(client)


def test_bytes_one_by_one_are_as_good_as_all_at_once():
    async def client(door, port):
        bytes_ = masked(2, bytes(range(200))) + masked(8)
        said = await spoken(port, HELLO, *(bytes_[at : at + 1] for at in range(len(bytes_))))
        assert said == b"\x82\x7e\x00\xc8" + bytes(range(200)) + b"\x88\x00"

    run(client)


def test_long_messages_leave_in_frames_of_their_largest_size():
    async def client(door, port):
        async with connect(f"ws://127.0.0.1:{port}/", max_size=(None, 32768)) as ws:
            await ws.send([b"x" * 30000] * 4)
            assert await ws.recv() == b"x" * 120000

    run(client)


def test_a_client_that_reads_nothing_is_sent_no_more_than_the_bound():
    async def client(door, port):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(HELLO)
        await door.asked.wait()
        await asyncio.sleep(0)
        echo = door.sockets[0]
        await echo.was_opened.wait()
        sent = 0
        while echo.send(Kind.BINARY, b"x" * 100_000):
            sent += 1
            assert sent < 1000
            await asyncio.sleep(0)
        assert echo._transport.get_write_buffer_size() <= 262144
        echo.check(100.0)
        echo.check(161.0)
        assert await echo.over == (1006, "")
        sock.close()

    run(client)


def test_who_holds_hears_nothing_until_it_lets_go_and_then_all_in_order():
    async def client(door, port):
        async with connect(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send("1")
            await ws.recv()
            echo = door.sockets[0]
            echo.hold(True)
            for text in ("2", "3", "4"):
                await ws.send(text)
            await asyncio.sleep(0.05)
            assert len(echo.heard) == 1
            echo.hold(False)
            assert [await ws.recv() for _ in range(3)] == ["2", "3", "4"]

    run(client)


def test_the_server_says_goodbye_and_waits_for_the_clients_even_while_it_holds():
    async def client(door, port):
        async with connect(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send("1")
            await ws.recv()
            door.sockets[0].hold(True)
            door.sockets[0].close(1001, "Going away")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (1001, "Going away")
        assert await door.sockets[0].over == (1001, "Going away")

    run(client)


def test_a_client_that_does_not_answer_the_goodbye_is_cut_off():
    async def client(door, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")
        echo = door.sockets[0]
        echo.close(1000)
        echo.check(10.0)
        assert not echo.over.done()
        echo.check(15.1)
        assert await echo.over == (1000, "")
        writer.close()

    run(client)
