"""The front door by TLS: names, files, clients' certificates, and those who never greet."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable
from pathlib import Path

import pytest
from tests import tls_kit
from tests.unit.wire.front_door import RUNNERS, until

from cumulo.base.clock import SystemClock
from cumulo.net.authority import Authority
from cumulo.net.tls import load
from cumulo.wire.http import Request, Response
from cumulo.wire.sendfile import FileBody
from cumulo.wire.server import Limits, Server


class Names:
    """Contexts by name: of `.localhost`, and one whose clients must show a certificate."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca", SystemClock())
        self.clients = tls_kit.Authority("clients")
        self.asked: list[str] = []

    async def context_for(self, name: str) -> ssl.SSLContext | None:
        self.asked.append(name)
        if name == "nobody.localhost":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load(context, self.authority.issue([name or "localhost"]))
        if name == "mutual.localhost":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=tls_kit.pem(self.clients.certificate).decode())
        return context

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.certificate())

    def showing(self, authority: tls_kit.Authority, folder: Path) -> ssl.SSLContext:
        """A client with a certificate."""
        context = self.trusting()
        context.load_cert_chain(tls_kit.shown(folder / "own.pem", authority, "client"))
        return context


class Secure:
    """A server that is asked by TLS."""

    def __init__(self, server: Server, names: Names, port: int) -> None:
        self.server, self.names, self.port = server, names, port

    async def ask(self, name: str, data: bytes = b"", context: ssl.SSLContext | None = None) -> bytes:
        """Everything that is answered on one connection."""
        tls = context or self.names.trusting()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=name, ssl_handshake_timeout=5
        )
        writer.write(data or b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


async def nothing(asked: Awaitable[bytes]) -> bool:
    """Whether the client came to nothing: TLS 1.3 lets it speak before it hears that it was refused."""
    try:
        return await asked == b""
    except OSError:
        return True


async def told(request: Request) -> Response:
    """Say how it came."""
    secured = request.secured
    shown = len(secured.certificate) if secured else -1
    name = secured.name if secured else "-"
    return Response(200, [], f"{request.scheme} {name} {shown > 0}".encode())


async def secure(folder: Path, handler=told, **limits) -> Secure:
    server = Server(handler, clock=SystemClock(), limits=Limits(**limits))
    names = Names(folder)
    return Secure(server, names, await server.listen_securely("127.0.0.1", 0, names))


@pytest.mark.parametrize("run", RUNNERS)
def test_a_request_says_that_it_is_secure_and_for_whom_it_was(run, tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        answer = await door.ask("API.localhost")
        assert answer.endswith(b"https api.localhost False")
        assert door.names.asked == ["api.localhost"]
        await door.server.stop(0.2)
        assert not door.server.connections

    run(story())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_client_with_a_certificate_is_known_and_without_one_comes_to_nothing(run, tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        shown = door.names.showing(door.names.clients, tmp_path)
        assert (await door.ask("mutual.localhost", context=shown)).endswith(b"https mutual.localhost True")
        assert await nothing(door.ask("mutual.localhost"))
        assert await nothing(
            door.ask("mutual.localhost", context=door.names.showing(tls_kit.Authority("others"), tmp_path))
        )
        assert not door.server.connections
        await door.server.stop(0.2)

    run(story())


def test_a_file_goes_out_encrypted(tmp_path: Path):
    content = bytes(range(256)) * 8192  # 2 MiB
    (tmp_path / "file").write_bytes(content)

    async def filed(_request: Request) -> Response:
        return Response(200, [], FileBody((tmp_path / "file").open("rb"), 5, len(content) - 5))

    async def story():
        door = await secure(tmp_path, filed)
        head, _, body = (await door.ask("api.localhost")).partition(b"\r\n\r\n")
        assert b"content-length: %d" % (len(content) - 5) in head.lower()
        assert body == content[5:]
        await door.server.stop(0.2)

    asyncio.run(story())


@pytest.mark.parametrize("run", RUNNERS)
def test_requests_follow_one_another_and_bodies_come_through(run, tmp_path: Path):
    async def mirror(request: Request) -> Response:
        return Response(200, [], await request.body.read(10_000_000))

    async def story():
        door = await secure(tmp_path, mirror)
        body = b"x" * 300_000
        first = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + body
        last = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend"
        answer = await door.ask("api.localhost", first + last)
        assert answer.count(body) == 1
        assert answer.endswith(b"\r\n\r\nend")
        await door.server.stop(0.2)

    run(story())


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"]
)
def test_who_does_not_speak_tls_is_let_go(said: bytes, tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(said)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert (await door.ask("api.localhost")).startswith(b"HTTP/1.1 200")
        await door.server.stop(0.2)

    asyncio.run(story())


def test_a_name_to_which_nothing_is_shown_is_let_go(tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        assert await nothing(door.ask("nobody.localhost"))
        await door.server.stop(0.2)

    asyncio.run(story())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_greeting_may_arrive_byte_by_byte(run, tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        context = door.names.trusting()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="slow.localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for at in range(0, len(hello), 100):
            writer.write(hello[at : at + 100])
            await writer.drain()
            await asyncio.sleep(0.001)
        incoming.write(await asyncio.wait_for(reader.read(1 << 16), 5))
        assert door.names.asked == ["slow.localhost"]
        writer.close()
        await door.server.stop(0.2)

    run(story())


def test_who_greets_never_does_not_keep_the_server_from_stopping(tmp_path: Path):
    async def story():
        door = await secure(tmp_path)
        silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(3)]
        await until(lambda: bool(_listener(door)._greeting))
        await asyncio.wait_for(door.server.stop(0.2), 5)
        for reader, writer in silent:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    def _listener(door: Secure):
        return next(iter(door.server._adopted)).listener

    asyncio.run(story())


def test_too_many_connections_are_refused_by_tls_too(tmp_path: Path):
    async def story():
        door = await secure(tmp_path, connections_max=1)
        context = door.names.trusting()
        _, first = await asyncio.open_connection(
            "127.0.0.1", door.port, ssl=context, server_hostname="a.localhost"
        )
        await until(lambda: len(door.server.connections) == 1)
        assert (await door.ask("b.localhost")).startswith(b"HTTP/1.1 503")
        first.close()
        await door.server.stop(0.2)

    asyncio.run(story())


def test_a_sandbox_s_socket_is_served_with_its_name(tmp_path: Path):
    async def named(request: Request) -> Response:
        return Response(200, [], f"{request.peer} {request.scheme}".encode())

    async def story():
        server = Server(named, clock=SystemClock())
        names = Names(tmp_path)
        sock = socket.create_server(("127.0.0.1", 0))
        adopted = server.adopt_securely(sock, "sandbox-7", names)
        door = Secure(server, names, sock.getsockname()[1])
        assert (await door.ask("api.localhost")).endswith(b"sandbox-7 https")
        adopted.close()
        adopted.close()
        assert await nothing(door.ask("api.localhost"))
        await server.stop(0.2)

    asyncio.run(story())
