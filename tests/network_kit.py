"""What tests of pods' networks share: networks of instances of their own, and doing things inside a pod."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cumulo.engines.engine import NetworkMode, Port
from cumulo.engines.local import addresses, namespaces
from cumulo.engines.local.needs import Connection
from cumulo.engines.local.network import LocalNetwork
from cumulo.engines.local.upstream import Upstream
from cumulo.sandbox import kernel

T = TypeVar("T")
NFT = shutil.which("nft") or ""
SILENCE = 0.6  # seconds after which nobody answers what should not be answered
PATIENCE = 10.0  # seconds for what should

needs_network = pytest.mark.skipif(
    os.geteuid() != 0 or not NFT, reason="networks of pods need root on Linux, and nft"
)


class Instance:
    """One instance's network; `again` is what a restarted control plane has."""

    def __init__(self, servers: tuple[tuple[str, int], ...] = ()) -> None:
        self.name = f"test-{secrets.token_hex(6)}"
        self.folder = Path("/run", f"cumulo-{self.name}")
        self.servers = servers
        self.network = self.another()

    def another(self) -> LocalNetwork:
        upstream = Upstream(lambda: self.servers, seconds_each=0.3)
        return LocalNetwork(self.name, self.folder, NFT, upstream)

    async def killed_and_started(self) -> None:
        """What kill -9 does: sockets close, nothing is tidied up.  Then a new control plane."""
        old = self.network
        old._reservations.close()
        if old._departures._task is not None:
            old._departures._task.cancel()
        await old._shared.release()
        self.network = self.another()
        await self.network.start()

    async def open(self, pod: str, *ports: Port, names: tuple[str, ...] = ()) -> Connection:
        return await self.network.open(pod, NetworkMode.BRIDGE, hostname=pod, names=names, ports=ports)

    def path(self, pod: str) -> Path:
        return self.folder / f"{pod}.net"

    def bridge(self) -> str:
        return addresses.bridge_name(self.name)

    def flush(self) -> None:
        """What an administrator does: the rules are gone."""
        table = addresses.table_name(self.name)
        subprocess.run([NFT, "delete", "table", "inet", table], check=True)

    def left(self) -> list[str]:
        """What there is of it on this machine."""
        mine = addresses.link_prefix(self.name)
        links = [name for _, name in socket.if_nameindex() if name.startswith(mine)]
        rules = subprocess.run([NFT, "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        table = addresses.table_name(self.name)
        mounts = Path("/proc/self/mountinfo").read_text()
        return [
            *links,
            *(["rules"] if table in rules or self.bridge() in rules else []),
            *(["mounts"] if str(self.folder) in mounts else []),
            *([str(self.folder)] if self.folder.exists() else []),
        ]


@contextlib.asynccontextmanager
async def instance(servers: tuple[tuple[str, int], ...] = ()) -> AsyncIterator[Instance]:
    """A started network, of which nothing is left at the end."""
    made = Instance(servers)
    await made.network.start()
    try:
        yield made
    finally:
        await made.network.sweep(())
        await made.network.stop()
        left = made.left()
    assert not left, left


def story(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that is a coroutine, ended after a minute at the latest."""

    def test() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await work()

        asyncio.run(bounded())

    test.__name__ = work.__name__
    test.__doc__ = work.__doc__
    return test


async def inside(path: Path, work: Callable[[], T]) -> T:
    """Do something in a thread that is in a namespace."""

    def enter() -> T:
        fd = os.open(path, os.O_RDONLY)
        kernel.setns(fd, kernel.CLONE_NEWNET)
        os.close(fd)
        return work()

    return await namespaces.in_thread_async(enter)


HOST = Path("/proc/self/ns/net")


class Server:
    """A server that runs until it is closed."""

    def __init__(self, listener: socket.socket, says: bytes, kind: str) -> None:
        self._listener = listener
        self._task = asyncio.create_task(_serve(listener, says, kind))
        self.port: int = listener.getsockname()[1]

    def close(self) -> None:
        """End it now: the next socket may have the same number, so the loop must not wait for this any more."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._task.cancel()
        self._listener.close()


async def serve(path: Path, port: int, says: bytes, kind: str = "tcp", address: str = "0.0.0.0") -> Server:
    """A server in a namespace that says something, and to whom."""

    def bind() -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == "tcp":
            server.listen(16)
        server.setblocking(False)
        return server

    return Server(await inside(path, bind), says, kind)


async def _serve(server: socket.socket, says: bytes, kind: str) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, ValueError):
        while True:
            if kind == "tcp":
                client, peer = await loop.sock_accept(server)
                with client:
                    await loop.sock_sendall(client, says + b" " + peer[0].encode())
            else:
                _, peer = await loop.sock_recvfrom(server, 2048)
                await loop.sock_sendto(server, says + b" " + peer[0].encode(), peer)


async def ask(path: Path, address: str, port: int, kind: str = "tcp", patience: float = PATIENCE) -> str:
    """What a server says to somebody in a namespace; `refused`, `silent` or `unreachable`."""

    def talk() -> str:
        with socket.socket(
            socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
        ) as client:
            client.settimeout(patience)
            try:
                client.connect((address, port))
                if kind == "udp":
                    client.send(b"?")
                return client.recv(2048).decode()
            except ConnectionRefusedError:
                return "refused"
            except TimeoutError:
                return "silent"
            except OSError:
                return "unreachable"

    return await inside(path, talk)


async def run(path: Path, *argv: str) -> str:
    """What a program prints inside a namespace."""
    child = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={path}", *argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(20):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise
    return output.decode()


@contextlib.contextmanager
def outside() -> Iterator[tuple[Path, str, str]]:
    """Another machine: a namespace that is linked to this host; with its address and the host's towards it."""
    tag = secrets.token_hex(3)
    number = secrets.randbelow(60) * 4
    ours, theirs = f"198.18.7.{number + 1}", f"198.18.7.{number + 2}"
    path = Path("/run", f"cumulo-test-outside-{tag}")
    namespaces.in_thread(lambda: namespaces.make(path))
    try:
        _ip("link", "add", f"tst{tag}", "type", "veth", "peer", "name", f"tsp{tag}")
        try:
            fd = os.open(path, os.O_RDONLY)
            try:
                subprocess.run(
                    ["ip", "link", "set", f"tsp{tag}", "netns", f"/proc/self/fd/{fd}"],
                    check=True,
                    pass_fds=[fd],
                )
            finally:
                os.close(fd)
            _ip("addr", "add", f"{ours}/30", "dev", f"tst{tag}")
            _ip("link", "set", f"tst{tag}", "up")
            Path(f"/proc/sys/net/ipv4/conf/tst{tag}/forwarding").write_text("1")
            inside_ip = ["nsenter", f"--net={path}", "ip"]
            subprocess.run([*inside_ip, "addr", "add", f"{theirs}/30", "dev", f"tsp{tag}"], check=True)
            subprocess.run([*inside_ip, "link", "set", f"tsp{tag}", "up"], check=True)
            yield path, theirs, ours
        finally:
            _ip("link", "del", f"tst{tag}")
    finally:
        namespaces.remove(path)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def query(name: str, kind: int = 1, number: int = 4711, flags: int = 0x0100) -> bytes:
    """A DNS question."""
    labels = b"".join(bytes([len(part)]) + part for part in name.encode().split(b"."))
    return struct.pack("!6H", number, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


async def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])
