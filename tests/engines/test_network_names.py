"""Pods find one another by name, and the world through the host's name servers."""

import asyncio
import select
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from cumulo.engines.local import dns
from tests.network_kit import (
    HOST,
    PATIENCE,
    SILENCE,
    Instance,
    inside,
    instance,
    needs_network,
    query,
    run,
    story,
)
from tests.support import until

pytestmark = needs_network
BUSYBOX = shutil.which("busybox") or ""


@story
async def test_pods_find_one_another_by_name_and_names_in_any_case() -> None:
    async with instance() as mine:
        a, b = await mine.open("a", names=("web", "db.internal")), await mine.open("b", names=("web",))
        assert await _look_up(mine, "b", "a") == [a.address]
        assert await _look_up(mine, "a", "DB.Internal") == [a.address]
        assert sorted(await _look_up(mine, "a", "WEB")) == sorted([a.address, b.address])
        await mine.network.close("a")
        assert await _look_up(mine, "b", "web") == [b.address]


@story
async def test_a_name_has_no_other_kind_of_record_but_it_exists() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        for kind in (dns.AAAA, 15, 65):
            answer = await _datagram(mine.path("a"), pod.gateway, query("a", kind))
            assert _summary(answer) == (4711, dns.NO_ERROR, 0)


@pytest.mark.skipif(not BUSYBOX, reason="no busybox on this machine")
@story
async def test_resolvers_of_musl_and_glibc_kind_understand_the_answers() -> None:
    async with _fake_upstream() as servers, instance(servers) as mine:
        pod = await mine.open("a", names=("web",))
        path = mine.path("a")
        assert f"Address: {pod.address}" in await run(path, BUSYBOX, "nslookup", "web", pod.gateway)
        assert "Address: 192.0.2.77" in await run(path, BUSYBOX, "nslookup", "example.org", pod.gateway)
        assert "NXDOMAIN" in await run(path, BUSYBOX, "nslookup", "nowhere.example", pod.gateway)
        assert "name = a" in await run(path, BUSYBOX, "nslookup", pod.address, pod.gateway)


@story
async def test_pods_of_another_instance_are_not_found() -> None:
    async with _fake_upstream() as servers, instance(servers) as mine, instance(servers) as other:
        await mine.open("a", names=("secret.example",))
        pod = await other.open("b")
        answer = await _datagram(other.path("b"), pod.gateway, query("secret.example"))
        assert _summary(answer)[1] == dns.NO_SUCH_NAME
        assert (
            await _datagram(other.path("b"), (await mine.open("a")).gateway, query("a"), patience=SILENCE)
            == b""
        )


@story
async def test_the_host_is_asked_for_other_names_over_udp_and_tcp() -> None:
    async with _fake_upstream() as servers, instance(servers) as mine:
        pod = await mine.open("a")
        by_datagram = await _datagram(mine.path("a"), pod.gateway, query("Example.org"))
        by_stream = await _stream(mine.path("a"), pod.gateway, query("example.org"))
        for answer in (by_datagram, by_stream):
            assert _summary(answer) == (4711, dns.NO_ERROR, 1)
            assert answer.endswith(socket.inet_aton("192.0.2.77"))


@story
async def test_without_a_name_server_that_answers_the_failure_is_said_in_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        for servers in ((), (("127.0.0.1", mute.getsockname()[1]),), (("127.0.0.1", 1),)):
            async with instance(servers) as mine:
                pod = await mine.open("a")
                answer = await _datagram(mine.path("a"), pod.gateway, query("example.org"))
                assert _summary(answer) == (4711, dns.SERVER_FAILURE, 0)


@story
async def test_the_next_server_is_asked_when_the_first_is_mute() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        async with (
            _fake_upstream() as servers,
            instance((("127.0.0.1", mute.getsockname()[1]), *servers)) as mine,
        ):
            pod = await mine.open("a")
            answer = await _datagram(mine.path("a"), pod.gateway, query("example.org"))
            assert _summary(answer) == (4711, dns.NO_ERROR, 1)


@story
async def test_more_addresses_than_fit_are_cut_over_udp_and_whole_over_tcp() -> None:
    async with instance() as mine:
        pods = await asyncio.gather(*(mine.open(f"p{number}", names=("all",)) for number in range(40)))
        cut = await _datagram(mine.path("p0"), pods[0].gateway, query("all"))
        assert len(cut) <= 512
        assert struct.unpack_from("!H", cut, 2)[0] & 0x0200
        whole = await _stream(mine.path("p0"), pods[0].gateway, query("all"))
        assert _summary(whole) == (4711, dns.NO_ERROR, 40)


@story
async def test_garbage_is_refused_or_ignored_and_the_server_goes_on() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        path = mine.path("a")
        assert await _datagram(path, pod.gateway, b"", patience=SILENCE) == b""
        assert await _datagram(path, pod.gateway, b"\0" * 11, patience=SILENCE) == b""
        assert (
            await _datagram(path, pod.gateway, query("a", flags=0x8000), patience=SILENCE) == b""
        )  # an answer
        loop = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1"
        assert _summary(await _datagram(path, pod.gateway, loop)) == (1, dns.FORMAT_ERROR, 0)
        update = query("a", flags=0x2800)
        assert _summary(await _datagram(path, pod.gateway, update)) == (4711, dns.NOT_IMPLEMENTED, 0)
        assert (
            await _stream(path, pod.gateway, b"x" * 5000, patience=SILENCE) == b""
        )  # longer than any question
        assert await _look_up(mine, "a", "a") == [pod.address]


