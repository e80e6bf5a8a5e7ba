"""Real functions in real processes: what the caller, the log and the bill get."""

import json
import re

from tests.unit.lambda_dp.dp_cloud import DataPlane, until, with_plane


def test_a_function_answers_and_its_log_is_in_order(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("hello", "def handler(event, context):\n    print('hi', event['n'])\n    return event\n")
        for n in range(3):
            result = await plane.call("hello", b'{"n": %d}' % n)
            assert result.payload == b'{"n": %d}' % n
            assert result.function_error == ""
        lines = plane.logs.lines
        assert lines[0].startswith(
            "INIT_START Runtime Version: python:3.11.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0"
        )
        kinds = [line.split()[0] for line in lines[1:]]
        assert kinds == ["START", "hi", "END", "REPORT"] * 3
        assert lines[2] == "hi 0\n"
        report = re.fullmatch(
            r"REPORT RequestId: [0-9a-f-]{36}\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: 128 MB\t"
            r"Max Memory Used: \d+ MB\tInit Duration: (\d+\.\d\d) ms\t\n",
            lines[4],
        )
        assert report
        assert int(report[2]) >= float(report[1]) + float(report[3]) > int(report[2]) - 1
        assert "Init Duration" not in lines[8]
        assert plane.fleet.counts()["idle"] + plane.fleet.counts()["settling"] == 1
        assert [r.kind for r in plane.usages.records] == ["requests", "duration_x86"] * 3
        assert plane.usages.records[1].quantity == int(report[2]) / 1000 * 128 / 1024

    with_plane(tmp_path, story)


def test_an_exception_is_an_unhandled_error_with_its_trace(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("bad", "def handler(event, context):\n    raise ValueError('no')\n")
        result = await plane.call("bad", want_log=True)
        body = json.loads(result.payload)
        assert result.function_error == "Unhandled"
        assert (body["errorType"], body["errorMessage"]) == ("ValueError", "no")
        assert "[ERROR] ValueError: no" in result.log_tail.decode()
        assert result.log_tail.startswith(b"START RequestId: ")
        # the environment is good for the next call
        await plane.call("bad")
        assert len(plane.logs.streams) == 1
        assert plane.logs.text.count("INIT_START") == 1

    with_plane(tmp_path, story)


def test_the_log_tail_is_the_last_4_kb(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("long", "def handler(event, context):\n    for i in range(3000): print('line', i)\n")
        result = await plane.call("long", want_log=True)
        assert len(result.log_tail) == 4096
        assert b"line 2999\nEND RequestId" in result.log_tail
        assert sum(line.startswith("line ") for line in plane.logs.lines) == 3000

    with_plane(tmp_path, story)


def test_a_process_that_exits_fails_its_call_and_the_next_one_starts_again_with_the_same_tmp(tmp_path):
    code = """
import os, tempfile
count = 0
def handler(event, context):
    global count
    count += 1
    if 'exit' in event:
        open(os.environ['TMPDIR'] + '/kept', 'w').write('x')
        os._exit(event['exit'])
    return [count, os.path.exists(os.environ['TMPDIR'] + '/kept')]
"""

    async def story(plane: DataPlane) -> None:
        plane.deploy("dies", code)
        assert (await plane.call("dies")).payload == b"[1, false]"
        result = await plane.call("dies", b'{"exit": 7}')
        body = json.loads(result.payload)
        assert body["errorType"] == "Runtime.ExitError"
        assert re.fullmatch(
            r"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 7", body["errorMessage"]
        )
        assert (await plane.call("dies")).payload == b"[1, true]"
        result = await plane.call("dies", b'{"exit": 0}')
        assert json.loads(result.payload)["errorMessage"].endswith(
            "Runtime exited without providing a reason"
        )
        assert len(plane.logs.streams) == 1
        reports = [line for line in plane.logs.lines if line.startswith("REPORT")]
        assert reports[1].endswith("\tStatus: error\tError Type: Runtime.ExitError\n")
        assert "Init Duration" not in reports[2]

    with_plane(tmp_path, story)


def test_sys_exit_in_a_handler_ends_the_runtime(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy(
            "leaves", "import sys\ndef handler(event, context):\n    print('bye')\n    sys.exit(3)\n"
        )
        body = json.loads((await plane.call("leaves")).payload)
        assert body["errorMessage"].endswith("Runtime exited with error: exit status 3")
        assert "bye\n" in plane.logs.lines

    with_plane(tmp_path, story)


def test_a_timeout_answers_in_time_and_the_environment_is_reset(tmp_path):
    code = "import time\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n    print('go', flush=True)\n    time.sleep(event['s'])\n    return n\n"

    async def story(plane: DataPlane) -> None:
        plane.deploy("slow", code, timeout_s=1)
        assert (await plane.call("slow", b'{"s": 0}')).payload == b"1"
        began = plane.clock.monotonic()
        result = await plane.call("slow", b'{"s": 60}')
        assert 0.9 < plane.clock.monotonic() - began < 3
        body = json.loads(result.payload)
        assert body["errorType"] == "Sandbox.Timedout"
        assert body["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
        report = plane.logs.lines[-1]
        assert "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t" in report
        assert report.endswith("\tStatus: timeout\n")
        assert plane.logs.lines[-3] == "go\n"
        assert (await plane.call("slow", b'{"s": 0}')).payload == b"1"

    with_plane(tmp_path, story)


def test_code_that_cannot_be_loaded_is_tried_twice_and_told(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("broken", "import nothing_like_this\ndef handler(e, c): pass\n")
        result = await plane.call("broken", want_log=True)
        body = json.loads(result.payload)
        assert body["errorType"] == "Runtime.ImportModuleError"
        assert body["requestId"] == ""
        text = plane.logs.text
        assert re.search(
            r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n",
            text,
        )
        assert re.search(
            r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError\n",
            text,
        )
        assert plane.logs.lines[-1].endswith("Status: error\tError Type: Runtime.ImportModuleError\n")
        assert text.index("Phase: invoke") < text.index("START RequestId")

    with_plane(tmp_path, story)


def test_an_initialisation_that_never_ends_runs_into_the_functions_timeout(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("stuck", "import time\ntime.sleep(99)\ndef handler(e, c): pass\n", timeout_s=1)
        result = await plane.call("stuck")
        assert json.loads(result.payload)["errorType"] == "Sandbox.Timedout"
        text = plane.logs.text
        assert re.search(r"INIT_REPORT Init Duration: 3\d\d\.\d\d ms\tPhase: init\tStatus: timeout\n", text)
        assert re.search(r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: timeout\n", text)
        assert plane.logs.lines[-1].endswith("Status: timeout\n")

    with_plane(tmp_path, story, init_seconds_max=0.3)


def test_an_answer_that_is_too_large_fails_its_call_only(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("huge", "def handler(event, context):\n    return 'x' * event\n")
        result = await plane.call("huge", b"7000000")
        assert json.loads(result.payload) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }
        assert len((await plane.call("huge", b"6291554")).payload) == 6291556

    with_plane(tmp_path, story)


def test_a_program_that_cannot_be_started_is_an_invalid_entrypoint(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("none", "x", file="other", runtime="provided.al2023")
        body = json.loads((await plane.call("none")).payload)
        assert body["errorType"] == "Runtime.InvalidEntrypoint"
        assert plane.logs.lines[-1].endswith("Status: error\tError Type: Runtime.InvalidEntrypoint\n")

    with_plane(tmp_path, story)


def test_platform_events_are_objects_when_the_function_logs_json(tmp_path):
    async def story(plane: DataPlane) -> None:
        code = "import logging\ndef handler(event, context):\n    logging.getLogger().error('oh %s', 1)\n"
        plane.deploy("js", code, json_logs=True)
        await plane.call("js")
        events = [json.loads(line) for line in plane.logs.lines]
        assert [e.get("type") or e["message"] for e in events] == [
            "platform.initStart",
            "platform.start",
            "oh 1",
            "platform.report",
        ]
        metrics = events[-1]["record"]["metrics"]
        assert metrics["billedDurationMs"] >= metrics["durationMs"] + metrics["initDurationMs"] - 0.01

    with_plane(tmp_path, story)


def test_output_of_a_long_call_is_logged_while_it_runs(tmp_path):
    async def story(plane: DataPlane) -> None:
        import asyncio

        code = "import time, os\ndef handler(event, context):\n    print('first')\n    while not os.path.exists(event): time.sleep(0.01)\n"
        plane.deploy("chatty", code, timeout_s=30)
        gate = tmp_path / "gate"
        call = asyncio.create_task(plane.call("chatty", json.dumps(str(gate)).encode()))
        await until(lambda: "first\n" in plane.logs.lines, "logged")
        assert not call.done()
        gate.touch()
        await call
        assert [line.split()[0] for line in plane.logs.lines] == [
            "INIT_START",
            "START",
            "first",
            "END",
            "REPORT",
        ]

    with_plane(tmp_path, story)


def test_more_output_than_a_pipe_holds_does_not_stop_a_function(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("flood", "def handler(event, context):\n    print('x' * 1000000)\n    return 1\n")
        assert (await plane.call("flood")).payload == b"1"
        assert sum(line.count("x") for line in plane.logs.lines if line.startswith("x")) == 1000000
        assert max(len(line) for line in plane.logs.lines) <= 256 * 1024

    with_plane(tmp_path, story)
