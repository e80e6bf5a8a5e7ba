"""The proxy between real clients and real servers: curl, requests, aiohttp, websockets, TLS, plain TCP."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import random
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import uvloop
import websockets
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cumulo.base.clock import SystemClock
from cumulo.net.front import HttpFront
from cumulo.net.limits import Limits
from cumulo.net.messages import Answer, Forward, RequestHead, forwarded
from cumulo.net.pool import Algorithm, Backend, Mark, Pool
from cumulo.net.probe import Failure, probe_http, probe_tcp
from cumulo.net.tcp import Splice, TcpFront
from cumulo.net.tls import Certificate, Certificates, names_of, trusting
from cumulo.net.udp import UdpFront

CLOCK = SystemClock()
BIG = random.Random(1).randbytes(1 << 20)


def sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {name for name in found if name.startswith("socket:")}


async def eventually(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until `condition` gives something true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)


def play(scene: Callable[[], Coroutine[Any, Any, None]], seconds: float = 60) -> None:
    """Run on uvloop, and see that every socket is closed at the end."""

    async def bounded() -> None:
        await asyncio.sleep(0)  # opens what the loop itself needs
        before = sockets()
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with asyncio.timeout(seconds):
            await scene()
        await eventually(lambda: sockets() <= before, 5)
        assert not faults

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(bounded())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        # Closing waits for every handle of uvloop's own, and was seen to wait for one for ever.
        closing = threading.Thread(target=loop.close, daemon=True)
        closing.start()
        closing.join(10)


def certificate(*names: str) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.fromtimestamp(CLOCK.now(), dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


class Application:
    """A web server as people write them."""

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.go_on = asyncio.Event()
        self.requests: list[web.Request] = []
        self.port = 0

    async def hello(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return web.Response(text=f"hello from {self.name}")

    async def upload(self, request: web.Request) -> web.Response:
        digest = hashlib.sha256()
        async for piece in request.content.iter_any():
            digest.update(piece)
        return web.Response(text=digest.hexdigest())

    async def download(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if "chunked" in request.query:
            answer.enable_chunked_encoding()
        else:
            answer.content_length = len(BIG) * int(request.query["mib"])
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(int(request.query["mib"])):
                await answer.write(BIG)
            await answer.write_eof()
        return answer

    async def events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(b"data: %d\n\n" % number)
            await self.go_on.wait()
            self.go_on.clear()
        return answer

    async def slow(self, request: web.Request) -> web.Response:
        await self.go_on.wait()
        return web.Response(text="slow")

    async def die(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if "length" in request.query:
            answer.content_length = 1000
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(max_msg_size=1 << 25)
        await answer.prepare(request)
        async for message in answer:
            if message.type == aiohttp.WSMsgType.TEXT:
                await answer.send_str(message.data.upper())
            else:
                await answer.send_bytes(message.data)
        return answer

    @contextlib.asynccontextmanager
    async def served(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Application"]:
        application = web.Application(client_max_size=1 << 30)
        application.add_routes([
            web.route("*", "/", self.hello), web.post("/upload", self.upload), web.put("/upload", self.upload),
            web.get("/download", self.download), web.get("/events", self.events), web.get("/slow", self.slow),
            web.get("/die", self.die), web.get("/socket", self.socket),
        ])  # fmt: skip
        runner = web.AppRunner(application, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def backend(self, **options: Any) -> Backend:
        return Backend("127.0.0.1", self.port, key=self.name, **options)


def pool_of(*backends: Backend, algorithm: Algorithm = Algorithm.ROUND_ROBIN) -> Pool:
    pool = Pool(algorithm, random=random.Random(1), now=CLOCK.monotonic)
    for backend in backends:
        pool.add(backend)
    return pool


@contextlib.asynccontextmanager
async def fronted(
    pool: Pool, route: Any = None, tls: Any = None, **options: Any
) -> AsyncIterator[tuple[HttpFront, str]]:
    def forward(head: RequestHead, body: Any) -> Forward:
        add, remove = forwarded(head)
        return Forward(pool=pool, add=add, remove=remove)

    front = HttpFront(route or forward, clock=CLOCK, **options)
    listening = await front.listen("127.0.0.1", 0, tls)
    try:
        yield front, f"{'https' if tls else 'http'}://127.0.0.1:{listening.port}"
    finally:
        await front.close(1)
        assert pool.in_flight == 0


async def curl(*arguments: str) -> tuple[int, bytes]:
    """The exit code, and what was printed."""
    child = await asyncio.create_subprocess_exec(
        "curl",
        "-sS",
        "--max-time",
        "30",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    return child.returncode or 0, out


def test_every_client_gets_the_same_answer():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (_, url):
            assert await curl(f"{url}/") == (0, b"hello from one")
            assert await curl("--http1.0", f"{url}/") == (0, b"hello from one")
            assert (await asyncio.to_thread(requests.get, f"{url}/")).text == "hello from one"
            async with aiohttp.ClientSession() as session, session.get(f"{url}/") as answer:
                assert await answer.text() == "hello from one"
            code, head = await curl("-I", f"{url}/")
            assert code == 0
            assert b"Content-Length: 14\r\n" in head
            assert {r.headers["X-Forwarded-For"] for r in app.requests} == {"127.0.0.1"}

    play(scene)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("with_tls", [False, True])
def test_large_bodies_arrive_whole_in_both_directions(chunked: bool, with_tls: bool):
    async def scene() -> None:
        tls = Certificates(certificate("localhost")).context if with_tls else None
        async with Application().served() as app, fronted(pool_of(app.backend()), tls=tls) as (_, url):
            with tempfile.NamedTemporaryFile() as file:
                for _ in range(32):
                    file.write(BIG)
                file.flush()
                digest = hashlib.sha256(BIG * 32).hexdigest()
                encoding = ["-H", "Transfer-Encoding: chunked"] if chunked else []
                assert await curl("-k", "-T", file.name, *encoding, f"{url}/upload") == (0, digest.encode())
            code, out = await curl("-k", f"{url}/download?mib=32{'&chunked' if chunked else ''}")
            assert code == 0
            assert hashlib.sha256(out).hexdigest() == digest

    play(scene)


def test_events_flow_one_by_one():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (_, url):
            async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as answer:
                for number in range(3):  # each is here before the next is made
                    assert await answer.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
                    app.go_on.set()
                assert await answer.content.read() == b""

    play(scene)


def test_websockets_pass_through():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (front, url):
            address = url.replace("http", "ws") + "/socket"
            async with websockets.connect(address, max_size=1 << 25) as ws:
                await ws.send("hello")
                assert await ws.recv() == "HELLO"
                await ws.send(BIG * 4)
                assert await ws.recv() == BIG * 4
                await ws.ping()
            assert ws.close_code == 1000
            await eventually(lambda: not front.connections)

    play(scene)


def test_a_server_that_takes_nothing_holds_the_client_and_not_the_bytes():
    async def scene() -> None:
        got = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await got.wait()
            writer.close()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
        async with fronted(pool_of(Backend("127.0.0.1", server.sockets[0].getsockname()[1]))) as (front, url):
            sock = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
            sock.settimeout(0)
            sock.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
            sent, stuck = 0, 0
            while stuck < 20 and sent < 200 << 20:
                try:
                    sent += sock.send(BIG)
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                await asyncio.sleep(0.01)
            assert sent < 64 << 20  # the kernel's buffers
            held = sum(upstream.transport.get_write_buffer_size() for upstream in front.upstreams)
            assert held < 4 << 20
            got.set()
            sock.close()
        server.close()
        await server.wait_closed()

    play(scene)


def test_a_client_that_reads_nothing_holds_the_server_and_not_the_bytes():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (front, url):
            sock = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
            sock.send(b"GET /download?mib=200 HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: any(client.write_paused for client in front.connections))  # type: ignore[attr-defined]
            for _ in range(20):
                held = sum(c.transport.get_write_buffer_size() for c in front.connections)  # type: ignore[attr-defined]
                assert held < 4 << 20
                await asyncio.sleep(0.01)
            sock.close()
            await eventually(lambda: not (front.connections or front.upstreams))

    play(scene)


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_server_that_dies_in_its_answer_gives_a_broken_one(how: str):
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (_, url):
            code, out = await curl(f"{url}/die?{how}")
            assert code in {18, 56}  # partial file, or reset
            assert out in {b"half", b""}

    play(scene)


def test_nobody_listening_is_502_and_a_silent_server_504():
    async def scene() -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            gone = pool_of(Backend("127.0.0.1", reserved.getsockname()[1]))
            async with Application().served() as app:
                silent = pool_of(app.backend())

                def route(head: RequestHead, body: Any) -> Forward:
                    return Forward(pool=gone if head.path == "/gone" else silent, idle_seconds=0.1)

                async with fronted(gone, route, limits=Limits(sweep_seconds=0.02)) as (_, url):
                    assert (await curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/gone"))[1] == b"502"
                    assert (await curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/slow"))[1] == b"504"

    play(scene)


def test_no_request_fails_while_servers_are_replaced_under_load():
    async def scene() -> None:
        pool = pool_of(algorithm=Algorithm.LEAST_OUTSTANDING)
        statuses: list[int] = []
        served: set[str] = set()
        stop = asyncio.Event()

        async def load(session: aiohttp.ClientSession, url: str, number: int) -> None:
            while not stop.is_set():
                method = "POST" if number % 2 else "GET"
                async with session.request(method, f"{url}/", data=b"x" if number % 2 else None) as answer:
                    statuses.append(answer.status)
                    served.add(await answer.text())

        async with contextlib.AsyncExitStack() as stack, fronted(pool) as (_, url):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            running: list[tuple[Backend, contextlib.AsyncExitStack]] = []
            tasks: list[asyncio.Task[None]] = []
            for name in map(str, range(8)):
                own = contextlib.AsyncExitStack()
                app = await own.enter_async_context(Application(name).served())
                backend = app.backend()
                pool.add(backend)
                running.append((backend, own))
                if not tasks:
                    tasks = [asyncio.create_task(load(session, url, number)) for number in range(16)]
                seen = len(statuses)
                await eventually(lambda seen=seen: len(statuses) >= seen + 300)
                if len(running) > 2:
                    old, server = running.pop(0)
                    pool.mark(old, Mark.DRAINING)
                    await pool.drained(old)
                    pool.remove(old)
                    await server.aclose()
            stop.set()
            await asyncio.gather(*tasks)
            for _, server in running:
                await server.aclose()
        assert set(statuses) == {200}
        assert len(served) == 8

    play(scene)


def test_a_server_that_closes_idle_connections_costs_nobody_a_request():
    async def scene() -> None:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # promises to stay, and goes
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        async with fronted(pool_of(Backend("127.0.0.1", server.sockets[0].getsockname()[1]))) as (_, url):
            async with aiohttp.ClientSession() as session:
                for _ in range(200):
                    async with session.get(f"{url}/") as answer:
                        assert (answer.status, await answer.text()) == (200, "ok")
        server.close()
        await server.wait_closed()

    play(scene)


def test_certificates_are_chosen_by_name_and_can_be_replaced():
    async def scene() -> None:
        default, exact, wild = (
            certificate("default.example"),
            certificate("a.example"),
            certificate("*.wild.example"),
        )
        certificates = Certificates(default, [exact, wild])
        heads: list[RequestHead] = []

        def route(head: RequestHead, body: Any) -> Answer:
            heads.append(head)
            return Answer(200, (), b"x")

        async def shown(url: str, name: str | None) -> str:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2", "http/1.1"])
            port = int(url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=name or ""
            )
            secure = writer.get_extra_info("ssl_object")
            assert secure.selected_alpn_protocol() == "http/1.1"
            pem = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            writer.close()
            return names_of(pem)[0]

        async with fronted(pool_of(), route, tls=certificates.context) as (_, url):
            for asked, expected in (
                ("a.example", "a.example"), ("A.EXAMPLE", "a.example"), ("x.wild.example", "*.wild.example"),
                ("x.y.wild.example", "default.example"), ("wild.example", "default.example"), ("other", "default.example"),
                (None, "default.example"),
            ):  # fmt: skip
                assert await shown(url, asked) == expected
            certificates.replace(exact, [default])
            assert await shown(url, "x.wild.example") == "a.example"
            assert await shown(url, None) == "a.example"
        assert {(head.scheme, head.link.tls.version if head.link.tls else "") for head in heads} == {
            ("https", "TLSv1.3")
        }
        assert not list(Path(tempfile.gettempdir()).glob("cumulo-tls-*"))

    play(scene)


def test_a_certificate_that_is_none_is_refused():
    good, other = certificate("a.example"), certificate("b.example")
    for chain, key in ((good.chain, other.key), ("nothing", good.key), (good.chain, "nothing")):
        with pytest.raises(ValueError, match="certificate"):
            Certificates(Certificate(chain, key))
    assert "PRIVATE" not in repr(good)


def test_servers_that_speak_tls():
    async def scene() -> None:
        inside = Certificates(certificate("inside")).context
        async with Application().served(inside) as app:
            backend = app.backend(tls=trusting())
            async with fronted(pool_of(backend)) as (_, url):
                assert await curl(f"{url}/") == (0, b"hello from one")
            assert (
                await probe_http("127.0.0.1", app.port, "/", timeout_seconds=5, tls=trusting())
            ).status == 200
            plain = await probe_http("127.0.0.1", app.port, "/", timeout_seconds=5)
            assert plain.failure in {Failure.CLOSED, Failure.MALFORMED}
            assert (await probe_tcp("127.0.0.1", app.port, timeout_seconds=5, tls=trusting())).failure is None

    play(scene)


def test_a_socket_that_listens_already_is_served():
    async def scene() -> None:
        async with Application().served() as app:
            front = HttpFront(lambda head, body: Forward(pool=pool), clock=CLOCK)
            pool = pool_of(app.backend())
            sock = socket.create_server(("127.0.0.1", 0))
            listening = await front.serve_socket(sock)
            assert listening.port == sock.getsockname()[1]
            assert await curl(f"http://127.0.0.1:{listening.port}/") == (0, b"hello from one")
            listening.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", listening.port)
            await front.close()

    play(scene)


def test_too_many_clients_are_told_so():
    async def scene() -> None:
        async with Application().served() as app:
            async with fronted(pool_of(app.backend()), limits=Limits(connections_max=1)) as (_, url):
                with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))):
                    await asyncio.sleep(0)
                    assert (await curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/"))[1] == b"503"

    play(scene)


def test_closing_waits_for_what_runs():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (front, url):
            running = asyncio.create_task(curl(f"{url}/slow"))
            await eventually(lambda: app.go_on._waiters)
            closing = asyncio.create_task(front.close(10))
            await asyncio.sleep(0)
            assert (await curl(f"{url}/"))[0] == 7  # refused
            assert not closing.done()
            app.go_on.set()
            assert await running == (0, b"slow")
            await closing

    play(scene)


def test_probes_tell_how_they_failed():
    async def scene() -> None:
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            if b"/silent" in line:
                await reader.read()
            elif b"/garbage" in line:
                writer.write(b"220 smtp ready\r\n")
            elif b"/head" in line:
                writer.write(
                    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 99999\r\n\r\n"
                )
            writer.close()

        server = await asyncio.start_server(say, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for path, failure, status in (
            ("/silent", Failure.TIMEOUT, 0), ("/garbage", Failure.MALFORMED, 0), ("/closes", Failure.CLOSED, 0), ("/head", None, 404),
        ):  # fmt: skip
            probed = await probe_http("127.0.0.1", port, path, timeout_seconds=0.3)
            assert (probed.failure, probed.status) == (failure, status)
        assert (await probe_tcp("127.0.0.1", port, timeout_seconds=1)).failure is None
        server.close()
        await server.wait_closed()
        assert (await probe_http("127.0.0.1", port, "/", timeout_seconds=1)).failure is Failure.REFUSED
        assert (await probe_tcp("127.0.0.1", port, timeout_seconds=1)).failure is Failure.REFUSED

    play(scene)


# TCP


@contextlib.asynccontextmanager
async def tcp_server(handle: Any) -> AsyncIterator[Backend]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Backend("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


async def digest_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads to the end, answers then: needs half-closed connections."""
    digest = hashlib.sha256()
    while piece := await reader.read(1 << 16):
        digest.update(piece)
    writer.write(digest.digest() + BIG)
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def spliced(pick: Any, tls: Any = None, **options: Any) -> AsyncIterator[tuple[TcpFront, int]]:
    front = TcpFront(pick, clock=CLOCK, **options)
    listening = await front.listen("127.0.0.1", 0, tls)
    try:
        yield front, listening.port
    finally:
        await front.close(1)


