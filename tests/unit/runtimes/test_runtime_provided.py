"""Functions that bring their own bootstrap, really run."""

from pathlib import Path

import pytest
from runtime_lab import machine, play, write

BOOTSTRAP = """#!/usr/bin/env python3
import http.client, os, sys
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    body, id = answer.read(), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    text = '[%s, "%s", "%s", "%s"]' % (body.decode(), os.environ["_HANDLER"], os.environ.get("AWS_EXECUTION_ENV"), os.getcwd())
    api.request("POST", "/2018-06-01/runtime/invocation/%s/response" % id, text.encode())
    api.getresponse().read()
"""


@pytest.mark.parametrize("runtime", ["provided.al2023", "provided.al2", "provided"])
def test_the_bootstrap_of_the_code_is_the_program(tmp_path: Path, runtime: str):
    write(tmp_path, {"bootstrap": BOOTSTRAP})
    (tmp_path / "bootstrap").chmod(0o755)
    host = machine().prepare(runtime, "any.thing", tmp_path)
    assert host.argv == ("/var/task/bootstrap",)
    assert play(host, tmp_path, 1, 2, handler="any.thing").answers == [
        [event, "any.thing", "None", str(tmp_path)] for event in (1, 2)
    ]


def test_without_one_in_the_code_it_is_that_of_a_layer(tmp_path: Path):
    host = machine().prepare("provided.al2023", "x", tmp_path)
    assert host.argv == ("/opt/bootstrap",)
    assert "AWS_EXECUTION_ENV" not in host.env
    assert host.version == "provided:al2023.v18"
