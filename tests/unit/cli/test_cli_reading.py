"""bill, logs, invoke, env and aws against a small fake of a cloud, as somebody types them."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fake_cloud import Answer, Asked, answer, error, fake_cloud

from cumulo.base.clock import VirtualClock
from cumulo.base.ports import Usage
from cumulo.cli.aws import find_aws
from cumulo.cli.env import assignment
from cumulo.cli.logs import LATE_MS, Follower, parse_since, render
from cumulo.cli.main import cli
from cumulo.meter.meter import Meter
from cumulo.meter.period import Month
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.views import BillPage
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.http import BytesBody, Headers, Request

NOVEMBER = Month(2026, 11)


def say(
    endpoint: str, *words: str, stdin: bytes | None = None, tmp: str = "/nonexistent", **env: str
) -> Result:
    clean = {name: None for name in os.environ if name.startswith(("AWS_", "CUMULO_"))}
    environment = clean | {"XDG_RUNTIME_DIR": tmp, "CUMULO_ENDPOINT": endpoint} | env
    return CliRunner(env=environment).invoke(cli, list(words), input=stdin)


class BillingCloud:
    """Answers /_cumulo/bill with the real page of a real meter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at = int(NOVEMBER.start()) * 1000

    def __call__(self, asked: Asked) -> Answer:
        path, _, query = asked.path.partition("?")
        assert path == "/_cumulo/bill"
        response = asyncio.run(self._ask(query))
        return response.status, dict(response.headers), response.body

    async def _ask(self, query: str) -> Any:
        store = Store(self._folder / "db")
        journal = Journal(self._folder / "journal", store)
        meter = Meter(store, journal, VirtualClock(NOVEMBER.end() - 1), PriceBooks())
        await meter.reset()
        for kind, quantity in (("requests", 1_200), ("duration_x86", 500_000)):
            arn = "arn:aws:lambda:us-east-1:000000000000:function:hello"
            meter.record(
                Usage("000000000000", "us-east-1", "lambda", kind, arn, quantity, self._at, self._at)
            )
        response = await BillPage(meter).handle_bill(
            Request("GET", "/_cumulo/bill", query, Headers([]), BytesBody(b""))
        )
        await journal.close()
        await store.close()
        return response


def test_bill_prints_lines_totals_and_forecast(tmp_path: Path):
    with fake_cloud(BillingCloud(tmp_path)) as endpoint:
        result = say(endpoint, "bill")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["lambda", "duration_x86", "hello", "500,000", "GB-s", "400,000", "$1.666670", "$8.333350"] in rows
    assert ["lambda", "requests", "hello", "1,200", "requests", "1,200", "$0.000000", "$0.000240"] in rows
    assert ["So", "far", "$1.666670", "$8.333590"] in rows
    assert "\x1b" not in result.stdout


def test_bill_explains_its_arithmetic(tmp_path: Path):
    with fake_cloud(BillingCloud(tmp_path)) as endpoint:
        result = say(endpoint, "bill", "--explain", "--service", "lambda")
    assert "1,200 requests - 1,200 free = 0 x $0.20 per 1M = $0.000000" in result.stdout


def test_bill_groups_and_prints_json(tmp_path: Path):
    with fake_cloud(BillingCloud(tmp_path)) as endpoint:
        by_kind = say(endpoint, "bill", "--group", "kind")
        as_json = say(endpoint, "bill", "--json", "--month", "2026-11")
    assert [line.split()[:2] for line in by_kind.stdout.splitlines()[2:5]] == [
        ["KIND", "AMOUNT"],
        ["duration_x86", "$1.666670"],
        ["requests", "$0.000000"],
    ]
    assert json.loads(as_json.stdout)["total"] == "1.66667"


