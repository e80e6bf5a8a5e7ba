"""Where no container can run, by choice or for want of rights: the registry is whole, and the refusals say what helps."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import (
    Shot,
    create_from,
    is_whole,
    make_repository,
    push_all,
    registry,
    scripted,
)
from tests.image_kit import BUSYBOX, CONFIG_TYPE, MANIFEST_TYPE
from tests.leftovers import leftovers
from tests.registry_kit import sha256
from tests.stories.test_sandbox_ordinary_user import NOBODY, as_nobody_can
from tests.support import Process, call, deploy, until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")


class OfAnotherUser(Process):
    """A cloud of an ordinary user, whose Python and whose files are its own."""

    def __init__(self, data: Path, argv: tuple[str, ...], env: dict[str, str]) -> None:
        super().__init__(data)
        self.program, self.env = argv, env
        os.chown(data, NOBODY, NOBODY)

    def start(self) -> None:
        argv = [*self.program, "up", "--port", "0", "--data", str(self.data), "--log-level", "warning"]
        with self.log.open("a") as stderr:
            self.child = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=stderr, text=True, env=self.env, cwd="/", user=NOBODY,
                group=NOBODY, extra_groups=[], start_new_session=True,
            )  # fmt: skip
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if "Cumulo is at" in line:
                self.endpoint = line.split()[-1]
            if line.startswith("Ready."):
                return
        raise AssertionError(self.log.read_text()[-4000:])


@contextlib.contextmanager
def ordinary(tmp_path: Path) -> Iterator[OfAnotherUser]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for parent in [tmp_path, *tmp_path.parents][:-2]:
        if "pytest" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o055)
    home = tmp_path / "home"
    work = home / "work"
    work.mkdir(parents=True)
    shutil.copytree(ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__"))
    os.chown(work, NOBODY, NOBODY)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(work),
        "TMPDIR": str(work),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join([str(home / "src"), *packages]),
    }
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if Path(interpreter).exists() and as_nobody_can(interpreter, env):
            break
    else:
        pytest.skip("no interpreter with our packages that another user may execute")
    cloud = OfAnotherUser(work / "data", (interpreter, "-m", "cumulo.cli.main"), env)
    cloud.start()
    try:
        yield cloud
        assert cloud.stop() == 0
        assert "Traceback" not in cloud.log.read_text()
    finally:
        cloud.stop()
        until(lambda: not leftovers(cloud.data), "nothing is left", 15)


def works_as_a_registry(cloud: Process) -> str:
    """ECR and /v2/, all of it that needs no container; the URI of the repository."""
    uri = make_repository(cloud, "app")
    ecr = cloud.client("ecr")
    image, layers = scripted("handler() { echo 1; }")
    with registry(cloud) as client:
        push_all(client, "app", "1", image, layers)
        assert is_whole(client, "app", "1", image, layers)
        place = client.begin("app")
        data = os.urandom(100_000)
        assert client.ask("PATCH", place, data[:50_000], {"Content-Range": "0-49999"}).status == 202
        assert client.ask("PATCH", place, data[50_000:], {"Content-Range": "50000-99999"}).status == 202
        assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
        ranged = client.ask("GET", f"/v2/app/blobs/{sha256(data)}", headers={"Range": "bytes=10-19"})
        assert (ranged.status, ranged.body) == (206, data[10:20])
    made = ecr.describe_images(repositoryName="app")["imageDetails"]
    assert [one["imageTags"] for one in made] == [["1"]]
    ecr.put_image(repositoryName="app", imageManifest=image.manifest.decode(), imageTag="2")
    got = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "2"}])["images"]
    assert got[0]["imageManifest"] == image.manifest.decode()
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "2"}])
    assert CONFIG_TYPE in image.manifest.decode()
    assert MANIFEST_TYPE in image.manifest.decode()
    return uri


def refusal(work: Any) -> tuple[int, str]:
    try:
        work()
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]
    raise AssertionError("it was not refused")


def test_an_ordinary_user_has_the_registry_and_is_told_what_containers_need(tmp_path: Path):
    with ordinary(tmp_path) as cloud:
        uri = works_as_a_registry(cloud)
        aws = cloud.client("lambda")
        if cloud_has_docker():
            pytest.skip("this machine has a Docker daemon, which may be open to everybody")
        status, message = refusal(lambda: create_from(aws, "f", f"{uri}:1"))
        assert status == 501
        for word in ("runc", "conmon", "root", "Docker"):
            assert word in message
        assert aws.list_functions()["Functions"] == []
        shot = Shot(cloud, {"image": "app:1"})
        _, last = shot.rest()
        shot.close()
        assert "root" in last["refused"]
        told = subprocess.run(
            [*cloud.program, "doctor"], env=cloud.env, capture_output=True, text=True, timeout=60,
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=False,
        )  # fmt: skip
        engine = told.stdout.partition("\nengine\n")[2].partition("\ncompanions")[0]
        assert "missing  containers" in engine, told.stdout
        assert "sudo cumulo up" in engine
        assert "apt-get install docker.io" in engine
        cloud.kill()
        cloud.start()
        with registry(cloud) as client:
            image, layers = scripted("handler() { echo 1; }")
            assert is_whole(client, "app", "1", image, layers)


def cloud_has_docker() -> bool:
    return Path("/var/run/docker.sock").is_socket()


def test_a_cloud_without_an_engine_has_the_registry_and_runs_zips(tmp_path: Path):
    cloud = Process(tmp_path / "data", "--engine", "none")
    cloud.start()
    try:
        uri = works_as_a_registry(cloud)
        aws = cloud.client("lambda")
        status, message = refusal(lambda: create_from(aws, "f", f"{uri}:1"))
        assert status == 501
        assert "--engine none" in message
        assert aws.list_functions()["Functions"] == []
        shot = Shot(cloud, {"image": "app:1"})
        _, last = shot.rest()
        shot.close()
        assert "--engine" in last["refused"]
        deploy(aws, "zip", "def handler(e, c): return 7")
        assert call(aws, "zip") == 7
        assert not (cloud.data / "engine" / "pods").exists()
        assert cloud.stop() == 0
        assert "Traceback" not in cloud.log.read_text()
    finally:
        cloud.stop()
        until(lambda: not leftovers(cloud.data), "nothing is left", 15)


def test_a_cloud_whose_engine_went_away_keeps_its_image_functions_and_says_why_they_do_not_run(
    tmp_path: Path,
):
    if os.geteuid() != 0 or shutil.which("conmon") is None:
        pytest.skip("needs the local engine at first")
    cloud = Process(tmp_path / "data", "--engine", "local")
    cloud.start()
    try:
        uri = make_repository(cloud, "app")
        image, layers = scripted("handler() { echo 1; }")
        with registry(cloud) as client:
            push_all(client, "app", "1", image, layers)
        aws = cloud.client("lambda")
        create_from(aws, "f", f"{uri}:1")
        aws.get_waiter("function_active_v2").wait(
            FunctionName="f", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )
        assert call(aws, "f") == 1
        cloud.stop()
        cloud.arguments = ("--engine", "none")
        cloud.start()
        aws = cloud.client("lambda")
        assert aws.get_function(FunctionName="f")["Configuration"]["PackageType"] == "Image"
        status, message = refusal(lambda: call(aws, "f"))
        assert status >= 500
        assert "engine" in message
        cloud.stop()
        cloud.arguments = ("--engine", "local")
        cloud.start()
        assert call(cloud.client("lambda"), "f") == 1
        assert cloud.stop() == 0
    finally:
        cloud.stop()
        until(lambda: not leftovers(cloud.data), "nothing is left", 15)
