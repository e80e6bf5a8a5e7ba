"""The command line as a person uses it: real processes, each command as it is typed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import BIN, CUMULO, PYTHON, ROLE, package, until

from cumulo.base.clock import SystemClock

AWS = shutil.which("aws", path=f"{BIN}:{os.environ.get('PATH', '')}")
HELLO = """
def handler(event, context):
    print("hello", event.get("name"))
    return {"greeting": "Hello, " + event.get("name", "you") + "!"}
"""


class Shell:
    """Runs `cumulo ...` with folders of its own, so that no other cloud of this user is seen or stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "run").mkdir(mode=0o700)
        gone = ("CUMULO_", "AWS_")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(gone)} | {
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_DATA_HOME": str(home / "share"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CUMULO, *words], env=self.env | variables, capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip

    def start(self, *words: str, stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE) -> Any:
        return subprocess.Popen([*CUMULO, *words], env=self.env, text=True, stdout=stdout, stderr=stderr)

    def running(self) -> list[dict]:
        return json.loads(self("status", "--json").stdout)


@pytest.fixture
def cumulo_words(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell("down", "--all")


def sentence(done):
    """The one line that a refusal consists of."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_day_at_the_command_line(cumulo_words, tmp_path):
    cumulo, data = cumulo_words, str(tmp_path / "data")
    told = cumulo("up", "--detach", "--port", "0", "--data", data)
    assert told.returncode == 0, told.stderr
    assert told.stdout.endswith("Ready.\n")
    [running] = cumulo.running()
    assert running["ready"] is True
    assert running["data"] == data
    assert running["endpoint"] in told.stdout
    shown = cumulo("status")
    assert shown.returncode == 0
    assert running["endpoint"] in shown.stdout
    assert "functions" in shown.stdout

    variables = dict(line.removeprefix("export ").split("=", 1) for line in cumulo("env").stdout.splitlines())
    assert variables["AWS_ENDPOINT_URL"] == running["endpoint"]
    assert json.loads(cumulo("env", "--json").stdout) == variables

    if AWS is not None:
        (tmp_path / "f.zip").write_bytes(package(HELLO))
        made = cumulo("aws", "lambda", "create-function", "--function-name", "hello", "--runtime", PYTHON,
                      "--handler", "app.handler", "--role", ROLE, "--zip-file", f"fileb://{tmp_path}/f.zip")  # fmt: skip
        assert json.loads(made.stdout)["State"] == "Pending", made.stderr
        waited = cumulo("aws", "lambda", "wait", "function-active-v2", "--function-name", "hello")
        assert waited.returncode == 0, waited.stderr
        answer = cumulo("invoke", "hello", '{"name": "Ada"}')
        assert json.loads(answer.stdout) == {"greeting": "Hello, Ada!"}, answer.stderr
        logged = cumulo("logs", "hello")
        assert "hello Ada" in logged.stdout, logged.stderr
        assert "REPORT RequestId" in logged.stdout
        bill = cumulo("bill", "--explain")
        assert "hello" in bill.stdout, bill.stderr
        assert json.loads(cumulo("bill", "--json").stdout)

    refused = sentence(cumulo("up", "--port", "0", "--data", data))
    assert data in refused
    assert "cumulo down" in refused
    assert data in sentence(cumulo("up", "--detach", "--port", "0", "--data", data))

    stopped = cumulo("down")
    assert stopped.stdout == f"stopped {running['endpoint']}\n"
    assert cumulo("down").stdout == "no cloud is running\n"
    assert cumulo("status").returncode == 1

    again = cumulo("up", "--detach", "--port", "0", "--data", data)
    assert again.returncode == 0, again.stderr
    if AWS is not None:
        answer = cumulo("invoke", "hello", '{"name": "Grace"}')
        assert json.loads(answer.stdout) == {"greeting": "Hello, Grace!"}, answer.stderr


def test_a_busy_port_is_refused_in_one_sentence(cumulo_words, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for extra in ((), ("--detach",)):
            said = sentence(cumulo_words("up", "--ephemeral", "--port", port, *extra, TMPDIR=str(tmp_path)))
            assert (
                said == f"Error: port {port} of 127.0.0.1 is taken: name another --port (0 takes a free one)"
            )
        assert sentence(cumulo_words("up", "--ephemeral", CUMULO_PORT=port, TMPDIR=str(tmp_path))) == said
        assert not list(tmp_path.glob("cumulo-*/cumulo.db")), (
            "a cloud that could not start leaves no folder behind"
        )


def test_an_engine_that_cannot_run_here_is_refused_with_what_would_help(cumulo_words, tmp_path):
    nobody = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
    told = cumulo_words("up", "--port", "0", "--ephemeral", "--engine", "docker", **nobody)
    assert told.returncode == 1
    assert "nobody.sock" in told.stderr
    assert "docker.io" in told.stderr


def test_ctrl_c_stops_a_cloud_and_its_entry(cumulo_words):
    process = cumulo_words.start("up", "--port", "0", "--ephemeral")
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "Ready.\n":
                break
        assert any("Cumulo is at http://127.0.0.1:" in line for line in lines)
        [running] = cumulo_words.running()
        assert running["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert cumulo_words.running() == []
        assert not Path(running["data"]).exists()
        assert "Traceback" not in process.communicate()[1]
    finally:
        process.kill()
        process.communicate()


def test_logs_are_followed_until_ctrl_c(cumulo_words, tmp_path):
    cumulo = cumulo_words
    assert cumulo("up", "--detach", "--port", "0", "--data", str(tmp_path / "data")).returncode == 0
    import boto3

    endpoint = cumulo.running()[0]["endpoint"]
    logs = boto3.client("logs", endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    shown = tmp_path / "followed"
    output = shown.open("w")
    process = cumulo.start("logs", "-f", "/followed", stdout=output, stderr=output)
    try:
        logs.create_log_group(logGroupName="/followed")
        logs.create_log_stream(logGroupName="/followed", logStreamName="s")
        for number in range(3):
            now = int(SystemClock().now() * 1000)
            logs.put_log_events(logGroupName="/followed", logStreamName="s",
                                logEvents=[{"timestamp": now, "message": f"line {number}"}])  # fmt: skip
            until(lambda text=f"line {number}": text in shown.read_text(), f"line {number} is shown", 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert shown.read_text().count("line 1") == 1
    finally:
        process.kill()
        process.wait()
        output.close()


def test_words_say_where_to_begin_when_no_cloud_runs(cumulo_words):
    for words in (("invoke", "f", "{}"), ("logs", "f"), ("bill",)):
        told = cumulo_words(*words, CUMULO_ENDPOINT="http://127.0.0.1:1")
        assert told.returncode == 3
        assert told.stderr.startswith("No cloud answers at http://127.0.0.1:1")
        assert "cumulo up" in told.stderr
    assert cumulo_words("status").stdout == "no cloud is running (cumulo up starts one)\n"
    assert cumulo_words("status", "--json").stdout == "[]\n"