def test_tcp_goes_both_ways_and_may_be_half_closed():
    async def scene() -> None:
        ended: list[Any] = []
        async with tcp_server(digest_at_the_end) as backend:
            pool = pool_of(backend)
            async with spliced(lambda link: Splice(pool=pool), done=lambda *facts: ended.append(facts)) as (
                _,
                port,
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                for _ in range(16):
                    writer.write(BIG)
                    await writer.drain()
                writer.write_eof()
                assert await reader.read() == hashlib.sha256(BIG * 16).digest() + BIG
                writer.close()
            assert pool.in_flight == 0
            assert [(facts[2], facts[3], facts[4]) for facts in ended] == [
                (backend, 16 << 20, 32 + (1 << 20))
            ]

    play(scene)


def test_a_tcp_backend_learns_who_the_client_is():
    async def scene() -> None:
        heads: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readexactly(28 + 5))
            writer.close()

        async with tcp_server(listen) as backend:
            pool = pool_of(backend)
            async with spliced(lambda link: Splice(pool=pool, proxy_protocol=True)) as (_, port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                own = writer.get_extra_info("sockname")[1]
                writer.write(b"hello")
                assert await reader.read() == b""
                writer.close()
        loopback = socket.inet_aton("127.0.0.1")
        assert heads == [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + loopback * 2 + struct.pack("!HH", own, port) + b"hello"
        ]

    play(scene)


def test_tls_ends_at_the_front_and_tcp_goes_on():
    async def scene() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()

        async with tcp_server(echo) as backend:
            pool = pool_of(backend)
            tls = Certificates(certificate("a.example"), alpn=()).context
            async with spliced(lambda link: Splice(pool=pool), tls) as (_, port):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=trusting(), server_hostname="a"
                )
                writer.write(b"hello\n")
                assert await reader.read() == b"HELLO\n"
                writer.close()

    play(scene)


