"""Shared fixtures: clouds in this process and as processes of their own, and packages of code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Process


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """A cloud in a process of its own, with its data in a temporary folder; killed at the end."""
    process = Process(tmp_path / "data")
    process.start()
    yield process
    process.stop()
