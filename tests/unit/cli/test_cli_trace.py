"""cumulo trace, as somebody types it."""

import json

from fake_cloud import answer, fake_cloud
from test_cli_reading import say

from cumulo.cli.trace import bar

RUN = {
    "function": "arn:aws:lambda:us-east-1:1:function:hello", "request_id": "run2", "waited_ms": 30.0,
    "init_ms": 30.0, "run_ms": 20.0, "error": "",
}  # fmt: skip
FOUND = {
    "what": "HTTP", "request_id": "abc=", "extended_request_id": "abc=", "trace": "Root=1-2-3", "api": "a1",
    "stage": "$default", "route": "GET /pets", "method": "GET", "path": "/pets", "status": 200, "error": "",
    "started_ms": 1_700_000_000_123, "ms": 100.0,
    "spans": [
        {"what": "authorizer", "after_ms": 1.0, "ms": 30.0},
        {"what": "integration", "after_ms": 32.0, "ms": 62.0, "function": RUN},
    ],
}  # fmt: skip


def test_a_request_is_shown_with_its_line_of_time():
    def handle(asked):
        assert asked.path == "/_cumulo/trace?id=abc%3D"
        return answer({"found": [FOUND]})

    with fake_cloud(handle) as cloud:
        said = say(cloud, "trace", "abc=")
    assert said.exit_code == 0
    lines = said.output.splitlines()
    assert lines[0] == "HTTP a1/$default GET /pets: 200 in 100.00 ms, 2023-11-14 22:13:20.123 UTC"
    assert "gateway" in lines[3]
    assert "8.00 ms" in lines[3]
    assert "init 30.00 ms" in said.output
    line = bar(FOUND)
    assert (len(line), set(line)) == (60, set(".aiwr"))
    assert line.index("a") < line.index("i") < line.index("w") < line.index("r")


def test_without_an_id_the_latest_are_listed():
    with fake_cloud(lambda _: answer({"found": [FOUND]})) as cloud:
        assert "GET /pets: 200" in say(cloud, "trace").output
        assert json.loads(say(cloud, "trace", "--json").output) == [FOUND]
    with fake_cloud(lambda _: answer({"found": []})) as cloud:
        assert say(cloud, "trace").output == "No request has come yet.\n"


def test_what_the_cloud_does_not_know_is_said():
    with fake_cloud(lambda _: answer({"message": "nothing is known of x"}, 404)) as cloud:
        said = say(cloud, "trace", "x")
    assert (said.exit_code, said.output) == (1, "nothing is known of x\n")