def test_tcp_clients_are_reset_when_there_is_nobody_for_them():
    async def scene() -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            gone = pool_of(Backend("127.0.0.1", reserved.getsockname()[1]))
            for pick in (
                lambda link: None,
                lambda link: Splice(pool=pool_of()),
                lambda link: Splice(pool=gone),
            ):
                async with spliced(pick) as (_, port):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    with contextlib.suppress(ConnectionResetError):
                        assert await reader.read() == b""
                    writer.close()
            assert gone.in_flight == 0
            assert gone.backends[0].failures == 1

    play(scene)


def test_another_tcp_backend_is_tried_and_clients_stay_with_theirs():
    async def scene() -> None:
        def names(name: bytes) -> Any:
            async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(name)
                writer.close()

            return say

        async def ask(port: int) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said = await reader.read()
            writer.close()
            return said

        async with tcp_server(names(b"one")) as one, tcp_server(names(b"two")) as two:
            pool = pool_of(one, two)
            async with spliced(lambda link: Splice(pool=pool, preferred=pool.pick_by(link.peer))) as (
                _,
                port,
            ):
                assert len({await ask(port) for _ in range(10)}) == 1
            async with spliced(lambda link: Splice(pool=pool)) as (_, port):
                assert {await ask(port) for _ in range(4)} == {b"one", b"two"}
            with socket.socket() as reserved:
                reserved.bind(("127.0.0.1", 0))
                mixed = pool_of(Backend("127.0.0.1", reserved.getsockname()[1]), one)
                async with spliced(lambda link: Splice(pool=mixed, tries=2)) as (_, port):
                    assert {await ask(port) for _ in range(4)} == {b"one"}

    play(scene)


