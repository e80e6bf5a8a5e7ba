"""A data plane on plain processes, with lists for logs and usage, and functions written to a folder."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import LogEvent, Usage
from cumulo.sandbox.contract import RuntimeHost
from cumulo.sandbox.plain import PlainLauncher
from cumulo.services.lambda_.endings import Endings
from cumulo.services.lambda_.fleet import EnvironmentFleet, FleetLimits
from cumulo.services.lambda_.invoke import FunctionCaller, Tracer
from cumulo.services.lambda_.model import Logging, Ready, State, Version
from cumulo.services.lambda_.world import World

CALLER = Caller(request_id="")


class Logs:
    def __init__(self) -> None:
        self.streams: dict[str, list[LogEvent]] = {}

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        self.streams.setdefault(stream, []).extend(events)

    @property
    def lines(self) -> list[str]:
        return [event.message for events in self.streams.values() for event in events]

    @property
    def text(self) -> str:
        return "".join(self.lines)


class Usages:
    def __init__(self) -> None:
        self.records: list[Usage] = []

    def record(self, *records: Usage) -> None:
        self.records.extend(records)


class FakeResolver:
    def __init__(self) -> None:
        self.functions: dict[str, Ready] = {}

    def resolve(self, caller: Caller, function: str, qualifier: str | None) -> Ready:
        try:
            return self.functions[function]
        except KeyError:
            raise AwsError(
                "ResourceNotFoundException", f"Function not found: {function}", status=404
            ) from None


class DataPlane:
    def __init__(self, folder: Path, *, init_seconds_max: float = 10.0, **limits: object) -> None:
        self.folder = folder
        self.logs = Logs()
        self.usages = Usages()
        self.flushes = 0
        self.clock = SystemClock()
        self.launcher = PlainLauncher(folder / "tmp")
        self.resolver = FakeResolver()
        self.endings = Endings(logs=self.logs, usages=self.usages, flush=self._flush)
        self.world = World(
            launcher=self.launcher,
            host_of=self._host,
            roles=None,
            clock=self.clock,
            endings=self.endings,
            init_seconds_max=init_seconds_max,
        )
        self.fleet = EnvironmentFleet(world=self.world, ids=Ids(), limits=FleetLimits(**limits))
        self.tracer = Tracer(self.clock)
        self.functions = FunctionCaller(
            resolver=self.resolver, fleet=self.fleet, ids=Ids(), tracer=self.tracer
        )

    def _flush(self) -> None:
        self.flushes += 1

    async def _host(self, version: Version) -> RuntimeHost:
        argv = (sys.executable, "-m", "awslambdaric", version.handler)
        if version.runtime.startswith("provided"):
            argv = ("/var/task/bootstrap",)
        return RuntimeHost(
            runtime=version.runtime,
            argv=argv,
            env={"PYTHONPATH": "/var/task", "PATH": "/usr/bin:/bin"},
            binds=(),
            version="python:3.11.v1",
            version_arn="arn:aws:lambda:{region}::runtime:" + "0" * 64,
        )

    def deploy(
        self,
        name: str,
        code: str,
        *,
        file: str = "app.py",
        reserved: int | None = None,
        generation: str = "",
        json_logs: bool = False,
        **over: object,
    ) -> Ready:
        generation = generation or f"{name}-1"
        code_folder = self.folder / generation
        code_folder.mkdir(exist_ok=True)
        path = code_folder / file
        path.write_text(code)
        path.chmod(0o755)
        values: dict[str, object] = {"runtime": "python3.11", "handler": "app.handler", "timeout_s": 5}
        values |= over
        version = Version(
            account="000000000000",
            region="us-east-1",
            name=name,
            role="",
            code_sha256="0" * 64,
            code_size=1,
            last_modified=0.0,
            revision_id="r",
            state=State.ACTIVE,
            logging=Logging(format="JSON" if json_logs else "Text"),
            **values,
        )
        ready = Ready(version, code_folder, generation, version.function_arn, reserved)
        self.resolver.functions[name] = ready
        return ready

    async def call(self, name: str, payload: bytes = b"{}", *, want_log: bool = False):
        return await self.functions.invoke(CALLER, name, payload, want_log=want_log)

    async def close(self) -> None:
        await self.fleet.close()
        await self.launcher.close()


async def until(condition, what: str = "") -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never: {what}")


def with_plane(folder: Path, story: Callable[[DataPlane], Awaitable[None]], **limits: object) -> None:
    """Run a story on a data plane, and end everything that it started."""

    async def main() -> None:
        plane = DataPlane(folder, **limits)
        try:
            await asyncio.wait_for(story(plane), 60)
        finally:
            await plane.close()

    asyncio.run(main())
