"""Starts functions as containers: one pod with one container for each execution environment.

SandboxSpec with an image -> a pod, listening inside at the ports of the Runtime API and of the cloud
                          -> its container: read-only, without privileges, /tmp bounded, output in a pipe
"""

import asyncio
import contextlib
import os
import re
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cumulo.base.log import Log
from cumulo.engines.engine import (
    Capability,
    ContainerSpec,
    Engine,
    EngineError,
    Limits,
    Mount,
    MountKind,
    NetworkMode,
    PodSpec,
    Ulimit,
)
from cumulo.engines.functions.process_group import ProcessGroup
from cumulo.engines.functions.refusals import FAILED, check, explain, refuse_made_up_folder
from cumulo.engines.functions.sandbox import CONTAINER, ContainerSandbox
from cumulo.engines.functions.scratch import Scratch
from cumulo.sandbox.contract import (
    BUNDLE_INSIDE,
    CA_INSIDE,
    Early,
    Isolation,
    Launcher,
    Reach,
    Sandbox,
    SandboxSpec,
    StartError,
    trusting,
)

RUNTIME_PORT = 9001
SECURE_PORT = 443
BOOST_VCPUS = 1.0  # what an initialization has at least: AWS gives it a whole one
USER = "993:990"  # AWS's sbx_user1051, whatever the image says
PRINTED_BYTES_MAX = 4096  # of what a container that did not start has printed
REMOVALS_MAX = 8  # at the same time
_CLOCK_REALTIME_COARSE = 5  # what the kernel stamps files with
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_NEEDED = (Capability.LISTEN_INSIDE, Capability.OUTPUT, Capability.PAUSE)
_log = Log("engines")


def missing(engine: Engine) -> str:
    """What an engine lacks to run functions; empty when it can.

    Each sandbox needs a Runtime API that it alone can reach.  An engine that cannot listen inside a pod could offer
    it only at an address that every container can reach, and that is not done.
    """
    lacking = [str(capability) for capability in _NEEDED if capability not in engine.capabilities]
    if not lacking:
        return ""
    return f"the {engine.name} engine cannot run functions on this machine: it lacks {', '.join(lacking)}"