def test_tcp_connections_drain_or_are_cut():
    async def scene() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(100):
                writer.write(piece)
            writer.close()

        async with tcp_server(echo) as backend:
            pool = pool_of(backend)
            async with spliced(lambda link: Splice(pool=pool, idle_seconds=0.2), sweep_seconds=0.02) as (
                front,
                port,
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"a")
                assert await reader.readexactly(1) == b"a"
                pool.mark(backend, Mark.DRAINING)
                drained = asyncio.create_task(pool.drained(backend))
                writer.write(b"b")
                assert await reader.readexactly(1) == b"b"  # goes on while it drains
                assert not drained.done()
                assert front.cut(backend) == 1
                await drained
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
                pool.mark(backend, Mark.UP)
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"a")
                assert await reader.readexactly(1) == b"a"
                with contextlib.suppress(ConnectionResetError):  # idle for too long
                    assert await reader.read() == b""
                writer.close()

    play(scene)


def test_many_clients_at_once_leave_nothing_behind():
    async def scene() -> None:
        async with Application().served() as app, fronted(pool_of(app.backend())) as (front, url):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:

                async def ask(number: int) -> int:
                    path = ("/", "/download?mib=1", "/download?mib=1&chunked")[number % 3]
                    async with session.get(f"{url}{path}") as answer:
                        return len(await answer.read())

                sizes = await asyncio.gather(*map(ask, range(300)))
            assert sorted(set(sizes)) == [14, 1 << 20]
            await eventually(lambda: not front.connections)

    play(scene)


