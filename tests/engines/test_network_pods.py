"""Pods have namespaces with addresses; they reach one another and the world, and nothing of the host."""

import asyncio
import socket

import pytest

from cumulo.engines.engine import EngineError, NetworkMode, NoSuchPod, Port, StartFailed
from cumulo.engines.local.needs import Wish
from tests.network_kit import HOST, SILENCE, ask, inside, instance, needs_network, outside, run, serve, story

pytestmark = needs_network


@story
async def test_a_pod_has_loopback_an_address_a_way_out_and_no_ipv6_but_loopback() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        assert pod.namespace == mine.path("a")
        links = await inside(mine.path("a"), socket.if_nameindex)
        assert [name for _, name in links] == ["lo", "eth0"]
        text = await run(mine.path("a"), "ip", "addr")
        assert f"inet {pod.address}/16" in text
        assert "inet6 ::1/128" in text
        assert text.count("inet6") == 1
        assert f"default via {pod.gateway} dev eth0" in await run(mine.path("a"), "ip", "route")
        server = await serve(mine.path("a"), 80, b"self")
        assert await ask(mine.path("a"), "127.0.0.1", 80) == "self 127.0.0.1"
        server.close()


@story
async def test_ordinary_users_may_use_low_ports_and_ping() -> None:
    async with instance() as mine:
        await mine.open("a")
        settings = ("net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range")
        found = [(await run(mine.path("a"), "cat", f"/proc/sys/{name}")).split() for name in settings]
        assert found == [["0"], ["0", "2147483647"]]


@story
async def test_a_pod_without_network_has_loopback_alone() -> None:
    async with instance() as mine:
        pod = await mine.network.open("a", NetworkMode.NONE, hostname="a", names=(), ports=())
        assert (pod.address, pod.gateway, pod.dns) == ("", "", ())
        assert [name for _, name in await inside(mine.path("a"), socket.if_nameindex)] == ["lo"]
        listener = mine.network.listen_inside("a", 9001)
        assert (
            await inside(mine.path("a"), lambda: socket.create_connection(("127.0.0.1", 9001)).close())
            is None
        )
        listener.close()
        assert mine.network.traffic("a") == (0, 0)
        assert mine.bridge() not in [name for _, name in socket.if_nameindex()]  # nobody needed it


@story
async def test_a_pod_on_the_host_has_no_namespace_and_the_ports_that_it_asked_for() -> None:
    async with instance() as mine:
        ports = (Port(container=80, host=80),)
        pod = await mine.network.open("a", NetworkMode.HOST, hostname="a", names=(), ports=ports)
        assert (pod.namespace, pod.ports) == (None, ports)
        assert await mine.network.open("a", NetworkMode.HOST, hostname="a", names=(), ports=()) == pod


@story
async def test_ports_of_a_pod_without_network_are_refused() -> None:
    async with instance() as mine:
        with pytest.raises(StartFailed, match="no network"):
            await mine.network.open(
                "a", NetworkMode.NONE, hostname="a", names=(), ports=(Port(container=80),)
            )


@story
async def test_pods_of_one_instance_reach_one_another_and_those_of_another_instance_do_not() -> None:
    async with instance() as mine, instance() as other:
        a, b, c = await mine.open("a"), await mine.open("b"), await other.open("c")
        servers = [await serve(mine.path("b"), 80, b"b"), await serve(other.path("c"), 80, b"c")]
        assert await ask(mine.path("a"), b.address, 80) == f"b {a.address}"
        assert await ask(mine.path("a"), c.address, 80, patience=SILENCE) == "silent"
        assert await ask(other.path("c"), b.address, 80, patience=SILENCE) == "silent"
        assert await ask(HOST, b.address, 80) == f"b {b.gateway}"  # the host itself may
        for server in servers:
            server.close()


@story
async def test_a_pod_reaches_nothing_that_the_host_listens_on() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        listener = await serve(HOST, 0, b"host")
        port = listener.port
        for address in (pod.gateway, *_own_addresses()):
            assert await ask(mine.path("a"), address, port) == "refused"
        assert await ask(mine.path("a"), "127.0.0.1", port) == "refused"  # the pod's own
        datagrams = await serve(HOST, 0, b"host", "udp")
        assert await ask(mine.path("a"), pod.gateway, datagrams.port, "udp", patience=SILENCE) == "silent"
        listener.close()
        datagrams.close()


@story
async def test_a_port_of_the_host_that_is_allowed_leads_to_its_loopback() -> None:
    async with instance() as mine, instance() as other:
        listener = await serve(HOST, 0, b"cloud", address="127.0.0.1")
        port = listener.port
        await mine.network.allow_host_port(port)
        pod, stranger = await mine.open("a"), await other.open("b")
        assert await ask(mine.path("a"), pod.gateway, port) == f"cloud {pod.address}"
        assert await ask(other.path("b"), stranger.gateway, port) == "refused"
        await other.network.allow_host_port(port)  # while it runs
        assert await ask(other.path("b"), stranger.gateway, port) == f"cloud {stranger.address}"
        listener.close()


@story
async def test_what_is_no_port_cannot_be_allowed() -> None:
    async with instance() as mine:
        for port in (0, -1, 65536):
            with pytest.raises(EngineError, match="is no port"):
                await mine.network.allow_host_port(port)


