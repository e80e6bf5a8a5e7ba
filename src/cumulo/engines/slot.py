"""The engine, opened when it is first needed: opening one asks programs and kernels, and a cloud must start at once.

EngineSlot ── get() ──▶ Engine
    └── LateImages, LateLauncher: what others hold until then
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from cumulo.engines.docker.sockets import usual_sockets
from cumulo.engines.engine import Engine, EngineError, Finding, Unsupported
from cumulo.engines.functions.launcher import ContainerLauncher, missing
from cumulo.engines.functions.refusals import FAILED
from cumulo.engines.images import Image, Login, Platform, Source
from cumulo.engines.none import NoEngine
from cumulo.engines.opening import Opened
from cumulo.sandbox.contract import Early, Isolation, Reach, Sandbox, SandboxSpec, StartError

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Open = Callable[[], Awaitable[Opened]]


class EngineSlot:
    """Opens an engine once, for however many ask; after a failure the next one asks again."""

    def __init__(self, open_: Open) -> None:
        self._open = open_
        self._opening: asyncio.Task[Opened] | None = None
        self._closed = False

    async def get(self) -> Engine:
        """The engine.  EngineError."""
        return (await self._opened()).engine

    async def findings(self) -> tuple[Finding, ...]:
        """Why it is this one.  EngineError."""
        return tuple((await self._opened()).findings)

    @property
    def engine(self) -> Engine | None:
        """The engine, when it is open."""
        task = self._opening
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result().engine

    def why_no_functions(self) -> str:
        """Why the engine cannot run functions; empty when it can, and as long as nobody has opened it."""
        engine = self.engine
        if isinstance(engine, NoEngine):
            return engine.why
        return missing(engine) if engine is not None else ""

    async def close(self, *, remove_pods: bool = False) -> None:
        """Let go of it; pods live on, unless nothing of this cloud is to be kept."""
        self._closed = True
        if self._opening is None:
            return
        await asyncio.gather(self._opening, return_exceptions=True)
        engine = self.engine
        if engine is None:
            return
        if remove_pods:
            removals = [engine.remove(pod.name) for pod in await engine.pods()]
            await asyncio.gather(*removals, return_exceptions=True)
            others = [
                *(engine.remove_slice(name) for name in await engine.slices()),
                *(engine.free_host_address(name) for name in await engine.host_addresses()),
            ]
            await asyncio.gather(*others, return_exceptions=True)
        await engine.close()

    async def _opened(self) -> Opened:
        if self._closed:
            raise EngineError("the cloud is stopping")
        if self._opening is None or self._failed():
            self._opening = asyncio.get_running_loop().create_task(self._make())
        # Whoever asked may go away; the others still want it.
        return await asyncio.shield(self._opening)

    def _failed(self) -> bool:
        task = self._opening
        return task is not None and task.done() and (task.cancelled() or task.exception() is not None)

    async def _make(self) -> Opened:
        try:
            return await self._open()
        except OSError as error:
            raise EngineError(f"the engine could not be opened: {error}") from error


def plausible(kind: str, *, search: str = SEARCH) -> bool:
    """Whether opening an engine may succeed, at a glance: nothing is started, and no daemon is asked."""
    if kind != "auto":
        return kind != "none"
    runtime = shutil.which("runc", path=search) or shutil.which("crun", path=search)
    if os.geteuid() == 0 and runtime and shutil.which("conmon", path=search):
        return True
    return bool(os.environ.get("DOCKER_HOST")) or any(path.is_socket() for path in usual_sockets())


def why_implausible(kind: str) -> str:
    """Why no engine is to be expected, and what helps; for when `plausible` says no."""
    if kind == "none":
        return "container images need an engine, and this cloud was started with --engine none"
    return (
        "container images need an engine, and none runs here: install runc and conmon (apt-get install runc conmon) and "
        "start the cloud as root, or install and start Docker; `cumulo doctor` tells more"
    )


class LateImages:
    """The images of the engine in a slot: `Images` of engines/images.py."""

    def __init__(self, slot: EngineSlot) -> None:
        self._slot = slot

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,
        platform: Platform | None = None,
        source: Source | None = None,
        only_missing: bool = False,
    ) -> Image:
        """Have an image ready to run."""
        images = (await self._slot.get()).images
        return await images.pull(
            reference, login=login, platform=platform, source=source, only_missing=only_missing
        )

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """Take the images of an archive."""
        return await (await self._slot.get()).images.load(archive, platform=platform)

    async def get(self, name: str) -> Image | None:
        """By id, or by reference."""
        return await (await self._slot.get()).images.get(name)

    async def list(self) -> "list[Image]":
        """All of them."""
        return await (await self._slot.get()).images.list()

    async def remove(self, name: str) -> None:
        """Forget one."""
        await (await self._slot.get()).images.remove(name)


class LateLauncher:
    """Functions in containers of the engine in a slot: a Launcher that is made when the first one starts."""

    isolation = Isolation.FULL

    def __init__(self, slot: EngineSlot, *, folder: Path, cloud_port: int) -> None:
        self._slot = slot
        self._folder = folder
        self._cloud_port = cloud_port
        self._made: ContainerLauncher | None = None
        self._begun: ContainerLauncher | None = None  # it may not have got far before it was interrupted
        self._lock = asyncio.Lock()
        self._reach: Reach | None = None

    @property
    def left_something(self) -> bool:
        """Whether an earlier control plane did not come to close it."""
        return self._folder.exists()

    async def open(self) -> ContainerLauncher:
        """Make it now, and remove what an earlier control plane left.  EngineError."""
        async with self._lock:
            if self._made is None:
                engine = await self._slot.get()
                made = ContainerLauncher(engine, folder=self._folder, cloud_port=self._cloud_port)
                self._begun = made
                await made.open()
                if self._reach is not None:
                    made.reach(self._reach)
                self._made = made
            return self._made

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start one.  StartError."""
        try:
            launcher = await self.open()
        except Unsupported as error:
            raise StartError(FAILED, str(error)) from error
        except EngineError as error:
            raise StartError(FAILED, f"the container engine could not be opened: {error}") from error
        return await launcher.start(spec)

    def expect(self, early: Early) -> None:
        """Nothing is started beforehand in containers."""

    def reach(self, reach: Reach) -> None:
        """Let functions find these names, also those of a launcher that is made later."""
        self._reach = reach
        if self._made is not None:
            self._made.reach(reach)

    def drop_tmp(self, tmp_name: str) -> None:
        """Forget a volume."""
        if self._made is not None:
            self._made.drop_tmp(tmp_name)

    async def close(self) -> None:
        """End all sandboxes."""
        async with self._lock:
            if self._begun is not None:
                await self._begun.close()
