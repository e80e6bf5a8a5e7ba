"""What a client's connection does, on wires without sockets."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.unit.net.wires import Answers, Echo, Wire, WiredFront, settle

from cumulo.net.messages import Answer, BodyCutShort, Forward, forwarded
from cumulo.net.pool import Backend, Mark

GET = b"GET /ab HTTP/1.1\r\nHost: x\r\n\r\n"


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


class Script:
    """A backend that says nothing by itself."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def __call__(self, wire: Wire) -> None:
        self.wires.append(wire)

    def say(self, data: bytes) -> None:
        self.wires[-1].protocol.data_received(data)


def test_pipelined_requests_are_answered_in_order_over_one_backend_connection() -> None:
    async def scene() -> None:
        front = WiredFront()
        client = front.come()
        client.protocol.data_received(b"".join(GET.replace(b"/ab", b"/%02d" % i) for i in range(20)))
        await settle(200)
        got = Answers().feed(bytes(client.sent)).complete
        assert [body.split()[1] for _, body in got] == [b"/%02d" % i for i in range(20)]
        assert len(front.wires) == 1
        assert front.pool.in_flight == 0

    play(scene())


def test_hop_by_hop_headers_go_no_further_in_either_direction() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nX-Mine: 1\r\n"
            b"TE: trailers\r\nProxy-Connection: a\r\nX-Other: 2\r\n\r\n"
        )
        await settle()
        assert bytes(script.wires[0].sent) == b"GET / HTTP/1.1\r\nHost: x\r\nX-Other: 2\r\n\r\n"
        script.say(b"HTTP/1.1 200 OK\r\nConnection: x-b\r\nX-B: 1\r\nX-C: 2\r\nContent-Length: 0\r\n\r\n")
        assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nX-C: 2\r\nContent-Length: 0\r\n\r\n"

    play(scene())


def test_a_message_is_one_write_when_nothing_has_to_change() -> None:
    async def scene() -> None:
        front = WiredFront()
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        assert client.writes == 1
        assert front.wires[0].writes == 1

    play(scene())


def test_the_caller_adds_and_removes_headers_and_says_what_the_client_gets() -> None:
    async def scene() -> None:
        script = Script()

        def route(head: Any, body: Any) -> Forward:
            add, remove = forwarded(head)
            return Forward(
                pool=front.pool, add=add, remove=remove, target="/other?a=1",
                on_backend=lambda backend: [(b"Set-Cookie", backend.address.encode())],
                answer_remove=frozenset({b"server"}),
            )  # fmt: skip

        front = WiredFront(route, wired=script)
        client = front.come()
        client.protocol.data_received(
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nA: b\r\n\r\n"
        )
        await settle()
        assert bytes(script.wires[0].sent) == (
            b"GET /other?a=1 HTTP/1.1\r\nHost: x\r\nA: b\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.7\r\n"
            b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n\r\n"
        )
        script.say(b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nhi")
        assert bytes(client.sent) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: 10.0.0.1\r\n\r\nhi"
        )

    play(scene())


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_of_the_caller_cannot_break_out_of_its_line(value: bytes) -> None:
    async def scene() -> None:
        front = WiredFront(lambda head, body: Answer(200, [(b"A", value)], b"x"))
        client = front.come()
        client.protocol.data_received(GET)
        assert client.sent.startswith(b"HTTP/1.1 500 ")
        assert value not in client.sent
        front = WiredFront(lambda head, body: Forward(pool=front.pool, add=[(b"A", value)]))
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        assert client.sent.startswith(b"HTTP/1.1 500 ")
        assert not front.wires[0].sent
        assert front.pool.in_flight == 0

    play(scene())