def test_clients_and_servers_that_vanish_at_any_moment_leak_nothing():
    async def scene() -> None:
        chance = random.Random(5)

        async def flaky(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
                for _ in range(chance.randrange(1, 4)):
                    await reader.readuntil(b"\r\n\r\n")
                    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
                    writer.write(
                        answer[: chance.choice([0, 10, 45, 1000, len(answer), len(answer), len(answer)])]
                    )
                    await writer.drain()
            if chance.random() < 0.3:
                writer.transport.abort()
            writer.close()

        async def client(port: int, number: int) -> None:
            own = random.Random(number)
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + b"y" * 500
                if own.random() < 0.5:
                    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3
                writer.write(request[: own.choice([20, 60, len(request), len(request)])])
                if own.random() < 0.3:
                    writer.write_eof()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(own.choice([0.0, 0.01, 0.3])):
                        await reader.read()
                if own.random() < 0.5:
                    writer.transport.abort()
                writer.close()

        server = await asyncio.start_server(flaky, "127.0.0.1", 0)
        pool = pool_of(Backend("127.0.0.1", server.sockets[0].getsockname()[1]))
        ended: list[int] = []
        limits = Limits(
            sweep_seconds=0.05, half_closed_seconds_max=0.2, idle_seconds_max=0.5, body_stall_seconds_max=0.5
        )
        async with fronted(pool, limits=limits, done=lambda *facts: ended.append(facts[2])) as (front, url):
            port = int(url.rsplit(":", 1)[1])
            for batch in range(10):
                await asyncio.gather(*(client(port, batch * 50 + number) for number in range(50)))
            await eventually(lambda: not front.connections)
            assert pool.in_flight == 0
            assert front.held_bytes == 0
            await eventually(lambda: set(pool.backends[0].idle) == front.upstreams)
        assert len(ended) > 300
        assert {200, 502} <= set(ended) <= {0, 200, 408, 502}
        server.close()
        await server.wait_closed()

    play(scene)


def test_addresses_of_version_6():
    async def scene() -> None:
        async with Application().served() as app:
            pool = pool_of(app.backend())
            front = HttpFront(lambda head, body: Forward(pool=pool, add=forwarded(head)[0]), clock=CLOCK)
            listening = await front.listen("::1", 0)
            assert await curl(f"http://[::1]:{listening.port}/") == (0, b"hello from one")
            assert app.requests[0].headers["X-Forwarded-For"] == "::1"
            await front.close()

    play(scene)


# UDP


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with its name and the datagram."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.senders: set[Any] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.senders.add(address)
        self.transport.sendto(self.name + data, address)


def test_datagrams_of_a_client_go_to_one_backend_and_the_answers_come_back():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        echoes = [Echo(b"one:"), Echo(b"two:")]
        for echo in echoes:
            await loop.create_datagram_endpoint(lambda echo=echo: echo, local_addr=("127.0.0.1", 0))
        backends = [Backend("127.0.0.1", echo.transport.get_extra_info("sockname")[1]) for echo in echoes]
        pool = pool_of(*backends)
        front = UdpFront(
            lambda link: Splice(pool=pool, idle_seconds=0.3), clock=CLOCK, flows_max=2, sweep_seconds=0.02
        )
        listening = await front.listen("127.0.0.1", 0)
        clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect(("127.0.0.1", listening.port))

        async def ask(client: socket.socket, data: bytes) -> bytes:
            await loop.sock_sendall(client, data)
            return await asyncio.wait_for(loop.sock_recv(client, 100), 5)

        said = [[await ask(client, b"%d" % number) for number in range(5)] for client in clients[:2]]
        names = [{answer.partition(b":")[0] for answer in answers} for answers in said]
        assert sorted(map(sorted, names)) == [[b"one"], [b"two"]]
        assert [answer.partition(b":")[2] for answer in said[0]] == [b"0", b"1", b"2", b"3", b"4"]
        assert [len(echo.senders) for echo in echoes] == [1, 1]
        assert pool.in_flight == 2
        await loop.sock_sendall(clients[2], b"too many")
        await eventually(lambda: not front.connections)  # silent for long enough
        assert pool.in_flight == 0
        assert (await ask(clients[2], b"x")).endswith(b":x")
        await front.close()
        assert pool.in_flight == 0
        for client in clients:
            client.close()
        for echo in echoes:
            echo.transport.close()

    play(scene)


def test_a_flow_to_nobody_is_forgotten():
    async def scene() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        pool = pool_of(Backend("127.0.0.1", port))
        front = UdpFront(lambda link: Splice(pool=pool), clock=CLOCK)
        listening = await front.listen("127.0.0.1", 0)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"x", ("127.0.0.1", listening.port))
            await eventually(lambda: pool.backends[0].failures == 1)
            assert not front.connections
            assert pool.in_flight == 0
        await front.close()

    play(scene)
