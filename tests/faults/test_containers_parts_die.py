"""What a running container consists of is killed from outside while the server lives: states stay true, nothing leaks."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers_kit import (
    Shot,
    a_cloud,
    below,
    create_from,
    kill,
    make_repository,
    needs_local,
    pods,
    push_all,
    registry,
    scripted,
    settled,
)
from tests.support import Process, call, until

pytestmark = needs_local
SCRIPT = """
handler() {
  case "$1" in
    *memory*) exec $b tail -c 400m /dev/zero;;
    *slow*) $b sleep 20; echo 1;;
    *) echo x >> /tmp/count; $b wc -l < /tmp/count;;
  esac
}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_cloud(tmp_path_factory.mktemp("parts") / "data") as server:
        uri = make_repository(server, "app")
        image, layers = scripted(SCRIPT)
        with registry(server) as client:
            push_all(client, "app", "1", image, layers)
        aws = server.client("lambda")
        create_from(aws, "f", f"{uri}:1", MemorySize=128)
        assert settled(aws, "f")["State"] == "Active"
        yield server
        assert "Traceback" not in server.log.read_text()


def monitors(server: Process, pod: str) -> list[int]:
    """The pids of a pod's monitors."""
    return _running(f"{pod}.", "conmon")


def _running(word: str, program: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(program.encode()) and any(word.encode() in one for one in words):
                    found.append(int(entry.name))
    return found


def function_pods(server: Process) -> set[str]:
    return {name for name in pods(server.data) if not name.startswith("run-")}


def main_process(server: Process, pod: str) -> int:
    """The pid of a pod's first process, as its record has it."""
    place = server.data / "engine" / "pods" / pod / "containers"
    record = until(lambda: list(place.glob("*/run.json")), f"{pod} has been started")[0]
    return int(json.loads(record.read_bytes())["pid"])


def _started(server: Process, pod: str) -> bool:
    place = server.data / "engine" / "pods" / pod
    return bool(list(place.glob("containers/*/run.json"))) and (place / "pod.json").exists()


@pytest.mark.parametrize("victim", ["main", "monitor"])
def test_a_function_whose_container_is_killed_between_calls_answers_the_next(cloud: Process, victim: str):
    aws = cloud.client("lambda")
    call(aws, "f", "before")
    until(
        lambda: all(_started(cloud, pod) for pod in function_pods(cloud)),
        "nothing is being started or removed",
    )
    mains = {pod: main_process(cloud, pod) for pod in function_pods(cloud)}
    for pod, pid in mains.items():
        for one in [pid] if victim == "main" else monitors(cloud, pod):
            kill(one)
    answers = [call(aws, "f", "again") for _ in range(len(mains) + 1)]
    for answer in answers:
        assert isinstance(answer, int) or answer["errorType"] == "Runtime.ExitError", answer
    assert isinstance(answers[-1], int)
    until(lambda: not set(mains.values()) & below(1), "the processes of the dead are gone", 20)
    assert settled(aws, "f")["State"] == "Active"


@pytest.mark.parametrize("victim", ["main", "monitor"])
def test_a_function_whose_container_is_killed_in_a_call_says_so(cloud: Process, victim: str):
    aws = cloud.client("lambda")
    call(aws, "f", "warm")
    answers: list[dict] = []
    thread = threading.Thread(target=lambda: answers.append(call(cloud.client("lambda"), "f", "slow")))
    thread.start()
    pod = until(lambda: _in_call(cloud), "the call runs")
    main = main_process(cloud, pod)
    for pid in [main] if victim == "main" else monitors(cloud, pod):
        kill(pid)
    thread.join(15)
    assert not thread.is_alive(), "the call ends with its container"
    assert answers[0]["errorType"] == "Runtime.ExitError", answers
    assert "signal: killed" in answers[0]["errorMessage"]
    until(lambda: main not in below(1) and not _in_call(cloud), "the processes of the dead are gone", 20)
    assert isinstance(call(aws, "f", "after"), int)


def _in_call(cloud: Process) -> str:
    """The pod in which a slow call runs."""
    sleeping = [pid for pid in below(1) if _words(pid)[:3] == [b"/bin/busybox", b"sleep", b"20"]]
    return next((pod for pod in function_pods(cloud) for pid in sleeping if _is_in(pid, pod)), "")


def _words(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _is_in(pid: int, pod: str) -> bool:
    with contextlib.suppress(OSError):
        return f"/{pod}/" in Path(f"/proc/{pid}/cgroup").read_text()
    return False


def test_a_function_that_runs_out_of_memory_says_so_and_goes_on(cloud: Process):
    aws = cloud.client("lambda")
    answer = call(aws, "f", "memory")
    assert answer["errorType"] == "Runtime.ExitError", answer
    assert "signal: killed" in answer["errorMessage"]
    assert isinstance(call(aws, "f", "after"), int)
    logs = cloud.client("logs")

    def told() -> bool:
        events = logs.filter_log_events(logGroupName="/aws/lambda/f", filterPattern="REPORT")["events"]
        return any("Runtime.OutOfMemory" in event["message"] for event in events)

    until(told, "the report tells of the memory")


@pytest.mark.parametrize("victim", ["main", "monitor"])
def test_a_container_that_is_killed_ends_its_run(cloud: Process, victim: str):
    shot = Shot(cloud, {"image": "app:1", "entrypoint": "/bin/busybox", "command": ["sleep", "1000"]})
    pod = shot.event()["started"]["pod"]
    for pid in [main_process(cloud, pod)] if victim == "main" else monitors(cloud, pod):
        kill(pid)
    _, last = shot.rest()
    assert last["exit"] == 137, last
    assert ("monitor" in last["error"]) == (victim == "monitor")
    until(lambda: pod not in pods(cloud.data), "the pod is gone", 10)
    shot.close()


def test_runtimes_and_monitors_that_die_at_any_moment_leave_nothing(cloud: Process):
    """Whatever runs for a container below the server may die at any time: in create, in start, in remove."""
    dice = random.Random(3)
    stop = threading.Event()
    killed: list[int] = []

    def killer() -> None:
        while not stop.is_set():
            for program in ("crun", "runc", "conmon"):
                for pid in _running(str(cloud.data), program) + _running("/run/cumulo/pods/", program):
                    if dice.random() < 0.25 and _is_ours(pid, cloud):
                        kill(pid)
                        killed.append(pid)
            time.sleep(dice.random() * 0.02)

    thread = threading.Thread(target=killer)
    thread.start()
    outcomes: dict[str, int] = {}
    try:
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            shot = Shot(cloud, {"image": "app:1", "entrypoint": "/bin/busybox", "command": ["true"]})
            _, last = shot.rest()
            shot.close()
            kind = "refused" if "refused" in last else str(last["exit"])
            outcomes[kind] = outcomes.get(kind, 0) + 1
            assert kind in {"0", "125", "137", "refused"}, last
    finally:
        stop.set()
        thread.join()
    assert killed
    until(lambda: not [p for p in pods(cloud.data) if p.startswith("run-")], "no pod is left", 20)
    shot = Shot(cloud, {"image": "app:1", "entrypoint": "/bin/busybox", "command": ["echo", "well"]})
    output, last = shot.rest()
    shot.close()
    assert (output, last["exit"]) == (b"well\n", 0)


def _is_ours(pid: int, cloud: Process) -> bool:
    from cumulo.engines.local.opening import instance_of

    mine = (str(cloud.data).encode(), instance_of(cloud.data / "engine").encode())
    return any(name in word for word in _words(pid) for name in mine)
