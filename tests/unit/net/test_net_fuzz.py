"""Whatever is sent, in whatever pieces: the same result, no crash, nothing left behind."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.net.wires import Answers, Echo, Wire, WiredFront, cuts, settle

from cumulo.net.messages import Forward

POINTS = st.lists(st.integers(0, 100_000), max_size=12)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE"]))
    path = "/" + draw(st.text("ab", max_size=5))
    extra = draw(
        st.sampled_from([b"", b"X-A: b\r\n", b"Connection: keep-alive\r\nTE: trailers\r\n", b"X:\r\n"])
    )
    body = draw(st.binary(max_size=200))
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + extra
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "none" or method in {"GET", "HEAD"}:
        return head + b"\r\n"
    if kind == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [piece for piece in cuts(body, draw(POINTS)) if piece]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


async def exchange(
    pieces: Sequence[bytes], points: Sequence[int], *, turns: int
) -> tuple[bytes, list[Any], WiredFront]:
    """What the client got, and what the backends did."""
    echoes: list[Echo] = []
    front = WiredFront(wired=lambda wire: echoes.append(Echo(wire, lambda data: cuts(data, points))))
    client = front.come()
    for piece in pieces:
        if client.closed:
            break
        client.protocol.data_received(piece)
        await settle(turns)
    await settle(300)
    return bytes(client.sent), [request for echo in echoes for request in echo.requests], front


@FEW
@given(st.lists(requests(), min_size=1, max_size=6), POINTS, POINTS, st.integers(0, 4))
def test_any_split_of_the_bytes_gives_the_same_answers(
    sent: list[bytes], points: list[int], answer_points: list[int], turns: int
) -> None:
    stream = b"".join(sent)
    whole, seen_whole, _ = asyncio.run(exchange([stream], [], turns=0))
    split, seen_split, front = asyncio.run(exchange(cuts(stream, points), answer_points, turns=turns))
    methods = [one.split(b" ", 1)[0] for one in sent]
    assert split == whole
    assert seen_split == seen_whole
    assert len(seen_whole) == len(sent)
    assert [method for method, *_ in seen_whole] == [method.decode() for method in methods]
    assert front.pool.in_flight == 0


HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from([
            b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"\n", b"\r", b" ", b"\0",
            b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"content-length: +5\r\n", b"Content-Length: 5,5\r\n",
            b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding : chunked\r\n",
            b"Transfer-Encoding: chunked, identity\r\n", b" folded\r\n", b"Host: y\r\n", b"Upgrade: websocket\r\n",
            b"Connection: Upgrade\r\n", b"Connection: close\r\n", b"Connection: content-length, host\r\n",
            b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"-5\r\n", b"0x5\r\n", b"5;a\r\n",
            b"ffffffffffffffffff\r\n", b"hello", b"HTTP/1.0\r\n", b"GET / HTTP/1.0\r\n", b"GET / HTTP/3.0\r\n", b"GET /\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n", b"GET http://a/b HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01", b"A: \x80\xff\r\n", b"A\x80: b\r\n", b": b\r\n", b"A" * 300, b"\r\n\r\n",
        ]),
        max_size=14,
    ).map(b"".join),
)  # fmt: skip


@FEW
@given(HOSTILE, POINTS, st.sampled_from(["lose", "eof", "wait"]))
@example(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", [], "eof")
def test_hostile_bytes_crash_nothing_and_leave_nothing_behind(
    sent: bytes, points: list[int], end: str
) -> None:
    async def scene() -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        logged = Logged()
        logging.getLogger("cumulo.net").addHandler(logged)
        front = WiredFront(lambda head, body: Forward(pool=front.pool))
        client = front.come()
        for piece in cuts(sent, points):
            if not client.closed:
                client.protocol.data_received(piece)
                await settle(2)
        await settle()
        if not client.closed and end == "lose":
            client.lose()
        elif not client.closed and end == "eof" and not client.protocol.eof_received():
            client.close()
        for _ in range(5):
            await settle()
            front.pass_time(100)
        await settle()
        logging.getLogger("cumulo.net").removeHandler(logged)
        assert not faults
        assert not logged.records
        assert not front.connections
        assert not front.upstreams
        assert front.pool.in_flight == 0
        assert front.held_bytes == 0
        assert all(wire.closed for wire in front.wires)

    asyncio.run(scene())


class Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@FEW
@given(HOSTILE, POINTS)
def test_nothing_reaches_a_backend_that_another_reader_reads_differently(
    sent: bytes, points: list[int]
) -> None:
    """The backend's parser, which is lenient nowhere, never chokes on what the front sends."""

    async def scene() -> None:
        echoes: list[Echo] = []
        front = WiredFront(wired=lambda wire: echoes.append(Echo(wire)))
        client = front.come()
        for piece in cuts(sent, points):
            if not client.closed:
                client.protocol.data_received(piece)
                await settle(2)
        await settle()
        assert not any(echo.choked for echo in echoes)

    asyncio.run(scene())


ANSWERS = st.sampled_from([
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
])  # fmt: skip


@FEW
@given(ANSWERS, st.integers(0, 200), POINTS, st.booleans())
def test_a_backend_that_dies_never_looks_like_success(
    answer: bytes, survived: int, points: list[int], reset: bool
) -> None:
    async def scene() -> None:
        backends: list[Wire] = []
        front = WiredFront(wired=backends.append)
        client = front.come()
        client.protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await settle()
        here = answer[: survived % len(answer)]
        for piece in cuts(here, points):
            backends[0].protocol.data_received(piece)
        if reset:
            backends[0].lose()
        else:
            backends[0].protocol.eof_received()
            backends[0].close()
        await settle()
        head_end = answer.rindex(b"\r\n\r\n", 0, answer.index(b"200 OK") + 60) + 4
        complete = [one for one in Answers().feed(bytes(client.sent)).complete if one[0] >= 200]
        if len(here) < head_end:
            assert [status for status, _ in complete] == [502]
        else:
            assert complete == []
            assert client.aborted
        assert front.pool.in_flight == 0

    asyncio.run(scene())