def test_a_stale_connection_is_replaced_and_the_request_sent_again_with_its_body() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.protocol.data_received(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        first = script.wires[0]
        assert first.sent.endswith(b"body")
        first.lose()
        await settle()
        assert len(script.wires) == 2
        assert script.wires[1].sent.endswith(b"Content-Length: 4\r\n\r\nbody")
        script.wires[1].lose()  # a fresh one that is lost is a failure
        await settle()
        assert Answers().feed(bytes(client.sent)).complete[1][0] == 502
        assert front.pool.in_flight == 0

    play(scene())


def test_what_must_not_run_twice_is_not_sent_again() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        script.wires[0].lose()
        await settle()
        assert len(script.wires) == 1
        assert Answers().feed(bytes(client.sent)).complete[1][0] == 502

    play(scene())


def test_what_must_not_run_twice_gets_no_connection_that_waited_for_long() -> None:
    async def scene() -> None:
        front = WiredFront()
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        front.pass_time(5)
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb")
        await settle()
        assert len(front.wires) == 2
        assert front.wires[0].closed

    play(scene())


def test_a_backend_that_refuses_is_502_and_one_that_is_slow_to_connect_504() -> None:
    async def scene() -> None:
        for fault, status in ((ConnectionRefusedError(), 502), (TimeoutError(), 504)):
            front = WiredFront()
            front.failures = [fault]
            client = front.come()
            client.protocol.data_received(GET)
            await settle()
            assert Answers().feed(bytes(client.sent)).complete[0][0] == status
            assert front.pool.in_flight == 0
            assert front.ended[0][2:] == (status, None)

    play(scene())


def test_another_backend_is_tried_when_the_caller_says_so() -> None:
    async def scene() -> None:
        front = WiredFront(lambda head, body: Forward(pool=front.pool, tries=2))
        front.pool.add(Backend("10.0.0.2", 80))
        front.failures = [ConnectionRefusedError()]
        client = front.come()
        client.protocol.data_received(GET.replace(b"GET", b"POST"))
        await settle()
        assert Answers().feed(bytes(client.sent)).complete[0][0] == 200
        assert sum(backend.failures for backend in front.pool.backends) == 1

    play(scene())


def test_an_empty_pool_is_503() -> None:
    async def scene() -> None:
        front = WiredFront()
        front.pool.remove(front.pool.backends[0])
        client = front.come()
        client.protocol.data_received(GET)
        assert client.sent.startswith(b"HTTP/1.1 503 ")
        assert not client.closed

    play(scene())


def test_the_caller_writes_the_error_pages() -> None:
    async def scene() -> None:
        front = WiredFront()
        front.page = lambda status: ([(b"Content-Type", b"text/html")], b"<h1>%d</h1>" % status)
        client = front.come()
        client.protocol.data_received(b"nonsense\r\n\r\n")
        got = Answers().feed(bytes(client.sent))
        assert got.complete == [(400, b"<h1>400</h1>")]
        assert got.headers[0]["content-type"] == "text/html"
        assert front.ended[0] == (None, None, 400, None)

        def broken(status: int) -> Any:
            raise LookupError

        front.page = broken
        client = front.come()
        client.protocol.data_received(b"nonsense\r\n\r\n")
        assert Answers().feed(bytes(client.sent)).complete == [(400, b"")]

    play(scene())


def test_a_silent_backend_is_504_and_its_connection_is_not_used_again() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(lambda head, body: Forward(pool=front.pool, idle_seconds=10), wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        front.pass_time(9)
        assert not client.sent
        front.pass_time(2)
        assert client.sent.startswith(b"HTTP/1.1 504 ")
        assert script.wires[0].closed
        assert front.pool.in_flight == 0

    play(scene())


def test_a_backend_that_falls_silent_in_its_body_breaks_the_answer() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(lambda head, body: Forward(pool=front.pool, idle_seconds=10), wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        front.pass_time(11)
        assert client.aborted
        await settle()
        assert not front.connections

    play(scene())


@pytest.mark.parametrize(
    ("sent", "limits", "seconds", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", {"head_seconds_max": 5}, 6, 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1", {"body_stall_seconds_max": 5}, 6, 408),
    ],
)
def test_a_client_that_dawdles_is_told_408(sent: bytes, limits: Any, seconds: float, status: int) -> None:
    async def scene() -> None:
        front = WiredFront(**limits)
        client = front.come()
        client.protocol.data_received(sent)
        await settle()
        front.pass_time(seconds)
        assert client.sent.startswith(b"HTTP/1.1 %d " % status)
        assert client.eof or client.closed
        assert all(wire.closed for wire in front.wires)
        assert front.pool.in_flight == 0

    play(scene())


def test_time_between_requests_does_not_count_for_a_body() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script, body_stall_seconds_max=5, idle_seconds_max=100)
        client = front.come()
        front.pass_time(50)
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        front.pass_time(4)
        client.protocol.data_received(b"123456789")
        await settle()
        assert script.wires[0].sent.endswith(b"123456789")
        assert not client.sent

    play(scene())


def test_a_head_that_trickles_in_has_one_time_limit_for_all_of_it() -> None:
    async def scene() -> None:
        front = WiredFront(head_seconds_max=5)
        client = front.come()
        for byte in b"GET / HT":
            client.protocol.data_received(bytes([byte]))
            front.pass_time(1)
        assert client.sent.startswith(b"HTTP/1.1 408 ")

    play(scene())


def test_both_directions_hold_the_source_when_the_other_is_slow() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        await settle()
        backend = script.wires[0]
        backend.protocol.pause_writing()
        assert client.paused
        backend.protocol.resume_writing()
        assert not client.paused
        client.protocol.data_received(b"x" * 99)
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        client.protocol.pause_writing()
        assert backend.paused
        client.protocol.resume_writing()
        assert not backend.paused

    play(scene())


def test_nothing_is_read_of_a_large_body_until_there_is_somewhere_to_send_it() -> None:
    async def scene() -> None:
        decided: asyncio.Future[Forward] = asyncio.get_running_loop().create_future()
        front = WiredFront(lambda head, body: decided)
        client = front.come()
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        client.protocol.data_received(b"x" * 70_000)
        assert client.paused
        decided.set_result(Forward(pool=front.pool))
        await settle()
        assert not client.paused
        client.protocol.data_received(b"x" * 130_000)
        await settle()
        assert Answers().feed(bytes(client.sent)).complete[0][0] == 200

    play(scene())


def test_a_client_that_sends_far_ahead_is_held() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script, ahead_bytes_max=1000)
        client = front.come()
        client.protocol.data_received(GET)
        client.protocol.data_received(GET * 60)
        assert client.paused
        for _ in range(61):
            await settle(3)
            script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert not client.paused
        assert len(Answers().feed(bytes(client.sent)).complete) == 61

    play(scene())


