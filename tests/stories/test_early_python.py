"""Python functions whose interpreter was started before they were known notice nothing of it."""

import contextlib
import itertools
import json
import os
import time
from pathlib import Path

import pytest
from tests.support import call, deploy, until

LOOK = """
import gc, json, locale, logging, os, sys, time, threading
log = logging.getLogger()
def handler(event, context):
    log.warning("noted")
    born = open("/proc/self/environ").read()
    return {
        "early": "_CUMULO_EARLY_FD" in born,
        "env": dict(os.environ), "path": sys.path, "argv": sys.argv, "cwd": os.getcwd(), "zone": time.tzname,
        "fds": sorted(os.readlink("/proc/self/fd/" + n).split(":")[0] for n in os.listdir("/proc/self/fd") if int(n) < 5),
        "count": len(os.listdir("/proc/self/fd")), "nice": os.nice(0), "threads": threading.active_count(),
        "frozen": gc.get_freeze_count(), "locale": locale.setlocale(locale.LC_CTYPE), "exit": repr(exit),
        "modules": sorted(sys.modules), "formatter": type(logging.getLogger().handlers[0].formatter).__name__,
        "child": os.popen("env").read().splitlines(), "hash": hash("a"), "stack": id(object()),
        "context": [context.function_name, context.log_stream_name, context.memory_limit_in_mb],
    }
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runtimes start early only in isolated sandboxes")
_names = itertools.count()


def look(aws, **settings) -> dict:
    name = f"look{next(_names)}"
    deploy(aws, name, LOOK, **settings)
    found = call(aws, name, {})
    assert "env" in found, found
    return found


def look_early(aws, **settings) -> dict:
    """What a function sees that was started early, once there are runtimes waiting."""

    def early():
        time.sleep(0.3)  # a burst of starts would keep any from being prepared
        found = look(aws, **settings)
        return found if found["early"] else None

    return until(early, "no function was given a runtime that waited")


@needs_root
def test_the_environment_is_the_functions_own_and_nothing_else(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    variables = {"Variables": {"MINE": "äöü \n 1", "HOME": "/tmp", "EMPTY": ""}}
    early = look_early(aws, Environment=variables)
    # LC_ALL counts when a process starts, so this one is started in the ordinary way; nothing else differs
    late = look(aws, Environment={"Variables": {**variables["Variables"], "LC_ALL": ""}})
    assert not late["early"]
    own = {
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "LC_ALL",
        "_X_AMZN_TRACE_ID",
    }
    own |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert {k: v for k, v in early["env"].items() if k not in own} == {
        k: v for k, v in late["env"].items() if k not in own
    }
    assert early["env"].keys() == late["env"].keys() - {"LC_ALL"}
    assert early["env"]["AWS_LAMBDA_FUNCTION_NAME"] == early["context"][0]
    assert not [line for line in early["child"] if line.startswith("_CUMULO")]
    for name in (
        "path",
        "argv",
        "cwd",
        "zone",
        "fds",
        "count",
        "nice",
        "threads",
        "locale",
        "exit",
        "formatter",
        "frozen",
    ):
        assert early[name] == late[name], name
    assert set(early["modules"]) >= set(late["modules"])
    assert "early_start" not in early["modules"]


@needs_root
def test_settings_that_count_at_the_start_are_obeyed(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    look_early(aws)
    time.sleep(0.5)
    for name, value in (
        ("PYTHONPATH", "/var/task/more"),
        ("LANG", "C"),
        ("PYTHONHASHSEED", "7"),
        ("LD_PRELOAD", ""),
    ):
        found = look(aws, Environment={"Variables": {name: value}})
        assert not found["early"], name
        assert found["env"][name] == value
    assert "/var/task/more" in look(aws, Environment={"Variables": {"PYTHONPATH": "/var/task/more"}})["path"]
    assert look_early(aws, Environment={"Variables": {"TZ": "ABC-3"}})["zone"] == ["ABC", "ABC"]
    assert look_early(aws, LoggingConfig={"LogFormat": "JSON"})["formatter"] == "JsonFormatter"


def waiting(pid: int) -> int:
    """How many runtimes of this server were started early and run, with or without a function."""
    found = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"_CUMULO_EARLY_FD" in (entry / "environ").read_bytes():
                found += pid in ancestors(int(entry.name))
    return found


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        found.append(pid)
    return found


@needs_root
def test_after_a_restart_the_runtime_of_the_newest_function_waits(server):
    deploy(server.client("lambda"), "look", LOOK)
    until(lambda: waiting(server.child.pid) == 3, "three runtimes are kept waiting")
    server.kill()
    server.start()
    until(lambda: waiting(server.child.pid) == 3, "three runtimes are kept waiting again")
    assert call(server.client("lambda"), "look", {})["early"]
    server.stop()


@needs_root
def test_without_functions_nothing_is_started(server):
    time.sleep(1.0)  # nothing tells of what does not happen
    children = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    assert not [
        pid for pid in children if Path(f"/proc/{pid}").exists() and server.child.pid in ancestors(int(pid))
    ]


@needs_root
def test_two_functions_on_one_runtime_share_nothing(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    one = look_early(aws, Environment={"Variables": {"ONLY_ONE": "secret"}})
    two = look_early(aws)
    assert "ONLY_ONE" not in two["env"]
    assert "secret" not in json.dumps(two)
    assert one["hash"] != two["hash"]
    assert one["stack"] != two["stack"]


def test_a_function_that_comes_while_its_runtime_still_prepares_is_served(cumulo):
    """Functions made and called at once, again and again, meet spares at every point of their preparation."""
    lambdas, logs = cumulo.client("lambda"), cumulo.client("logs")
    for round_number in range(20):
        cumulo.reset()
        deploy(lambdas, "soon", "def handler(event, context): return event")
        assert call(lambdas, "soon", round_number) == round_number
        lines = [e["message"] for e in logs.filter_log_events(logGroupName="/aws/lambda/soon")["events"]]
        assert not [line for line in lines if "Traceback" in line or line.startswith("INIT_REPORT")]
        assert "Init Duration" in lines[-1]
