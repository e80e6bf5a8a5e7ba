"""Each engine that this machine can run, for the tests of the contract."""

import asyncio
import inspect
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import Engine, EngineError
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.engines.opening import open_engine
from tests.engines import dockerd as daemons
from tests.engines.images import BUSYBOX, write_test_images
from tests.engines.kit import Lab

TEST_SECONDS = 120
KINDS = ("fake", "docker", "local")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Tests that are coroutines run in a loop of their own, with their Lab open around them."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}

    async def main() -> None:
        async with asyncio.timeout(TEST_SECONDS):
            lab = arguments.get("lab")
            if isinstance(lab, Lab):
                async with lab:
                    await pyfuncitem.obj(**arguments)
            else:
                await pyfuncitem.obj(**arguments)

    asyncio.run(main())
    return True


@pytest.fixture(scope="session")
def docker_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DOCKER_HOST where it is set, else a daemon of our own."""
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
        return
    if daemons.why_not():
        pytest.skip(daemons.why_not())
    with daemons.dockerd(tmp_path_factory.mktemp("docker")) as daemon:
        yield daemon.address


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both test images."""
    if not BUSYBOX:
        pytest.skip("the test images are made of a static busybox (Debian: busybox-static)")
    return write_test_images(tmp_path_factory.mktemp("images"))[0]


class Bench:
    """What stays from one test to the next of an engine: its data, and its instance."""

    def __init__(self, kind: str, folder: Path, address: str) -> None:
        self.kind = kind
        self.folder = folder
        self.address = address
        self.instance = f"t{uuid.uuid4().hex[:6]}"

    async def open(self, instance: str) -> Engine:
        data = self.folder / instance
        data.mkdir(exist_ok=True)
        return await open_engine(self.kind, data=data, instance=instance, docker_host=self.address)


@pytest.fixture(scope="session", params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    address = request.getfixturevalue("docker_address") if kind == "docker" else ""
    made = Bench(kind, folder, address)
    if kind == "local":
        asyncio.run(_try(made))
    return made


async def _try(bench: Bench) -> None:
    try:
        engine = await bench.open(bench.instance)
    except EngineError as error:
        pytest.skip(f"no local engine here: {error}")
    await engine.close()


@pytest.fixture
def lab(bench: Bench, archive: Path, tmp_path: Path) -> Lab:
    """The engine under test."""
    opener: Any = bench.open
    if bench.kind == "fake":
        host = FakeHost()

        async def opener(instance: str) -> Engine:
            return FakeEngine(SystemClock(), host=host, instance=instance)

    return Lab(opener, archive, bench.instance, tmp_path)
