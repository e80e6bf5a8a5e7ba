"""The contract: addresses, names, ports, and what is inside a pod alone."""

import asyncio
import socket
import sys
import uuid
from pathlib import Path

import pytest

from cumulo.engines.engine import (
    Capability,
    EngineError,
    ExecSpec,
    NetworkMode,
    Port,
    StartFailed,
    Unsupported,
)
from tests.engines.kit import Lab, eventually

SERVE = "while :; do echo {says} | nc -l -p {port}; done"


def serve(says: str, port: int) -> tuple[str, ...]:
    return ("sh", "-c", SERVE.format(says=says, port=port))


async def ask(address: str, port: int) -> str:
    """What a server says at once; empty while there is none."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(address, port)
            said = (await reader.read(100)).decode().strip()
            writer.close()
            return said
    except (OSError, TimeoutError):
        return ""


async def test_a_pod_has_an_address_before_anything_runs(lab: Lab) -> None:
    lab.needs(Capability.ADDRESS)
    spec = lab.pod(lab.container("sleep", "600"))
    made = await lab.engine.create(spec)
    assert socket.inet_aton(made.address)
    await lab.engine.start(spec.name, "main")
    assert (await lab.engine.inspect(spec.name)).address == made.address
    other = await lab.engine.create(lab.pod(lab.container("true")))
    assert other.address != made.address


async def test_the_address_is_the_one_inside(lab: Lab) -> None:
    lab.needs(Capability.ADDRESS)
    ran = await lab.sh("hostname -i; ip -4 addr")
    assert (await lab.engine.inspect(ran.pod)).address in ran.out


async def test_the_host_reaches_a_pod_at_its_address(lab: Lab) -> None:
    lab.needs(Capability.ADDRESS)
    lab.needs_kernel()
    pod = await lab.up(lab.container(*serve("hello", 80)))
    assert await eventually(lambda: ask(pod.address, 80), "the pod answers") == "hello"


async def test_containers_of_a_pod_share_its_localhost(lab: Lab) -> None:
    lab.needs_kernel()
    client = lab.container(
        "sh", "-c", "until nc 127.0.0.1 8080 </dev/null | grep hello; do sleep 0.05; done", name="client"
    )
    pod = await lab.up(lab.container(*serve("hello", 8080), name="server"), client)
    async with asyncio.timeout(20):
        assert (await lab.engine.wait(pod.name, "client")).code == 0


async def test_pods_find_each_other_by_name(lab: Lab) -> None:
    lab.needs(Capability.NAMES)
    lab.needs_kernel()
    tag = uuid.uuid4().hex[:6]
    await lab.up(lab.container(*serve("found", 80)), name=f"server-{tag}", names=(f"db-{tag}.internal",))
    for name in (f"server-{tag}", f"db-{tag}.internal"):
        ran = await lab.sh(f"for i in $(seq 60); do nc -w 2 {name} 80 </dev/null && break; sleep 0.1; done")
        assert ran.out == "found\n"


async def test_a_pod_finds_itself_by_its_hostname(lab: Lab) -> None:
    lab.needs(Capability.ADDRESS)
    ran = await lab.sh('ping -c1 -W1 "$(hostname)" | head -1')
    assert (await lab.engine.inspect(ran.pod)).address in ran.out


@pytest.mark.parametrize("network", list(NetworkMode))
async def test_further_lines_of_etc_hosts(lab: Lab, network: NetworkMode) -> None:
    ran = await lab.sh("cat /etc/hosts", pod={"hosts": {"special.example": "10.9.8.7"}, "network": network})
    words = [line.split() for line in ran.out.splitlines()]
    assert ["10.9.8.7", "special.example"] in words
    assert any(w[:1] == ["127.0.0.1"] and "localhost" in w for w in words)


async def test_name_servers_of_its_own(lab: Lab) -> None:
    ran = await lab.sh("cat /etc/resolv.conf", pod={"dns": ("10.1.2.3",), "network": NetworkMode.NONE})
    assert "nameserver 10.1.2.3" in ran.out


async def test_ports_of_the_host_lead_into_the_pod(lab: Lab) -> None:
    lab.needs(Capability.PORTS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        wanted = free.getsockname()[1]
    ports = (Port(container=80), Port(container=81, host=wanted, address="127.0.0.1"))
    spec = lab.pod(
        lab.container(*serve("one", 80), name="one"),
        lab.container(*serve("two", 81), name="two"),
        ports=ports,
    )
    made = await lab.engine.create(spec)
    by_container = {p.container: p for p in made.ports}
    assert by_container[80].host > 0
    assert by_container[81].host == wanted
    for name in ("one", "two"):
        await lab.engine.start(spec.name, name)
    first = by_container[80].host
    assert await eventually(lambda: ask("127.0.0.1", first), "the first port answers") == "one"
    assert await eventually(lambda: ask("127.0.0.1", wanted), "the second port answers") == "two"
    await lab.engine.signal(spec.name, "one", "SIGKILL")
    await lab.engine.wait(spec.name, "one")
    await lab.engine.start(spec.name, "one")
    assert {p.container: p.host for p in (await lab.engine.inspect(spec.name)).ports}[80] == first
    assert await eventually(lambda: ask("127.0.0.1", first), "it answers after a restart") == "one"
    await lab.engine.remove(spec.name)
    assert await ask("127.0.0.1", first) == ""


UDP_SERVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 53))
    server.settimeout(20)
    print(server.recv(100).decode(), flush=True)
"""


