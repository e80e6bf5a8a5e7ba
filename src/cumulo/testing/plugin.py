"""The pytest plugin: `cumulo` is a cloud inside the test process, `cumulo_empty` the same one emptied.

    def test_greets(cumulo):
        lambdas = cumulo.client("lambda")

Nothing is imported or started before a test asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cumulo.testing.local import LocalCloud


@pytest.fixture(scope="session")
def cumulo() -> "Iterator[LocalCloud]":
    """One ephemeral cloud for the whole test session."""
    from cumulo.testing.local import LocalCloud

    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def cumulo_empty(cumulo: "LocalCloud") -> "LocalCloud":
    """The session's cloud, emptied before the test."""
    cumulo.reset()
    return cumulo
