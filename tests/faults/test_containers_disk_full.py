"""The disk of the data folder is full while images are pushed, unpacked and run: clear errors, and nothing is broken."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import (
    Shot,
    a_cloud,
    create_from,
    is_whole,
    make_repository,
    needs_local,
    pods,
    push_all,
    registry,
    scripted,
    settled,
)
from tests.faults.test_disk_full import fill
from tests.oci_kit import member
from tests.registry_kit import sha256
from tests.support import Process, call, until

DISK_MIB = 640
pytestmark = needs_local
SCRIPT = "handler() { echo x >> /tmp/count; $b wc -l < /tmp/count; }"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    argv = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("needs mkfs.ext4")
    if subprocess.run(
        ["mount", "-o", "loop", str(image), str(mount)], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine mounts no loop device")
    yield mount
    until(lambda: subprocess.run(["umount", str(mount)], check=False, capture_output=True).returncode == 0, "the disk is free again", 20)  # fmt: skip


@pytest.fixture(scope="module")
def cloud(disk: Path) -> Iterator[Process]:
    with a_cloud(disk / "data", log=disk.parent / "server.log") as server:
        make_repository(server, "app")
        image, layers = scripted(SCRIPT)
        with registry(server) as client:
            push_all(client, "app", "1", image, layers)
        try:
            yield server
        finally:
            make_room(disk)
        assert "Traceback" not in server.log.read_text()


def make_room(disk: Path) -> None:
    for name in ("filler", "reserve"):
        (disk / name).unlink(missing_ok=True)


def leave(disk: Path, mib: int) -> None:
    """Take all but so much."""
    found = os.statvfs(disk)
    with (disk / "reserve").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - (max(mib, 2) << 20))
    if not mib:
        fill(disk)


def uri(cloud: Process, tag: str) -> str:
    (found,) = cloud.client("ecr").describe_repositories()["repositories"]
    return f"{found['repositoryUri']}:{tag}"


def healthy(cloud: Process) -> bool:
    return bool(urlopen(f"{cloud.endpoint}/_cumulo/health", timeout=5).status == 200)


def refused(work: Callable[[], Any]) -> ClientError | None:
    try:
        work()
    except ClientError as error:
        return error
    return None


def check_refusal(error: ClientError | None) -> None:
    """It is a clear 5xx."""
    assert error is not None
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    assert error.response["Error"]["Message"]


def check_blobs(cloud: Process) -> None:
    """Every file under a digest has it."""
    for path in (cloud.data / "ecr" / "content" / "sha256").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_a_push_is_refused_clearly_and_goes_on_when_there_is_room(cloud: Process, disk: Path):
    image, layers = scripted("handler() { echo 2; }")
    data = os.urandom(12_000_000)
    leave(disk, 4)
    try:
        with registry(cloud) as client:
            place = client.begin("app")
            answer = client.ask("PATCH", place, data, {"Content-Range": f"0-{len(data) - 1}"})
            assert answer.status == 507, answer.body
            assert "no space" in answer.message
            fill(disk)
            for _ in range(100):  # the store has some pages in reserve
                answer = client.ask("PUT", "/v2/app/manifests/x", image.manifest, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})  # fmt: skip
                assert answer.status in {404, 507}, answer.body  # its blobs are not there
                begun = client.ask("POST", "/v2/app/blobs/uploads/", b"")
                if begun.status != 202:
                    assert begun.status >= 500, begun.body
                    assert begun.message
                    break
        check_refusal(refused(lambda: [make_repository(cloud, f"r{number}") for number in range(1000)]))
        assert healthy(cloud)
        check_blobs(cloud)
    finally:
        make_room(disk)
    for name in [r["repositoryName"] for r in cloud.client("ecr").describe_repositories()["repositories"]]:
        if name != "app":
            cloud.client("ecr").delete_repository(repositoryName=name)
    with registry(cloud) as client:
        have = int(client.ask("GET", place).headers["range"].partition("-")[2]) + 1
        have = have if have > 1 else 0
        answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
        assert answer.status == 202, answer.body
        assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
        push_all(client, "app", "2", image, layers)
        assert is_whole(client, "app", "2", image, layers)
    check_blobs(cloud)


def test_a_function_whose_image_finds_no_room_says_so_and_is_mended_by_an_update(cloud: Process, disk: Path):
    aws = cloud.client("lambda")
    image, layers = scripted(SCRIPT, member("big", b"\1" * (150 << 20)))
    with registry(cloud) as client:
        push_all(client, "app", "big", image, layers)
    leave(disk, 64)
    try:
        create_from(aws, "early", uri(cloud, "big"))
        shown = settled(aws, "early")
        assert shown["State"] == "Failed", shown
        assert "space" in shown["StateReason"], shown
        shot = Shot(cloud, {"image": "app:big", "entrypoint": "/bin/busybox", "command": ["true"]})
        _, last = shot.rest()
        shot.close()
        assert "space" in last["refused"], last
        assert pods(cloud.data) == set()
    finally:
        make_room(disk)
    aws.update_function_code(FunctionName="early", ImageUri=uri(cloud, "big"))
    assert settled(aws, "early")["State"] == "Active"
    assert call(aws, "early") == 1
    aws.delete_function(FunctionName="early")


def warm(aws: Any) -> Any:
    """Call it when its environment is free: one that comes while that is still put to rest is a cold start, and fails."""

    def answered() -> Any:
        try:
            return call(aws, "warm")
        except ClientError as error:
            assert "No space left" in str(error)
            return None

    return until(answered, "the warm environment answers", 10)


def test_what_is_warm_answers_on_a_full_disk_and_what_is_cold_says_why_not(cloud: Process, disk: Path):
    aws = cloud.client("lambda")
    create_from(aws, "warm", uri(cloud, "1"))
    create_from(aws, "cold", uri(cloud, "1"))
    assert settled(aws, "warm")["State"] == settled(aws, "cold")["State"] == "Active"
    assert call(aws, "warm") == 1
    leave(disk, 0)
    try:
        assert [warm(aws) for _ in range(20)] == list(range(2, 22))
        answers: list[Any] = []
        error = refused(lambda: answers.append(call(aws, "cold")))
        if error is not None:
            check_refusal(error)
        else:
            assert answers[0] == 1 or answers[0].get("errorMessage"), answers
        shot = Shot(cloud, {"image": "app:1", "entrypoint": "/bin/busybox", "command": ["true"]})
        _, last = shot.rest()
        shot.close()
        assert last.get("exit") == 0 or last.get("refused") or last.get("error"), last
        assert healthy(cloud)
    finally:
        make_room(disk)
    assert isinstance(call(aws, "cold"), int)
    assert isinstance(call(aws, "warm"), int)
    until(lambda: not [name for name in pods(cloud.data) if name.startswith("run-")], "no pod is left", 10)


def test_a_container_that_fills_the_disk_hurts_only_itself(cloud: Process, disk: Path):
    order = {
        "image": "app:1",
        "entrypoint": "/bin/busybox",
        "command": ["sh", "-c", "dd if=/dev/zero of=/big bs=1M; code=$?; rm /big; echo ended $code"],
    }
    shot = Shot(cloud, order)
    output, last = shot.rest()
    shot.close()
    assert output.endswith(b"ended 1\n"), output  # what is said while there is no room cannot be kept
    assert last["exit"] == 0, last
    until(lambda: not [name for name in pods(cloud.data) if name.startswith("run-")], "no pod is left", 10)
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 300 << 20
    assert healthy(cloud)
    with registry(cloud) as client:
        client.push_blob("app", os.urandom(100_000))


def test_a_restart_on_a_full_disk_keeps_everything(cloud: Process, disk: Path):
    leave(disk, 0)
    try:
        cloud.kill()
        try:
            cloud.start()
        except AssertionError:  # an engine that was asked for by name cannot be opened: it says so
            assert "No space left" in cloud.log.read_text()
            assert cloud.child is not None
            assert cloud.child.wait(10) == 1
    finally:
        make_room(disk)
    assert cloud.child is not None
    if cloud.child.poll() is not None:
        cloud.stop()
        cloud.start()
    image, layers = scripted(SCRIPT)
    with registry(cloud) as client:
        assert is_whole(client, "app", "1", image, layers)
        assert is_whole(client, "app", "2", *scripted("handler() { echo 2; }"))
    assert isinstance(call(cloud.client("lambda"), "warm"), int)
    check_blobs(cloud)
