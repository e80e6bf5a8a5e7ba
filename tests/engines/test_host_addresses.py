"""The contract: addresses of the machine's own, names that are published, and sockets at any address inside."""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator

import pytest

from cumulo.engines.engine import Capability, EngineError, ExecSpec, NetworkMode, Port, Unsupported
from cumulo.engines.fake import FakeEngine
from tests.engines.kit import Lab, eventually
from tests.engines.test_network import ask, serve


def called() -> str:
    return f"h{uuid.uuid4().hex[:8]}"


@contextlib.asynccontextmanager
async def saying(text: str, address: str, port: int = 0) -> AsyncIterator[int]:
    """A server of this machine's that says something to everybody; its port."""

    async def serve_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{text}\n".encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_one, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_name_keeps_its_address_and_no_other_has_it(lab: Lab) -> None:
    lab.needs(Capability.HOST_ADDRESSES)
    one, two = called(), called()
    first, second = await lab.engine.host_address(one), await lab.engine.host_address(two)
    assert first != second
    assert await lab.engine.host_address(one) == first
    await lab.reopen()
    assert await lab.engine.host_addresses() == {one: first, two: second}
    assert await lab.engine.host_address(one) == first
    pod = await lab.engine.create(lab.pod(lab.container("true")))
    assert pod.address not in (first, second)
    for name in (one, one, two):
        await lab.engine.free_host_address(name)
    assert await lab.engine.host_addresses() == {}
    await lab.reopen()
    assert await lab.engine.host_addresses() == {}


async def test_what_listens_at_two_addresses_may_have_one_port(lab: Lab) -> None:
    lab.needs(Capability.HOST_ADDRESSES)
    names = [called(), called()]
    first, second = [await lab.engine.host_address(name) for name in names]
    async with saying("first", first) as port, saying("second", second, port):
        assert await ask(first, port) == "first"
        assert await ask(second, port) == "second"
    for name in names:
        await lab.engine.free_host_address(name)
    if lab.engine.name != "fake":  # whose addresses are loopback's
        with pytest.raises(OSError, match="assign"):
            socket.create_server((first, 0))


async def test_pods_reach_what_listens_there_and_nothing_that_listens_everywhere(lab: Lab) -> None:
    lab.needs(Capability.HOST_ADDRESSES)
    lab.needs_kernel()
    name = called()
    address = await lab.engine.host_address(name)
    async with saying("here", address) as port, saying("everywhere", "0.0.0.0") as other:
        ran = await lab.sh(f"nc -w 2 {address} {port} </dev/null; nc -w 2 {address} {other} </dev/null")
        assert ran.out == "here\n"
        assert ran.exit.code != 0
    await lab.engine.free_host_address(name)


async def test_ports_of_pods_are_mapped_to_exactly_one_address(lab: Lab) -> None:
    lab.needs(Capability.HOST_ADDRESSES, Capability.PORTS)
    lab.needs_kernel()
    names = [called(), called()]
    addresses = [await lab.engine.host_address(name) for name in names]
    with socket.create_server((addresses[0], 0)) as free:
        port = free.getsockname()[1]
    for address in addresses:
        spec = lab.container(*serve(address, 80))
        pod = await lab.up(spec, ports=(Port(container=80, host=port, address=address),))
        assert pod.ports == (Port(container=80, host=port, address=address),)
    for address in addresses:
        assert await eventually(lambda at=address: ask(at, port), "it answers") == address
        ran = await lab.sh(f"nc -w 2 {address} {port} </dev/null")
        assert ran.out == f"{address}\n"
    assert await ask("127.0.0.1", port) == ""
    for pod in await lab.engine.pods():
        if pod.ports:  # also those whose port it is
            asking = ExecSpec(argv=("sh", "-c", f"nc -w 2 {pod.ports[0].address} {port} </dev/null"))
            _, out, _ = await lab.execute(pod.name, asking)
            assert out == f"{pod.ports[0].address}\n"
    await lab.reopen()
    assert await eventually(lambda: ask(addresses[0], port), "it answers") == addresses[0]
    await lab.clear()
    for name in names:
        await lab.engine.free_host_address(name)