def test_bill_repeats_the_clouds_sentence_when_the_query_is_wrong(tmp_path: Path):
    with fake_cloud(BillingCloud(tmp_path)) as endpoint:
        result = say(endpoint, "bill", "--month", "yesterday")
    assert result.exit_code == 1
    assert result.stderr.strip() == "month must look like 2026-11, not 'yesterday'"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_bill_says_so_when_something_else_answers(body: bytes):
    with fake_cloud(lambda _: (200, {}, body)) as endpoint:
        result = say(endpoint, "bill")
    assert result.exit_code == 1
    assert "is it a Cumulo cloud?" in result.stderr


@pytest.mark.parametrize("words", [("bill",), ("logs", "f"), ("logs", "/g", "-f"), ("invoke", "f")])
def test_without_a_cloud_every_word_says_one_sentence_and_exits_3(words: tuple[str, ...]):
    result = say("http://127.0.0.1:1", *words)
    assert result.exit_code == 3
    assert result.stderr == (
        "No cloud answers at http://127.0.0.1:1 (connection refused): "
        "start one with `cumulo up`, or name another with --endpoint.\n"
    )
    assert result.stdout == ""


# -- invoke ----------------------------------------------------------------------------------------------


def invoked(payload: bytes, status: int = 200, **headers: str):
    asks: list[Asked] = []

    def handle(asked: Asked) -> Answer:
        asks.append(asked)
        return (
            status,
            {"x-amz-executed-version": "7"} | {k.replace("_", "-"): v for k, v in headers.items()},
            payload,
        )

    return handle, asks


def test_invoke_prints_the_answer():
    handle, asks = invoked(b'{"ok": true}')
    with fake_cloud(handle) as endpoint:
        result = say(endpoint, "invoke", "hello", '{"a": 1}', "--qualifier", "live")
    assert (result.exit_code, result.stdout) == (0, '{"ok": true}\n')
    assert asks[0].path == "/2015-03-31/functions/hello/invocations?Qualifier=live"
    assert asks[0].body == b'{"a": 1}'
    assert len(asks) == 1


def test_invoke_reads_a_file_and_standard_input(tmp_path: Path):
    handle, asks = invoked(b"1")
    (tmp_path / "event.json").write_bytes(b'{"from": "file"}')
    with fake_cloud(handle) as endpoint:
        say(endpoint, "invoke", "f", f"@{tmp_path}/event.json")
        say(endpoint, "invoke", "f", "-", stdin=b'{"from": "stdin"}')
        missing = say(endpoint, "invoke", "f", "@/nowhere.json")
    assert [asked.body for asked in asks] == [b'{"from": "file"}', b'{"from": "stdin"}']
    assert missing.exit_code == 1
    assert missing.stderr == "/nowhere.json cannot be read: No such file or directory\n"


def test_a_function_error_is_printed_and_exits_1_with_its_log_on_standard_error():
    tail = base64.b64encode(b"START RequestId: 1\nboom\n").decode()
    handle, asks = invoked(
        b'{"errorMessage": "boom"}', x_amz_function_error="Unhandled", x_amz_log_result=tail
    )
    with fake_cloud(handle) as endpoint:
        result = say(endpoint, "invoke", "f", "{}", "--log")
    assert result.exit_code == 1
    assert result.stdout == '{"errorMessage": "boom"}\n'
    assert result.stderr == "START RequestId: 1\nboom\nThe function failed (Unhandled).\n"
    assert asks[0].headers["x-amz-log-type"] == "Tail"


def test_invoke_json_tells_everything():
    handle, _ = invoked(b'{"errorMessage": "boom"}', x_amz_function_error="Handled")
    with fake_cloud(handle) as endpoint:
        result = say(endpoint, "invoke", "f", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "status": 200,
        "executed_version": "7",
        "function_error": "Handled",
        "log": "",
        "payload": {"errorMessage": "boom"},
    }


