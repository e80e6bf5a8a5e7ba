"""Addresses of the machine's own on the bridge: who reaches them, and what a killed control plane leaves of them."""

import asyncio
import socket

import pytest

from cumulo.engines.engine import EngineError, NetworkMode, Port, StartFailed, Unsupported
from cumulo.engines.local.network import LocalNetwork
from tests.network_kit import (
    HOST,
    NFT,
    SILENCE,
    Server,
    ask,
    free_port,
    inside,
    instance,
    needs_network,
    outside,
    query,
    run,
    serve,
    story,
)

pytestmark = needs_network


@story
async def test_the_machine_and_pods_reach_a_listener_by_tcp_and_udp() -> None:
    async with instance() as mine:
        await mine.open("a")
        address = await mine.network.host_address("lb")
        servers = [await serve(HOST, 80, b"tcp", address=address)]
        servers.append(await serve(HOST, 53, b"udp", "udp", address=address))
        assert await ask(HOST, address, 80) == f"tcp {address}"
        assert (await ask(mine.path("a"), address, 80)).startswith("tcp 10.")
        assert (await ask(mine.path("a"), address, 53, "udp")).startswith("udp 10.")
        for server in servers:
            server.close()
        assert await ask(mine.path("a"), address, 80) == "refused"
        await mine.network.free_host_address("lb")


@story
async def test_what_listens_everywhere_is_still_not_for_pods() -> None:
    async with instance() as mine:
        await mine.open("a")
        address = await mine.network.host_address("lb")
        server = await serve(HOST, 0, b"host")
        assert await ask(mine.path("a"), address, server.port) == "refused"
        server.close()
        await mine.network.free_host_address("lb")


@story
async def test_other_machines_do_not_reach_what_listens_there() -> None:
    with outside() as (path, _, ours):
        async with instance() as mine:
            address = await mine.network.host_address("lb")
            server = await serve(HOST, 80, b"lb", address=address)
            await run(path, "ip", "route", "add", f"{address}/32", "via", ours)
            assert await ask(path, address, 80, patience=SILENCE) == "silent"
            server.close()
            await mine.network.free_host_address("lb")


@story
async def test_a_mapped_port_leads_from_one_address_alone_also_to_a_low_port_and_to_itself() -> None:
    async with instance() as mine:
        addresses = [await mine.network.host_address(name) for name in ("i-1", "i-2")]
        for pod, address in zip("ab", addresses, strict=True):
            await mine.open(pod, Port(container=80, host=80, address=address))
        await mine.open("c")
        servers = [await serve(mine.path(pod), 80, pod.encode()) for pod in "ab"]
        for pod, address in zip("ab", addresses, strict=True):
            for asker in (HOST, mine.path("a"), mine.path("b"), mine.path("c")):
                assert (await ask(asker, address, 80)).startswith(pod)
        for server in servers:
            server.close()
        for name in ("i-1", "i-2"):
            await mine.network.free_host_address(name)


@story
async def test_what_listens_everywhere_keeps_no_port_of_an_address_of_its_own_and_is_not_shadowed() -> None:
    async with instance() as mine:
        address = await mine.network.host_address("i-1")
        everywhere = await serve(HOST, 0, b"everywhere")
        port = Port(container=80, host=everywhere.port, address=address)
        await mine.open("a", port)
        server = await serve(mine.path("a"), 80, b"a")
        assert (await ask(HOST, address, port.host)).startswith("a")
        assert (await ask(HOST, "127.0.0.1", port.host)).startswith("everywhere")
        with pytest.raises(StartFailed):
            await mine.open("b", port)
        await mine.network.close("a")
        everywhere.close()
        there = await serve(HOST, port.host, b"there", address=address)
        with pytest.raises(StartFailed):
            await mine.open("b", port)
        for one in (server, there):
            one.close()
        await mine.network.free_host_address("i-1")


@story
async def test_addresses_and_what_is_mapped_to_them_outlive_a_control_plane_that_is_killed() -> None:
    async with instance() as mine:
        address = await mine.network.host_address("lb")
        await mine.open("a", Port(container=80, host=8080, address=address))
        server = await serve(mine.path("a"), 80, b"a")
        await mine.killed_and_started()
        assert (await ask(HOST, address, 8080)).startswith("a")
        assert mine.network.host_addresses() == {"lb": address}
        assert await mine.network.host_address("lb") == address
        with pytest.raises(OSError, match="in use"):
            socket.create_server((address, 8080))
        server.close()
        await mine.network.free_host_address("lb")


