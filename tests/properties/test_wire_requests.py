"""What botocore sends, we understand: any input of any operation arrives as it was."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from wire_oracle import Side, Skipped, plain, same, structures

SIDES = {
    name: Side(name)
    for name in ("lambda", "logs", "ecs", "apigateway", "batch", "ec2", "s3", "sts", "autoscaling", "sqs")
}
QUICK = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("service", SIDES)
@QUICK
@given(data=st.data())
def test_what_botocore_sends_arrives_as_it_was(service, data):
    side = SIDES[service]
    name = data.draw(st.sampled_from(side.names()))
    shape = side.theirs.operation_model(name).input_shape
    params = data.draw(structures(shape, side.protocol)) if shape is not None else {}
    try:
        expected = plain(params, shape, side.protocol) if shape is not None else {}
    except Skipped:
        assume(False)
    got = side.understand(name, params)
    assert same(got, expected), (name, got, expected)
