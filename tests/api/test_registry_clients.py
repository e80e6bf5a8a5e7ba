"""Real clients push and pull: what comes back is the same to the byte."""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from benchmarks import dockerd as daemons
from tests.registry_kit import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryProcess,
    index_of,
    manifest_of,
    sha256,
)

pytest_plugins = ("tests.registry_fixtures",)

POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*argv: str, **options) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def layout(folder: Path, tag: str, architectures: tuple[str, ...] = ("amd64",)) -> dict[str, bytes]:
    """An OCI layout with an image for each architecture; its blobs by digest."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> bytes:
        blobs[sha256(data)] = data
        return data

    children = []
    for architecture in architectures:
        tar = tar_of({"architecture": architecture.encode() * 100, "random": os.urandom(1_500_000)})
        layer = keep(gzip.compress(tar, 1, mtime=0))
        diff = {"type": "layers", "diff_ids": [sha256(tar)]}
        config = keep(json.dumps({"architecture": architecture, "os": "linux", "rootfs": diff}).encode())
        data = keep(json.dumps(manifest_of(config, layer)).encode())
        children.append((sha256(data), len(data), architecture))
    top = {"mediaType": OCI_MANIFEST, "digest": children[0][0], "size": children[0][1]}
    if len(children) > 1:
        index = keep(json.dumps(index_of(*children)).encode())
        top = {"mediaType": OCI_INDEX, "digest": sha256(index), "size": len(index)}
    (folder / "blobs/sha256").mkdir(parents=True)
    for digest, data in blobs.items():
        (folder / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    top["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return blobs


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def blobs_in(folder: Path) -> dict[str, bytes]:
    found = {f"sha256:{path.name}": path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}
    assert all(sha256(data) == digest for digest, data in found.items())
    return found


@needs("skopeo")
@pytest.mark.parametrize("architectures", [("amd64",), ("amd64", "arm64", "s390x")])
def test_skopeo_gets_back_what_it_pushed(
    registry: RegistryProcess, name: str, tmp_path: Path, architectures: tuple[str, ...]
):
    blobs = layout(tmp_path / "there", "v1", architectures)
    image = f"docker://{registry.address}/{name}:v1"
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/there:v1", image)
    run("skopeo", "copy", "--all", "--src-tls-verify=false", image, f"oci:{tmp_path}/back:v1")
    assert blobs_in(tmp_path / "back") == blobs
    tags = json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.address}/{name}"))
    assert tags["Tags"] == ["v1"]
    # Between repositories blobs are mounted, and a second copy sends nothing.
    other = registry.do("repository", name=f"{name}-copy")
    target = f"docker://{registry.address}/{other}:v1"
    for _ in range(2):
        run("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", image, target)
    run("skopeo", "delete", "--tls-verify=false", target)
    found = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", target], capture_output=True, check=False
    )
    assert found.returncode != 0


@needs("skopeo")
def test_skopeo_converts_to_dockers_format(registry: RegistryProcess, name: str, tmp_path: Path):
    layout(tmp_path / "there", "v1")
    image = f"docker://{registry.address}/{name}:docker"
    run("skopeo", "copy", "--format=v2s2", "--dest-tls-verify=false", f"oci:{tmp_path}/there:v1", image)
    raw = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", image))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


@needs("skopeo")
def test_skopeo_logs_in_with_any_password_locally(registry: RegistryProcess, tmp_path: Path):
    auth = str(tmp_path / "auth.json")
    run(
        "skopeo",
        "login",
        "--tls-verify=false",
        "--authfile",
        auth,
        "-u",
        "AWS",
        "-p",
        "any",
        registry.address,
    )


@needs("skopeo")
def test_skopeo_logs_in_with_a_token_alone_in_shared_mode(shared: RegistryProcess, tmp_path: Path):
    name = shared.do("repository", name="shared/app")
    password = base64.b64decode(shared.do("token")).decode().removeprefix("AWS:")
    auth = str(tmp_path / "auth.json")
    login = [
        "skopeo",
        "login",
        "--tls-verify=false",
        "--authfile",
        auth,
        "-u",
        "AWS",
        "--password-stdin",
        shared.address,
    ]
    assert subprocess.run(login, input="wrong", text=True, capture_output=True, check=False).returncode != 0
    run(*login, input=password)
    blobs = layout(tmp_path / "there", "v1")
    image = f"docker://{shared.address}/{name}:v1"
    run("skopeo", "copy", "--authfile", auth, "--dest-tls-verify=false", f"oci:{tmp_path}/there:v1", image)
    run("skopeo", "copy", "--authfile", auth, "--src-tls-verify=false", image, f"oci:{tmp_path}/back:v1")
    assert blobs_in(tmp_path / "back") == blobs


@needs("buildah")
@pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here")
def test_buildah_builds_pushes_and_gets_it_back(registry: RegistryProcess, name: str, tmp_path: Path):
    data = os.urandom(2_000_000)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/data").write_bytes(data)
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY data /data\n")
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    image = f"{registry.address}/{name}:built"

    def buildah(store: str, *arguments: str) -> str:
        place = [f"--root={tmp_path}/{store}", f"--runroot={tmp_path}/{store}-run", "--storage-driver=vfs"]
        return run("buildah", *place, *arguments)

    checked = ["--tls-verify=false", f"--signature-policy={tmp_path}/policy.json"]
    build = ["build", "--isolation=chroot", f"--signature-policy={tmp_path}/policy.json", "-t", image]
    buildah("one", *build, str(tmp_path / "context"))
    buildah("one", "push", *checked, image)
    buildah("two", "pull", *checked, image)
    container = buildah(
        "two", "from", "--pull-never", f"--signature-policy={tmp_path}/policy.json", image
    ).strip()
    mounted = Path(buildah("two", "mount", container).strip())
    try:
        assert hashlib.sha256((mounted / "data").read_bytes()).digest() == hashlib.sha256(data).digest()
    finally:
        buildah("two", "umount", container)
        buildah("two", "rm", container)


@needs("docker")
def test_docker_pushes_and_gets_it_back(registry: RegistryProcess, name: str, tmp_path: Path):
    if daemons.why_not():
        pytest.skip(daemons.why_not())
    image = f"{registry.address}/{name}:docker"
    archive = tmp_path / "root.tar"
    archive.write_bytes(tar_of({"data": os.urandom(1_000_000)}))
    # A socket's path has room for little more than a hundred characters.
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, daemons.dockerd(Path(folder)) as daemon:
        docker = ["docker", f"--host={daemon.address}", f"--config={tmp_path}/config"]
        run(*docker, "import", str(archive), image)
        run(*docker, "login", "-u", "AWS", "-p", "any", registry.address)
        run(*docker, "push", image)
        before = run(*docker, "image", "inspect", "--format", "{{.Id}}", image)
        run(*docker, "image", "rm", image)
        run(*docker, "pull", image)
        assert run(*docker, "image", "inspect", "--format", "{{.Id}}", image) == before
