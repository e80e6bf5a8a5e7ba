"""Every kind of hostile function at once; a good function's calls go on, and in the end nothing is left of them."""

import json
import statistics
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.leftovers import processes
from tests.support import call, deploy, until

SECONDS = 8.0
MEDIAN_SECONDS_MAX = 1.0
WORST_SECONDS_MAX = 8.0  # two shared processors, all of them fought for
GOOD = "def handler(e, c):\n    print('good', e)\n    return e"

FORKS = """
import os, signal
def handler(event, context):
    children = 0
    try:
        while True:
            if os.fork() == 0:
                signal.pause()
            children += 1
    except OSError:
        return children
"""
BOMB = """
import os
def handler(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""
EATS = """
def handler(event, context):
    return len([bytearray(8 << 20) for _ in range(1000)])
"""
FILLS = """
def handler(event, context):
    written = 0
    try:
        with open("/tmp/big", "wb") as f:
            while True:
                written += f.write(b"x" * (1 << 20))
    except OSError:
        return written >> 20
"""
SPINS = """
import threading
def spin():
    while True:
        pass
def handler(event, context):
    for _ in range(20):
        threading.Thread(target=spin, daemon=True).start()
    spin()
"""
FLOODS = """
def handler(event, context):
    line = "x" * 999
    for _ in range(1000):
        print("\\n".join([line] * 100))
    return "100 MB"
"""
GARBAGE = """#!/usr/bin/env python3
import os, socket, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = b"/2018-06-01/runtime/invocation"
def send(*parts):
    s = socket.create_connection((host, int(port)))
    s.settimeout(1)
    try:
        for part in parts:
            s.sendall(part)
        s.recv(1000)
    except OSError:
        pass
    return s
kept = []
while True:
    kept.append(send(b"GET " + BASE + b"/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"))
    kept.append(send(os.urandom(1000) + b"\\r\\n\\r\\n"))
    kept.append(send(b"POST " + BASE + b"/none/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999999\\r\\n\\r\\n", b"x" * 10_000_000))
    kept.append(send(b"POST " + BASE + b"/../../x/response HTTP/1.1\\r\\nContent-Length: -5\\r\\n\\r\\n"))
    kept.append(send(b"GET / HTTP/1.1\\r\\n" + b"X: y\\r\\n" * 100_000))
    kept = kept[-200:]
    time.sleep(0.01)
"""
ZIPS = {"forks": FORKS, "bomb": BOMB, "eats": EATS, "fills": FILLS, "spins": SPINS, "floods": FLOODS}
MEMORY = {"forks": 1769, "fills": 1024, "floods": 1769}


@pytest.fixture
def street(cumulo_empty):
    if cumulo_empty.cloud.isolation != "full":
        pytest.skip("no full isolation on this machine")
    aws = cumulo_empty.client("lambda", config=_no_retries())
    deploy(aws, "good", GOOD)
    for name, source in ZIPS.items():
        deploy(aws, name, source, Timeout=5, MemorySize=MEMORY.get(name, 256))
    deploy(aws, "garbage", {"bootstrap": GARBAGE}, Runtime="provided.al2023", Handler="x", Timeout=5)
    yield aws
    cumulo_empty.reset()


def _no_retries():
    from botocore.config import Config

    return Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20)


def test_a_good_function_does_not_notice_its_neighbours(street, cumulo):
    assert call(street, "good", 0) == 0
    quiet = len(processes(cumulo.cloud.data))
    stop = threading.Event()
    endings: dict[str, list[object]] = {name: [] for name in (*ZIPS, "garbage")}

    def misbehave(name: str) -> None:
        while not stop.is_set():
            try:
                answer = street.invoke(FunctionName=name, Payload=b"{}")
                endings[name].append(answer.get("FunctionError") or json.load(answer["Payload"]))
            except ClientError as error:
                endings[name].append(error.response["Error"]["Code"])
            except BotoCoreError as error:
                endings[name].append(repr(error))
                return

    threads = [threading.Thread(target=misbehave, args=(name,)) for name in endings]
    for thread in threads:
        thread.start()
    took: list[float] = []
    try:
        until_ = time.monotonic() + SECONDS
        while time.monotonic() < until_ or not all(endings.values()):
            began = time.monotonic()
            assert call(street, "good", len(took)) == len(took)
            took.append(time.monotonic() - began)
            assert time.monotonic() < until_ + 60, f"some never end: {endings}"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"{len(took)} calls, median {statistics.median(took) * 1000:.1f} ms, worst {max(took):.2f} s ")
    assert statistics.median(took) < MEDIAN_SECONDS_MAX
    assert max(took) < WORST_SECONDS_MAX
    assert endings["forks"][0] == "Unhandled" or 500 < endings["forks"][0] <= 1024
    assert (
        endings["eats"][0]
        == endings["bomb"][0]
        == endings["spins"][0]
        == endings["garbage"][0]
        == "Unhandled"
    )
    for name in endings:
        street.delete_function(FunctionName=name)
    until(lambda: len(processes(cumulo.cloud.data)) <= quiet + 8, "nothing of them runs any more", 30)
    assert call(street, "good", "still") == "still"


def test_a_flood_of_100_mb_of_log_is_kept_or_cut_but_hurts_nobody(street):
    answer = street.invoke(FunctionName="floods", Payload=b"{}")
    assert answer.get("FunctionError") == "Unhandled" or json.load(answer["Payload"]) == "100 MB"
    began = time.monotonic()
    assert call(street, "good", 1) == 1
    assert time.monotonic() - began < WORST_SECONDS_MAX
