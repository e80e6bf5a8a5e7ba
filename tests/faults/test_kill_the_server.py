"""kill -9 of the server in the middle of everything: what was acknowledged is there, nothing is left behind."""

import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from tests.support import Process, call, create, deploy, until

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "8"))
COUNTER = """
import boto3, os
def handler(event, context):
    print("RAN", event["n"])
    return event["n"]
"""


def leftovers(data: Path) -> list[str]:
    """Processes, mounts, cgroups and interfaces that still mention a data folder's instance."""
    instance = data.name
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(data).encode() in command:
                found.append(f"process {folder.name} {command!r}")
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(data) in line]
    loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=False).stdout
    found += [line for line in loops.splitlines() if str(data) in line]
    return found + [f"instance {instance}" for _ in ()]


def cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/cumulo*") if path.is_dir()}


def namespaces() -> set[str]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return found


def test_what_was_acknowledged_survives(tmp_path: Path):
    before_groups, before_spaces = cgroups(), namespaces()
    server = Process(tmp_path / "data")
    server.start()
    aws = server.client("lambda")
    deploy(aws, "counter", COUNTER)
    acknowledged: set[int] = set()
    created: dict[str, str] = {}
    random_source = random.Random(7)
    number = 0
    for _ in range(ROUNDS):
        aws = server.client("lambda")
        stop = threading.Event()

        def traffic(stop: threading.Event = stop) -> None:
            nonlocal number
            mine = server.client("lambda")
            while not stop.is_set():
                number += 1
                n = number
                try:
                    mine.invoke(FunctionName="counter", InvocationType="Event", Payload=json.dumps({"n": n}))
                    acknowledged.add(n)
                    name = f"f{n}"
                    if n % 5 == 0:
                        created[name] = create(mine, name, f"def handler(e, c): return {n}")["CodeSha256"]
                    if n % 3 == 0:
                        mine.invoke(FunctionName="counter", Payload=json.dumps({"n": -n}))
                    if n % 7 == 0 and created:
                        some = random_source.choice(sorted(created))
                        answer = mine.update_function_configuration(FunctionName=some, Description=f"d{n}")
                        assert answer["Description"] == f"d{n}"
                except (BotoCoreError, ClientError):
                    continue

        thread = threading.Thread(target=traffic)
        thread.start()
        time.sleep(random_source.uniform(0.05, 0.9))
        server.kill()
        stop.set()
        thread.join()
        server.start()
    aws, logs = server.client("lambda"), server.client("logs")
    listed = {
        f["FunctionName"]: f
        for page in aws.get_paginator("list_functions").paginate()
        for f in page["Functions"]
    }
    for name, sha in created.items():
        assert listed[name]["CodeSha256"] == sha
        aws.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )
    some = min(created) if created else None
    if some:
        assert call(aws, some) == int(some[1:])

    def missing():
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName="/aws/lambda/counter", filterPattern="RAN"
        )
        ran = {int(event["message"].split()[1]) for page in pages for event in page["events"]}
        return not (acknowledged - ran)

    assert acknowledged
    until(missing, "every acknowledged event ran", 90)
    assert server.stop() == 0
    until(lambda: not leftovers(server.data), f"nothing is left: {leftovers(server.data)}", 10)
    until(lambda: cgroups() <= before_groups, f"no cgroup is left: {cgroups() - before_groups}", 10)
    until(lambda: namespaces() <= before_spaces, "no network namespace is left", 10)
