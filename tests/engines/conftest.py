"""Each engine that this machine can run, for the tests of the contract."""

import asyncio
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import dockerd as daemons

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import Engine, EngineError
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.engines.opening import open_engine
from tests.engines.images import BUSYBOX, write_test_images
from tests.engines.kit import Bench, Lab

TEST_SECONDS = 120
KINDS = ("fake", "docker", "local")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Tests that are coroutines run in the loop of their engine, with their Lab open around them."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    lab = arguments["lab"]
    assert isinstance(lab, Lab)

    async def main() -> None:
        async with asyncio.timeout(TEST_SECONDS), lab:
            await pyfuncitem.obj(**arguments)

    lab.bench.loop.run(main())
    return True


@pytest.fixture(scope="package")  # not longer: one daemon at a time, and others want theirs
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


@pytest.fixture(scope="package", params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One of the engines."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    address = request.getfixturevalue("docker_address") if kind == "docker" else ""
    host = FakeHost()

    async def opener(instance: str) -> Engine:
        if kind == "fake":
            return FakeEngine(SystemClock(), host=host, instance=instance)
        data = folder / instance
        data.mkdir(exist_ok=True)
        return await open_engine(kind, data=data, instance=instance, docker_host=address)

    made = Bench(kind, opener)
    try:
        made.engine = made.loop.run(opener(made.instance))
    except EngineError as error:
        made.close()
        pytest.skip(f"no {kind} engine here: {error}")
    yield made
    made.close()


@pytest.fixture
def lab(bench: Bench, archive: Path, tmp_path: Path) -> Lab:
    """The engine under test."""
    return Lab(bench, archive, tmp_path)
