"""A cloud with nothing but ECR in it."""

import pytest
from ecr_kit import cloud


@pytest.fixture
def it(tmp_path):
    with cloud(tmp_path) as made:
        yield made


@pytest.fixture
def ecr(it):
    return it.client
