"""What the contract's tests share: an engine to try, two images, and short ways to say a pod."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cumulo.engines.engine import (
    Capability,
    ContainerSpec,
    ContainerState,
    Engine,
    Exit,
    LogLine,
    PodSpec,
    PodStatus,
)
from cumulo.engines.images import Image
from tests.engines.images import DRESSED, PLAIN


class Ran(NamedTuple):
    """A container that ran to its end."""

    exit: Exit
    out: str
    err: str
    pod: str


Opener = Callable[[str], Awaitable[Engine]]  # by instance


class Bench:
    """What stays from one test to the next: an engine's data, its instance, the loop that it lives in."""

    def __init__(self, kind: str, opener: Opener) -> None:
        self.kind = kind
        self.open = opener
        self.instance = f"t{uuid.uuid4().hex[:6]}"
        self.loop = asyncio.Runner()
        self.engine: Engine | None = None

    def close(self) -> None:
        """Let go of the engine and the loop."""
        if self.engine is not None:
            self.loop.run(self.engine.close())
        self.loop.close()


class Lab:
    """One engine under test, with nothing in it."""

    def __init__(self, bench: Bench, archive: Path, folder: Path) -> None:
        self.bench = bench
        self.opener = bench.open
        self.instance = bench.instance
        self.archive = archive
        self.folder = folder
        self.engine: Engine
        self.plain: Image
        self.dressed: Image

    async def __aenter__(self) -> "Lab":
        if self.bench.engine is None:
            self.bench.engine = await self.opener(self.instance)
        self.engine = self.bench.engine
        await self.clear()
        plain, dressed = await self.engine.images.get(PLAIN), await self.engine.images.get(DRESSED)
        if plain is None or dressed is None:
            await self.engine.images.load(self.archive)
            plain, dressed = await self.engine.images.get(PLAIN), await self.engine.images.get(DRESSED)
        assert plain is not None
        assert dressed is not None
        self.plain, self.dressed = plain, dressed
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.clear()
        assert await self.engine.pods() == []

    async def clear(self) -> None:
        """Remove every pod."""
        await asyncio.gather(*(self.engine.remove(pod.name) for pod in await self.engine.pods()))

    def needs(self, *capabilities: Capability) -> None:
        """Skip the test where the engine cannot do this."""
        missing = [c.value for c in capabilities if c not in self.engine.capabilities]
        if missing:
            pytest.skip(f"the {self.engine.name} engine lacks {', '.join(missing)}")

    def needs_kernel(self) -> None:
        """Skip where programs are not real: what limits processes has some."""
        self.needs(Capability.LIMITS)

    async def reopen(self) -> None:
        """A new control plane on the same machine."""
        await self.engine.close()
        self.bench.engine = None
        self.bench.engine = self.engine = await self.opener(self.instance)

    def container(self, *argv: str, name: str = "main", **more: Any) -> ContainerSpec:
        """One that runs `argv`, or what its image says."""
        more = {"image": self.plain.id} | more
        return ContainerSpec(name=name, command=argv or None, **more)

    def pod(self, *containers: ContainerSpec, **more: Any) -> PodSpec:
        more = {"name": f"p{uuid.uuid4().hex[:8]}", "owner": "tests"} | more
        return PodSpec(containers=containers, **more)

    async def up(self, *containers: ContainerSpec, **more: Any) -> PodStatus:
        """Create and start all."""
        spec = self.pod(*containers, **more)
        await self.engine.create(spec)
        for container in containers:
            await self.engine.start(spec.name, container.name)
        return await self.engine.inspect(spec.name)

    async def started(self, *argv: str, **more: Any) -> str:
        """The name of a pod with one running container `main`."""
        return (await self.up(self.container(*argv, **more))).name

    async def run(self, *argv: str, pod: dict[str, Any] | None = None, **more: Any) -> Ran:
        """Run to the end; its pod is kept until the test is over."""
        name = (await self.up(self.container(*argv, **more), **(pod or {}))).name
        async with asyncio.timeout(30):
            ended = await self.engine.wait(name, "main")
        lines = await self.logs(name)
        return Ran(ended, text(lines, "stdout"), text(lines, "stderr"), name)

    async def sh(self, script: str, **more: Any) -> Ran:
        """Run a line of shell."""
        self.needs_kernel()
        return await self.run("sh", "-c", script, **more)

    async def logs(self, pod: str, container: str = "main", **more: Any) -> list[LogLine]:
        async with asyncio.timeout(60):
            return [line async for line in self.engine.logs(pod, container, **more)]

    async def state(self, pod: str, container: str = "main") -> ContainerState:
        return (await self.engine.inspect(pod)).containers[container].state

    async def prints(self, pod: str, wanted: str, container: str = "main") -> None:
        """Wait until it has printed a line."""
        await eventually(
            lambda: self._has_printed(pod, container, wanted), f"{pod}/{container} prints {wanted!r}"
        )

    async def _has_printed(self, pod: str, container: str, wanted: str) -> bool:
        return any(wanted in line.text.decode() for line in await self.logs(pod, container))

    async def execute(self, pod: str, spec: Any, container: str = "main") -> tuple[int, str, str]:
        """Execute to the end: (exit code, stdout, stderr)."""
        session = await self.engine.exec(pod, container, spec)
        async with asyncio.timeout(30):
            out, err = await drain(session)
            code = await session.wait()
        await session.close()
        return code, out, err

    def folder_for(self, name: str) -> Path:
        """A folder of the host that containers of any user may read."""
        place = self.folder / name
        place.mkdir(parents=True)
        for parent in (place, *place.parents):
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                with contextlib.suppress(OSError):
                    parent.chmod(parent.stat().st_mode | 0o055)
        return place


async def drain(session: Any) -> tuple[str, str]:
    """All that a session prints, by stream."""
    found = {"stdout": b"", "stderr": b""}
    while (piece := await session.read()) is not None:
        found[piece[0]] += piece[1]
    return found["stdout"].decode(), found["stderr"].decode()


def text(lines: list[LogLine], stream: str) -> str:
    """What one stream printed."""
    return "".join(
        line.text.decode(errors="replace") + ("" if line.partial else "\n")
        for line in lines
        if line.stream == stream
    )


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, seconds: float = 15.0) -> Any:
    """Ask until it gives something true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")
