"""Jobs of Batch, with the rest of it left out."""

import pytest
from batch_jobs_kit import cloud


@pytest.fixture
def it(tmp_path):
    with cloud(tmp_path) as made:
        yield made


@pytest.fixture
def batch(it):
    return it.client
