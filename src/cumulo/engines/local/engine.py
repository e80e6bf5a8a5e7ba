"""The local engine: the verbs.  What takes time is done by threads (hands.py); each pod's changes come one by one.

create   network, folders, pod.json             (starting.py, preparing.py: how a run is made)
start    overlay ─▶ bundle ─▶ conmon ─▶ runtime create, start ─▶ run.json ─▶ a watcher
end      the watcher sees process and monitor go, and writes the exit into run.json
remove   pod.json goes first; then processes, network, mounts, folders, groups
"""

import asyncio
import os
import secrets
import signal as signals
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from cumulo.base.clock import Clock
from cumulo.engines.engine import (
    Busy,
    Capability,
    ContainerStatus,
    EngineError,
    ExecSession,
    ExecSpec,
    Exit,
    Limits,
    LogLine,
    MountKind,
    PodSpec,
    PodStatus,
    StartFailed,
    Usage,
)
from cumulo.engines.images import Image, Images
from cumulo.engines.local import bundle, hostfiles, volumes
from cumulo.engines.local.check import check, check_address
from cumulo.engines.local.execs import Execs, Session
from cumulo.engines.local.groups import Groups
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.inside import Inside
from cumulo.engines.local.keeping import Keeper
from cumulo.engines.local.live import Live
from cumulo.engines.local.logs import read_log
from cumulo.engines.local.needs import Connection, PodNetwork, Wish
from cumulo.engines.local.places import Places, PodRecord, RunRecord, run_id
from cumulo.engines.local.preparing import Preparer, find_user, open_binds
from cumulo.engines.local.processes import open_process
from cumulo.engines.local.slices import Slices
from cumulo.engines.local.starting import Starter
from cumulo.engines.local.sweep import Found


