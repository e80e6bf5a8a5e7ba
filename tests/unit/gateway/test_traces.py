"""X-Amzn-Trace-Id: made, kept, continued."""

import pytest

from cumulo.gateway.traces import CHARACTERS_MAX, continued, root_of, sampled

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
FRESH = "1-65536f80-0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("header", "goes_on"),
    [
        (f"Root={ROOT}", f"Root={ROOT}"),
        (f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1", f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"),
        (f"Self=1-1-1;Root={ROOT}", f"Self=1-1-1;Root={ROOT}"),
        ("Root=nonsense;Parent=1;Sampled=1;Mine=2", f"Root={FRESH};Mine=2"),
        ("CalledFrom=app", f"Root={FRESH};CalledFrom=app"),
        ("nonsense", f"Root={FRESH}"),
        ("x=" + "y" * CHARACTERS_MAX, f"Root={FRESH}"),
        ("a=\x00", f"Root={FRESH}"),
    ],
)
def test_a_trace_goes_on_or_begins(header, goes_on):
    assert continued(header, FRESH) == goes_on


def test_a_stage_that_traces_is_the_parent_of_what_follows():
    told = sampled(f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:a:0", "0" * 16)
    assert told == f"Root={ROOT};Parent={'0' * 16};Sampled=1;Lineage=1:a:0"
    assert root_of(told) == ROOT