async def test_who_has_no_addresses_or_names_says_so(lab: Lab) -> None:
    if Capability.HOST_ADDRESSES in lab.engine.capabilities:
        pytest.skip("it has")
    with pytest.raises(Unsupported, match="host-addresses"):
        await lab.engine.host_address("one")
    await lab.engine.free_host_address("one")
    assert await lab.engine.host_addresses() == {}
    with pytest.raises(Unsupported, match="publish"):
        await lab.engine.publish("one", {})


async def resolved(lab: Lab, name: str, times: int = 1) -> list[list[str]]:
    """What a pod finds at a name, each time; in the order of the answers."""
    if isinstance(lab.engine, FakeEngine):
        return [list(lab.engine.resolve(name) or ()) for _ in range(times)]
    ran = await lab.sh(f"for i in $(seq {times}); do echo :; nslookup -type=a {name}. || true; done")
    answers = [one.partition("Name:") for one in ran.out.split(":\n")[1:]]
    assert len(answers) == times, ran.out
    return [[line.split()[-1] for line in found.splitlines() if "Address" in line] for _, _, found in answers]


async def test_published_names_lead_to_their_addresses_in_changing_order(lab: Lab) -> None:
    lab.needs(Capability.PUBLISH)
    tag = called()
    wanted = ["10.9.8.1", "10.9.8.2", "10.9.8.3"]
    await lab.engine.publish("a", {f"web.{tag}.local": wanted, f"db.{tag}.local": ["10.9.8.4"]})
    await lab.engine.publish("b", {f"web.{tag}.local": ["10.9.8.5"]})
    found = await resolved(lab, f"Web.{tag}.local", 20)
    assert {tuple(sorted(one)) for one in found} == {(*wanted, "10.9.8.5")}
    assert len({one[0] for one in found}) > 1
    await lab.engine.publish("a", {f"db.{tag}.local": [], f"web.{tag}.local": wanted[:1]})
    assert await resolved(lab, f"db.{tag}.local") == [[]]
    await lab.engine.publish("b", {})
    assert await resolved(lab, f"web.{tag}.local") == [["10.9.8.1"]]
    await lab.engine.publish("a", {})
    assert await resolved(lab, f"web.{tag}.local") == [[]]


async def test_what_is_no_name_or_address_is_not_published(lab: Lab) -> None:
    lab.needs(Capability.PUBLISH)
    for records in ({"a..b": ["10.0.0.1"]}, {"a.b": ["10.0.0.256"]}):
        with pytest.raises(EngineError):
            await lab.engine.publish("a", records)


@pytest.mark.parametrize("address", ["169.254.170.2", "127.255.0.3"])
async def test_a_socket_inside_at_an_address_of_its_own(lab: Lab, address: str) -> None:
    lab.needs(Capability.LISTEN_INSIDE)
    lab.needs_kernel()
    both = []
    for _ in range(2):  # each pod has its own, at a port that is not for everybody
        spec = lab.pod(lab.container("sh", "-c", f"nc -w 2 {address} 80 </dev/null", user="1000"))
        await lab.engine.create(spec)
        both.append((spec.name, await lab.engine.listen_inside(spec.name, 80, address)))

    async def serve_one(name: str, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name}\n".encode())
        await writer.drain()
        writer.close()

    for name, listener in both:
        server = await asyncio.start_server(lambda _, writer, at=name: serve_one(at, writer), sock=listener)
        await lab.engine.start(name, "main")
        async with asyncio.timeout(20):
            await lab.engine.wait(name, "main")
        assert [line.text.decode() for line in await lab.logs(name)] == [name]
        server.close()
        await server.wait_closed()


async def test_the_machine_is_not_given_an_address_for_a_pod_with_its_network(lab: Lab) -> None:
    lab.needs(Capability.LISTEN_INSIDE)
    spec = lab.pod(lab.container("true"), network=NetworkMode.HOST)
    await lab.engine.create(spec)
    with pytest.raises(Unsupported, match=r"169\.254\.170\.2"):
        await lab.engine.listen_inside(spec.name, 80, "169.254.170.2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listener = await lab.engine.listen_inside(spec.name, port, "127.0.0.1")
    listener.close()
