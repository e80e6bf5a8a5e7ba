"""`cumulo down` stops the cloud that is meant, and no other."""

import pytest

from cumulo.cli.cloud import Failed
from cumulo.cli.down import chosen
from cumulo.cli.running import Running


def a_cloud(port):
    return Running(
        port=port, pid=1, endpoint=f"http://127.0.0.1:{port}", data="/", started_at=0.0, version="1"
    )


ONE, OTHER = a_cloud(4566), a_cloud(4567)


@pytest.mark.parametrize(
    ("running", "port", "environ", "everyone", "expected"),
    [
        ([ONE], None, {}, False, [ONE]),
        ([ONE, OTHER], 4567, {}, False, [OTHER]),
        ([ONE, OTHER], None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:4567"}, False, [OTHER]),
        ([ONE, OTHER], None, {"CUMULO_ENDPOINT": "localhost:4566"}, False, [ONE]),
        ([ONE, OTHER], 4566, {"CUMULO_ENDPOINT": "localhost:4567"}, False, [ONE]),
        ([ONE, OTHER], None, {"CUMULO_ENDPOINT": "localhost:4567"}, True, [ONE, OTHER]),
        ([ONE], 1, {}, False, []),
        ([], None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, False, []),
    ],
)
def test_it_is_the_one_that_is_named_or_the_only_one(running, port, environ, everyone, expected):
    assert chosen(running, port, environ, everyone=everyone) == expected


@pytest.mark.parametrize(
    ("running", "environ", "words"),
    [
        ([ONE, OTHER], {}, "Several clouds run (http://127.0.0.1:4566, http://127.0.0.1:4567)"),
        ([ONE], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, "No cloud at http://127.0.0.1:9000 runs"),
        ([ONE], {"CUMULO_ENDPOINT": "http://elsewhere:4566"}, "No cloud at http://elsewhere:4566 runs"),
    ],
)
def test_where_it_is_not_clear_nothing_is_stopped(running, environ, words):
    with pytest.raises(Failed) as caught:
        chosen(running, None, environ, everyone=False)
    assert words in str(caught.value)