@story
async def test_a_flood_from_one_pod_is_stopped_by_the_kernel_and_others_are_answered() -> None:
    async with instance() as mine:
        flooder, other = await mine.open("a"), await mine.open("b")

        def flood() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect((flooder.gateway, 53))
                for number in range(20_000):
                    client.send(query("b", number=number))

        seen = 0
        known = mine.network._names.answer

        def counting(question: dns.Question) -> dns.Answer | None:
            nonlocal seen
            seen += 1
            return known(question)

        mine.network._shared._server._known = counting
        flooding = asyncio.create_task(inside(mine.path("a"), flood))
        assert await _look_up(mine, "b", "b") == [other.address]
        await flooding
        assert await _look_up(mine, "b", "b") == [other.address]
        assert seen < 10_000


@story
async def test_more_connections_than_are_served_are_closed() -> None:
    async with instance() as mine:
        pod = await mine.open("a")

        def many() -> int:
            clients = [socket.create_connection((pod.gateway, 53), timeout=PATIENCE) for _ in range(20)]
            until(lambda: len(select.select(clients, [], [], 0)[0]) >= 4, "those beyond are closed")
            closed = [client.recv(1) for client in select.select(clients, [], [], 0.2)[0]]
            for client in clients:
                client.close()
            assert set(closed) == {b""}
            return len(closed)

        assert await inside(mine.path("a"), many) == 4
        assert _summary(await _stream(mine.path("a"), pod.gateway, query("a")))[1] == dns.NO_ERROR


@story
async def test_the_host_has_a_name_that_leads_to_the_ports_it_allows() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        assert await _look_up(mine, "a", "host.docker.internal") == [pod.gateway]


@story
async def test_names_are_served_again_by_the_next_control_plane() -> None:
    async with instance() as mine:
        pod = await mine.open("a", names=("web",))
        await mine.killed_and_started()
        assert await _look_up(mine, "a", "web") == [pod.address]


@story
async def test_where_port_53_is_taken_another_serves_and_pods_do_not_notice() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        try:
            other.bind(("0.0.0.0", 53))
        except OSError:
            pytest.skip("somebody has port 53 of this machine")
        async with instance() as mine:
            pod = await mine.open("a")
            assert await _look_up(mine, "a", "a") == [pod.address]
            answer = await _stream(mine.path("a"), pod.gateway, query("a"))
            assert _summary(answer) == (4711, dns.NO_ERROR, 1)


@story
async def test_the_name_server_is_for_pods_and_the_host_alone() -> None:
    async with instance() as mine, instance() as other:
        pod = await mine.open("a")
        await other.open("b")
        assert _summary(await _datagram(HOST, pod.gateway, query("a")))[2] == 1
        assert await _datagram(other.path("b"), pod.gateway, query("a"), patience=SILENCE) == b""


async def _look_up(mine: Instance, pod: str, name: str) -> list[str]:
    gateway = (await mine.open(pod)).gateway
    answer = await _datagram(mine.path(pod), gateway, query(name))
    _, code, count = _summary(answer)
    assert code == dns.NO_ERROR
    start = len(query(name))
    return [socket.inet_ntoa(answer[start + 16 * n + 12 : start + 16 * n + 16]) for n in range(count)]


async def _datagram(path: Path, address: str, message: bytes, patience: float = PATIENCE) -> bytes:
    """What is answered over UDP; nothing: empty."""

    def talk() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(patience)
            client.connect((address, 53))
            client.send(message)
            return _receive(client)

    return await inside(path, talk)


async def _stream(path: Path, address: str, message: bytes, patience: float = PATIENCE) -> bytes:
    """What is answered over TCP; nothing: empty."""

    def talk() -> bytes:
        with socket.create_connection((address, 53), timeout=patience) as client:
            client.sendall(len(message).to_bytes(2, "big") + message)
            got = b""
            try:
                while part := client.recv(65_536):
                    got += part
                    if len(got) >= 2 + int.from_bytes(got[:2], "big"):
                        break
            except (TimeoutError, ConnectionResetError):
                return b""
            return got[2:]

    return await inside(path, talk)


def _receive(client: socket.socket) -> bytes:
    try:
        return client.recv(65_536)
    except TimeoutError:
        return b""


def _summary(message: bytes) -> tuple[int, int, int]:
    """Number, code and count of answers."""
    number, flags, _, count = struct.unpack_from("!4H", message)
    return number, flags & 0xF, count


class _fake_upstream:  # noqa: N801 - used like a function
    """A name server of the host's that knows example.org alone, over UDP and TCP."""

    async def __aenter__(self) -> tuple[tuple[str, int], ...]:
        answer = _answer_example
        self.streams = await asyncio.start_server(_serve_stream(answer), "127.0.0.1", 0)
        port = self.streams.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self.datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(answer), local_addr=("127.0.0.1", port)
        )
        return (("127.0.0.1", port),)

    async def __aexit__(self, *_: object) -> None:
        self.streams.close()
        self.datagrams.close()


def _answer_example(message: bytes) -> bytes:
    question = dns.parse(message)
    if question.name != (b"example", b"org"):
        return dns.build(question, dns.Answer(code=dns.NO_SUCH_NAME))
    data = (socket.inet_aton("192.0.2.77"),) if question.kind == dns.A else ()
    return dns.build(question, dns.Answer(data=data))


def _serve_stream(
    answer: Callable[[bytes], bytes],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        said = answer(message)
        writer.write(len(said).to_bytes(2, "big") + said)
        writer.close()

    return serve


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._answer(data), addr)