@story
async def test_loopback_of_the_host_cannot_be_reached_by_a_route_that_a_pod_makes() -> None:
    async with instance() as mine:
        pod = await mine.open("a", Port(container=80))
        listener = await serve(HOST, 0, b"host", address="127.0.0.1")
        port = listener.port
        await mine.network.allow_host_port(port)
        path = mine.path("a")
        await run(path, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        await run(path, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
        await run(path, "ip", "route", "del", "local", "127.0.0.0/8", "table", "local")
        await run(path, "ip", "route", "add", "127.0.0.0/8", "via", pod.gateway)
        assert await ask(path, "127.0.0.1", port, patience=SILENCE) in ("silent", "unreachable", "refused")
        assert await ask(path, "127.0.0.1", pod.ports[0].host, patience=SILENCE) in (
            "silent",
            "unreachable",
            "refused",
        )
        listener.close()


@story
async def test_a_pod_reaches_the_world_as_the_host_and_the_world_reaches_no_pod() -> None:
    with outside() as (path, theirs, ours):
        async with instance() as mine:
            pod = await mine.open("a")
            servers = [await serve(path, 80, b"world"), await serve(mine.path("a"), 80, b"pod")]
            assert await ask(mine.path("a"), theirs, 80) == f"world {ours}"
            await run(path, "ip", "route", "add", "default", "via", ours)
            assert await ask(path, pod.address, 80, patience=SILENCE) == "silent"
            for server in servers:
                server.close()


@story
async def test_metadata_addresses_are_closed() -> None:
    with outside() as (path, theirs, _):
        async with instance() as mine:
            await mine.open("a")
            await run(path, "ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
            await run(HOST, "ip", "route", "add", "169.254.77.254/32", "via", theirs)
            await run(path, "ip", "addr", "add", "169.254.77.254/32", "dev", "lo")
            server = await serve(path, 80, b"metadata")
            assert await ask(HOST, "169.254.77.254", 80) != "silent"
            assert await ask(mine.path("a"), "169.254.77.254", 80, patience=SILENCE) == "silent"
            server.close()


@story
async def test_opening_again_gives_what_there_is_and_closing_again_is_harmless() -> None:
    async with instance() as mine:
        first = await mine.open("a", Port(container=80), names=("web",))
        assert await mine.open("a") == first
        await mine.network.close("a")
        await mine.network.close("a")
        assert not mine.path("a").exists()
        again = await mine.open("a")
        assert again.address != first.address  # nobody meets a neighbour's old connections
        assert again.ports == ()


@story
async def test_fifty_pods_at_once_have_fifty_addresses() -> None:
    async with instance() as mine:
        pods = await asyncio.gather(*(mine.open(f"p{number}") for number in range(50)))
        assert len({pod.address for pod in pods}) == 50
        server = await serve(mine.path("p49"), 80, b"last")
        assert await ask(mine.path("p0"), pods[49].address, 80) == f"last {pods[0].address}"
        server.close()


@story
async def test_opening_and_closing_one_pod_at_once_ends_in_one_of_the_two() -> None:
    async with instance() as mine:
        for _ in range(5):
            await asyncio.gather(mine.open("a"), mine.network.close("a"), mine.open("a"))
            await mine.network.close("a")
            assert not mine.path("a").exists()


@story
async def test_an_open_that_nobody_waits_for_any_more_is_finished() -> None:
    async with instance() as mine:
        task = asyncio.create_task(mine.open("a"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await mine.open("a")).address
        await mine.network.close("a")


@story
async def test_what_listens_inside_is_reached_from_inside_and_from_nowhere_else() -> None:
    async with instance() as mine:
        pod, _ = await mine.open("a"), await mine.open("b")
        listener = mine.network.listen_inside("a", 9001)
        assert (
            await inside(mine.path("a"), lambda: socket.create_connection(("127.0.0.1", 9001)).close())
            is None
        )
        assert await ask(mine.path("b"), pod.address, 9001) == "refused"
        assert await ask(HOST, pod.address, 9001) == "refused"
        with pytest.raises(EngineError, match="9001 inside pod a"):
            mine.network.listen_inside("a", 9001)
        listener.close()
        with pytest.raises(NoSuchPod):
            mine.network.listen_inside("nobody", 9001)


@story
async def test_traffic_is_counted_as_the_pod_sees_it() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        server = await serve(mine.path("a"), 80, b"x" * 100_000)
        before = mine.network.traffic("a")
        with await asyncio.to_thread(socket.create_connection, (pod.address, 80)) as client:
            got = await asyncio.to_thread(_read_all, client)
        received, sent = mine.network.traffic("a")
        assert len(got) > 100_000
        assert sent - before[1] > 100_000 > received - before[0] > 0
        assert mine.network.traffic("nobody") == (0, 0)
        server.close()


@story
async def test_names_that_are_none_are_refused_and_nothing_is_left() -> None:
    async with instance() as mine:
        for pod, names in (("../x", ()), ("A", ()), ("a", ("",)), ("a", ("x" * 64,)), ("a", ("a..b",))):
            with pytest.raises(EngineError):
                await mine.open(pod, names=names)
        assert mine.left() == []


@story
async def test_a_pod_is_adopted_after_a_restart_and_others_are_removed() -> None:
    async with instance() as mine:
        kept, _ = await mine.open("kept", Port(container=80), names=("web",)), await mine.open("gone")
        await mine.killed_and_started()
        wishes = {
            "kept": Wish(mode=NetworkMode.BRIDGE, hostname="kept", names=("web",), ports=kept.ports),
            "lost": Wish(mode=NetworkMode.BRIDGE, hostname="lost"),
        }
        found = await mine.network.adopt(wishes)
        assert found["kept"] == kept
        assert found["lost"].address not in ("", kept.address)
        assert not mine.path("gone").exists()
        assert await ask(mine.path("lost"), kept.address, 80) == "refused"  # reached, though nobody listens


def _own_addresses() -> list[str]:
    """This machine's address on its way out; none where there is no way out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def _read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)