class LocalEngine:
    """Runs pods on this machine.  opening.py opens one."""

    name = "local"
    capabilities = frozenset(Capability)

    def __init__(
        self,
        *,
        places: Places,
        hands: Hands,
        groups: Groups,
        slices: Slices,
        starter: Starter,
        preparer: Preparer,
        execs: Execs,
        images: Images,
        network: PodNetwork,
        clock: Clock,
        let_go: Callable[[bool], Awaitable[None]],
    ) -> None:
        self.images = images
        self._places = places
        self._hands = hands
        self._groups = groups
        self._slices = slices
        self._starter = starter
        self._preparer = preparer
        self._execs = execs
        self._network = network
        self._clock = clock
        self._let_go = let_go
        self._keeper = Keeper(hands, starter)
        self._making: dict[str, PodSpec] = {}
        self._sessions: set[Session] = set()

    async def adopt(self, found: list[Found]) -> None:
        """Take over what an earlier engine made.  Before anything else."""
        wishes = {one.record.spec.name: _wish(one.record) for one in found}
        connections = await self._network.adopt(wishes)
        for one in found:
            name = one.record.spec.name
            live = self._keeper.pods[name] = Live(one.record, one.runs)
            connection = connections.get(name)
            live.cut_off = connection is None
            if connection is not None:
                await self._hands.do(self._connect, live, connection)
            for container, run in live.runs.items():
                if run.exit is None:
                    if self._groups.frozen(f"{name}/{container}"):
                        live.paused.add(container)
                    self._keeper.watch_run(live, container, run)

    def _connect(self, live: Live, connection: Connection) -> None:
        """The pod has this network from here on."""
        if connection != live.record.connection:
            live.record = msgspec.structs.replace(live.record, connection=connection)
            hostfiles.write(self._places.pod(live.name), live.record.spec, connection)
            self._places.save_pod(live.record)
        live.cut_off = False

    async def create(self, spec: PodSpec) -> PodStatus:
        """Make a pod, none of its containers started; the one of that name when there is one.  EngineError."""
        check(spec)
        return await self._keeper.alone(spec.name, lambda: self._create(spec))

    async def _create(self, spec: PodSpec) -> PodStatus:
        if spec.name in self._keeper.pods:
            return self._keeper.pods[spec.name].status()
        images: dict[str, Image] = {}
        for one in spec.containers:
            image = await self.images.get(one.image)
            if image is None:
                raise EngineError(f"there is no image {one.image}")
            images[one.image] = image
        self._slices.check(spec)
        self._making[spec.name] = spec
        try:
            connection = await self._open_network(spec)
            record = PodRecord(
                spec=spec,
                created_at=self._clock.now(),
                ids={one.name: secrets.token_hex(32) for one in spec.containers},
                images=images,
                connection=connection,
            )
            await self._hands.do(lambda: self._make(record))
            live = self._keeper.pods[spec.name] = Live(record)
        except BaseException:
            await self._undo(spec.name)
            raise
        finally:
            del self._making[spec.name]
        return live.status()

    async def _open_network(self, spec: PodSpec) -> Connection:
        name = hostfiles.hostname(spec)
        return await self._network.open(
            spec.name, spec.network, hostname=name, names=spec.names, ports=spec.ports
        )

    def _make(self, record: PodRecord) -> None:
        spec = record.spec
        folder = self._places.pod(spec.name)
        try:
            if folder.exists():  # a removal that was cut short
                self._starter.clear_pod(spec.name)
            for one in spec.containers:
                self._places.container(spec.name, one.name).mkdir(parents=True, mode=0o755)
            hostfiles.write(folder, spec, record.connection)
            self._groups.make_pod(spec.name, self._slices.within(spec), spec.slice)
            self._places.save_pod(record)
        except OSError as error:
            raise EngineError(f"the pod {spec.name} could not be made: {error}") from error

    async def _undo(self, pod: str) -> None:
        self._places.forget_pod(pod)
        await self._network.close(pod)
        await self._hands.do(lambda: self._starter.clear_pod(pod))

    async def start(self, pod: str, container: str, *, output: int | None = None) -> ContainerStatus:
        """Start a container, or start it again; harmless while it runs.  StartFailed."""
        own = (
            os.dup(output) if output is not None else None
        )  # the caller may close its own before we come to it
        try:
            return await self._keeper.alone(pod, lambda: self._start(pod, container, own))
        finally:
            if own is not None:
                self._keeper.close_later(own)

    async def _start(self, pod: str, container: str, output: int | None) -> ContainerStatus:
        live = self._keeper.live(pod)
        spec = live.spec(container)
        last = live.runs.get(container)
        if last is not None and last.exit is None:
            return live.container_status(container)
        if live.cut_off:
            await self._hands.do(self._connect, live, await self._open_network(live.record.spec))
        number = last.number + 1 if last is not None else 1
        binds: dict[str, int] = {}
        try:
            if any(mount.kind == MountKind.BIND for mount in spec.mounts):
                binds = await asyncio.to_thread(open_binds, spec.mounts)
            run = await self._hands.do(lambda: self._starter.start(live.record, spec, number, binds, output))
        except StartFailed as error:
            live.runs[container] = self._starter.failed(number, error)
            raise
        finally:
            for fd in binds.values():
                os.close(fd)
        live.runs[container] = run
        live.paused.discard(container)
        self._keeper.watch_run(live, container, run)
        return live.container_status(container)

    async def pause(self, pod: str, container: str) -> None:
        """Stop its processes from running.  Harmless when paused; Busy when it does not run."""
        live = self._keeper.live(pod)
        live.running(container)
        await self._hands.do(lambda: self._groups.freeze(f"{pod}/{container}"))
        live.paused.add(container)

    async def resume(self, pod: str, container: str) -> None:
        """Let them run on.  Harmless when running."""
        live = self._keeper.live(pod)
        live.running(container)
        await self._hands.do(lambda: self._groups.thaw(f"{pod}/{container}"))
        live.paused.discard(container)

    async def signal(self, pod: str, container: str, signal: str) -> None:
        """Send a signal to its main process; SIGKILL ends every process.  Harmless when it has ended."""
        number = _signal_number(signal)
        live = self._keeper.live(pod)
        live.spec(container)
        run = live.runs.get(container)
        if run is None or run.exit is not None:
            return
        if number == signals.SIGKILL:
            await self._hands.do(lambda: self._starter.kill(pod, container))
        else:
            _send(run, number)

    async def wait(self, pod: str, container: str) -> Exit:
        """How it ended, once it has.  Busy when it was never started."""
        live = self._keeper.live(pod)
        live.spec(container)
        watcher = live.watchers.get(container)
        run = live.runs.get(container)
        if run is None:
            raise Busy(f"{pod}/{container} was never started")
        if run.exit is None and watcher is not None:
            await asyncio.wait([watcher])
            run = live.runs[container]
        if run.exit is None:
            raise EngineError(f"the engine was closed while {pod}/{container} ran")
        return run.exit

    async def remove(self, pod: str) -> None:
        """Kill what runs and give everything back but images and volumes.  Harmless when there is none."""
        await self._keeper.alone(pod, lambda: self._remove(pod))

    async def _remove(self, pod: str) -> None:
        live = self._keeper.pods.get(pod)
        if live is None and not self._places.pod(pod).exists():
            return
        self._places.forget_pod(pod)
        if live is not None:
            await self._hands.do(lambda: self._groups.kill(pod))
            await self._keeper.settled(live)
        settled = live is not None and all(run.exit is not None for run in live.runs.values())
        done = await asyncio.gather(
            self._network.close(pod),
            self._hands.do(lambda: self._starter.clear_pod(pod, settled=settled)),
            return_exceptions=True,  # what is going on in a thread is never let go of
        )
        for failed in filter(None, done):
            raise failed
        self._keeper.pods.pop(pod, None)

    async def remove_volume(self, name: str) -> None:
        """Delete a volume; Busy while a container has it mounted; harmless when there is none."""
        volumes.check_name(name)
        for spec in self._specs():
            for one in spec.containers:
                if any(m.kind == MountKind.VOLUME and m.source == name for m in one.mounts):
                    raise Busy(f"the volume {name} is mounted by {spec.name}/{one.name}")
        await self._hands.do(lambda: volumes.remove(self._places.volumes / name))

    async def exec(self, pod: str, container: str, spec: ExecSpec) -> ExecSession:
        """Start a further process.  Busy when the container does not run, StartFailed for no such command."""
        live = self._keeper.live(pod)
        run = live.running(container)
        if container in live.paused:
            raise Busy(f"{pod}/{container} is paused")
        process = await self._hands.do(lambda: self._exec_process(live, container, run, spec))
        folder = self._places.execs(pod, container)
        session = await self._execs.start(run_id(pod, container, run.number), folder, process, spec)
        self._sessions = {one for one in self._sessions if not one.closed} | {session}
        return session

    def _exec_process(self, live: Live, container: str, run: RunRecord, asked: ExecSpec) -> bytes:
        spec = live.spec(container)
        image = live.record.images[spec.image].config
        try:
            with Inside(f"/proc/{run.pid}/root") as inside:
                user = find_user(inside, asked.user or spec.user or image.user)
        except OSError as error:
            raise Busy(f"{live.name}/{container} does not run") from error
        granted = self._preparer.granted(spec)
        name = hostfiles.hostname(live.record.spec)
        return msgspec.json.encode(bundle.exec_process(spec, image, name, user, granted, asked))

    async def logs(
        self, pod: str, container: str, *, after: str = "", follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What it printed, after a cursor; with `follow` until it has ended and all is read.  NoSuchPod."""
        live = self._keeper.live(pod)
        live.spec(container)

        def ended() -> bool:
            run = live.runs.get(container)
            return self._keeper.pods.get(pod) is not live or (run is not None and run.exit is not None)

        path = self._places.log(pod, container)
        async for line in read_log(self._hands, path, after, ended=ended, follow=follow):
            yield line

    async def usage(self, pod: str) -> Mapping[str, Usage]:
        """By container; what has ended shows its last figures."""
        live = self._keeper.live(pod)
        return await self._hands.do(lambda: {name: self._usage(pod, name) for name in list(live.runs)})

    def _usage(self, pod: str, container: str) -> Usage:
        figures = self._groups.figures(f"{pod}/{container}")
        received, sent = self._network.traffic(pod)
        return Usage(**msgspec.structs.asdict(figures), received_bytes=received, sent_bytes=sent)

    async def inspect(self, pod: str) -> PodStatus:
        """What is known of a pod.  NoSuchPod."""
        return self._keeper.live(pod).status()

    async def pods(self, owner: str = "") -> list[PodStatus]:
        """All pods, or one owner's."""
        chosen = [live for live in self._keeper.pods.values() if owner in {"", live.record.spec.owner}]
        return [live.status() for live in chosen]

    def images_in_use(self) -> set[str]:
        """Ids of the images that pods have."""
        return {one.image for spec in self._specs() for one in spec.containers}

    def _specs(self) -> list[PodSpec]:
        """Of all pods, also those that are being made."""
        return [*(live.record.spec for live in self._keeper.pods.values()), *self._making.values()]

    async def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A listening TCP socket at address:port inside the pod's network namespace."""
        self._keeper.live(pod)
        check_address(address)
        return await asyncio.to_thread(self._network.listen_inside, pod, port, address)

    async def make_slice(self, name: str, limits: Limits) -> None:
        """A part of the machine whose limits pods share; one that is there has these limits from now on."""
        work = partial(self._hands.do, self._slices.make, name, limits)
        await self._keeper.alone(f"slice/{name}", work)

    async def remove_slice(self, name: str) -> None:
        """Give a slice back; Busy while pods live in it; harmless when there is none."""
        await self._keeper.alone(f"slice/{name}", lambda: self._remove_slice(name))

    async def _remove_slice(self, name: str) -> None:
        for spec in self._specs():
            if spec.slice == name:
                raise Busy(f"the pod {spec.name} lives in the slice {name}")
        self._slices.forget(name)  # now: nobody makes a pod in it meanwhile
        await self._hands.do(self._slices.remove, name)

    async def slices(self) -> list[str]:
        """The names of all slices."""
        return self._slices.names()

    async def host_address(self, name: str) -> str:
        """An address of the machine's own, for this name alone."""
        return await self._network.host_address(name)

    async def free_host_address(self, name: str) -> None:
        """Give the address back; harmless when there is none."""
        await self._network.free_host_address(name)

    async def host_addresses(self) -> Mapping[str, str]:
        """All of them, by name."""
        return self._network.host_addresses()

    async def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """Names that pods on the bridge resolve: all of an owner's from now on."""
        self._network.publish(owner, records)

    async def close(self) -> None:
        """Let go; pods live on, what `exec` started does not."""
        if not await self._keeper.close():
            return
        for session in self._sessions:
            await session.close()
        await self._network.stop()
        empty = not self._keeper.pods
        if empty:
            await self._hands.do(self._groups.remove_parent)
        await asyncio.to_thread(self._hands.close)
        await self._let_go(empty)


def _wish(record: PodRecord) -> Wish:
    spec = record.spec
    return Wish(
        mode=spec.network,
        hostname=hostfiles.hostname(spec),
        names=spec.names,
        ports=record.connection.ports or spec.ports,
    )


def _signal_number(name: str) -> int:
    try:
        return int(signals.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except KeyError:
        raise EngineError(f"there is no signal {name}") from None


def _send(run: RunRecord, number: int) -> None:
    fd = open_process(run.pid, run.born)
    if fd is None:
        return
    try:
        signals.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(fd)