def test_expect_continue_goes_to_the_backend_and_its_word_comes_back() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(
            b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        await settle()
        assert b"Expect: 100-continue\r\n" in script.wires[0].sent
        script.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert bytes(client.sent) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.protocol.data_received(b"ok")
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.sent.endswith(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert not client.closed

    play(scene())


def test_an_answer_before_the_end_of_the_body_closes_both_connections() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx")
        await settle()
        script.say(b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\n\r\n")
        assert (
            bytes(client.sent) == b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        assert script.wires[0].closed
        assert client.eof
        assert not client.closed  # reads on, so that the answer is not torn away
        client.protocol.data_received(b"x" * 98)
        front.pass_time(6)
        assert client.closed

    play(scene())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_keep_the_connection(status: int) -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)
        assert bytes(client.sent) == b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status
        assert not client.closed
        assert not script.wires[0].closed

    play(scene())


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET.replace(b"GET", b"HEAD") * 2)
        for turn in (1, 2):
            await settle()
            script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" * turn

    play(scene())


def test_a_body_until_the_end_becomes_chunked_and_keeps_the_clients_connection() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nhel")
        script.say(b"lo")
        assert Answers().feed(bytes(client.sent)).complete == []
        script.wires[0].protocol.eof_received()
        assert Answers().feed(bytes(client.sent)).complete == [(200, b"hello")]
        assert not client.closed

    play(scene())


def test_an_http10_client_gets_chunks_as_plain_bytes_and_a_closed_connection() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(b"GET / HTTP/1.0\r\n\r\n")
        await settle()
        assert bytes(script.wires[0].sent) == b"GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n"
        script.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        script.say(b"3\r\nllo\r\n0\r\n\r\n")
        assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
        assert client.closed

    play(scene())


def test_an_http10_client_may_keep_its_connection() -> None:
    async def scene() -> None:
        front = WiredFront(lambda head, body: Answer(200, (), b"x"))
        client = front.come()
        client.protocol.data_received(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\n" in client.sent
        assert not client.closed

    play(scene())


def test_a_route_reads_the_whole_body_when_it_asks_for_it() -> None:
    async def scene() -> None:
        read: list[bytes] = []

        async def route(head: Any, body: Any) -> Answer:
            read.append(await body(100))
            return Answer(200, (), b"x")

        front = WiredFront(route)
        client = front.come()
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        await settle()
        client.protocol.data_received(b"llo")
        await settle()
        client.protocol.data_received(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        )
        await settle()
        client.protocol.data_received(b"1\r\nc\r\n0\r\n\r\n")
        await settle()
        assert read == [b"hello", b"abc"]
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n")
        await settle()
        assert [status for status, _ in Answers().feed(bytes(client.sent)).complete] == [200, 200, 413]
        assert front.held_bytes == 0

    play(scene())


def test_a_route_that_waits_for_a_body_learns_that_the_client_went_away() -> None:
    async def scene() -> None:
        seen: list[BaseException] = []

        async def route(head: Any, body: Any) -> Answer:
            try:
                await body(100)
            except (BodyCutShort, asyncio.CancelledError) as fault:
                seen.append(fault)
                raise
            return Answer(200)

        front = WiredFront(route)
        client = front.come()
        client.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        await settle()
        client.lose()
        await settle()
        assert len(seen) == 1
        assert front.ended[0][2:] == (0, None)

    play(scene())


def test_a_route_that_fails_is_500_and_the_next_request_is_served() -> None:
    async def scene() -> None:
        async def later() -> Answer:
            raise LookupError

        def route(head: Any, body: Any) -> Any:
            if head.path == "/now":
                raise LookupError
            return later() if head.path == "/later" else Answer(200)

        front = WiredFront(route)
        client = front.come()
        for path in (b"/now", b"/later", b"/fine"):
            client.protocol.data_received(GET.replace(b"/ab", path))
            await settle()
        assert [status for status, _ in Answers().feed(bytes(client.sent)).complete] == [500, 500, 200]

    play(scene())


def test_websockets_are_tunnels_with_back_pressure_and_half_close() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
        )
        await settle()
        backend = script.wires[0]
        assert backend.sent.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        script.say(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        )
        assert client.sent.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        assert backend.sent.endswith(b"early")
        client.protocol.data_received(b"\0\1GET / HTTP/1.1\r\n\r\n")
        assert backend.sent.endswith(b"\0\1GET / HTTP/1.1\r\n\r\n")
        backend.protocol.pause_writing()
        assert client.paused
        backend.protocol.resume_writing()
        assert not client.paused
        assert client.protocol.eof_received()
        assert backend.eof
        script.say(b"bye")
        assert client.sent.endswith(b"bye")
        assert front.pool.in_flight == 1
        backend.protocol.eof_received()
        await settle()
        assert client.closed
        assert backend.closed
        assert front.pool.in_flight == 0
        assert front.ended[0][2] == 101

    play(scene())


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 1\n\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"SSH-2.0-OpenSSH",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
])  # fmt: skip
def test_an_answer_that_cannot_be_passed_on_is_502(answer: bytes) -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(answer)
        assert client.sent.startswith(b"HTTP/1.1 502 ")
        assert script.wires[0].closed

    play(scene())


