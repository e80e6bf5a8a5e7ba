"""The registry is killed, or its disk is full: what was acknowledged is there, nothing is broken, uploads go on."""

import contextlib
import errno
import hashlib
import http.client
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry_kit import Client, RegistryProcess, sha256
from tests.support import until

DISK_MIB = 64
CUT_OFF = (OSError, http.client.HTTPException)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    process = RegistryProcess(tmp_path / "data")
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log.read_text()


def check_files(registry: RegistryProcess) -> int:
    """Every file under a digest has it; how many there are."""
    count = 0
    for path in (registry.data / "content/sha256").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            count += 1
    return count


def received(client: Client, place: str) -> int:
    return int(client.ask("GET", place).headers["range"].partition("-")[2]) + 1


def test_an_upload_goes_on_after_a_kill_in_the_middle_of_it(registry: RegistryProcess):
    registry.do("repository", name="a")
    data = os.urandom(40_000_000)
    with registry.client() as client:
        place = client.begin("a")
        client.ask("PATCH", place, data[:1_000_000], {"Content-Range": "0-999999"})
    for _ in range(3):
        with registry.client() as client:
            have = received(client, place)
            head = f"PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data) - have}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", registry.port)) as sock:
                sock.sendall(head.encode() + data[have : have + 9_000_000])
                until(lambda: received(client, place) > have + 4_000_000, "some of it has arrived")  # noqa: B023
                registry.kill()
        registry.start()
    with registry.client() as client:
        have = received(client, place)
        assert have > 12_000_000
        wrong = client.ask("PATCH", place, data[:10], {"Content-Range": "0-9"})
        assert (wrong.status, wrong.headers["range"]) == (416, f"0-{have - 1}")
        answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
        assert answer.status == 202
        assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
        assert client.ask("GET", f"/v2/a/blobs/{sha256(data)}").body == data


def test_a_server_that_is_stopped_ends_soon_and_the_upload_goes_on(registry: RegistryProcess):
    registry.do("repository", name="a")
    data = os.urandom(6_000_000)
    with registry.client() as client:
        place = client.begin("a")
        head = f"PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", registry.port)) as sock:
            sock.sendall(head.encode() + data[:5_000_000])
            until(lambda: received(client, place) > 3_000_000, "some of it has arrived")
            began = time.monotonic()
            registry.stop()
            assert time.monotonic() - began < 10
    registry.start()
    with registry.client() as client:
        have = received(client, place)
        assert 3_000_000 < have <= 5_000_000
        answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
        assert answer.status == 202
        assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201


def test_what_was_acknowledged_is_there_after_kills_at_any_moment(registry: RegistryProcess):
    registry.do("repository", name="a")
    dice = random.Random(7)
    acknowledged: dict[str, bytes] = {}
    tags: dict[str, str] = {}

    def push(number: int) -> None:
        with contextlib.suppress(*CUT_OFF, AssertionError), registry.client() as client:
            for round_ in range(1000):
                layer = os.urandom(dice.randrange(1, 400_000))
                acknowledged[client.push_blob("a", layer)] = layer
                tag = f"{number}-{round_}-{len(tags)}"
                tags[tag] = client.push_image("a", tag, layer)[0]

    for _ in range(4):
        before = len(tags)
        threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(tags) > before + 5, "images are pushed")  # noqa: B023
        time.sleep(dice.random() * 0.1)
        registry.kill()
        for thread in threads:
            thread.join()
        registry.start()
        check_files(registry)
    with registry.client() as client:
        for digest, layer in acknowledged.items():
            assert client.ask("GET", f"/v2/a/blobs/{digest}").body == layer
        for tag, digest in tags.items():
            assert client.ask("HEAD", f"/v2/a/manifests/{tag}").headers["docker-content-digest"] == digest


def test_what_a_kill_leaves_behind_is_collected(registry: RegistryProcess):
    incoming = registry.data / "content/incoming"
    lost = registry.data / "content/sha256/ab" / ("ab" * 32)
    lost.parent.mkdir(exist_ok=True)
    for path in (incoming / "put-0123", incoming / "00000000-0000-4000-8000-000000000000", lost):
        path.write_bytes(b"left")
        os.utime(path, (1, 1))
    assert registry.do("tidy") == 3
    assert not list(incoming.iterdir())
    assert not lost.exists()


# -- a full disk -------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", str(mount)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this machine mounts no tmpfs for us")
    yield mount
    until(
        lambda: not subprocess.run(["umount", str(mount)], capture_output=True, check=False).returncode,
        "unmounted",
    )


def fill(disk: Path) -> None:
    fd = os.open(disk / "filler", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, b"x" * size)
    finally:
        os.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (disk / "more").write_bytes(b"x" * 4096)
    (disk / "more").unlink(missing_ok=True)


@pytest.mark.root
def test_a_full_disk_is_a_clean_error_and_the_upload_goes_on_when_there_is_space(disk: Path, tmp_path: Path):
    registry = RegistryProcess(disk / "data")
    registry.log = tmp_path / "log"
    registry.start()
    try:
        registry.do("repository", name="a")
        layer = os.urandom(1_000_000)
        data = os.urandom(20_000_000)
        with registry.client() as client:
            client.push_image("a", "v1", layer)
            place = client.begin("a")
            first = client.ask("PATCH", place, data[:5_000_000])
            assert first.status == 202
            fill(disk)
            full = client.ask("PATCH", place, data[5_000_000:])
            assert (full.status, full.code) == (507, "UNAVAILABLE")
        refused = 0
        with registry.client() as client:
            # Pulls go on; what would be new is refused, in the form of the specification.
            for _ in range(5):
                assert client.ask("GET", "/v2/a/manifests/v1").status == 200
                assert client.ask("GET", f"/v2/a/blobs/{sha256(layer)}").body == layer
            for _ in range(300):
                answer = client.ask("POST", "/v2/a/blobs/uploads/", b"")
                if answer.status != 202:
                    assert (answer.status, answer.code) == (507, "UNAVAILABLE")
                    refused += 1
                    if refused > 3:
                        break
            assert refused
            check_files(registry)
            (disk / "filler").unlink()
            have = received(client, place)
            assert 5_000_000 <= have < len(data)
            answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
            assert answer.status == 202
            assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
            assert client.ask("GET", f"/v2/a/blobs/{sha256(data)}").body == data
            client.push_image("a", "v2", b"more")
        registry.kill()
        registry.start()
        with registry.client() as client:
            assert client.ask("GET", f"/v2/a/blobs/{sha256(data)}").body == data
            assert client.ask("GET", "/v2/a/tags/list").json()["tags"] == ["v1", "v2"]
        assert "Traceback" not in registry.log.read_text()
    finally:
        registry.stop()
