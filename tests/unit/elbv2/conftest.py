"""A cloud with nothing but load balancing in it."""

import pytest
from tests.unit.elbv2.elb_api import Cloud


@pytest.fixture
def it(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def elb(it):
    return it.client
