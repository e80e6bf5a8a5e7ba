"""An engine in memory: the contract's life of pods, with programs that are async functions.

FakeHost (outlives engines, as a machine does) ── pods ── containers ── FakeProcess ── a Program

It has no kernel, so it claims no capability that needs one; what it does claim, it does.
"""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

from cumulo.base.clock import Clock
from cumulo.engines.engine import (
    NAME_PATTERN,
    Busy,
    Capability,
    ContainerState,
    ContainerStatus,
    EngineError,
    ExecSession,
    ExecSpec,
    Exit,
    Limits,
    LogLine,
    NetworkMode,
    NoSuchPod,
    PodSpec,
    PodStatus,
    StartFailed,
    Unsupported,
    Usage,
)
from cumulo.engines.fake_images import FakeImages
from cumulo.engines.fake_pods import FakeContainer, FakePod
from cumulo.engines.fake_programs import FakeExec, FakeProcess, Program, Write, builtin_programs
from cumulo.engines.images import Config, Image, Images
from cumulo.engines.local import dns

LINE_BYTES_MAX = 16 * 1024
_ADDRESSES_MAX = 0xFFFE


class FakeHost:
    """The machine: what is there when a control plane comes back.  Belongs to one event loop."""

    def __init__(self) -> None:
        self.pods: dict[tuple[str, str], FakePod] = {}  # by instance and name
        self.images: dict[str, Image] = {}
        self.used: set[str] = set()  # ids of images that containers were made from
        self.made = 0
        self.slices: dict[tuple[str, str], Limits] = {}  # by instance and name
        self.addresses: dict[tuple[str, str], str] = {}  # likewise
        self.addressed = 0


