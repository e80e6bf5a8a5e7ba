"""The contract, kept by a daemon that speaks Docker's API."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from cumulo.base.tasks import cancel_all
from cumulo.engines.docker import answers, nearby, requests
from cumulo.engines.docker import names as called
from cumulo.engines.docker.api import Api, DockerError, Unreachable
from cumulo.engines.docker.frames import Frames, LogReader, RawLines, parse_cursor, since
from cumulo.engines.docker.making import Maker
from cumulo.engines.docker.streams import DockerExec, Link, attach, pump
from cumulo.engines.engine import (
    Busy,
    Capability,
    ContainerState,
    ContainerStatus,
    ExecSession,
    ExecSpec,
    Exit,
    Limits,
    LogLine,
    NoSuchPod,
    PodSpec,
    PodStatus,
    Unsupported,
    Usage,
)
from cumulo.engines.images import Images

AWAY_SECONDS = 20.0  # how long `wait` bears with a daemon that is being restarted
_LACKING = frozenset(
    {Capability.POD_LIMITS, Capability.SLICES, Capability.HOST_ADDRESSES, Capability.PUBLISH}
)
_LIVE = (ContainerState.RUNNING, ContainerState.PAUSED)


class DockerEngine:
    """Engine.  `near`: the daemon's kernel is ours (see nearby.py)."""

    name = "docker"

    def __init__(self, api: Api, maker: Maker, images: Images, instance: str, *, near: bool) -> None:
        self._api = api
        self._maker = maker
        self._instance = instance
        self._near = near
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._pumps: set[asyncio.Task[None]] = set()
        self.images: Images = images
        self.capabilities = frozenset(Capability) - _LACKING - (set() if near else {Capability.LISTEN_INSIDE})

    def _lock(self, pod: str) -> asyncio.Lock:
        return self._locks.setdefault(pod, asyncio.Lock())

    async def create(self, spec: PodSpec) -> PodStatus:
        """Make it, or adopt the one of that name."""
        async with self._lock(spec.name):
            try:
                return await self._maker.find(spec.name)
            except NoSuchPod:
                pass
            try:
                return await self._maker.create(spec)
            except DockerError as error:
                if error.status != 404:
                    raise
                self._maker.forget_preparations()  # the network or the infra image was removed behind our back
                return await self._maker.create(spec)

    async def _status(self, pod: str, container: str) -> ContainerStatus:
        said = await self._maker.inspect(called.container(self._instance, pod, container))
        if said is None:
            raise NoSuchPod(f"there is no container {container} in a pod {pod}")
        return answers.container_status(container, said)

    async def start(self, pod: str, container: str, *, output: int | None = None) -> ContainerStatus:
        """Start it.  With `output` Docker keeps the output in its log as well."""
        status = await self._status(pod, container)
        if status.state in _LIVE:
            return status
        await self._start_infra(pod)
        link = await self._attach(pod, container, status) if output is not None else None
        try:
            await self._maker.start(status.id)
        except BaseException:
            if link is not None:
                link.close()
            raise
        if link is not None and output is not None:
            task = asyncio.create_task(pump(link, os.dup(output)))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)
        return await self._status(pod, container)

    async def _start_infra(self, pod: str) -> None:
        """The pod's network, which a daemon that was restarted may not have brought back yet."""
        infra = await self._maker.inspect(called.infra(self._instance, pod))
        if infra is None:
            raise NoSuchPod(f"there is no pod {pod}")
        away = infra["State"]["Status"] not in {"running", "restarting"}
        if away and infra["HostConfig"]["NetworkMode"] != "host":
            await self._maker.start(infra["Id"])

    async def _attach(self, pod: str, container: str, status: ContainerStatus) -> Link:
        return await attach(self._api, status.id, terminal=await self._has_terminal(pod, container))

    async def _has_terminal(self, pod: str, container: str) -> bool:
        said = await self._maker.inspect(called.container(self._instance, pod, container))
        if said is None:
            raise NoSuchPod(f"there is no container {container} in a pod {pod}")
        return bool(said["Config"]["Tty"])

    async def _verb(self, pod: str, container: str, verb: str, **query: Any) -> ContainerStatus | None:
        """A verb of Docker's; None when done, the container's status when its state forbids it."""
        status = await self._status(pod, container)
        try:
            await self._api.call("POST", f"/containers/{status.id}/{verb}", **query)
        except DockerError as error:
            now = await self._status(pod, container)  # NoSuchPod when that is why
            if error.status in {400, 409, 500} and now.state is not ContainerState.RUNNING:
                return now
            if error.status in {409, 500} and verb == "unpause":
                return now
            raise
        return None

    async def pause(self, pod: str, container: str) -> None:
        """The freezer."""
        now = await self._verb(pod, container, "pause")
        if now is not None and now.state is not ContainerState.PAUSED:
            raise Busy(f"{pod}/{container} is {now.state}; only what runs can be paused")

    async def resume(self, pod: str, container: str) -> None:
        """Out of the freezer."""
        now = await self._verb(pod, container, "unpause")
        if now is not None and now.state is not ContainerState.RUNNING:
            raise Busy(f"{pod}/{container} is {now.state}; only what is paused can be resumed")

    async def signal(self, pod: str, container: str, signal: str) -> None:
        """To its main process."""
        status = await self._status(pod, container)
        if status.state in _LIVE:
            await self._verb(pod, container, "kill", signal=signal)

    async def wait(self, pod: str, container: str) -> Exit:
        """How it ended.  A daemon that is restarted meanwhile is waited for."""
        away_since = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                status = await self._status(pod, container)
                if status.state is ContainerState.CREATED:
                    raise Busy(f"{pod}/{container} was never started")
                if status.exit is not None:
                    return status.exit
                away_since = 0.0
                await self._wait(status.id)
            except Unreachable:
                away_since = away_since or loop.time()
                if loop.time() - away_since > AWAY_SECONDS:
                    raise
                await asyncio.sleep(0.2)

    async def _wait(self, container_id: str) -> None:
        with contextlib.suppress(DockerError):  # gone: the next look says so
            request = self._api.request(
                "POST", f"/containers/{container_id}/wait", seconds=None, condition="not-running"
            )
            async with request as answer:
                async for _ in self._api.pieces(answer):
                    pass

    async def remove(self, pod: str) -> None:
        """All of it."""
        async with self._lock(pod):
            await self._maker.clear(pod)

    async def remove_volume(self, name: str) -> None:
        """One volume."""
        try:
            await self._api.call("DELETE", f"/volumes/{called.volume(self._instance, name)}")
        except DockerError as error:
            if error.status == 409:
                raise Busy(f"the volume {name} is mounted: {error.said}") from error
            if error.status != 404:
                raise

    async def exec(self, pod: str, container: str, spec: ExecSpec) -> ExecSession:
        """A further process."""
        status = await self._status(pod, container)
        if status.state is not ContainerState.RUNNING:
            raise Busy(f"{pod}/{container} is {status.state}; only in what runs can something be executed")
        try:
            path = f"/containers/{status.id}/exec"
            made = await self._api.call("POST", path, requests.exec_body(spec))
            reader, writer = await self._api.take_over(
                f"/exec/{made['Id']}/start", {"Detach": False, "Tty": spec.terminal}
            )
        except DockerError as error:
            await self._refused_exec(pod, container, error)
        link = Link(reader, writer, raw=spec.terminal)
        session = DockerExec(self._api, made["Id"], link, container_id=status.id, near=self._near)
        try:
            await session.started()
            if spec.terminal:
                await session.resize_now(spec.rows, spec.columns)
        except BaseException:
            link.close()
            raise
        return session

    async def _refused_exec(self, pod: str, container: str, error: DockerError) -> NoReturn:
        now = await self._status(pod, container)
        if now.state is not ContainerState.RUNNING:
            raise Busy(f"{pod}/{container} is {now.state}") from error
        raise answers.start_failed(error) from error

    async def logs(
        self, pod: str, container: str, *, after: str = "", follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What it printed.  Following begins before the start, too."""
        cursor, pause = after, 0.05
        while True:
            state = (await self._status(pod, container)).state
            async with contextlib.aclosing(self._read_log(pod, container, cursor, follow=follow)) as lines:
                async for line in lines:
                    cursor = line.cursor
                    yield line
            # What was read after it had ended is all there is.
            if not follow or state is ContainerState.EXITED:
                return
            if state is ContainerState.CREATED:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 1.0)

    async def _read_log(
        self, pod: str, container: str, after: str, *, follow: bool
    ) -> AsyncGenerator[LogLine, None]:
        cursor = parse_cursor(after)
        terminal = await self._has_terminal(pod, container)
        splitter: Frames | RawLines = RawLines() if terminal else Frames()
        reader = LogReader(cursor)
        request = self._api.request(
            "GET",
            f"/containers/{called.container(self._instance, pod, container)}/logs",
            seconds=None,
            stdout=True,
            stderr=True,
            timestamps=True,
            follow=follow,
            since=since(cursor),
        )
        async with request as answer:
            async for piece in self._api.pieces(answer):
                for stream, payload in splitter.feed(piece):
                    for line in reader.take(stream, payload):
                        yield line
        for line in reader.rest():
            yield line

    async def usage(self, pod: str) -> Mapping[str, Usage]:
        """What runs, measured now."""
        status = await self._maker.find(pod)
        running = {name: c.id for name, c in status.containers.items() if c.state in _LIVE}
        infra = called.infra(self._instance, pod)
        network, *said = await asyncio.gather(*(self._statistics(id_) for id_ in (infra, *running.values())))
        pairs = zip(running, said, strict=True)
        return {name: answers.usage_of(one, network) for name, one in pairs if one.get("cpu_stats")}

    async def _statistics(self, container: str) -> dict[str, Any]:
        try:
            query: dict[str, Any] = {"stream": False, "one-shot": True}
            found: dict[str, Any] = await self._api.call("GET", f"/containers/{container}/stats", **query)
        except DockerError as error:
            if error.status in {404, 409}:
                return {}
            raise
        return found

    async def inspect(self, pod: str) -> PodStatus:
        """One pod."""
        return await self._maker.find(pod)

    async def pods(self, owner: str = "") -> list[PodStatus]:
        """All, or one owner's."""
        await self._maker.sweep_doubtful()
        found = await asyncio.gather(*(self._find(name) for name in await self._maker.names()))
        return [pod for pod in found if pod is not None and (not owner or pod.owner == owner)]

    async def _find(self, pod: str) -> PodStatus | None:
        with contextlib.suppress(NoSuchPod):
            return await self._maker.find(pod)
        return None

    async def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A socket in the namespace that the infra container holds."""
        await self._maker.find(pod)
        if not self._near:
            raise nearby.far()
        await self._start_infra(pod)
        infra = await self._maker.inspect(called.infra(self._instance, pod))
        if infra is None:
            raise NoSuchPod(f"there is no pod {pod}")
        if infra["HostConfig"]["NetworkMode"] == "host":
            return nearby.listen_here(pod, port, address)
        pid = int(infra["State"]["Pid"])
        return await asyncio.to_thread(nearby.listen_inside, pid, infra["Id"], port, address)

    async def make_slice(self, name: str, limits: Limits) -> None:  # noqa: ARG002
        """Unsupported."""
        raise requests.no_slices(f"the slice {name} cannot be made")

    async def remove_slice(self, name: str) -> None:
        """There is none to remove."""

    async def slices(self) -> list[str]:
        """There are none."""
        return []

    async def host_address(self, name: str) -> str:
        """Unsupported."""
        raise Unsupported(
            f"{name} cannot have an address of the machine's own (host-addresses): its networks are Docker's; use the "
            "local engine"
        )

    async def free_host_address(self, name: str) -> None:
        """There is none to give back."""

    async def host_addresses(self) -> Mapping[str, str]:
        """There are none."""
        return {}

    async def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:  # noqa: ARG002
        """Unsupported."""
        raise Unsupported(
            f"names of {owner} cannot be published (publish): containers ask Docker's name server; use the local engine"
        )

    async def close(self) -> None:
        """Let go of the daemon; output that was pumped goes into the log alone from now on."""
        await cancel_all(self._pumps)
        await self._maker.leave()
        await self._api.close()
