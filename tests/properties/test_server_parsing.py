"""However a request is cut into pieces it is the same request; and no garbage stops the server."""

import asyncio
import contextlib
import itertools

import httptools
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulo.base.clock import VirtualClock
from cumulo.base.limits import MIB
from cumulo.wire.connection import Connection
from cumulo.wire.head import HeadReader, Refused
from cumulo.wire.http import Request, Response
from cumulo.wire.server import Adopted, Limits, Server

TOKEN = st.text("abcXYZ019-_!~", min_size=1, max_size=12)
VALUE = st.text("abc XYZ\t,;=\"'é{}", max_size=30).map(str.strip)
FRAMING = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str) -> object:
        return ("1.2.3.4", 5) if name == "peername" else None

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


@st.composite
def requests(draw):
    """Bytes of a lawful request, with what should be understood."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"]))
    path = "/" + draw(st.text("ab/.%2F~-", max_size=20))
    query = draw(st.text("a=b&%20?", max_size=10))
    headers = [
        (name, value)
        for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=8))
        if name.lower() not in FRAMING
    ]
    body = draw(st.binary(max_size=200))
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1", "Host: a"]
    lines += [f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}" for name, value in headers]
    payload = body
    if draw(st.booleans()):
        lines.append("Transfer-Encoding: chunked")
        payload = b""
        rest = body
        while rest:
            size = draw(st.integers(1, len(rest)))
            payload += b"%x\r\n%b\r\n" % (size, rest[:size])
            rest = rest[size:]
        payload += b"0\r\n" + draw(st.sampled_from([b"", b"X-T: 1\r\n"])) + b"\r\n"
    elif body or draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join([*lines, "", ""]).encode("latin-1") + payload
    return raw, (method, path, query, [(n.lower(), v) for n, v in headers], body)


@st.composite
def cuts(draw, size: int):
    return sorted({0, size, *draw(st.lists(st.integers(0, size), max_size=8))})


async def understood(pieces: list[bytes], *, lane: bool, count: int) -> list:
    """What a server makes of these pieces, until so many requests have been answered or it closes."""
    seen = []

    def note(request: Request, body: bytes) -> Response:
        headers = [(n, v) for n, v in request.headers.items() if n not in FRAMING]
        seen.append((request.method, request.path, request.query, headers, body))
        return Response(200, [], b"ok")

    async def handler(request: Request) -> Response:
        return note(request, await request.body.read(MIB))

    class EveryLane:
        collects = True

        def wants(self, method, path, headers):
            return lane

        def take(self, request, body, reply):
            reply(note(request, body))
            return True

    server = Server(handler, lanes=[EveryLane()], clock=VirtualClock(), limits=Limits(head_bytes_max=100_000))
    connection = Connection(server, Adopted("", 9))
    pipe = Pipe()
    connection.connection_made(pipe)
    for piece in pieces:
        if pipe.closed:
            break
        connection.data_received(piece)
    for _ in range(20 + 5 * count):
        await asyncio.sleep(0)
        if len(seen) >= count:
            break
    connection.connection_lost(None)
    if server._tasks:
        await asyncio.wait(tuple(server._tasks))
    await server.stop(0)
    assert server.budget.used == 0
    return seen


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), lane=st.booleans())
def test_a_request_is_the_same_however_it_is_cut(data, lane):
    wanted = data.draw(st.lists(requests(), min_size=1, max_size=3))
    whole = b"".join(raw for raw, _ in wanted)
    at = data.draw(cuts(len(whole)))
    pieces = [whole[a:b] for a, b in itertools.pairwise(at)]
    seen = asyncio.run(understood(pieces, lane=lane, count=len(wanted)))
    assert seen == [meaning for _, meaning in wanted]


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=100) | requests().map(lambda r: r[0]), max_size=6), lane=st.booleans()
)
def test_garbage_never_kills_the_server(pieces, lane):
    asyncio.run(understood(pieces, lane=lane, count=1))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_read_as_itself_or_refused(data):
    raw, _ = data.draw(requests())
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = (
        raw[:at] + data.draw(st.sampled_from([b"", b"\n", b"\r", b"\0", b" ", b"\r\n", b":"])) + raw[at + 1 :]
    )
    asyncio.run(understood([damaged, b"\r\n\r\n"], lane=True, count=1))


class Witness:
    """llhttp's own account of a head."""

    def __init__(self) -> None:
        self.headers = []
        self.complete = False

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self):
        self.complete = True


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(st.text("Hostcontent-lghrf:: \t\r\n01é", max_size=25), max_size=6))
def test_no_head_is_read_that_the_parser_reads_differently(lines):
    head = "\r\n".join(["GET / HTTP/1.1", "Host: a", *lines]).encode("latin-1") + b"\r\n\r\n"
    head = head[: head.find(b"\r\n\r\n") + 4]
    witness = Witness()
    with contextlib.suppress(httptools.HttpParserError):
        httptools.HttpRequestParser(witness).feed_data(head)
    try:
        read = HeadReader().read(head)
    except Refused:
        return
    assert witness.complete
    assert read.headers.raw == witness.headers
    written = read.headers.written()
    assert {name.encode("latin-1") for name in written} >= {name for name, _ in witness.headers}
    assert all(name == shown.lower() for name, shown in written.items())
