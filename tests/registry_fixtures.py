"""A registry for the tests of one file."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.registry_kit import Client, RegistryProcess


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """In local mode.  What it wrote to its log is no traceback."""
    yield from running(tmp_path_factory.mktemp("registry") / "data", "local")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """In shared mode."""
    yield from running(tmp_path_factory.mktemp("shared") / "data", "shared")


@pytest.fixture
def client(registry: RegistryProcess) -> Iterator[Client]:
    with registry.client() as one:
        yield one


@pytest.fixture(scope="module")
def new_repository(registry: RegistryProcess) -> Callable[..., str]:
    """Makes repositories; their names."""
    numbers = itertools.count()
    return lambda **asked: registry.do("repository", name=f"team/app-{next(numbers)}", **asked)


@pytest.fixture
def name(new_repository: Callable[..., str]) -> str:
    return new_repository()


def running(data: Path, mode: str) -> Iterator[RegistryProcess]:
    process = RegistryProcess(data, mode)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log.read_text()
