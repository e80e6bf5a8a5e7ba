"""What the tests of sandboxes share: a launcher in a folder of its own, and short programs run to their end."""

import asyncio
import contextlib
import os
import time
import uuid
from pathlib import Path

import pytest

from cumulo.sandbox.contract import Exit, SandboxSpec
from cumulo.sandbox.launcher import CellLauncher, CellSandbox
from cumulo.sandbox.opening import open_launcher
from cumulo.sandbox.probe import probe

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not probe().privileged,
    reason="isolated sandboxes with all limits need root on Linux",
)
CLOUD_PORT = 4566
PYTHON = next((p for p in ("/usr/bin/python3",) if Path(p).exists()), "")
needs_python = pytest.mark.skipif(not PYTHON, reason="the programs in the sandbox need /usr/bin/python3")


@contextlib.asynccontextmanager
async def launcher(folder: Path, *, instance: str = "", spare_cells: int = 1, **more):
    os.chmod(folder, 0o755)
    opened = await open_launcher(
        data=folder / "data",
        instance=instance or f"t{uuid.uuid4().hex[:8]}",
        cloud_port=CLOUD_PORT,
        kind="namespaces",
        spare_cells=spare_cells,
        **more,
    )
    assert isinstance(opened, CellLauncher)
    try:
        yield opened
    finally:
        await opened.close()


def spec(folder: Path, *argv: str, name: str = "", **more) -> SandboxSpec:
    code = more.pop("code", folder / "code")
    code.mkdir(exist_ok=True)
    name = name or f"s{uuid.uuid4().hex[:8]}"
    given = {
        "name": name,
        "argv": argv,
        "env": {"PATH": "/usr/bin:/bin"} | more.pop("env", {}),
        "code": code,
        "memory_mib": 256,
        "vcpus": 1.0,
        "tmp_name": f"tmp-{name}",
        "tmp_mib": 512,
    }
    return SandboxSpec(**(given | more))


def shell(folder: Path, script: str, **more) -> SandboxSpec:
    return spec(folder, "/bin/sh", "-c", script, **more)


def python(folder: Path, script: str, **more) -> SandboxSpec:
    return spec(folder, PYTHON, "-I", "-u", "-c", script, **more)


async def read_until(sandbox: CellSandbox, marker: bytes | None = None, seconds: float = 20.0) -> bytes:
    """Its output, until `marker` is in it or until the end."""
    loop = asyncio.get_running_loop()
    got = b""
    async with asyncio.timeout(seconds):
        while marker is None or marker not in got:
            try:
                data = os.read(sandbox.output, 65536)
            except BlockingIOError:
                readable = loop.create_future()
                loop.add_reader(
                    sandbox.output, lambda waiting=readable: waiting.done() or waiting.set_result(None)
                )
                try:
                    await readable
                finally:
                    loop.remove_reader(sandbox.output)
                continue
            if not data:
                break
            got += data
    return got


async def run(opened: CellLauncher, given: SandboxSpec, seconds: float = 20.0) -> tuple[str, Exit]:
    sandbox = await opened.start(given)
    try:
        output = await read_until(sandbox, seconds=seconds)
        return output.decode(errors="replace"), await asyncio.wait_for(sandbox.wait(), seconds)
    finally:
        await sandbox.close()
        opened.drop_tmp(given.tmp_name)


def run_once(folder: Path, given: SandboxSpec, seconds: float = 20.0, **more) -> tuple[str, Exit]:
    async def main():
        async with launcher(folder, **more) as opened:
            return await run(opened, given, seconds)

    return asyncio.run(main())


async def until(condition, seconds: float = 10.0):
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it never came true: {condition}"
        await asyncio.sleep(0.01)
    return found