@story
async def test_an_address_without_any_pod_outlives_the_control_plane() -> None:
    async with instance() as mine:
        address = await mine.network.host_address("lb")
        await mine.network.stop()
        mine.network = mine.another()
        await mine.network.start()
        await mine.network.adopt({})
        assert await mine.network.host_address("lb") == address
        server = await serve(HOST, 80, b"lb", address=address)
        assert (await ask(HOST, address, 80)).startswith("lb")
        server.close()
        await mine.network.free_host_address("lb")


@story
async def test_addresses_are_back_after_the_bridge_or_the_rules_are_lost() -> None:
    async with instance() as mine:
        await mine.open("a")
        address = await mine.network.host_address("lb")
        await run(HOST, "ip", "link", "del", mine.bridge())
        await mine.open("b")
        server = await serve(HOST, 80, b"lb", address=address)
        for pod in "ab":
            assert (await ask(mine.path(pod), address, 80)).startswith("lb")
        server.close()
        await mine.network.free_host_address("lb")


@story
async def test_many_names_at_once_have_an_address_each_and_it_goes_with_the_last_that_frees_it() -> None:
    async with instance() as mine:
        names = [f"lb-{number}" for number in range(12)]
        found = await asyncio.gather(*(mine.network.host_address(name) for name in names * 2))
        assert found[:12] == found[12:]
        assert len(set(found)) == 12
        text = await run(HOST, "ip", "addr", "show", "dev", mine.bridge())
        assert all(f"inet {address}/32" in text for address in found)
        await asyncio.gather(*(mine.network.free_host_address(name) for name in names * 2))
        text = await run(HOST, "ip", "addr", "show", "dev", mine.bridge())
        assert not any(f"inet {address}/32" in text for address in found)


@story
async def test_addresses_of_an_instance_whose_data_are_gone_go_with_it() -> None:
    async with instance() as mine:
        await mine.network.host_address("lb")
        await mine.network.stop()
        assert mine.left() != []
        await LocalNetwork(mine.name, mine.folder, NFT).end()
        assert mine.left() == []
        mine.network = mine.another()
        await mine.network.start()
        assert mine.network.host_addresses() == {}


@story
async def test_what_is_no_name_has_no_address() -> None:
    async with instance() as mine:
        for name in ("", "../x", "a" * 64):
            with pytest.raises(EngineError):
                await mine.network.host_address(name)
        assert mine.left() == []


@story
async def test_a_socket_inside_at_an_address_that_only_the_pod_has() -> None:
    async with instance() as mine:
        for pod in "ab":
            await mine.open(pod)
        await mine.network.open("n", NetworkMode.NONE, hostname="n", names=(), ports=())
        for pod in "abn":
            for port in (80, 81):  # the second time loopback has the address
                mine.network.listen_inside(pod, port, "169.254.170.2").close()
        listener = mine.network.listen_inside("a", 80, "169.254.170.2")

        def connect() -> None:
            socket.create_connection(("169.254.170.2", 80), timeout=SILENCE).close()

        await inside(mine.path("a"), connect)
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            await inside(mine.path("b"), connect)
        listener.close()
        await mine.network.open("h", NetworkMode.HOST, hostname="h", names=(), ports=())
        with pytest.raises(Unsupported):
            mine.network.listen_inside("h", 80, "169.254.170.2")
        mine.network.listen_inside("h", await free_port(), "127.0.0.9").close()


@story
async def test_what_listens_inside_at_such_an_address_takes_no_port_from_the_pod() -> None:
    async with instance() as mine:
        await mine.open("a")
        for address in ("169.254.170.2", "127.255.0.1"):
            for says in (b"first", b"again"):  # the second time as after a restart
                listener = mine.network.listen_inside("a", 80, address)
                everywhere = await serve(mine.path("a"), 80, b"everywhere")
                answering = Server(listener, says, "tcp")
                assert (await ask(mine.path("a"), address, 80)).startswith(says.decode())
                assert (await ask(mine.path("a"), "127.0.0.1", 80)).startswith("everywhere")
                assert (await ask(mine.path("a"), address, 81)) == "refused"
                answering.close()
                everywhere.close()


@story
async def test_a_published_name_is_answered_with_all_its_addresses_and_a_name_without_any_exists() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        mine.network.publish("ecs", {"web.local": ["10.0.0.1", "10.0.0.2"], "empty.local": []})

        def asked(name: str) -> tuple[int, int]:
            """The code, and how many addresses."""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                client.sendto(query(name), (pod.gateway, 53))
                answer = client.recv(512)
            return answer[3] & 0xF, int.from_bytes(answer[6:8], "big")

        assert await inside(mine.path("a"), lambda: asked("web.local")) == (0, 2)
        assert await inside(mine.path("a"), lambda: asked("EMPTY.local")) == (0, 0)
