"""Clients that go away half-way: of a push, a pull, `cumulo image run` and an Invoke."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import (
    a_cloud,
    create_from,
    make_repository,
    needs_local,
    pods,
    port_of,
    push_all,
    registry,
    scripted,
    settled,
)
from tests.leftovers import processes
from tests.registry_kit import sha256
from tests.support import CUMULO, Process, call, until

from cumulo.cli.image_run import RESET

pytestmark = needs_local
SCRIPT = """
handler() {
  case "$1" in
    *slow*) echo the slow one has begun >&2; $b sleep 2; echo the slow one has ended >&2;;
  esac
  echo 0
}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_cloud(tmp_path_factory.mktemp("clients") / "data") as server:
        uri = make_repository(server, "app")
        image, layers = scripted(SCRIPT)
        with registry(server) as client:
            push_all(client, "app", "1", image, layers)
        aws = server.client("lambda")
        create_from(aws, "f", f"{uri}:1")
        assert settled(aws, "f")["State"] == "Active"
        yield server
        assert "Traceback" not in server.log.read_text()


def descriptors(server: Process) -> int:
    assert server.child is not None
    return len(os.listdir(f"/proc/{server.child.pid}/fd"))


def test_a_push_goes_on_where_its_client_died(cloud: Process):
    data = os.urandom(20_000_000)
    with registry(cloud) as client:
        place = client.begin("app")
        for _ in range(2):
            have = _settled(client, place)
            head = f"PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data) - have}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port_of(cloud))) as sock:
                sock.sendall(head.encode() + data[have : have + 6_000_000])
                until(lambda have=have: _received(client, place) > have + 3_000_000, "some has come")
        have = _settled(client, place)
        answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
        assert answer.status == 202
        assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
        assert client.ask("GET", f"/v2/app/blobs/{sha256(data)}").body == data


def _settled(client, place: str) -> int:
    """How much has come, once what the dead had sent is all in."""
    before = -1
    while (now := _received(client, place)) != before:
        before = now
        time.sleep(0.2)
    return now


def _received(client, place: str) -> int:
    last = int(client.ask("GET", place).headers["range"].partition("-")[2])
    return last + 1 if last else 0  # an upload without bytes says 0-0


def test_pulls_whose_clients_die_give_their_files_back(cloud: Process):
    data = os.urandom(30_000_000)
    with registry(cloud) as client:
        digest = client.push_blob("app", data)
        before = descriptors(cloud)
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", port_of(cloud))) as sock:
                sock.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                assert sock.recv(70_000)
        until(lambda: descriptors(cloud) <= before, "the files are closed again", 10)
        assert client.ask("GET", f"/v2/app/blobs/{digest}").body == data


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_container_ends_at_once_with_the_command_that_ran_it(cloud: Process, number: int):
    env = os.environ | {"CUMULO_ENDPOINT": cloud.endpoint, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["image", "run", "--entrypoint", "/bin/busybox", "app:1", "sh", "-c", "echo up; sleep 1234"]
    with subprocess.Popen([*CUMULO, *words], env=env, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            child.send_signal(number)
            began = time.monotonic()
            code = child.wait(10)
            assert code == (130 if number == signal.SIGINT else -9)
            until(lambda: not _runs(cloud), "the container is gone", 3)
            assert time.monotonic() - began < 3
            assert [line for line in processes(cloud.data) if "1234" in line] == []
        finally:
            child.kill()


def test_a_command_that_goes_away_while_its_image_is_fetched_leaves_no_container(cloud: Process):
    env = os.environ | {"CUMULO_ENDPOINT": cloud.endpoint, "PYTHONPATH": os.pathsep.join(sys.path)}
    image, layers = scripted("handler() { echo 1; }")
    with registry(cloud) as client:
        push_all(client, "app", "new", image, [*layers])
    words = ["image", "run", "--entrypoint", "/bin/busybox", "app:new", "sleep", "1234"]
    child = subprocess.Popen([*CUMULO, *words], env=env, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(0.4)
    child.kill()
    child.wait()
    headers = f"x-cumulo-token: {(cloud.data / 'admin-token').read_text().strip()}"
    body = json.dumps({"image": "app:new", "entrypoint": "/bin/busybox", "command": ["sleep", "1234"]})
    head = f"POST /_cumulo/containers HTTP/1.1\r\nHost: a\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
    for number in range(60):  # gone at any moment of pull, create and start
        with socket.create_connection(("127.0.0.1", port_of(cloud))) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.sendall((head + body).encode())
            time.sleep(number * 0.002)
    until(lambda: not _runs(cloud), "no container is left", 10)
    assert [line for line in processes(cloud.data) if "1234" in line] == []


def _runs(cloud: Process) -> list[str]:
    return [name for name in pods(cloud.data) if name.startswith("run-")]


def test_a_call_whose_client_dies_runs_to_its_end(cloud: Process):
    aws = cloud.client("lambda")
    assert call(aws, "f") == 0
    path = "/2015-03-31/functions/f/invocations"
    with socket.create_connection(("127.0.0.1", port_of(cloud))) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n".encode() + b'"slow"')
        until(lambda: logged(cloud, "has begun"), "the call has begun")
    until(lambda: logged(cloud, "has ended"), "what was begun has ended")
    assert call(aws, "f") == 0


def logged(cloud: Process, words: str) -> bool:
    """Whether the function has printed this."""
    try:
        found = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
    except ClientError:
        return False  # it has not printed anything yet
    return any(words in event["message"] for event in found)


def test_many_clients_that_go_away_at_once_leave_a_healthy_function(cloud: Process):
    def one() -> None:
        path = "/2015-03-31/functions/f/invocations"
        with socket.create_connection(("127.0.0.1", port_of(cloud))) as sock:
            sock.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(call(cloud.client("lambda"), "f"), int)
