"""Shared fixtures: clouds in this process and as processes of their own, and packages of code."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import Process

# How long an example takes says more of the machine than of the code.  The same examples each time, so that a run says
# what changed; CUMULO_TEST_RANDOM=1 looks for new ones.
hypothesis.settings.register_profile(
    "here", deadline=None, derandomize=not os.environ.get("CUMULO_TEST_RANDOM")
)
hypothesis.settings.load_profile("here")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """A cloud in a process of its own, with its data in a temporary folder; killed at the end."""
    process = Process(tmp_path / "data")
    process.start()
    yield process
    process.stop()
