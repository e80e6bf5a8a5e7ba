"""Functions that misbehave hurt nobody else: each case calls a neighbour afterwards."""

import json

import pytest
from tests.leftovers import processes
from tests.support import call, deploy, until

NEIGHBOUR = "def handler(e, c): return 'fine'"

FORKS = """
import os, signal
def handler(event, context):
    children = 0
    try:
        while children < 5000:
            if os.fork() == 0:
                signal.pause()
            children += 1
    except OSError as e:
        return ["stopped at a bound", children]
    return ["unbounded", children]
"""
EATS = """
def handler(event, context):
    return len([bytearray(8 << 20) for _ in range(200)])
"""
FILLS = """
import errno
def handler(event, context):
    written = 0
    try:
        with open("/tmp/big", "wb") as f:
            while written < 2 << 30:
                written += f.write(b"x" * (1 << 20))
    except OSError as e:
        return [errno.errorcode[e.errno], written >> 20]
    return ["unbounded", written >> 20]
"""
OPENS = """
import errno
def handler(event, context):
    files = []
    try:
        while len(files) < 10000:
            files.append(open("/dev/null"))
    except OSError as e:
        return [errno.errorcode[e.errno], len(files)]
    return ["unbounded", len(files)]
"""
RUNTIME = """#!/usr/bin/env python3
import os, socket, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = "/2018-06-01/runtime/invocation"
def ask(text):
    s = socket.create_connection((host, int(port)))
    s.sendall(text.encode())
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        data += s.recv(65536)
    return s, data.decode()
def next_id():
    s, head = ask(f"GET {BASE}/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    return [l.split(": ")[1] for l in head.splitlines() if l.lower().startswith("lambda-runtime-aws-request-id")][0]
def post(id, body="\\"ok\\""):
    return ask(f"POST {BASE}/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}")[1].split()[1]
while True:
    id = next_id()
"""
TWICE = RUNTIME + "    first, second = post(id), post(id)\n    print(first, second, flush=True)\n"
FOREIGN = RUNTIME + "    print(post('00000000-0000-4000-8000-000000000000'), flush=True)\n    post(id)\n"
HALF = (
    RUNTIME
    + """
    s = socket.create_connection((host, int(port)))
    s.sendall(f"POST {BASE}/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\nhalf".encode())
    s.close()
    post(id)
"""
)


