"""Ports of the host lead into pods: from everywhere, never two to one, and without the control plane too."""

import asyncio
import socket

import pytest

from cumulo.engines.engine import NetworkMode, Port, StartFailed
from cumulo.engines.local.needs import Wish
from tests.network_kit import (
    HOST,
    SILENCE,
    ask,
    free_port,
    instance,
    needs_network,
    outside,
    run,
    serve,
    story,
)

pytestmark = needs_network

LOCAL = "127.0.0.1"


@story
async def test_a_mapped_tcp_port_leads_into_the_pod_from_the_host_from_pods_and_from_outside() -> None:
    with outside() as (path, theirs, ours):
        async with instance() as mine:
            pod, other = await mine.open("a", Port(container=80)), await mine.open("b")
            (port,) = pod.ports
            assert port.host > 0
            server = await serve(mine.path("a"), 80, b"a")
            assert await ask(HOST, LOCAL, port.host) == f"a {pod.gateway}"
            assert await ask(HOST, ours, port.host) == f"a {ours}"
            assert await ask(path, ours, port.host) == f"a {theirs}"  # who asks is seen
            assert await ask(mine.path("b"), other.gateway, port.host) == f"a {pod.gateway}"
            assert await ask(mine.path("a"), pod.gateway, port.host) == f"a {pod.gateway}"  # itself
            server.close()


@story
async def test_a_mapped_udp_port_does_too() -> None:
    with outside() as (path, theirs, ours):
        async with instance() as mine:
            pod = await mine.open("a", Port(container=53, protocol="udp"))
            (port,) = pod.ports
            server = await serve(mine.path("a"), 53, b"a", "udp")
            assert await ask(HOST, LOCAL, port.host, "udp") == f"a {pod.gateway}"
            assert await ask(path, ours, port.host, "udp") == f"a {theirs}"
            server.close()


@story
async def test_one_number_may_be_tcp_and_udp_and_lead_to_different_pods() -> None:
    async with instance() as mine:
        number = await free_port()
        await mine.open("a", Port(container=1, host=number))
        await mine.open("b", Port(container=2, host=number, protocol="udp"))
        servers = [await serve(mine.path("a"), 1, b"tcp"), await serve(mine.path("b"), 2, b"udp", "udp")]
        assert (await ask(HOST, LOCAL, number)).startswith("tcp")
        assert (await ask(HOST, LOCAL, number, "udp")).startswith("udp")
        for server in servers:
            server.close()


@story
async def test_a_port_on_loopback_is_for_this_machine_alone() -> None:
    with outside() as (path, _, ours):
        async with instance() as mine:
            pod = await mine.open("a", Port(container=80, address=LOCAL))
            server = await serve(mine.path("a"), 80, b"a")
            assert await ask(HOST, LOCAL, pod.ports[0].host) == f"a {pod.gateway}"
            assert await ask(path, ours, pod.ports[0].host) == "refused"
            assert await ask(HOST, ours, pod.ports[0].host) == "refused"
            server.close()


@story
async def test_one_port_on_two_addresses_leads_to_two_pods() -> None:
    with outside() as (path, _, ours):
        async with instance() as mine:
            number = await free_port()
            await mine.open("a", Port(container=80, host=number, address=LOCAL))
            await mine.open("b", Port(container=80, host=number, address=ours))
            servers = [await serve(mine.path(pod), 80, pod.encode()) for pod in ("a", "b")]
            assert (await ask(HOST, LOCAL, number))[0] == "a"
            assert (await ask(path, ours, number))[0] == "b"
            for server in servers:
                server.close()


@story
async def test_a_port_that_another_pod_has_is_refused_by_name_and_nothing_is_left() -> None:
    async with instance() as mine:
        number = await free_port()
        await mine.open("a", Port(container=80, host=number))
        free = await free_port()
        with pytest.raises(StartFailed, match=f"tcp port {number} of 127.0.0.1 is already in use") as caught:
            await mine.open("b", Port(container=1, host=free), Port(container=80, host=number, address=LOCAL))
        assert caught.value.kind == "port"
        assert not mine.path("b").exists()
        await mine.open("b", Port(container=1, host=free))  # what it had taken before is free again


@story
async def test_a_port_that_somebody_listens_on_is_refused() -> None:
    async with instance() as mine:
        for kind in ("tcp", "udp"):
            listener = await serve(HOST, 0, b"", kind)
            number = listener.port
            with pytest.raises(StartFailed, match=f"{kind} port {number}"):
                await mine.open("a", Port(container=80, host=number, protocol=kind))
            listener.close()
            await mine.open(f"{kind}-free", Port(container=80, host=number, protocol=kind))


@story
async def test_a_port_of_a_pod_cannot_be_taken_by_others() -> None:
    async with instance() as mine:
        pod = await mine.open("a", Port(container=80), Port(container=80, protocol="udp"))
        for port, kind in zip(pod.ports, (socket.SOCK_STREAM, socket.SOCK_DGRAM), strict=True):
            with socket.socket(socket.AF_INET, kind) as greedy, pytest.raises(OSError, match="in use"):
                greedy.bind(("0.0.0.0", port.host))
        await mine.network.close("a")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as heir:
            heir.bind(("0.0.0.0", pod.ports[0].host))


