"""The front door over real sockets: what clients that behave may expect."""

import asyncio
import contextlib
import resource
import socket
from pathlib import Path

import pytest
from tests.unit.wire.front_door import RUNNERS, door, mirror, until

from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.wire.http import Request, Response
from cumulo.wire.server import Limits, Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=RUNNERS, ids=["asyncio", "uvloop"])
def run(request):
    return request.param


def post(body: bytes, *headers: bytes) -> bytes:
    extra = b"".join(header + b"\r\n" for header in headers)
    return b"POST /p HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


class LaneOf:
    """A lane for POST /p that answers with `answer`."""

    def __init__(self, answer=None, taken=True):
        self.answer = answer
        self.taken = taken
        self.seen = []

    collects = True

    def wants(self, method, path, headers):
        return method == "POST" and path == "/p"

    def take(self, request, body, reply):
        self.seen.append((body, reply))
        if not self.taken:
            return False
        if self.answer is not None:
            reply(self.answer(body))
        return True


def test_a_connection_is_kept_for_the_next_request(run):
    async def main():
        async with door() as front:
            client = await front.client()
            for number in range(5):
                status, headers, body = await client.ask(post(b"%d" % number))
                assert (status, headers["x-path"], body) == (200, "/p", b"%d" % number)
                assert "date" in headers
                assert "connection" not in headers

    run(main())


def test_requests_sent_ahead_are_answered_in_order(run):
    async def slow_first(request: Request) -> Response:
        if request.path == "/0":
            await asyncio.sleep(0.05)
        return Response(200, [], request.path.encode())

    async def main():
        async with door(slow_first) as front:
            client = await front.client()
            await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(300)))
            for number in range(300):
                assert (await client.answer())[2] == b"/%d" % number

    run(main())


def test_sending_ahead_without_end_is_held_back(run):
    async def main():
        gate = asyncio.Event()

        async def waits(_: Request) -> Response:
            await gate.wait()
            return Response(200, [], b"ok")

        async with door(waits) as front:
            client = await front.client()
            client.writer.write(GET * 400_000)  # 10 MB
            await until(lambda: bool(front.server.connections))
            (connection,) = front.server.connections
            await until(lambda: connection._read_paused)
            assert len(connection._ahead) < 1_000_000
            gate.set()
            for _ in range(1000):
                assert (await client.answer())[2] == b"ok"

    run(main())


def test_a_body_may_come_in_chunks_with_trailers(run):
    async def main():
        async with door() as front:
            client = await front.client()
            await client.send(b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"3\r\nabc\r\n", b"A;x=y\r\n01234", b"56789\r\n0\r\nX-T: 1\r\n", b"\r\n"):
                await client.send(piece)
                await asyncio.sleep(0.01)
            assert (await client.answer())[2] == b"abc0123456789"
            whole = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"
            await client.send(whole + GET)
            assert (await client.answer())[2] == b"z"
            assert (await client.answer())[0] == 200

    run(main())


def test_continue_is_sent_only_when_the_handler_reads(run):
    async def picky(request: Request) -> Response:
        if request.path == "/no":
            return Response(403, [], b"no")
        return Response(200, [], await request.body.read(100))

    async def main():
        async with door(picky) as front:
            client = await front.client()
            ask = b"PUT /%b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            status, _, _ = await client.ask(ask % b"yes")
            assert status == 100
            assert (await client.ask(b"abc"))[2] == b"abc"
            status, headers, _ = await client.ask(ask % b"no")
            assert (status, headers["connection"]) == (403, "close")

    run(main())


def test_a_lane_answers_at_once_or_later_or_not_at_all(run):
    async def main():
        now = LaneOf(lambda body: Response(200, [], b"lane:" + body))
        async with door(lanes=[now]) as front:
            client = await front.client()
            assert (await client.ask(post(b"x")))[2] == b"lane:x"
            big = b"y" * 3_000_000
            assert (await client.ask(post(big)))[2] == b"lane:" + big
            too_big = b"z" * 7_000_000
            assert (await client.ask(post(too_big)))[2] == too_big
            assert (await client.ask(GET))[1]["x-path"] == "/"
            assert len(now.seen) == 2
        later = LaneOf()
        async with door(lanes=[later]) as front:
            client = await front.client()
            await client.send(post(b"x") + GET)
            await until(lambda: bool(later.seen))
            reply = later.seen[0][1]
            reply(Response(201, [], b"late"))
            reply(Response(500, [], b"twice"))
            assert (await client.answer())[2] == b"late"
            assert (await client.answer())[1]["x-path"] == "/"
        not_taken = LaneOf(taken=False)
        async with door(lanes=[not_taken]) as front:
            assert (await front.ask(post(b"x")))[2] == b"x"

    run(main())


