"""What tests of the local engine share: an image of busybox, a network without a bridge, engines and what they leave."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import ContainerSpec, NetworkMode, PodSpec, Port
from cumulo.engines.images import Config, Image, Images, Platform
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.groups import MONITORS, PREFIX
from cumulo.engines.local.hands import unmount_below
from cumulo.engines.local.needs import Connection, Wish
from cumulo.engines.local.opening import instance_of, open_engine
from cumulo.engines.local.processes import command_line
from cumulo.engines.local.runtime import Tools
from cumulo.sandbox import kernel

RUNTIMES = [name for name in ("runc", "crun") if shutil.which(name)]
MISSING = [name for name in ("conmon", "busybox") if not shutil.which(name)]
needs_local = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(MISSING) or not RUNTIMES, reason=f"not installed: {MISSING or 'runc'}"),
]
BUSYBOX = "sha256:" + "b" * 64
_APPLETS = "tr sed nsenter readlink sh ls cat echo sleep true false id env mkdir touch rm ln mount umount ps kill head tail wc dd stat test yes nc wget hostname printf tty stty chmod chown pwd date seq grep unshare sync awk df nproc od"


def make_layer(folder: Path) -> Path:
    """A layer with busybox and the few files that an image has."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", folder / "bin" / "busybox")
    for name in _APPLETS.split():
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc").mkdir()
    (folder / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n"
    )
    (folder / "etc" / "group").write_text("root:x:0:\nanna:x:1000:\nwheel:x:10:anna\nextra:x:77:anna,root\n")
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    (folder / "seed").mkdir()
    (folder / "seed" / "file").write_text("from the image\n")
    os.chown(folder / "seed" / "file", 1000, 1000)
    (folder / "notes.txt").write_text("not a program\n")
    return folder


class FakeImages:
    """Images and their layers, in a dictionary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.images: dict[str, Image] = {}
        self.add(BUSYBOX, Config(command=("/bin/sh",), env={"FROM": "image"}))

    def add(self, id_: str, config: Config) -> str:
        self.images[id_] = Image(
            id=id_, digest=id_, platform=Platform("amd64"), config=config, layers=("sha256:base",)
        )
        return id_

    def folder(self, diff_id: str) -> Path:
        return self._folder

    async def get(self, name: str) -> Image | None:
        return self.images.get(name)


class LoopbackNetwork:
    """A namespace with nothing but loopback for every pod."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(
        self, pod: str, mode: NetworkMode, *, hostname: str, names: tuple[str, ...], ports: tuple[Port, ...]
    ) -> Connection:
        if mode == NetworkMode.HOST:
            return Connection()
        path = self._folder / pod
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            path.touch()
            await asyncio.to_thread(self._make, path)
        return Connection(namespace=path)

    def _make(self, path: Path) -> None:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                kernel.close_from(3)
                kernel.die_with_parent()
                if os.getppid() != parent:
                    os._exit(0)
                kernel.unshare(kernel.CLONE_NEWNET)
                from cumulo.sandbox.netlink import Netlink

                Netlink().loopback_up()
                os.kill(os.getpid(), signal.SIGSTOP)
            finally:
                os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        kernel.mount(f"/proc/{child}/ns/net", str(path), "", kernel.MS_BIND)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    async def close(self, pod: str) -> None:
        path = self._folder / pod
        if path.exists():
            with contextlib.suppress(OSError):
                kernel.umount(str(path))
            path.unlink()

    def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        raise NotImplementedError

    async def host_address(self, name: str) -> str:
        raise NotImplementedError

    async def free_host_address(self, name: str) -> None:
        raise NotImplementedError

    def host_addresses(self) -> Mapping[str, str]:
        return {}

    def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        raise NotImplementedError

    def traffic(self, pod: str) -> tuple[int, int]:
        return 11, 22

    async def adopt(self, pods: Mapping[str, Wish]) -> Mapping[str, Connection]:
        for entry in list(self._folder.iterdir()) if self._folder.is_dir() else []:
            if entry.name not in pods:
                await self.close(entry.name)
        return {
            name: await self.open(name, wish.mode, hostname=wish.hostname, names=wish.names, ports=wish.ports)
            for name, wish in pods.items()
        }

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None