class ContainerLauncher:
    """A Launcher of `sandbox/contract.py` for functions in images.

    engine      runs the containers
    folder      holds their /tmp volumes, and is emptied at the start
    cloud_port  where the cloud is inside: 127.0.0.1:<cloud_port>
    owner       as which its pods are known
    """

    isolation = Isolation.FULL

    def __init__(self, engine: Engine, *, folder: Path, cloud_port: int, owner: str = "lambda") -> None:
        self._engine = engine
        self._scratch = Scratch(folder)
        self._cloud_port = cloud_port
        self._owner = owner
        self._living: set[ContainerSandbox] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starts: set[asyncio.Task[ContainerSandbox]] = set()
        self._closed = False
        self._reach: Reach | None = None

    async def open(self) -> None:
        """Remove what an earlier control plane left: environments do not outlive it.  EngineError."""
        pods = await self._engine.pods(self._owner)
        slots = asyncio.Semaphore(REMOVALS_MAX)

        async def remove(pod: str) -> None:
            async with slots:
                try:
                    await self._engine.remove(pod)
                except EngineError as error:
                    _log.error("what is left of a function stays", pod=pod, error=str(error))

        await asyncio.gather(*(remove(pod.name) for pod in pods))
        await self._scratch.open()

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start one; its command runs when this returns.  StartError."""
        if self._closed:
            raise StartError(FAILED, "the launcher is closed")
        check(spec)
        if lacking := missing(self._engine):
            raise StartError(FAILED, lacking)
        # A caller that goes away half-way must not leave half a pod: the start goes on, and is then undone.
        start = asyncio.get_running_loop().create_task(self._start(spec))
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            start.add_done_callback(self._unwanted)
            raise

    def expect(self, early: Early) -> None:
        """Nothing is started beforehand here."""

    def reach(self, reach: Reach) -> None:
        """Let the containers that are started from now on find these names."""
        self._reach = reach

    def drop_tmp(self, tmp_name: str) -> None:
        """Forget a volume, soon."""
        if self._scratch.has(tmp_name):
            self._own(self._scratch.drop(tmp_name))

    async def close(self) -> None:
        """End all sandboxes and give everything back."""
        self._closed = True
        await asyncio.gather(*self._starts, return_exceptions=True)
        await asyncio.gather(*(sandbox.close() for sandbox in list(self._living)), return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._scratch.close()

    # -- steps -------------------------------------------------------------------------------------------

    async def _start(self, spec: SandboxSpec) -> ContainerSandbox:
        open_sockets: list[socket.socket] = []
        try:
            before = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
            reach = self._reach
            pod = self._pod(spec, self._scratch.place(spec.tmp_name), reach)
            for (
                made
            ) in await asyncio.gather(  # each takes milliseconds; when one fails, the other has ended too
                self._scratch.take(spec.tmp_name, spec.tmp_mib),
                self._engine.create(pod),
                return_exceptions=True,
            ):
                if isinstance(made, BaseException):
                    raise made
            ports = (RUNTIME_PORT, self._cloud_port)
            for port in ports if reach is None else (*ports, SECURE_PORT):
                inside = await self._engine.listen_inside(spec.name, port)
                inside.setblocking(False)
                open_sockets.append(inside)
            return await self._run(spec, tuple(open_sockets), before)
        except BaseException as error:
            for inside in open_sockets:
                inside.close()
            await self._remove(spec.name)
            if isinstance(error, EngineError):
                raise explain(spec, error) from error
            if isinstance(error, OSError):
                raise StartError(FAILED, str(error)) from error
            raise

    async def _run(
        self, spec: SandboxSpec, sockets: tuple[socket.socket, ...], before: int
    ) -> ContainerSandbox:
        """Start the container, its output in a pipe; nobody writes to the other one."""
        output, output_write = os.pipe2(os.O_CLOEXEC)
        telemetry, telemetry_write = os.pipe2(os.O_CLOEXEC)
        os.close(telemetry_write)
        os.set_blocking(output, False)
        os.set_blocking(telemetry, False)
        try:
            status = await self._engine.start(spec.name, CONTAINER, output=output_write)
            refuse_made_up_folder(spec, status.pid, before)
        except BaseException as error:
            printed = _printed(output)
            os.close(output)
            os.close(telemetry)
            if isinstance(error, EngineError):
                raise explain(spec, error, printed) from error
            raise
        finally:
            os.close(output_write)
        sandbox = ContainerSandbox(
            self._engine,
            spec.name,
            sockets=sockets,
            pipes=(output, telemetry),
            vcpus=spec.vcpus,
            group=ProcessGroup.of(status.pid),
            gone=self._living.discard,
        )
        self._living.add(sandbox)
        return sandbox

    def _pod(self, spec: SandboxSpec, tmp: Path, reach: Reach | None) -> PodSpec:
        assert _NAME.fullmatch(spec.name), f"not a sandbox's name: {spec.name}"
        assert spec.image is not None, "checked"
        mounts = [Mount(target="/tmp", kind=MountKind.BIND, source=str(tmp))]
        if spec.image.code:
            mounts.append(_read_only("/var/task", spec.code))
        mounts += [_read_only(bind.target, bind.source) for bind in spec.binds]
        trust: dict[str, str] = {}
        if reach is not None:
            trust = trusting(BUNDLE_INSIDE, CA_INSIDE)
            mounts += [_read_only(BUNDLE_INSIDE, reach.bundle), _read_only(CA_INSIDE, reach.ca)]
        container = ContainerSpec(
            name=CONTAINER,
            image=spec.image.id,
            entrypoint=spec.argv[:1],
            command=spec.argv[1:],
            env=trust
            | dict(spec.env)
            | {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{RUNTIME_PORT}",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._cloud_port}",
            },
            cwd=spec.image.cwd,
            user=USER,
            read_only=True,
            drop=("ALL",),
            no_new_privileges=True,
            mounts=tuple(mounts),
            limits=Limits(
                vcpus=max(spec.vcpus, BOOST_VCPUS), memory_mib=spec.memory_mib, pids_max=spec.pids_max
            ),
            ulimits=(Ulimit("nofile", spec.files_max, spec.files_max), Ulimit("core", 0, 0)),
        )
        on_bridge = Capability.ADDRESS in self._engine.capabilities
        return PodSpec(
            name=spec.name,
            owner=self._owner,
            containers=(container,),
            network=NetworkMode.BRIDGE if on_bridge else NetworkMode.NONE,
            hosts=dict.fromkeys(reach.names, "127.0.0.1") if reach is not None else {},
        )

    async def _remove(self, pod: str) -> None:
        try:
            await self._engine.remove(pod)
        except EngineError as error:
            _log.error("half of a function's pod stays", pod=pod, error=str(error))

    def _unwanted(self, start: asyncio.Task[ContainerSandbox]) -> None:
        """A start that nobody waits for any more has ended."""
        if not start.cancelled() and start.exception() is None:
            self._own(start.result().close())

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class RoutingLauncher:
    """Functions from zips go into cells of this machine, those in images into containers; itself a Launcher."""

    def __init__(self, cells: Launcher, containers: Launcher) -> None:
        self.isolation = cells.isolation
        self.expect = cells.expect
        self._cells = cells
        self._containers = containers

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start it where it belongs.  StartError."""
        if spec.image is None:
            return await self._cells.start(spec)
        return await self._containers.start(spec)

    def reach(self, reach: Reach) -> None:
        """Let both find these names."""
        self._cells.reach(reach)
        self._containers.reach(reach)

    def drop_tmp(self, tmp_name: str) -> None:
        """Forget a volume of either."""
        self._cells.drop_tmp(tmp_name)
        self._containers.drop_tmp(tmp_name)

    async def close(self) -> None:
        """End all sandboxes of both."""
        async with contextlib.AsyncExitStack() as last:
            last.push_async_callback(self._cells.close)
            last.push_async_callback(self._containers.close)


async def _told(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (EngineError, OSError) as error:
        _log.error("something of a function stays", error=str(error))


def _printed(pipe: int) -> str:
    try:
        return os.read(pipe, PRINTED_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def _read_only(target: str, source: Path) -> Mount:
    return Mount(target=target, kind=MountKind.BIND, source=str(source), read_only=True)