def test_a_lane_that_fails_or_answers_nonsense_gives_a_500(run):
    def fails(_):
        raise ValueError("secret")

    async def nothing():
        yield b""

    async def main():
        for lane in (LaneOf(fails), LaneOf(lambda _: Response(200, [], nothing()))):
            async with door(lanes=[lane]) as front:
                client = await front.client()
                status, _, body = await client.ask(post(b"x"))
                assert status == 500
                assert b"secret" not in body
                assert (await client.ask(GET))[0] == 200

    run(main())


def test_a_reply_to_a_client_that_has_gone_is_dropped(run):
    async def main():
        lane = LaneOf()
        async with door(lanes=[lane]) as front:
            client = await front.client()
            await client.send(post(b"x"))
            await until(lambda: bool(lane.seen))
            client.writer.transport.abort()
            await until(lambda: not front.server.connections)
            lane.seen[0][1](Response(200, [], b"to nobody"))
            assert (await front.ask(GET))[0] == 200

    run(main())


def test_streams_are_chunked_or_have_the_length_they_were_given(run):
    async def pieces():
        yield b"one"
        yield b""
        yield b"two" * 50_000

    async def streams(request: Request) -> Response:
        headers = [("Content-Length", "150003")] if request.path == "/known" else []
        return Response(200, headers, pieces())

    async def main():
        whole = b"one" + b"two" * 50_000
        async with door(streams) as front:
            client = await front.client()
            status, headers, body = await client.ask(GET)
            assert (status, headers["transfer-encoding"], body) == (200, "chunked", whole)
            _, headers, body = await client.ask(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (headers["content-length"], body) == ("150003", whole)
            assert "transfer-encoding" not in headers
            _, headers, body = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (headers["connection"], body) == ("close", whole)

    run(main())


def test_a_stream_that_breaks_off_is_never_ended_properly(run):
    async def breaks():
        yield b"one"
        raise ValueError("broken")

    async def short():
        yield b"one"

    async def streams(request: Request) -> Response:
        if request.path == "/short":
            return Response(200, [("content-length", "10")], short())
        return Response(200, [("content-length", "2")] if request.path == "/long" else [], breaks())

    async def main():
        async with door(streams) as front:
            for path in (b"/", b"/short", b"/long"):
                client = await front.client()
                await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                try:
                    rest = await client.rest()
                except ConnectionResetError:
                    rest = b""
                assert not rest.endswith(b"0\r\n\r\n")

    run(main())


def test_answers_without_a_body_have_none(run):
    async def sends(request: Request) -> Response:
        return Response(int(request.path[1:]), [("ETag", '"x"')], b"body")

    async def main():
        async with door(sends) as front:
            client = await front.client()
            _, headers, _ = await client.ask(b"HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
            assert headers["content-length"] == "4"
            status, headers, _ = await client.ask(b"GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert status == 204
            assert "content-length" not in headers
            assert (await client.ask(b"GET /304 HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 304
            assert (await client.ask(b"GET /299 HTTP/1.1\r\nHost: a\r\n\r\n"))[2] == b"body"
            assert (await client.ask(b"GET /100 HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 500

    run(main())


def test_http_1_0_and_close_end_the_connection(run):
    async def main():
        async with door() as front:
            for ask in (
                b"GET / HTTP/1.0\r\n\r\n",
                GET.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"),
            ):
                client = await front.client()
                status, headers, _ = await client.ask(ask)
                assert (status, headers["connection"]) == (200, "close")
                assert await client.rest() == b""
            client = await front.client()
            for _ in range(2):
                _, headers, _ = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert headers["connection"] == "keep-alive"

    run(main())


def test_a_handler_that_fails_gives_a_plain_500_and_the_server_goes_on(run, caplog):
    async def fails(request: Request) -> Response:
        if request.path == "/aws":
            raise AwsError("NoSuchThing", "There is none", status=404)
        if request.path == "/cancelled":
            raise asyncio.CancelledError
        raise RuntimeError("secret of the house")

    async def main():
        async with door(fails) as front:
            client = await front.client()
            status, headers, body = await client.ask(GET)
            assert (status, headers["content-type"]) == (500, "application/json")
            assert b"secret" not in body
            assert (await client.ask(b"GET /aws HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 404
            assert (await client.ask(b"GET /cancelled HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 500

    run(main())
    assert "secret of the house" in caplog.text


def test_no_header_of_an_answer_can_start_another_line(run):
    bad = [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "\0"),
        ("X: y\r\nZ", "a"),
        ("", "a"),
    ]

    async def answers(request: Request) -> Response:
        return Response(200, [bad[int(request.path[1:])]], b"ok")

    async def main():
        async with door(answers) as front:
            client = await front.client()
            for number in range(len(bad)):
                status, headers, _ = await client.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
                assert status == 500
                assert "set-cookie" not in headers

    run(main())


def test_a_client_that_goes_away_cancels_the_handler(run):
    async def main():
        ended = []

        async def waits(_: Request) -> Response:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append(True)
                raise
            return Response()

        async with door(waits, limits=Limits(half_closed_seconds_max=0.05)) as front:
            for reset in (True, False):
                client = await front.client()
                await client.send(GET)
                await until(lambda: bool(front.server._tasks))
                client.writer.transport.abort() if reset else client.writer.close()
                await until(lambda: len(ended) == (1 if reset else 2))  # noqa: B023
                await until(lambda: not front.server.connections)

    run(main())


def test_a_client_that_closes_its_side_of_a_stream_is_given_up_when_nothing_flows(run):
    async def main():
        ended: list[bool] = []

        async def pieces(count: int):
            try:
                for _ in range(count):
                    yield b"x"
                    await asyncio.sleep(0.02)
                yield b"last"
                if count < 5:
                    await asyncio.sleep(60)
            finally:
                ended.append(True)

        async def answers(request: Request) -> Response:
            return Response(200, [], pieces(int(request.path[1:])))

        async with door(answers, limits=Limits(half_closed_seconds_max=0.1)) as front:
            for count in (1, 20):
                client = await front.client()
                await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % count)
                client.writer.write_eof()
                heard = await client.rest()
                assert heard.count(b"x") >= count
                assert heard.endswith(b"0\r\n\r\n") == (count == 20)
            await until(lambda: len(ended) == 2)

    run(main())


def test_a_client_that_closes_only_its_side_still_gets_its_answers(run):
    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return Response(200, [], request.path.encode())

    async def main():
        async with door(slowly) as front:
            client = await front.client()
            await client.send(GET + b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n")
            client.writer.write_eof()
            assert (await client.answer())[2] == b"/"
            assert (await client.answer())[2] == b"/two"
            assert await client.rest() == b""

    run(main())


def test_200_megabytes_up_keep_the_memory_flat(run):
    async def counts(request: Request) -> Response:
        count = 0
        async for piece in request.body.chunks():
            count += len(piece)
        return Response(200, [], b"%d" % count)

    async def main():
        async with door(counts) as front:
            client = await front.client()
            piece = b"x" * 1_000_000
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n")
            for _ in range(200):
                await client.send(piece)
            assert (await client.answer())[2] == b"200000000"
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000

    run(main())


def test_a_reader_that_is_slow_holds_the_client_back(run):
    async def main():
        gate = asyncio.Event()

        async def slowly(request: Request) -> Response:
            await gate.wait()
            pieces = [piece async for piece in request.body.chunks()]
            return Response(200, [], b"%d" % sum(map(len, pieces)))

        async with door(slowly) as front:
            client = await front.client()
            client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n")
            client.writer.write(b"x" * 20_000_000)
            await until(lambda: front.server.budget.used > 200_000)
            await asyncio.sleep(0.05)
            assert front.server.budget.used < 1_500_000
            gate.set()
            assert (await client.answer())[2] == b"20000000"

    run(main())


def test_200_megabytes_down_to_a_slow_client_keep_the_memory_flat(run):
    async def main():
        sent = 0

        async def pieces():
            nonlocal sent
            for _ in range(200):
                sent += 1
                yield b"x" * 1_000_000

        async def streams(_: Request) -> Response:
            return Response(200, [], pieces())

        async with door(streams) as front:
            client = await front.client()
            await client.send(GET)
            await client.head()
            await asyncio.sleep(0.1)
            assert sent < 20
            got = 0
            while got < 200_000_000:
                got += len(await client.reader.read(1 << 20))
            await until(lambda: sent == 200)

    run(main())


def test_a_body_that_is_too_large_is_refused_and_the_answer_arrives(run):
    async def small(request: Request) -> Response:
        return Response(200, [], await request.body.read(1000))

    async def main():
        async with door(small) as front:
            client = await front.client()
            client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            client.writer.write(b"x" * 100_000_000)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (413, "close")
            client = await front.client()
            await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            await client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            assert (await client.answer())[0] == 413

    run(main())


def test_bodies_together_may_not_take_more_than_the_budget(run):
    async def main():
        async with door(limits=Limits(bodies_bytes_max=1_000_000)) as front:
            clients = [await front.client() for _ in range(4)]
            for client in clients:
                client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
                client.writer.write(b"x" * 399_999)
            answers = [asyncio.ensure_future(client.answer()) for client in clients]
            done, pending = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result()[0] for task in done} == {503}
            for client in clients:
                client.writer.write(b"x")
            statuses = {(await task)[0] for task in [*done, *pending]}
            assert statuses == {200, 503}
            assert (await front.ask(post(b"x")))[0] == 200

    run(main())


def test_a_body_that_did_not_fit_is_never_taken_for_a_whole_one(run):
    async def main():
        async with door(limits=Limits(bodies_bytes_max=100_000)) as front:
            client = await front.client()
            await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 110000\r\n\r\n")
            for _ in range(11):
                await client.send(b"x" * 10_000)
                await asyncio.sleep(0.005)
            assert (await client.answer())[0] == 503

    run(main())


def test_a_thousand_idle_connections_do_not_hinder_the_next(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))

    async def main():
        async with door(limits=Limits(sweep_seconds=0.05)) as front:
            idle = [await front.client() for _ in range(1000)]
            await until(lambda: len(front.server.connections) == 1000)
            for client in (idle[0], idle[500], idle[999]):
                assert (await client.ask(GET))[0] == 200

    run(main())


def test_adopted_sockets_are_served_and_let_go(run, tmp_path: Path):
    async def names(request: Request) -> Response:
        return Response(200, [], request.peer.encode())

    async def main():
        server = Server(names, clock=SystemClock())
        adopted = []
        for number in range(100):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(tmp_path / f"{number}"))
            sock.listen(8)
            adopted.append(await server.adopt(sock, f"box-{number}"))
        readers = []
        for number in (0, 57, 99):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / f"{number}"))
            writer.write(GET)
            assert (await reader.readuntil(b"box-%d" % number)).startswith(b"HTTP/1.1 200 OK")
            readers.append((reader, writer))
        adopted[57].close()
        adopted[57].close()
        assert await asyncio.wait_for(readers[1][0].read(), 5) == b""
        with pytest.raises(OSError, match=r"Errno|Connect"):
            await asyncio.open_unix_connection(str(tmp_path / "57"))
        readers[0][1].write(GET)
        await asyncio.wait_for(readers[0][0].readuntil(b"box-0"), 5)
        for _, writer in readers:
            writer.close()
        await server.stop(1)

    run(main())


def test_a_graceful_stop_lets_running_requests_finish(run):
    async def main():
        gate = asyncio.Event()

        async def waits(_: Request) -> Response:
            await gate.wait()
            return Response(200, [], b"finished")

        server = Server(waits, clock=SystemClock())
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await until(lambda: bool(server._tasks))
        stopping = asyncio.ensure_future(server.stop(10))
        assert await asyncio.wait_for(idle_reader.read(), 5) == b""
        with pytest.raises(OSError, match=r"Errno|Connect"):
            await asyncio.open_connection("127.0.0.1", port)
        gate.set()
        answer = await asyncio.wait_for(reader.read(), 5)
        assert b"Connection: close" in answer
        assert answer.endswith(b"finished")
        await asyncio.wait_for(stopping, 5)
        writer.close()
        idle_writer.close()

    run(main())


def test_a_stop_cuts_what_does_not_finish(run):
    async def main():
        ended = []

        async def forever(_: Request) -> Response:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)
            return Response()

        server = Server(forever, clock=SystemClock())
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await until(lambda: bool(server._tasks))
        await asyncio.wait_for(server.stop(0.05), 5)
        assert ended == [True]
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    run(main())


def test_what_was_answered_is_told(run):
    async def main():
        told = []
        async with door(
            on_done=lambda request, status, s: told.append((request.path, status, s >= 0))
        ) as front:
            await front.ask(post(b"x"))
        assert told == [("/p", 200, True)]

    run(main())


def test_an_upgrade_is_ignored_unless_somebody_wants_it(run):
    class Other(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(b"other ")

        def data_received(self, data):
            self.transport.write(data.upper())

    ask = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    async def main():
        async with door() as front:
            client = await front.client()
            assert (await client.ask(ask))[1]["x-path"] == "/ws"
            assert (await client.ask(GET))[0] == 200
        async with door(upgrade=lambda request: Other() if request.path == "/ws" else None) as front:
            client = await front.client()
            await client.send(ask + b"hello")
            assert await client.reader.readexactly(11) == b"other HELLO"
            await client.close()
            assert (await front.ask(ask.replace(b"/ws", b"/x")))[0] == 200

    run(main())


def test_the_mirror_of_these_tests_reads_whole_bodies():
    async def main():
        async with door(mirror) as front:
            assert (await front.ask(post(b"abc")))[2] == b"abc"

    asyncio.run(main())
