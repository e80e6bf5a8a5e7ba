"""kill -9 of the server in the middle of everything: what was acknowledged is there, nothing is left behind.

CUMULO_KILL_ROUNDS=50 makes it long.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.leftovers import MARK, leftovers, processes
from tests.support import CUMULO, Process, call, create, deploy, until

from cumulo.base.folders import instance_of
from cumulo.sandbox.network import link_name, table_name

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "8"))
COUNTER = """
import time
def handler(event, context):
    print("RAN", event["n"])
    time.sleep(event.get("s", 0))
    return event["n"]
"""
GONE = (BotoCoreError, ClientError)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "data")
    process.start()
    yield process
    try:
        assert process.stop() == 0
    finally:
        until(lambda: not leftovers(process.data), Said(process.data), 15)


class Said:
    """A message that is made when it is needed."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __str__(self) -> str:
        return f"nothing is left behind: {leftovers(self.data)}"


class Acknowledged:
    """What the cloud has said yes to."""

    def __init__(self) -> None:
        self.number = 0
        self.events: set[int] = set()
        self.calls: set[int] = set()
        self.lines: set[int] = set()
        self.code: dict[str, str] = {}
        self.described: dict[str, str] = {}
        self.unsure: set[str] = set()  # an update was cut off: it may have been done, or not
        self.tags: dict[str, str] = {}
        self.deleted: set[str] = set()

    def work(self, server: Process, stop: threading.Event, source: random.Random) -> None:
        """Create, update, call and write until told to stop; note what was acknowledged."""
        aws, logs = server.client("lambda"), server.client("logs")
        while not stop.is_set():
            self.number += 1
            try:
                self._step(aws, logs, self.number, source)
            except GONE:
                time.sleep(0.005)

    def _step(self, aws, logs, n: int, source: random.Random) -> None:
        aws.invoke(FunctionName="counter", InvocationType="Event", Payload=json.dumps({"n": n}))
        self.events.add(n)
        if n % 5 == 0:
            name = f"f{n}"
            self.code[name] = create(aws, name, f"def handler(e, c): return {n}")["CodeSha256"]
        if n % 3 == 0:
            aws.invoke(FunctionName="counter", Payload=json.dumps({"n": -n}))
            self.calls.add(-n)
        if n % 4 == 0:
            event = {"timestamp": time.time_ns() // 1_000_000, "message": f"LINE {n}"}
            logs.put_log_events(logGroupName="written", logStreamName="s", logEvents=[event])
            self.lines.add(n)
        if n % 7 == 0 and self.code:
            self._change(aws, source.choice(sorted(self.code)), n)

    def _change(self, aws, name: str, n: int) -> None:
        if n % 3 == 0:
            del self.code[name]
            self.unsure.add(name)
            aws.delete_function(FunctionName=name)
            self.deleted.add(name)
            return
        self.unsure.add(name)
        aws.update_function_configuration(FunctionName=name, Description=f"d{n}")
        self.unsure.discard(name)
        self.described[name] = f"d{n}"
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        aws.tag_resource(Resource=arn, Tags={"n": str(n)})
        self.tags[name] = str(n)


def start_and_kill_early(server: Process, seconds: float) -> None:
    """A second kill, while the first one's journal is replayed or anything else is made ready."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), MARK: str(server.data)}
    argv = [*CUMULO, "up", "--port", "0", "--data", str(server.data), *server.arguments]
    with server.log.open("a") as sink:
        child = subprocess.Popen(argv, stdout=sink, stderr=sink, env=env, start_new_session=True)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def said(logs, group: str, word: str) -> Counter[int]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern=word)
    return Counter(int(event["message"].split()[1]) for page in pages for event in page["events"])


def requests_billed(server: Process) -> int:
    bill = json.load(urlopen(f"{server.endpoint}/_cumulo/bill?service=lambda&kind=requests", timeout=10))
    return sum(int(float(line["quantity"])) for line in bill["lines"])


def test_what_was_acknowledged_survives(server: Process):
    aws, logs = server.client("lambda"), server.client("logs")
    deploy(aws, "counter", COUNTER)
    logs.create_log_group(logGroupName="written")
    logs.create_log_stream(logGroupName="written", logStreamName="s")
    source, yes = random.Random(7), Acknowledged()
    for round_ in range(ROUNDS):
        stop = threading.Event()
        thread = threading.Thread(target=yes.work, args=(server, stop, source))
        thread.start()
        time.sleep(source.uniform(0.05, 0.9))
        server.kill()
        stop.set()
        thread.join()
        if round_ % 3 == 1:
            start_and_kill_early(server, source.uniform(0.05, 1.0))
        server.start()
    check_functions(server, yes)
    logs = server.client("logs")
    assert yes.events
    until(
        lambda: not (yes.events - set(said(logs, "/aws/lambda/counter", "RAN"))),
        "every acknowledged event ran",
        90,
    )
    ran = said(logs, "/aws/lambda/counter", "RAN")
    assert yes.calls <= set(ran)
    assert all(ran[n] == 1 for n in yes.calls), "a synchronous call is in the log once"
    assert said(logs, "written", "LINE") >= Counter(yes.lines)
    assert max(said(logs, "written", "LINE").values(), default=1) == 1
    assert requests_billed(server) >= len(yes.events | yes.calls)


def check_functions(server: Process, yes: Acknowledged) -> None:
    aws = server.client("lambda")
    pages = aws.get_paginator("list_functions").paginate()
    listed = {f["FunctionName"]: f for page in pages for f in page["Functions"]}
    assert not yes.deleted & set(listed)
    for name, sha in yes.code.items():
        assert listed[name]["CodeSha256"] == sha
        aws.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )
        if name not in yes.unsure:
            assert listed[name].get("Description", "") == yes.described.get(name, "")
        if name in yes.tags:
            assert int(aws.get_function(FunctionName=name)["Tags"]["n"]) >= int(yes.tags[name])
    for name in random.Random(1).sample(sorted(yes.code), min(3, len(yes.code))):
        assert call(aws, name) == int(name[1:])


def test_a_filled_queue_is_delivered_after_a_kill(server: Process):
    aws = server.client("lambda")
    deploy(aws, "counter", COUNTER)
    accepted = set()
    for n in range(150):
        aws.invoke(FunctionName="counter", InvocationType="Event", Payload=json.dumps({"n": n, "s": 0.05}))
        accepted.add(n)
    server.kill()
    server.start()
    server.kill()
    server.start()
    logs = server.client("logs")
    until(lambda: accepted <= set(said(logs, "/aws/lambda/counter", "RAN")), "every event ran", 60)


def child_of(server: Process, word: str) -> int:
    """The server's child whose command line has a word."""
    assert server.child is not None
    for task in Path(f"/proc/{server.child.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if word in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
    raise AssertionError(f"{word} does not run: {processes(server.data)}")


def test_what_companions_acknowledged_is_there_after_kills(server: Process):
    s3, iam = server.client("s3"), server.client("iam")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a", Body=b"one")
    iam.create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    folders = set(Path(tempfile.gettempdir()).glob("cumulo-moto-*"))
    server.kill()
    server.start()
    note = server.data / "companions.folder"
    assert not note.exists()
    assert folders - set(Path(tempfile.gettempdir()).glob("cumulo-moto-*")), (
        "the killed one's folder has gone"
    )
    s3, iam = server.client("s3"), server.client("iam")
    assert s3.get_object(Bucket="kept", Key="a")["Body"].read() == b"one"
    assert iam.get_role(RoleName="kept")["Role"]["RoleName"] == "kept"
    s3.put_object(Bucket="kept", Key="b", Body=b"two")
    os.kill(child_of(server, "moto_process"), signal.SIGKILL)
    assert s3.get_object(Bucket="kept", Key="b")["Body"].read() == b"two"
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["kept"]


def test_a_killed_warden_is_replaced_and_nothing_is_lost(server: Process):
    aws, logs = server.client("lambda"), server.client("logs")
    deploy(aws, "counter", COUNTER)
    assert call(aws, "counter", {"n": 1}) == 1
    try:
        warden = child_of(server, "sandbox.birth")
    except AssertionError:
        pytest.skip("sandboxes of this machine have no warden")
    for n in range(2, 12):
        aws.invoke(FunctionName="counter", InvocationType="Event", Payload=json.dumps({"n": n, "s": 0.3}))
    os.kill(warden, signal.SIGKILL)
    until(lambda: _calls(aws, 100), "calls are answered again", 20)
    until(lambda: set(range(1, 12)) <= set(said(logs, "/aws/lambda/counter", "RAN")), "every event ran", 120)


def _calls(aws, n: int) -> bool:
    try:
        return bool(call(aws, "counter", {"n": n}) == n)
    except GONE:
        return False


def test_a_stop_under_load_is_quick_and_loses_nothing(server: Process):
    aws = server.client("lambda")
    deploy(aws, "counter", COUNTER)
    stop, yes = threading.Event(), Acknowledged()
    server.client("logs").create_log_group(logGroupName="written")
    server.client("logs").create_log_stream(logGroupName="written", logStreamName="s")
    threads = [
        threading.Thread(target=yes.work, args=(server, stop, random.Random(seed))) for seed in range(2)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.5)  # load, for a while
    began = time.monotonic()
    assert server.stop() == 0
    seconds = time.monotonic() - began
    stop.set()
    for thread in threads:
        thread.join()
    assert seconds < 12
    assert not leftovers(server.data)
    server.start()
    logs = server.client("logs")
    until(lambda: yes.events <= set(said(logs, "/aws/lambda/counter", "RAN")), "every event ran", 60)
    assert yes.calls <= set(said(logs, "/aws/lambda/counter", "RAN"))
    assert yes.lines <= set(said(logs, "written", "LINE"))
    assert "Traceback" not in server.log.read_text()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes mounts, links and groups")
def test_a_leak_would_be_found(tmp_path: Path):
    data, mount = tmp_path / "data", tmp_path / "data" / "mount"
    mount.mkdir(parents=True)
    image = data / "image"
    image.write_bytes(b"\0" * 1_048_576)
    instance = instance_of(data)
    link, table = link_name(instance, 1), table_name(instance)
    pids = next(
        p for p in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if (p / "cgroup.procs").exists()
    )
    group = pids / f"cumulo-{instance}"
    assert leftovers(data) == []
    steps = [
        (["mount", "-t", "tmpfs", "none", str(mount)], ["umount", str(mount)], "mount"),
        (["losetup", "-f", str(image)], ["sh", "-c", f"losetup -j {image} | cut -d: -f1 | xargs -r losetup -d"], "loop device"),
        (["mkdir", str(group)], ["rmdir", str(group)], "control group"),
        (["ip", "link", "add", link, "type", "bridge"], ["ip", "link", "del", link], "link"),
        (["nft", "add", "table", "inet", table], ["nft", "delete", "table", "inet", table], "table"),
    ]  # fmt: skip
    for make, undo, word in steps:
        if shutil.which(make[0]) is None or subprocess.run(make, capture_output=True, check=False).returncode:
            continue
        try:
            assert any(word in found for found in leftovers(data)), word
        finally:
            subprocess.run(undo, check=True, capture_output=True)
    with subprocess.Popen(["unshare", "-n", "sleep", "60"], env=os.environ | {MARK: str(data)}) as sleeper:
        try:
            until(lambda: any("process" in found for found in leftovers(data)), "the process is found", 5)
        finally:
            sleeper.kill()
    assert leftovers(data) == []