def test_invoke_event_does_not_wait():
    handle, asks = invoked(b"", 202)
    with fake_cloud(handle) as endpoint:
        result = say(endpoint, "invoke", "f", "{}", "--event", "--log")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Queued.\n")
    assert asks[0].headers["x-amz-invocation-type"] == "Event"


def test_an_aws_error_is_one_sentence():
    with fake_cloud(lambda _: error("ResourceNotFoundException", "Function not found: f", 404)) as endpoint:
        result = say(endpoint, "invoke", "f", "{}")
    assert result.exit_code == 1
    assert result.stderr == "ResourceNotFoundException: Function not found: f\n"


def test_invoke_asks_once_even_when_the_cloud_fails():
    """A second try would run the function a second time."""
    asks: list[Asked] = []

    def handle(asked: Asked) -> Answer:
        asks.append(asked)
        return error("ServiceException", "Something broke.", 500)

    with fake_cloud(handle) as endpoint:
        result = say(endpoint, "invoke", "f", "{}")
    assert (result.exit_code, len(asks)) == (1, 1)
    assert result.stderr.startswith("ServiceException: Something broke.")


# -- logs ------------------------------------------------------------------------------------------------


def event(number: int, at: int, message: str = "hello") -> dict[str, Any]:
    return {
        "eventId": str(number),
        "timestamp": at,
        "message": message,
        "logStreamName": "s",
        "ingestionTime": at,
    }


class LogCloud:
    """Has one function, whose log group has events page by page."""

    def __init__(self, *pages: list[dict[str, Any]], config: dict[str, Any] | None = None) -> None:
        self.asks: list[Any] = []
        self._pages = list(pages)
        self._groups = ["my-group", "my-group-2"]
        self._config = config or {"FunctionName": "hello", "LoggingConfig": {"LogGroup": "/aws/lambda/hello"}}

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.startswith("/2015-03-31/functions/"):
            if "/hello/" in asked.path:
                return answer(self._config)
            return error("ResourceNotFoundException", "Function not found", 404)
        if asked.target == "DescribeLogGroups":
            named = asked.values["logGroupNamePrefix"]
            return answer(
                {"logGroups": [{"logGroupName": one} for one in self._groups if one.startswith(named)]}
            )
        if asked.target == "ListClusters":
            return answer({"clusterArns": []})
        if asked.target == "DescribeTaskDefinition":
            return error("ClientException", "Unable to describe task definition.")
        assert asked.target == "FilterLogEvents"
        self.asks.append(asked.values)
        if not self._pages:
            return error("ResourceNotFoundException", "The specified log group does not exist.")
        page = self._pages.pop(0)
        return answer({"events": page} | ({"nextToken": "more"} if self._pages else {}))


def test_logs_prints_every_page_of_a_functions_group():
    cloud = LogCloud(
        [event(1, 1000, "one\n"), event(2, 2345, "two \x1b[31mred\x1b[0m")], [event(3, 3000, "three")]
    )
    with fake_cloud(cloud) as endpoint:
        result = say(endpoint, "logs", "hello", "--since", "1970-01-01", "--filter", "ERROR")
    assert result.exit_code == 0
    assert result.stdout == (
        "1970-01-01T00:00:01.000Z one\n"
        "1970-01-01T00:00:02.345Z two \x1b[31mred\x1b[0m\n"
        "1970-01-01T00:00:03.000Z three\n"
    )
    assert cloud.asks[0] == {"logGroupName": "/aws/lambda/hello", "startTime": 0, "filterPattern": "ERROR"}
    assert cloud.asks[1]["nextToken"] == "more"


def test_logs_finds_the_group_a_function_was_told_to_use():
    cloud = LogCloud([], config={"FunctionName": "hello", "LoggingConfig": {"LogGroup": "elsewhere"}})
    with fake_cloud(cloud) as endpoint:
        result = say(endpoint, "logs", "hello")
    assert cloud.asks[0]["logGroupName"] == "elsewhere"
    assert result.exit_code == 0
    assert result.stderr == "elsewhere has nothing since 10m; --since looks further back.\n"


