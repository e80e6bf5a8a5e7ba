"""The front door against clients that do not behave: each gets a clear refusal, and the server goes on."""

import asyncio
import socket

import pytest
from tests.unit.wire.front_door import RUNNERS, door, until

from cumulo.base.clock import VirtualClock
from cumulo.wire.http import BodyCutShort, Request, Response
from cumulo.wire.server import Limits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
P = b"POST /p HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "length and chunked": (P + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (P + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (P + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "the same length twice": (P + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of lengths": (P + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (P + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (P + b"Content-Length: -3\r\n\r\nabc", 400),
    "hexadecimal length": (P + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "empty length": (P + b"Content-Length:\r\n\r\nabc", 400),
    "vast length": (P + b"Content-Length: 99999999999999999999999\r\n\r\nabc", 400),
    "length with underscore": (P + b"Content-Length: 1_0\r\n\r\nabc", 400),
    "xchunked": (P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "identity": (P + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "chunked, identity": (P + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked, chunked": (P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "vertical tab chunked": (P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "folded chunked": (P + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    "folded first header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "bare LF after request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare LF after header": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "all bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare CR in value": (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "CR CR LF": (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "length with blank before colon": (P + b"Content-Length : 3\r\n\r\nabc", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    "bad name": (b"GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n", 400),
    "high byte in name": (b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n", 400),
    "NUL in name": (b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", 400),
    "NUL in value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "control character in value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", 400),
    "NUL in target": (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "raw UTF-8 in target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tab in request line": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "blank in target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "relative target": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "authority form": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    "authority form for GET": (b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "ftp": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "user in authority": (b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "unknown method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9 in disguise": (b"GET /a\r\nX: HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "RTSP": (b"SETUP / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "Host with path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "Host with blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "Host with user": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "unknown expectation": (P + b"Expect: miracles\r\nContent-Length: 1\r\n\r\nx", 417),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    "zeros": (b"\0" * 100, 400),
    "header bomb": (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(1000)) + b"\r\n", 431),
    "long headers": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431),
    "long headers without end": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000, 431),
    "long target": (b"GET /" + b"y" * 40_000, 414),
    "chunk size that is none": (P + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "chunk size with sign": (P + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size with 0x": (P + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    "vast chunk size": (P + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 400),
    "chunk longer than said": (P + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400),
    "chunk size ended by LF": (P + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400),
    "chunk ended by LF": (P + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", 400),
    "long chunk extension": (P + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 5000, 400),
    "bad trailer": (P + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX Y: z\r\n\r\n", 400),
    "long trailers": (P + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: yyyyyyyyyy\r\n" * 2000, 400),
}  # fmt: skip


@pytest.fixture(params=RUNNERS, ids=["asyncio", "uvloop"])
def run(request):
    return request.param


class EveryLane:
    """Takes every POST, so that refusals are seen on this path too."""

    collects = True

    def wants(self, method, path, headers):
        return method == "POST"

    def take(self, request, body, reply):
        reply(Response(200, [], body))
        return True


@pytest.mark.parametrize("lanes", [(), (EveryLane(),)], ids=["handler", "lane"])
def test_what_two_readers_could_read_differently_is_refused(run, lanes):
    async def main():
        async with door(lanes=lanes, limits=Limits(head_bytes_max=32_768)) as front:
            for name, (data, status) in REFUSED.items():
                client = await front.client()
                got, headers, body = await client.ask(data + b"")
                assert got == status, (name, got, body)
                assert headers["connection"] == "close", name
                assert body.startswith(b"{"), name
                assert await client.rest() == b"", name
            assert (await front.ask(GET))[0] == 200

    run(main())


def test_the_same_refusals_come_when_bytes_arrive_one_by_one(run):
    async def main():
        async with door(limits=Limits(head_bytes_max=32_768)) as front:
            for name, (data, status) in REFUSED.items():
                if len(data) > 200:
                    continue
                client = await front.client()
                client.writer.transport.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                )
                try:
                    for at in range(len(data)):
                        client.writer.write(data[at : at + 1])
                        await asyncio.sleep(0)
                    got, _, _ = await client.answer()
                except ConnectionError:
                    continue
                assert got in {status, 400}, name
            assert (await front.ask(GET))[0] == 200

    run(main())


def test_unusual_but_lawful_requests_are_answered(run):
    lawful = {
        "empty lines first": (b"\r\n\r\n" + GET, "/"),
        "absolute form": (b"GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        "absolute form without path": (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "/"),
        "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*"),
        "dots stay": (b"GET /a/../%2e%2e/%00/b HTTP/1.1\r\nHost: a\r\n\r\n", "/a/../%2e%2e/%00/b"),
        "two slashes": (b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n", "//a"),
        "IPv6": (b"GET / HTTP/1.1\r\nHost: [::1]:4566\r\n\r\n", "/"),
        "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "/"),
        "high bytes in value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n", "/"),
        "blanks around value": (b"GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", "/"),
        "upper-case chunked": (P + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "/p"),
        "leading zeros": (P + b"Content-Length: 0001\r\n\r\nx", "/p"),
    }

    async def main():
        async with door() as front:
            client = await front.client()
            for name, (data, path) in lawful.items():
                status, headers, body = await client.ask(data)
                assert (status, headers.get("x-path")) == (200, path), (name, body)

    run(main())


def test_the_host_of_an_absolute_target_counts(run):
    async def names(request: Request) -> Response:
        return Response(200, [], " ".join(request.headers.get_all("host")).encode())

    async def main():
        async with door(names) as front:
            _, _, body = await front.ask(b"GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert body == b"b:1"

    run(main())


def test_a_smuggled_request_is_never_answered(run):
    seen = []

    async def notes(request: Request) -> Response:
        seen.append(request.path)
        return Response(200, [], await request.body.read(10_000))

    async def main():
        inner = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        async with door(notes) as front:
            for name, (data, _) in REFUSED.items():
                if len(data) < 1000:
                    client = await front.client()
                    await client.send(data + inner)
                    await client.rest()
                    assert "/smuggled" not in seen, name
            client = await front.client()
            await client.send(P + b"Content-Length: %d\r\n\r\n%b" % (len(inner), inner) + GET)
            assert (await client.answer())[2] == inner
            assert (await client.answer())[0] == 200
        assert "/smuggled" not in seen

    run(main())


def test_time_runs_out_for_those_who_are_slow(run):
    async def main():
        clock = VirtualClock()
        cut = []

        async def reads(request: Request) -> Response:
            try:
                return Response(200, [], await request.body.read(100))
            except asyncio.CancelledError:
                cut.append(True)
                raise

        async with door(reads, clock=clock, limits=Limits(sweep_seconds=0.01)) as front:
            loris, stalled, idle = [await front.client() for _ in range(3)]
            await loris.send(b"GET / HTTP/1.1\r\nHost:")
            await stalled.send(P + b"Content-Length: 10\r\n\r\nabc")
            assert (await idle.ask(GET))[0] == 200
            await until(lambda: bool(front.server._tasks))
            for _ in range(3):  # a byte now and then does not help
                clock.advance(10)
                await asyncio.sleep(0.05)
                if not loris.reader.at_eof():
                    loris.writer.write(b"x")
            assert (await loris.answer())[0] == 408
            assert await loris.rest() == b""
            clock.advance(50)
            assert (await stalled.answer())[0] == 408
            assert cut == [True]
            clock.advance(50)
            assert await idle.rest() == b""

    run(main())


def test_time_runs_out_for_a_client_that_does_not_read_its_answer(run):
    async def main():
        clock = VirtualClock()

        async def much(_: Request) -> Response:
            return Response(200, [], b"x" * 50_000_000)

        async with door(much, clock=clock, limits=Limits(sweep_seconds=0.01)) as front:
            client = await front.client()
            client.writer.transport.pause_reading()
            await client.send(GET)
            await until(lambda: any(c.write_paused for c in front.server.connections))
            await asyncio.sleep(0.05)
            clock.advance(61)
            await asyncio.sleep(0.05)
            clock.advance(61)
            await until(lambda: not front.server.connections)

    run(main())


def test_more_connections_than_allowed_are_told_so(run):
    async def main():
        limits = Limits(connections_max=5, refused_connections_max=5, sweep_seconds=0.01)
        async with door(limits=limits) as front:
            kept = [await front.client() for _ in range(5)]
            for client in kept:
                assert (await client.ask(GET))[0] == 200
            status, headers, _ = await front.ask(GET)
            assert (status, headers["connection"]) == (503, "close")
            await kept[0].close()
            await until(lambda: len(front.server.connections) < 5)
            assert (await front.ask(GET))[0] == 200
            many = [await front.client() for _ in range(30)]
            await until(lambda: len(front.server.connections) <= 10)
            assert len(many) == 30

    run(main())


def test_who_has_been_idle_for_longest_makes_room_for_who_comes(run):
    async def main():
        clock = VirtualClock()
        limits = Limits(connections_max=20, refused_connections_max=5, sweep_seconds=0.01)
        async with door(clock=clock, limits=limits) as front:
            old = [await front.client() for _ in range(10)]
            for client in old:
                assert (await client.ask(GET))[0] == 200
            clock.advance(5)
            await asyncio.sleep(0.05)
            busy = [await front.client() for _ in range(10)]
            for client in busy:
                await client.send(b"GET / HTTP/1.1\r\n")  # half a head: it has begun
            assert (await front.ask(GET))[0] == 200
            assert (await front.ask(GET))[0] == 200
            for client in busy:
                await client.send(b"Host: x\r\n\r\n")
                assert (await client.answer())[0] == 200
            assert any(client.reader.at_eof() for client in old)

    run(main())


def test_a_body_that_is_cut_short_is_told_to_the_handler(run):
    async def main():
        told = []

        async def reads(request: Request) -> Response:
            try:
                async for _ in request.body.chunks():
                    pass
            except BodyCutShort:
                told.append(True)
                raise
            return Response()

        async with door(reads) as front:
            client = await front.client()
            await client.send(P + b"Content-Length: 10\r\n\r\nabc")
            client.writer.write_eof()
            assert (await client.answer())[0] == 400
            await until(lambda: len(told) == 1)
            client = await front.client()
            await client.send(P + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab")
            await until(lambda: bool(front.server._tasks))
            client.writer.transport.abort()
            await until(lambda: not front.server._tasks)
            assert (await front.ask(GET))[0] == 200

    run(main())


def test_a_body_that_is_cut_short_on_a_lane_is_refused(run):
    async def main():
        async with door(lanes=[EveryLane()]) as front:
            client = await front.client()
            await client.send(P + b"Content-Length: 10\r\n\r\nabc")
            client.writer.write_eof()
            assert (await client.answer())[0] == 400
            client = await front.client()
            await client.send(P + b"Content-Length: 10\r\n\r\nabc")
            await client.close()
            await until(lambda: not front.server.connections)

    run(main())


def test_a_reset_in_the_middle_of_anything_harms_nobody(run):
    async def pieces():
        for _ in range(1000):
            yield b"x" * 100_000
            await asyncio.sleep(0)

    async def streams(_: Request) -> Response:
        return Response(200, [], pieces())

    async def main():
        async with door(streams) as front:
            for data in (b"", b"GET", GET, GET * 50, P + b"Content-Length: 10\r\n\r\nabc"):
                client = await front.client()
                sock = client.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                await client.send(data)
                await asyncio.sleep(0.02)
                client.writer.transport.abort()
            await until(lambda: not front.server.connections and not front.server._tasks)
            client = await front.client()
            await client.send(GET)
            assert (await client.head())[0] == 200

    run(main())


def test_heads_that_never_end_may_not_take_more_than_the_budget(run):
    async def main():
        async with door(limits=Limits(bodies_bytes_max=1_000_000)) as front:
            clients = [await front.client() for _ in range(4)]
            for client in clients:
                client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 400_000)
            answers = [asyncio.ensure_future(client.answer()) for client in clients]
            done, pending = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result()[0] for task in done} == {503}
            for client in clients:
                client.writer.write(b"\r\n\r\n")
            assert {(await task)[0] for task in [*done, *pending]} == {200, 503}
            assert (await front.ask(GET))[0] == 200

    run(main())
