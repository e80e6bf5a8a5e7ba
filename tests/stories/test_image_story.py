"""A Python handler on a Debian base: built from a Dockerfile, pushed to ECR, made a function, called, updated, called again."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.support import CUMULO, ROLE, Process, call, until

DOCKERFILE = """\
ARG BASE
FROM $BASE
COPY ric /var/runtime
COPY app.py /var/task/app.py
WORKDIR /var/task
ENV PYTHONPATH=/var/runtime
ENTRYPOINT ["/usr/bin/python3", "-m", "awslambdaric"]
CMD ["app.handler"]
"""
HANDLER = """\
import os, platform

def handler(event, context):
    print("called with", event)
    release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
    return {{"version": {version}, "os": release["ID"], "python": platform.python_version(),
            "uid": os.getuid(), "arn": context.invoked_function_arn, "echo": event}}
"""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: containers of our own engine"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="needs debootstrap (apt-get install debootstrap)"),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah (apt-get install buildah)"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Debian 12's Python is 3.11, and awslambdaric is compiled"),
]  # fmt: skip


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """A tar of Debian with Python, made once."""
    folder = tmp_path_factory.mktemp("debian")
    root = folder / "root"
    argv = ["debootstrap", "--variant=minbase", "--include=python3", "bookworm", str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"debootstrap failed here: {done.stdout[-300:]}{done.stderr[-300:]}")
    archive = folder / "root.tar"
    with tarfile.open(archive, "w") as tar:
        for top in ("bin", "lib", "lib64", "etc", "usr/bin", "usr/lib", "usr/lib64"):  # what a Python needs
            tar.add(root / top, top)
        for left in ("dev", "proc", "sys", "tmp"):
            tar.addfile(_folder(left))
    shutil.rmtree(root)
    return archive


def _folder(name):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    return entry


def cumulo(server: Process, *words: str) -> str:
    env = os.environ | {"CUMULO_ENDPOINT": server.endpoint, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*CUMULO, *words], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"cumulo {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_app(server: Process, folder: Path, base: str, version: int) -> None:
    (folder / "app.py").write_text(HANDLER.format(version=version))
    cumulo(
        server,
        "image",
        "build",
        "-t",
        "story/app:live",
        "--builder",
        "buildah",
        "--build-arg",
        f"BASE={base}",
        str(folder),
    )


def test_a_debian_image_is_built_pushed_called_updated_and_called_again(server, debian, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
    os.link(debian, base / "root.tar") if debian.stat().st_dev == base.stat().st_dev else shutil.copy(
        debian, base
    )
    cumulo(server, "image", "build", "-t", "story/debian:bookworm", "--builder", "buildah", str(base))

    app = tmp_path / "app"
    app.mkdir()
    (app / "Dockerfile").write_text(DOCKERFILE)
    for name in ("awslambdaric", "simplejson", "snapshot-restore-py"):
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts:
                target = app / "ric" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    port = server.endpoint.rpartition(":")[2]
    build_app(server, app, f"localhost:{port}/story/debian:bookworm", 1)

    uri = server.client("ecr").describe_repositories(repositoryNames=["story/app"])["repositories"][0][
        "repositoryUri"
    ]
    aws = server.client("lambda")
    aws.create_function(
        FunctionName="story",
        PackageType="Image",
        Code={"ImageUri": f"{uri}:live"},
        Role=ROLE,
        Timeout=20,
        MemorySize=256,
    )
    aws.get_waiter("function_active_v2").wait(
        FunctionName="story", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    first = call(aws, "story", {"n": 1})
    assert first["version"] == 1
    assert first["os"] == "debian"
    assert first["python"].startswith("3.11.")
    assert first["uid"] != 0
    assert first["echo"] == {"n": 1}
    assert first["arn"].endswith(":function:story")

    build_app(server, app, f"localhost:{port}/story/debian:bookworm", 2)
    assert call(aws, "story", {})["version"] == 1, "a function keeps its image when the tag moves"
    aws.update_function_code(FunctionName="story", ImageUri=f"{uri}:live")
    aws.get_waiter("function_updated_v2").wait(
        FunctionName="story", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert call(aws, "story", {"n": 2})["version"] == 2
    shown = aws.get_function(FunctionName="story")
    assert shown["Code"]["ImageUri"] == f"{uri}:live"
    assert "@sha256:" in shown["Code"]["ResolvedImageUri"]

    logs = server.client("logs")
    until(
        lambda: any(
            "called with" in event["message"]
            for event in logs.filter_log_events(logGroupName="/aws/lambda/story")["events"]
        ),
        "what the handler printed is in its log",
    )
    rows = json.loads(cumulo(server, "image", "list", "--json"))
    assert {row["repository"] for row in rows} == {"story/app", "story/debian"}
    assert len([row for row in rows if row["repository"] == "story/app"]) == 2