@pytest.mark.parametrize("name", ["/ecs/web", "my-group", "not-there-yet"])
def test_logs_of_what_is_no_function_are_those_of_the_group_of_that_name(name: str):
    cloud = LogCloud([event(1, 1000)])
    with fake_cloud(cloud) as endpoint:
        say(endpoint, "logs", name)
    assert cloud.asks[0]["logGroupName"] == name


def test_logs_of_a_group_that_is_not_there_is_one_sentence():
    with fake_cloud(LogCloud()) as endpoint:
        result = say(endpoint, "logs", "/aws/lambda/none")
    assert result.exit_code == 1
    assert result.stderr == "There is no log group /aws/lambda/none: nothing has been printed there yet.\n"


def test_logs_as_json_is_one_object_a_line():
    with fake_cloud(LogCloud([event(1, 1000, "one\ntwo"), event(2, 2000, "ü")])) as endpoint:
        result = say(endpoint, "logs", "/g", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"time": "1970-01-01T00:00:01.000Z", "stream": "s", "message": "one\ntwo"},
        {"time": "1970-01-01T00:00:02.000Z", "stream": "s", "message": "ü"},
    ]


def test_logs_follow_waits_for_the_group_and_shows_each_event_once(tmp_path: Path):
    """A real process, ended by Ctrl-C: the group comes late, polls overlap, and an old event arrives late."""
    turns = [
        error("ResourceNotFoundException", "The specified log group does not exist."),
        answer({"events": [event(1, 50_000, "one"), event(2, 50_001, "two")]}),
        answer({"events": [event(1, 50_000, "one"), event(3, 49_500, "late"), event(2, 50_001, "two")]}),
    ]
    starts: list[int] = []

    def handle(asked: Asked) -> Answer:
        starts.append(asked.values["startTime"])
        return turns[min(len(starts), len(turns)) - 1]

    with fake_cloud(handle) as endpoint:
        environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": "1", "HOME": str(tmp_path)}
        words = ["logs", "/g", "-f", "--since", "1970-01-01", "--endpoint", endpoint]
        with subprocess.Popen(
            [sys.executable, "-m", "cumulo.cli.main", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            lines = [child.stdout.readline().split(maxsplit=1)[1] for _ in range(3)]
            child.send_signal(2)
            rest, complaints = child.communicate(timeout=20)
    assert lines == ["one\n", "two\n", "late\n"]
    assert (rest, complaints, child.returncode) == ("", "", 0)
    assert starts[:3] == [0, 0, 50_001 - LATE_MS]


def test_a_follower_forgets_what_no_poll_can_bring_again():
    follower = Follower(0)
    for number in range(1000):
        assert len(follower.fresh([event(number, number * 1000)])) == 1
    assert follower.fresh([event(999, 999_000)]) == []
    assert follower.start_ms == 999_000 - LATE_MS
    assert len(follower._shown) <= LATE_MS / 1000 + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 9_970_000),
        ("10m", 9_400_000),
        ("1h", 6_400_000),
        ("1970-01-01T00:01", 60_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_since_is_an_age_or_a_moment(text: str, expected: int):
    assert parse_since(text, 10_000.0) == expected


def test_since_that_is_neither_is_a_usage_error():
    result = say("http://127.0.0.1:1", "logs", "f", "--since", "teatime")
    assert result.exit_code == 2
    assert "--since must look like" in result.stderr


def test_on_a_terminal_errors_stand_out_and_the_platforms_lines_recede():
    assert render(event(1, 0, "REPORT RequestId: 1"), colour=True).startswith("\x1b[2m")
    assert "\x1b[31m[ERROR] x" in render(event(1, 0, "[ERROR] x"), colour=True)
    assert "\x1b[31m" not in render(event(1, 0, "fine"), colour=True)


# -- env and aws -----------------------------------------------------------------------------------------


def test_env_points_a_real_shell_to_the_cloud(tmp_path: Path):
    printed = say("http://127.0.0.1:4777", "env", "--shell", "bash").stdout
    shown = subprocess.run(
        ["bash", "-c", 'eval "$1"; env', "sh", printed], capture_output=True, text=True, check=True, env={}
    ).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines())
    assert {name: found[name] for name in found if name.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4777",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_env_speaks_other_shells_and_json():
    endpoint = "http://127.0.0.1:4777"
    assert "set -gx AWS_ACCESS_KEY_ID 'test';" in say(endpoint, "env", SHELL="/usr/bin/fish").stdout
    assert "$Env:AWS_ENDPOINT_URL = 'http" in say(endpoint, "env", "--shell", "powershell").stdout
    found = json.loads(say(endpoint, "env", "--json", AWS_REGION="eu-west-1").stdout)
    assert found["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_a_quote_in_a_value_does_not_end_it():
    assert assignment("bash", "A", "x'; rm y") == """export A='x'"'"'; rm y'"""
    assert assignment("fish", "A", "x'y\\") == r"set -gx A 'x\'y\\';"
    assert assignment("powershell", "A", "x'y") == "$Env:A = 'x''y'"


def run_aws(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`cumulo aws` with a program of ours in the AWS CLI's place."""
    program = folder / "aws"
    program.write_text('#!/bin/sh\necho "$@"\nenv | grep ^AWS_ | sort\nexit 7\n')
    program.chmod(0o755)
    # A link to the interpreter in the same folder: the CLI beside it is taken.
    python = folder / "python"
    python.symlink_to(sys.executable)
    code = "import sys; sys.executable = sys.argv.pop(1); from cumulo.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, str(python), "aws", *words],
        capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder)} | env,
    )  # fmt: skip


def test_aws_runs_the_cli_with_all_its_words_and_made_up_keys(tmp_path: Path):
    ran = run_aws(tmp_path, "lambda", "--help", "--output=json", "-h")
    assert ran.returncode == 7
    assert ran.stdout.splitlines() == [
        "--endpoint-url http://127.0.0.1:4566 lambda --help --output=json -h",
        "AWS_ACCESS_KEY_ID=test",
        "AWS_DEFAULT_REGION=us-east-1",
        "AWS_ENDPOINT_URL=http://127.0.0.1:4566",
        "AWS_SECRET_ACCESS_KEY=test",
    ]


def test_aws_keeps_the_keys_and_region_that_are_set(tmp_path: Path):
    keys = {"AWS_ACCESS_KEY_ID": "111111111111", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    ran = run_aws(tmp_path, "s3", "ls", CUMULO_ENDPOINT="http://h:1", **keys)
    assert ran.stdout.splitlines()[1:] == [
        "AWS_ACCESS_KEY_ID=111111111111",
        "AWS_ENDPOINT_URL=http://h:1",
        "AWS_REGION=eu-west-1",
        "AWS_SECRET_ACCESS_KEY=s",
    ]


def test_aws_leaves_keys_and_region_to_a_profile(tmp_path: Path):
    ran = run_aws(tmp_path, "s3", "ls", AWS_PROFILE="mine")
    assert ran.stdout.splitlines()[1:] == ["AWS_ENDPOINT_URL=http://127.0.0.1:4566", "AWS_PROFILE=mine"]


def test_the_aws_cli_is_looked_for_beside_python_then_on_the_path(tmp_path: Path):
    beside, elsewhere = tmp_path / "bin", tmp_path / "path"
    for folder in (beside, elsewhere):
        folder.mkdir()
    assert find_aws(str(beside / "python"), str(elsewhere)) is None
    for folder in (elsewhere, beside):
        (folder / "aws").touch(mode=0o755)
        assert find_aws(str(beside / "python"), str(elsewhere)) == str(folder / "aws")