@pytest.fixture
def neighbour(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    deploy(aws, "neighbour", NEIGHBOUR)
    yield aws
    assert call(aws, "neighbour") == "fine"


def isolated(cloud) -> bool:
    return cloud.cloud.isolation == "full"


def test_one_that_forks_without_end_is_bounded(neighbour, cumulo):
    if not isolated(cumulo):
        pytest.skip("no full isolation on this machine")
    deploy(neighbour, "forks", FORKS, Timeout=60, MemorySize=1769)  # a whole processor, to be quick
    said, children = call(neighbour, "forks")
    assert said == "stopped at a bound"
    assert 500 < children <= 1024
    assert len(processes(cumulo.cloud.data)) > 500
    neighbour.delete_function(FunctionName="forks")
    until(lambda: len(processes(cumulo.cloud.data)) < 50, "its processes are gone", 20)


def test_one_that_eats_memory_is_killed_and_says_so(neighbour, cumulo):
    if not isolated(cumulo):
        pytest.skip("no full isolation on this machine")
    deploy(neighbour, "eats", EATS, MemorySize=128, Timeout=20)
    answer = neighbour.invoke(FunctionName="eats", Payload=b"{}")
    assert answer["FunctionError"] == "Unhandled"
    payload = json.load(answer["Payload"])
    assert payload["errorType"] in ("Runtime.ExitError", "Runtime.OutOfMemory")
    assert "signal: killed" in payload["errorMessage"]


def test_one_that_fills_tmp_finds_its_end(neighbour, cumulo):
    if not isolated(cumulo):
        pytest.skip("no full isolation on this machine")
    deploy(neighbour, "fills", FILLS, MemorySize=1024, Timeout=30, EphemeralStorage={"Size": 512})
    error, mib = call(neighbour, "fills")
    assert error == "ENOSPC"
    assert 450 <= mib <= 540


def test_one_that_opens_ten_thousand_files_finds_its_end(neighbour):
    deploy(neighbour, "opens", OPENS)
    error, count = call(neighbour, "opens")
    assert error == "EMFILE"
    assert 900 < count <= 1024


@pytest.mark.parametrize(
    "source", [TWICE, FOREIGN, HALF], ids=["answers twice", "foreign id", "half an answer"]
)
def test_a_runtime_that_breaks_the_protocol_hurts_only_itself(neighbour, source):
    deploy(neighbour, "odd", {"bootstrap": source}, Runtime="provided.al2023", Handler="x", Timeout=5)
    for _ in range(3):
        assert call(neighbour, "odd") == "ok"


ENDINGS = {
    "timeout": (
        "import time\ndef handler(e, c): time.sleep(60)",
        "Sandbox.Timedout",
        "Task timed out after 1.00 seconds",
    ),
    "exit": ("import os\ndef handler(e, c): os._exit(7)", "Runtime.ExitError", "exit status 7"),
    "quiet": (
        "import os\ndef handler(e, c): os._exit(0)",
        "Runtime.ExitError",
        "exited without providing a reason",
    ),
    "killed": (
        "import os\ndef handler(e, c): os.kill(os.getpid(), 9)",
        "Runtime.ExitError",
        "signal: killed",
    ),
    "raises": ("def handler(e, c): raise ValueError('no')", "ValueError", "no"),
    "missing": ("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
    "import": ("import nothing_here\ndef handler(e, c): pass", "Runtime.ImportModuleError", "nothing_here"),
    "syntax": ("def handler(e, c:", "Runtime.UserCodeSyntaxError", "Syntax error"),
    "large": ("def handler(e, c): return 'x' * 7_000_000", "Function.ResponseSizeTooLarge", "6291556 bytes"),
    "not json": ("def handler(e, c): return {1, 2}", "Runtime.MarshalError", "Unable to marshal response"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_ending_is_told_as_aws_tells_it(neighbour, ending):
    source, kind, sentence = ENDINGS[ending]
    deploy(neighbour, "ends", source, Timeout=1 if ending == "timeout" else 10)
    for _ in range(2):
        answer = neighbour.invoke(FunctionName="ends", Payload=b"{}")
        assert answer["StatusCode"] == 200
        assert answer["FunctionError"] == "Unhandled"
        payload = json.load(answer["Payload"])
        assert payload["errorType"] == kind
        assert sentence in payload["errorMessage"]


def test_tmp_is_kept_after_a_crash_and_globals_are_not(neighbour):
    deploy(neighbour, "keeps", """
import os
number = 0
def handler(event, context):
    global number
    number += 1
    if event == "write":
        open("/tmp/kept", "w").write("still here")
        return number
    if event == "crash":
        os._exit(1)
    return [number, open("/tmp/kept").read() if os.path.exists("/tmp/kept") else None]
""")  # fmt: skip
    assert call(neighbour, "keeps", "write") == 1
    assert "Runtime.ExitError" in json.dumps(call(neighbour, "keeps", "crash"))
    assert call(neighbour, "keeps", "read") == [1, "still here"]


def test_nothing_runs_between_calls(neighbour, cumulo):
    if not isolated(cumulo):
        pytest.skip("no full isolation on this machine")
    deploy(neighbour, "frozen", """
import threading, time
count = 0
def run():
    global count
    while True:
        time.sleep(0.01)
        count += 1
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    return [count, time.monotonic()]
""")  # fmt: skip
    import time

    before = call(neighbour, "frozen")
    time.sleep(1.0)  # the condition is that this second passes without the function noticing
    after = call(neighbour, "frozen")
    assert after[1] - before[1] > 0.9
    assert after[0] - before[0] < 25