class FakeEngine:
    """Engine, in memory.  `programs` are found by the last part of argv[0], before the built-in ones."""

    name = "fake"
    capabilities = frozenset(
        {
            Capability.ADDRESS,
            Capability.PAUSE,
            Capability.OUTPUT,
            Capability.LISTEN_INSIDE,
            Capability.SLICES,
            Capability.HOST_ADDRESSES,
            Capability.PUBLISH,
            Capability.SURVIVES,
        }
    )

    def __init__(
        self,
        clock: Clock,
        programs: Mapping[str, Program] | None = None,
        *,
        host: FakeHost | None = None,
        instance: str = "fake",
    ) -> None:
        self._clock = clock
        self._programs = builtin_programs() | dict(programs or {})
        self._host = host or FakeHost()
        self._instance = instance
        self._published: dict[str, dict[str, tuple[str, ...]]] = {}
        self._resolved = 0
        self._images = FakeImages(self._host.images, self._host.used)
        self.images: Images = self._images

    def add_image(self, reference: str, config: Config | None = None) -> Image:
        """Make an image up that says `config`, as if it had been pulled."""
        return self._images.add(reference, config)

    async def create(self, spec: PodSpec) -> PodStatus:
        """Make a pod, or adopt the one of that name."""
        key = (self._instance, spec.name)
        if key in self._host.pods:
            return self._host.pods[key].status()
        if spec.ports:
            raise Unsupported("the fake engine maps no ports; the docker and local engines do")
        if not spec.containers:
            raise EngineError(f"the pod {spec.name} has no containers")
        if spec.slice and (self._instance, spec.slice) not in self._host.slices:
            raise EngineError(f"there is no slice {spec.slice} for the pod {spec.name}")
        self._host.made += 1
        number = self._host.made
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        pod = FakePod(spec, address if spec.network is NetworkMode.BRIDGE else "")
        for container in spec.containers:
            image = self._host.images.get(container.image)
            if image is None:
                raise EngineError(f"there is no image {container.image}; pull or load it first")
            pod.containers[container.name] = FakeContainer(
                container,
                image.config,
                id=f"{number:032x}{len(pod.containers):032x}",
                created_at=self._clock.now(),
            )
        self._host.used.update(c.image for c in spec.containers)
        self._host.pods[key] = pod
        return pod.status()

    def _pod(self, pod: str) -> FakePod:
        found = self._host.pods.get((self._instance, pod))
        if found is None:
            raise NoSuchPod(f"there is no pod {pod}")
        return found

    def _container(self, pod: str, container: str) -> FakeContainer:
        found = self._pod(pod).containers.get(container)
        if found is None:
            raise NoSuchPod(f"there is no container {container} in the pod {pod}")
        return found

    async def start(self, pod: str, container: str, *, output: int | None = None) -> ContainerStatus:
        """Start its program."""
        it = self._container(pod, container)
        if it.state in {ContainerState.RUNNING, ContainerState.PAUSED}:
            return it.status()
        argv = it.argv()
        program = self._programs.get(argv[0].rpartition("/")[2]) if argv else None
        if program is None:
            why = f"no such command: {argv[0] if argv else '(none)'}"
            it.state, it.exit = ContainerState.EXITED, Exit(127, finished_at=self._clock.now(), error=why)
            it.tell()
            raise StartFailed("entrypoint", why)
        it.output = None if output is None else os.dup(output)
        it.process = self._process(pod, it, argv, lambda stream, data: self._print(it, stream, data))
        it.state, it.exit, it.started_at = ContainerState.RUNNING, None, self._clock.now()
        task = it.process.start(program)
        task.add_done_callback(lambda done: self._ended(it, done))
        it.tell()
        return it.status()

    def _process(
        self, pod: str, it: FakeContainer, argv: tuple[str, ...], write: Write, spec: ExecSpec | None = None
    ) -> FakeProcess:
        env = dict(it.config.env) | dict(it.spec.env) | dict(spec.env if spec else {})
        where = self._pod(pod)
        return FakeProcess(
            argv,
            env,
            cwd=(spec.cwd if spec else "") or it.spec.cwd or it.config.cwd,
            user=(spec.user if spec else "") or it.spec.user or it.config.user,
            write=write,
            reach=lambda port, address: where.inside.get((address, port)),
        )

    def _ended(self, it: FakeContainer, task: "asyncio.Task[int]") -> None:
        for stream, rest in it.rests.items():
            if rest:
                self._line(it, stream, rest, partial=False)
        it.rests.clear()
        if it.output is not None:
            os.close(it.output)
            it.output = None
        for session in tuple(it.execs):
            session.kill()
        it.execs.clear()
        assert it.process is not None
        code = it.process.code(task)
        it.state, it.exit = ContainerState.EXITED, Exit(code, finished_at=self._clock.now())
        it.tell()

    def _print(self, it: FakeContainer, stream: str, data: bytes) -> None:
        if it.output is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(it.output, data)
            return
        *lines, rest = (it.rests.get(stream, b"") + data).split(b"\n")
        for line in lines:
            while len(line) > LINE_BYTES_MAX:
                self._line(it, stream, line[:LINE_BYTES_MAX], partial=True)
                line = line[LINE_BYTES_MAX:]  # noqa: PLW2901 - what is left of it
            self._line(it, stream, line, partial=False)
        while len(rest) > LINE_BYTES_MAX:
            self._line(it, stream, rest[:LINE_BYTES_MAX], partial=True)
            rest = rest[LINE_BYTES_MAX:]
        it.rests[stream] = rest
        it.tell()

    def _line(self, it: FakeContainer, stream: str, text: bytes, *, partial: bool) -> None:
        it.printed += 1
        it.kept_bytes += len(text)
        it.lines.append(LogLine(stream, int(self._clock.now() * 1e9), text, partial, str(it.printed)))
        while it.kept_bytes > it.spec.log_bytes_max:
            it.kept_bytes -= len(it.lines.popleft().text)

    async def pause(self, pod: str, container: str) -> None:
        """Its program stops at its next write or sleep."""
        it = self._container(pod, container)
        if it.state is ContainerState.PAUSED:
            return
        if it.state is not ContainerState.RUNNING or it.process is None:
            raise Busy(f"{pod}/{container} is {it.state}; only what runs can be paused")
        it.process.running.clear()
        it.state = ContainerState.PAUSED
        it.tell()

    async def resume(self, pod: str, container: str) -> None:
        """Run on."""
        it = self._container(pod, container)
        if it.state is ContainerState.RUNNING:
            return
        if it.state is not ContainerState.PAUSED or it.process is None:
            raise Busy(f"{pod}/{container} is {it.state}; only what is paused can be resumed")
        it.state = ContainerState.RUNNING
        it.process.resume()
        it.tell()

    async def signal(self, pod: str, container: str, signal: str) -> None:
        """Deliver it."""
        it = self._container(pod, container)
        if it.process is not None:
            it.process.signal(signal)

    async def wait(self, pod: str, container: str) -> Exit:
        """How it ended."""
        it = self._container(pod, container)
        if it.state is ContainerState.CREATED:
            raise Busy(f"{pod}/{container} was never started")
        while it.exit is None:
            await it.changed.wait()
        return it.exit

    async def remove(self, pod: str) -> None:
        """Kill, and forget."""
        found = self._host.pods.get((self._instance, pod))
        if found is None:
            return
        for it in found.containers.values():
            if it.process is not None:
                it.process.signal("SIGKILL")
            while it.state in {ContainerState.RUNNING, ContainerState.PAUSED}:
                await it.changed.wait()
        self._host.pods.pop((self._instance, pod), None)
        images = (c.spec.image for p in self._host.pods.values() for c in p.containers.values())
        self._host.used.clear()
        self._host.used.update(images)

    async def remove_volume(self, name: str) -> None:
        """Volumes are names only."""
        for pod in self._host.pods.values():
            for container in pod.spec.containers:
                if any(m.kind == "volume" and m.source == name for m in container.mounts):
                    raise Busy(f"the volume {name} is mounted in {pod.spec.name}/{container.name}")

    async def exec(self, pod: str, container: str, spec: ExecSpec) -> ExecSession:
        """Run a further program."""
        it = self._container(pod, container)
        if spec.terminal:
            raise Unsupported("the fake engine has no terminals; the docker and local engines do")
        if it.state is not ContainerState.RUNNING:
            raise Busy(f"{pod}/{container} is {it.state}; only in what runs can something be executed")
        program = self._programs.get(spec.argv[0].rpartition("/")[2])
        if program is None:
            raise StartFailed("entrypoint", f"no such command: {spec.argv[0]}")
        output: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        process = self._process(
            pod, it, spec.argv, lambda stream, data: output.put_nowait((stream, data)), spec
        )
        session = FakeExec(process, output)
        it.execs.add(session)
        session.start(program, it.execs.discard)
        return session

    async def logs(
        self, pod: str, container: str, *, after: str = "", follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What it printed."""
        it = self._container(pod, container)
        at = int(after or 0)
        while True:
            while at < it.printed:
                first = it.printed - len(it.lines)  # how many were dropped
                at = max(at, first) + 1
                yield it.lines[at - first - 1]
            if not follow or it.state is ContainerState.EXITED:
                return
            await it.changed.wait()

    async def usage(self, pod: str) -> Mapping[str, Usage]:
        """Unsupported: nothing is measured, so nothing is said."""
        self._pod(pod)
        raise Unsupported("the fake engine measures nothing; the docker and local engines do")

    async def inspect(self, pod: str) -> PodStatus:
        """What is known of it."""
        return self._pod(pod).status()

    async def pods(self, owner: str = "") -> list[PodStatus]:
        """All, or one owner's."""
        mine = [p for (instance, _), p in self._host.pods.items() if instance == self._instance]
        return [p.status() for p in mine if not owner or p.spec.owner == owner]

    async def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A real socket at a free port of this machine; programs of the pod reach it by FakeProcess.connect."""
        found = self._pod(pod)
        if found.spec.network is NetworkMode.HOST and not address.startswith("127."):
            raise Unsupported(f"{pod} has the machine's network, which is not given the address {address}")
        listener = socket.create_server(("127.0.0.1", 0))
        found.inside[address, port] = listener.getsockname()
        return listener

    async def make_slice(self, name: str, limits: Limits) -> None:
        """A name with limits; nothing is limited."""
        _check_name(name)
        self._host.slices[self._instance, name] = limits

    async def remove_slice(self, name: str) -> None:
        """Forget it; Busy while pods live in it."""
        for pod in await self.pods():
            if self._pod(pod.name).spec.slice == name:
                raise Busy(f"the pod {pod.name} lives in the slice {name}")
        self._host.slices.pop((self._instance, name), None)

    async def slices(self) -> list[str]:
        """The names of all."""
        return sorted(name for instance, name in self._host.slices if instance == self._instance)

    def slice_limits(self, name: str) -> Limits:
        """What a slice was made with, for tests."""
        return self._host.slices[self._instance, name]

    async def host_address(self, name: str) -> str:
        """An address of this machine's loopback, where something can really listen."""
        _check_name(name)
        known = self._host.addresses.get((self._instance, name))
        if known is not None:
            return known
        taken = set(self._host.addresses.values())
        for _ in range(_ADDRESSES_MAX):
            self._host.addressed = self._host.addressed % _ADDRESSES_MAX + 1
            address = f"127.88.{self._host.addressed >> 8}.{self._host.addressed & 255}"
            if address not in taken:
                self._host.addresses[self._instance, name] = address
                return address
        raise EngineError("every address is in use")

    async def free_host_address(self, name: str) -> None:
        """Give it back."""
        self._host.addresses.pop((self._instance, name), None)

    async def host_addresses(self) -> Mapping[str, str]:
        """All of them, by name."""
        mine = self._host.addresses.items()
        return {name: address for (instance, name), address in mine if instance == self._instance}

    async def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """Names for `resolve`."""
        for name, addresses in records.items():
            try:
                dns.labels(name)
                for address in addresses:
                    socket.inet_aton(address)
            except (OSError, ValueError):
                raise EngineError(f"{name!r} or its addresses cannot be published") from None
        self._published[owner] = {
            name.rstrip(".").lower(): tuple(addresses) for name, addresses in records.items()
        }

    def resolve(self, name: str) -> tuple[str, ...] | None:
        """What pods find at a published name, in changing order; None when nobody publishes it."""
        name = name.rstrip(".").lower()
        found = [table[name] for table in self._published.values() if name in table]
        self._resolved += 1
        addresses = tuple(dict.fromkeys(address for one in found for address in one))
        return dns.rotated(addresses, self._resolved) if found else None

    async def close(self) -> None:
        """Pods live on in the FakeHost."""


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise EngineError(f"{name!r} is no name: {NAME_PATTERN}")
