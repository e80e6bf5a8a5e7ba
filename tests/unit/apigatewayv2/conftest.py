"""A cloud with nothing but the control plane of HTTP and WebSocket APIs in it."""

import pytest
from tests.unit.apigatewayv2.v2_api import Cloud


@pytest.fixture
def it(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def aws(it):
    return it.client
