"""Answers whose body is a part of a file."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from tests.unit.wire.front_door import RUNNERS, door, until

from cumulo.wire.http import Request, Response
from cumulo.wire.sendfile import FileBody
from cumulo.wire.server import Limits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SIZE = 40 * 1024 * 1024


@pytest.fixture(scope="module")
def data() -> bytes:
    return os.urandom(1024 * 1024) * (SIZE // (1024 * 1024))


@pytest.fixture
def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


class Files:
    """Answers with a part of a file, and remembers what it has opened."""

    def __init__(self, path: Path, offset: int = 0, count: int = SIZE) -> None:
        self.path = path
        self.offset = offset
        self.count = count
        self.opened: list[FileBody] = []

    async def __call__(self, request: Request) -> Response:
        if request.path == "/small":
            return Response(200, body=b"small")
        body = FileBody(self.path.open("rb"), self.offset, self.count)
        self.opened.append(body)
        return Response(200, [("X-Kind", "file")], body)

    def all_closed(self) -> bool:
        return all(body.file.closed for body in self.opened)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("run", RUNNERS)
def test_a_file_arrives_whole_and_the_connection_goes_on(run, file: Path, data: bytes):
    async def scenario() -> None:
        files = Files(file)
        async with door(files) as opened:
            client = await opened.client()
            await client.send(GET * 2 + b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(2):
                status, headers, body = await client.answer()
                assert (status, headers["content-length"], headers["x-kind"]) == (200, str(SIZE), "file")
                assert body == data
            assert (await client.answer())[2] == b"small"
            await until(files.all_closed)

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_part_of_a_file_is_that_part(run, file: Path, data: bytes):
    async def scenario() -> None:
        async with door(Files(file, 1_234_567, 2_345_678)) as opened:
            assert (await opened.ask(GET))[2] == data[1_234_567 : 1_234_567 + 2_345_678]
        async with door(Files(file, 5, 0)) as opened:
            client = await opened.client()
            for _ in range(2):
                assert (await client.ask(GET))[2] == b""

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_head_says_the_size_alone(run, file: Path):
    async def scenario() -> None:
        files = Files(file)
        async with door(files) as opened:
            client = await opened.client()
            for _ in range(2):
                status, headers, _ = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
                assert (status, headers["content-length"]) == (200, str(SIZE))
            await until(files.all_closed)

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_an_old_client_gets_its_file_too(run, file: Path, data: bytes):
    async def scenario() -> None:
        async with door(Files(file)) as opened:
            status, headers, body = await opened.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert (status, body == data, headers["connection"]) == (200, True, "close")

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_client_that_goes_half_way_leaves_no_descriptor(run, file: Path):
    async def scenario() -> None:
        files = Files(file)
        async with door(files) as opened:
            await opened.ask(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await (await opened.client()).ask(GET)
            before = descriptors()
            for reset in (True, False):
                with socket.create_connection(("127.0.0.1", opened.port)) as sock:
                    sock.setblocking(False)
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(sock, GET)
                    assert await loop.sock_recv(sock, 1000)
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await until(files.all_closed)
                await until(lambda: len(opened.server.connections) <= 2)
            await until(lambda: descriptors() <= before)

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_client_that_stops_reading_is_given_up(run, file: Path):
    async def scenario() -> None:
        files = Files(file)
        limits = Limits(body_stall_seconds_max=0.2, sweep_seconds=0.05)
        async with door(files, limits=limits) as opened:
            with socket.create_connection(("127.0.0.1", opened.port)) as sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(sock, GET)
                await until(lambda: bool(files.opened))
                await until(files.all_closed)
                await until(lambda: not opened.server.connections)

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_client_that_reads_slowly_gets_it_all(run, file: Path, data: bytes):
    """Slower than the bound on standing still, but never still."""

    async def scenario() -> None:
        limits = Limits(body_stall_seconds_max=0.2, sweep_seconds=0.05)
        async with door(Files(file, 0, 12_000_000), limits=limits) as opened:
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
                sock.connect(("127.0.0.1", opened.port))
                sock.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(sock, GET)
                got = b""
                while len(got) < 2_000_000:
                    await asyncio.sleep(0.02)
                    got += await loop.sock_recv(sock, 50_000)
                while piece := await loop.sock_recv(sock, 1 << 20):
                    got += piece
                    if len(got.partition(b"\r\n\r\n")[2]) >= 12_000_000:
                        break
                assert got.partition(b"\r\n\r\n")[2] == data[:12_000_000]

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_slow_client_holds_nobody_up(run, file: Path, data: bytes):
    async def scenario() -> None:
        async with door(Files(file)) as opened:
            slow = [await opened.client() for _ in range(30)]
            for client in slow:
                client.reader._transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(GET)
            quick = await opened.client()
            assert (await quick.ask(GET))[2] == data
            assert (await quick.ask(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"))[2] == b"small"

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_file_that_became_shorter_ends_the_connection(run, file: Path):
    async def scenario() -> None:
        files = Files(file, SIZE - 1000, 2000)
        async with door(files) as opened:
            client = await opened.client()
            await client.send(GET)
            _, headers = await client.head()
            assert headers["content-length"] == "2000"
            assert len(await client.rest()) <= 1000
            await until(files.all_closed)

    run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_a_server_that_stops_cuts_what_is_too_slow(run, file: Path):
    async def scenario() -> None:
        files = Files(file)
        async with door(files) as opened:
            client = await opened.client()
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(GET)
            await until(lambda: bool(files.opened))
            await opened.server.stop(0.1)
            await until(files.all_closed)

    run(scenario())


def test_a_file_can_be_read_in_pieces_too(file: Path, data: bytes):
    async def scenario() -> None:
        body = FileBody(file.open("rb"), 10, 3_000_000)
        assert b"".join([piece async for piece in body]) == data[10:3_000_010]
        await body.aclose()

    asyncio.run(scenario())