def test_what_follows_an_answer_is_never_taken_for_the_next() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"
        )
        assert client.sent.endswith(b"\r\n\r\na")
        assert script.wires[0].closed
        client.protocol.data_received(GET)
        await settle()
        assert len(script.wires) == 2

    play(scene())


def test_a_backend_that_speaks_unasked_is_dropped() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        script.say(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
        assert script.wires[0].closed
        client.protocol.data_received(GET)
        await settle()
        assert len(script.wires) == 2

    play(scene())


def test_a_client_that_goes_away_ends_its_request_at_the_backend() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        client.lose()
        assert script.wires[0].closed
        assert front.pool.in_flight == 0
        assert front.ended[0][2:] == (0, None)
        assert not front.connections

    play(scene())


def test_a_client_that_closed_its_side_still_gets_its_answer() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        assert client.protocol.eof_received()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        assert client.closed

    play(scene())


def test_all_that_was_sent_before_the_side_was_closed_is_answered() -> None:
    async def scene() -> None:
        front = WiredFront()
        client = front.come()
        client.protocol.data_received(GET * 3)
        assert client.protocol.eof_received()
        await settle(60)
        assert len(Answers().feed(bytes(client.sent)).complete) == 3
        assert client.closed

    play(scene())


def test_heads_in_pieces_share_a_budget() -> None:
    async def scene() -> None:
        front = WiredFront(held_bytes_max=1000)
        first, second = front.come(), front.come()
        part = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 600
        first.protocol.data_received(part)
        second.protocol.data_received(part)
        assert second.sent.startswith(b"HTTP/1.1 503 ")
        first.protocol.data_received(b"\r\n\r\n")
        await settle()
        assert first.sent.startswith(b"HTTP/1.1 200 ")
        assert front.held_bytes == 0

    play(scene())


def test_a_client_that_closed_its_side_is_given_up_after_some_seconds_of_silence() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        client.protocol.eof_received()
        front.pass_time(6)
        assert client.closed
        await settle()
        assert script.wires[0].closed

    play(scene())


def test_a_half_body_is_never_completed_for_the_backend() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        for rest in (None, b"zz\r\n"):
            client = front.come()
            client.protocol.data_received(
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            )
            await settle()
            if rest is None:
                client.protocol.eof_received()
            else:
                client.protocol.data_received(rest)
                assert client.sent.startswith(b"HTTP/1.1 400 ")
            await settle()
            assert script.wires[-1].closed
            assert script.wires[-1].sent.endswith(b"5\r\nhello\r\n")
            assert front.pool.in_flight == 0

    play(scene())


def test_too_many_connections_are_told_so() -> None:
    async def scene() -> None:
        front = WiredFront(connections_max=2)
        fine = [front.come(), front.come()]
        third = front.come()
        assert third.sent.startswith(b"HTTP/1.1 503 ")
        fine[0].protocol.data_received(GET)
        await settle()
        assert fine[0].sent.startswith(b"HTTP/1.1 200 ")
        fine[1].lose()
        third.lose()
        assert not front.come().sent

    play(scene())


def test_closing_lets_what_runs_finish_and_takes_nothing_new() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        busy, idle = front.come(), front.come()
        busy.protocol.data_received(GET)
        await settle()
        closing = asyncio.create_task(front.close(5))
        await settle()
        assert idle.closed
        assert not busy.closed
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert b"Connection: close\r\n" in busy.sent
        await closing
        assert not front.connections
        assert not front.upstreams
        assert not front.pool.backends[0].idle

    play(scene())


def test_a_backend_that_drains_keeps_no_connections_and_tells_when_it_is_done() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        backend = front.pool.backends[0]
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        front.pool.mark(backend, Mark.DRAINING)
        drained = asyncio.create_task(front.pool.drained(backend))
        await settle()
        assert not drained.done()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await asyncio.wait_for(drained, 1)
        assert script.wires[0].closed

    play(scene())


def test_what_a_backend_is_busy_with_can_be_cut() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client, other = front.come(), front.come()
        client.protocol.data_received(GET)
        await settle()
        assert front.cut(front.pool.backends[0]) == 1
        await settle()
        assert client.closed
        assert script.wires[0].closed
        assert not other.closed

    play(scene())


def test_connections_that_wait_are_shared_between_fronts_and_survive_the_one_that_made_them() -> None:
    async def scene() -> None:
        first, second = WiredFront(), WiredFront(lambda head, body: Forward(pool=first.pool))
        for front in (first, second):
            client = front.come()
            client.protocol.data_received(GET)
            await settle()
            assert client.sent.startswith(b"HTTP/1.1 200 ")
        assert len(first.wires) == 1
        assert not second.wires
        await first.close()
        assert not first.wires[0].closed
        await second.close()
        assert first.wires[0].closed

    play(scene())


def test_connections_that_wait_for_too_long_are_closed() -> None:
    async def scene() -> None:
        front = WiredFront(backend_idle_seconds=30, idle_seconds_max=1000)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        front.pass_time(31)
        assert front.wires[0].closed
        assert not front.pool.backends[0].idle
        front.pass_time(1000)
        assert client.closed

    play(scene())


def test_large_bodies_are_not_kept_for_a_second_try() -> None:
    async def scene() -> None:
        script = Script()
        front = WiredFront(wired=script)
        client = front.come()
        client.protocol.data_received(GET)
        await settle()
        script.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.protocol.data_received(
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000
        )
        client.protocol.data_received(b"x" * 50_000)
        script.wires[0].lose()
        await settle()
        assert len(script.wires) == 1
        assert Answers().feed(bytes(client.sent)).complete[1][0] == 502

    play(scene())


def test_echo_is_what_the_tests_think_it_is() -> None:
    async def scene() -> None:
        echoes: list[Echo] = []
        front = WiredFront(wired=lambda wire: echoes.append(Echo(wire)))
        client = front.come()
        client.protocol.data_received(b"POST /abc HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz")
        await settle()
        assert echoes[0].requests == [("POST", "/abc", {"host": "x", "content-length": "3"}, b"xyz")]

    play(scene())