class Lab:
    """A data folder with engines on it, one after another."""

    def __init__(self, base: Path, runtime: str, run: Path | None = None) -> None:
        self.base = base
        self.data = base / "data, with: colons"
        self.run = run or Path(f"/tmp/lab-{uuid.uuid4().hex[:8]}")
        layer = base / "layer"
        self.images: Any = FakeImages(layer if layer.is_dir() else make_layer(layer))
        self.runtime = runtime
        init = shutil.which("tini-static") or ""
        self.tools = Tools(shutil.which(runtime) or "", shutil.which("conmon") or "", init)
        self.engine: LocalEngine | None = None

    def tell(self, story: Callable[[LocalEngine], Coroutine[Any, Any, None]]) -> None:
        """Run a story on an engine of ours; nothing may be left of it."""

        async def main() -> None:
            engine = await self.open()
            try:
                await story(engine)
            finally:
                await self.close()

        asyncio.run(main())

    async def open(self, **changes: Any) -> LocalEngine:
        arguments = {"tools": self.tools} | changes
        images: Images = self.images
        self.engine = await open_engine(
            data=self.data,
            images=images,
            layers=self.images,
            network=LoopbackNetwork(self.run / "netns"),
            clock=SystemClock(),
            run=self.run,
            **arguments,
        )
        return self.engine

    async def reopen(self) -> LocalEngine:
        assert self.engine is not None
        await self.engine.close()
        return await self.open()

    async def close(self) -> None:
        if self.engine is not None:
            try:
                for pod in await self.engine.pods():
                    await self.engine.remove(pod.name)
            finally:
                await self.engine.close()
        left = self.leftovers() + [f"group {path}" for path in self.groups()]
        self.tidy()
        assert not left, left

    def leftovers(self) -> list[str]:
        """What is on the machine although no pod exists."""
        words = (str(self.data), str(self.run))
        found = [
            f"mount {line.split()[4]}"
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if any(word in line for word in words)
        ]
        found += [
            f"group {path}"
            for path in self.groups()
            if path.is_dir() and any(path.iterdir()) and self._below(path)
        ]
        found += [f"process {pid} {command_line(pid)}" for pid in self.processes()]
        if (self.data / "pods").is_dir():
            found += [f"folder {path}" for path in (self.data / "pods").iterdir()]
        for folder in ("runtime", "sockets"):
            place = self.run / instance_of(self.data) / folder
            found += [f"state {path}" for path in place.iterdir()] if place.is_dir() else []
        return found

    def _below(self, path: Path) -> bool:
        return any(entry.is_dir() and entry.name != MONITORS for entry in path.iterdir())

    def groups(self) -> list[Path]:
        name = PREFIX + instance_of(self.data)
        return [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]

    def processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if str(self.run).encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def give_up(self) -> None:
        """Give back what a test that failed has left."""
        for path in self.groups():
            for file in path.rglob("cgroup.procs"):
                for pid in file.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        unmount_below(self.run)
        self.tidy()

    def tidy(self) -> None:
        for path in self.groups():
            for folder, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        shutil.rmtree(self.run, ignore_errors=True)


def container(name: str = "main", *command: str, **changes: Any) -> ContainerSpec:
    """A container of busybox."""
    values: dict[str, Any] = {"image": BUSYBOX, "command": command or None} | changes
    return ContainerSpec(name=name, **values)


def script(text: str, **changes: Any) -> ContainerSpec:
    """A container that runs a shell script."""
    return container("main", "/bin/sh", "-c", text, **changes)


def pod(name: str, *containers: ContainerSpec, **changes: Any) -> PodSpec:
    """A pod without a bridge."""
    values: dict[str, Any] = {"owner": "test", "network": NetworkMode.NONE} | changes
    return PodSpec(name=name, containers=containers, **values)


async def finish(engine: LocalEngine, spec: PodSpec) -> tuple[int, str]:
    """Create, start the first container, wait, and give its code and what it printed to both streams."""
    await engine.create(spec)
    name = spec.containers[0].name
    await engine.start(spec.name, name)
    end = await asyncio.wait_for(engine.wait(spec.name, name), 20)
    return end.code, await output(engine, spec.name, name)


async def output(engine: LocalEngine, name: str, one: str = "main") -> str:
    """What it printed so far."""
    return "".join([line.text.decode() + "\n" async for line in engine.logs(name, one)])


async def until_printed(engine: LocalEngine, name: str, text: str, one: str = "main") -> None:
    """Wait until a container printed something."""
    async with asyncio.timeout(20):
        async for line in engine.logs(name, one, follow=True):
            if text in line.text.decode():
                return
    raise AssertionError(f"it never printed {text}")