async def test_ports_of_udp(lab: Lab) -> None:
    lab.needs(Capability.PORTS, Capability.LISTEN_INSIDE)  # the server is ours, in the pod's network
    pod = await lab.up(lab.container("sleep", "600"), ports=(Port(container=53, protocol="udp"),))
    argv = ("nsenter", "-n", "-t", str(pod.containers["main"].pid), sys.executable, "-c", UDP_SERVER)
    server = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    heard = asyncio.create_task(server.stdout.read())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:

        async def arrived() -> bool:
            client.sendto(b"datagram", ("127.0.0.1", pod.ports[0].host))
            return heard.done()

        await eventually(arrived, "the datagram arrives")
    assert await heard == b"datagram\n"
    await server.wait()


async def test_a_port_that_is_taken(lab: Lab) -> None:
    lab.needs(Capability.PORTS)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        spec = lab.pod(lab.container("true"), ports=(Port(container=80, host=port),))
        with pytest.raises(StartFailed, match=str(port)) as caught:
            await lab.up(*spec.containers, name=spec.name, ports=spec.ports)
        assert caught.value.kind == "port"
    await lab.engine.remove(spec.name)
    await lab.engine.create(spec)
    await lab.engine.start(spec.name, "main")
    assert (await lab.engine.wait(spec.name, "main")).code == 0


async def test_no_network_but_loopback(lab: Lab) -> None:
    ran = await lab.sh(
        "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up", pod={"network": NetworkMode.NONE}
    )
    words = ran.out.split()
    assert "lo" in words
    assert "eth0" not in words
    assert "up" in words
    assert (await lab.engine.inspect(ran.pod)).address == ""


async def test_the_network_of_the_host(lab: Lab) -> None:
    lab.needs_kernel()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pod = await lab.up(lab.container(*serve("from the host", port)), network=NetworkMode.HOST)
    assert pod.address == ""
    assert await eventually(lambda: ask("127.0.0.1", port), "it answers") == "from the host"


async def test_a_socket_inside_a_pod(lab: Lab) -> None:
    lab.needs(Capability.LISTEN_INSIDE)
    lab.needs_kernel()
    spec = lab.pod(lab.container("sh", "-c", "nc 127.0.0.1 9001 </dev/null; nc 127.0.0.1 9001 </dev/null"))
    await lab.engine.create(spec)
    listener = await lab.engine.listen_inside(spec.name, 9001)
    assert await ask("127.0.0.1", 9001) != "inside", "it is not the host's"

    async def serve_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"inside\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_one, sock=listener)
    try:
        await lab.engine.start(spec.name, "main")
        async with asyncio.timeout(20):
            await lab.engine.wait(spec.name, "main")
        assert [line.text for line in await lab.logs(spec.name)] == [b"inside", b"inside"]
    finally:
        server.close()
        await server.wait_closed()


async def test_many_sockets_inside_many_pods(lab: Lab) -> None:
    lab.needs(Capability.LISTEN_INSIDE)
    for _ in range(3):
        spec = lab.pod(lab.container("true"))
        await lab.engine.create(spec)
        listener = await lab.engine.listen_inside(spec.name, 9001)
        listener.close()


async def test_who_cannot_listen_inside_says_so(lab: Lab) -> None:
    if Capability.LISTEN_INSIDE in lab.engine.capabilities:
        pytest.skip("it can")
    pod = await lab.started("sleep", "600")
    with pytest.raises(Unsupported):
        await lab.engine.listen_inside(pod, 9001)


async def test_a_namespace_is_given_back(lab: Lab) -> None:
    lab.needs_kernel()
    before = set(Path("/sys/class/net").iterdir())
    pod = await lab.started("sleep", "600")
    await lab.execute(pod, ExecSpec(argv=("true",)))
    await lab.engine.remove(pod)

    async def gone() -> bool:
        links = {p for p in set(Path("/sys/class/net").iterdir()) - before if p.name.startswith("veth")}
        return not links

    await eventually(gone, "the pod's link is gone")


async def test_a_port_the_engine_cannot_give(lab: Lab) -> None:
    if Capability.PORTS in lab.engine.capabilities:
        pytest.skip("it can")
    with pytest.raises(EngineError):
        await lab.engine.create(lab.pod(lab.container("true"), ports=(Port(container=80),)))
    assert await lab.engine.pods() == []
