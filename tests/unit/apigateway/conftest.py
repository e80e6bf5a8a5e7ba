"""A cloud with nothing but REST APIs."""

import pytest
from tests.unit.apigateway.rest_kit import Cloud


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()
