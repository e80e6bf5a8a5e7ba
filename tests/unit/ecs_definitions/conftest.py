"""A cloud with nothing but the basic nouns of ECS in it."""

import pytest
from definitions_kit import cloud


@pytest.fixture
def it(tmp_path):
    with cloud(tmp_path) as made:
        yield made


@pytest.fixture
def ecs(it):
    return it.client