@story
async def test_a_port_of_a_pod_whose_control_plane_is_dead_is_refused() -> None:
    async with instance() as mine, instance() as other:
        pod = await mine.open("a", Port(container=80))
        (port,) = pod.ports
        mine.network._reservations.close()  # as the kernel does when a process dies
        for address in ("0.0.0.0", LOCAL):
            with pytest.raises(
                StartFailed, match=f"{port.host} of {address} leads to a container of another"
            ):
                await other.open("b", Port(container=80, host=port.host, address=address))


@story
async def test_what_is_no_port_is_refused() -> None:
    async with instance() as mine:
        for port in (
            Port(container=0),
            Port(container=65536),
            Port(container=80, host=70000),
            Port(container=80, protocol="sctp"),
            Port(container=80, address="::"),
            Port(container=80, address="192.0.2.200"),
            Port(container=80, address="x; flush ruleset"),
        ):
            with pytest.raises(StartFailed) as caught:
                await mine.open("a", port)
            assert caught.value.kind == "port"
        assert not mine.path("a").exists()


@story
async def test_ports_work_while_no_control_plane_runs_and_are_held_by_the_next() -> None:
    async with instance() as mine:
        pod = await mine.open("a", Port(container=80))
        (port,) = pod.ports
        server = await serve(mine.path("a"), 80, b"a")
        await mine.network.stop()
        assert (await ask(HOST, LOCAL, port.host))[0] == "a"
        mine.network = mine.another()
        await mine.network.start()
        assert await mine.open("a") == pod
        assert (await ask(HOST, LOCAL, port.host))[0] == "a"
        with socket.socket() as greedy, pytest.raises(OSError, match="in use"):
            greedy.bind(("0.0.0.0", port.host))
        server.close()


@story
async def test_a_port_of_a_closed_pod_leads_nowhere_and_may_lead_to_another() -> None:
    async with instance() as mine:
        (port,) = (await mine.open("a", Port(container=80))).ports
        await mine.network.close("a")
        assert await ask(HOST, LOCAL, port.host) == "refused"
        await mine.open("b", Port(container=8080, host=port.host))
        server = await serve(mine.path("b"), 8080, b"b")
        assert (await ask(HOST, LOCAL, port.host))[0] == "b"
        server.close()


@story
async def test_an_adopted_pod_whose_network_is_gone_gets_its_ports_again() -> None:
    async with instance() as mine:
        (port,) = (await mine.open("a", Port(container=80))).ports
        await mine.network.close("a")  # as after a restart of the machine
        wish = Wish(mode=NetworkMode.BRIDGE, hostname="a", ports=(port,))
        found = await mine.network.adopt({"a": wish})
        assert found["a"].ports == (port,)


@story
async def test_rules_that_somebody_flushed_are_there_again_with_the_next_port() -> None:
    async with instance() as mine:
        (first,) = (await mine.open("a", Port(container=80))).ports
        mine.flush()
        await mine.open("b", Port(container=80))
        server = await serve(mine.path("a"), 80, b"a")
        assert (await ask(HOST, LOCAL, first.host))[0] == "a"
        server.close()


@story
async def test_many_ports_at_once_all_lead_where_they_should() -> None:
    async with instance() as mine:
        ports = tuple(Port(container=1000 + number) for number in range(60))
        pod = await mine.open("a", *ports)
        assert len({port.host for port in pod.ports}) == 60
        server = await serve(mine.path("a"), 1059, b"last")
        assert (await ask(HOST, LOCAL, pod.ports[59].host)).startswith("last")
        server.close()


@story
async def test_a_neighbour_who_sends_packets_to_loopback_reaches_no_port_of_loopback() -> None:
    with outside() as (path, _, ours):
        async with instance() as mine:
            local = await mine.open("a", Port(container=80, address=LOCAL), Port(container=80))
            server = await serve(mine.path("a"), 80, b"a")
            await run(path, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
            await run(path, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
            await run(path, "ip", "route", "del", "local", "127.0.0.0/8", "table", "local")
            await run(path, "ip", "route", "add", "127.0.0.0/8", "via", ours)
            for port in local.ports:
                assert await ask(path, LOCAL, port.host, patience=SILENCE) == "silent"
            assert (await ask(path, ours, local.ports[1].host))[0] == "a"
            server.close()


@story
async def test_a_port_that_somebody_took_while_no_control_plane_ran_still_leads_into_the_pod() -> None:
    async with instance() as mine:
        (port,) = (await mine.open("a", Port(container=80))).ports
        await mine.network.stop()
        greedy = await serve(HOST, port.host, b"greedy")
        mine.network = mine.another()
        await mine.network.start()
        server = await serve(mine.path("a"), 80, b"a")
        assert (await ask(HOST, LOCAL, port.host)).startswith("a")
        greedy.close()
        server.close()


@story
async def test_a_client_that_never_stops_sending_udp_reaches_whichever_pod_has_the_port_now() -> None:
    async with instance() as mine:
        number = await free_port(socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            assert await asyncio.to_thread(_send_and_receive, client, number) == b""  # nobody is there
            for pod in ("a", "b"):
                await mine.open(pod, Port(container=53, host=number, protocol="udp"))
                server = await serve(mine.path(pod), 53, pod.encode(), "udp")
                assert (await asyncio.to_thread(_send_and_receive, client, number))[:1] == pod.encode()
                server.close()
                await mine.network.close(pod)


def _send_and_receive(client: socket.socket, number: int) -> bytes:
    """What is answered to the first of some datagrams; nothing: empty."""
    for _ in range(10):
        try:
            client.sendto(b"?", (LOCAL, number))
            return client.recv(100)
        except OSError:
            continue
    return b""
