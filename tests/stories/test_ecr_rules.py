"""ECR's rules with real clients, a real upstream registry, and kills in the middle."""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.oci_kit import Layout, folder, member, registry_process, skopeo, tarred
from tests.registry_kit import Client, manifest_of
from tests.rules_server import RulesProcess, copy
from tests.support import until

FAR = "eu-west-1"
OCI = "application/vnd.oci.image.manifest.v1+json"
FAR_HOST = f"000000000000.dkr.ecr.{FAR}.localhost"

real_tools = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("skopeo")),
    reason="needs docker-registry and skopeo",
)


@pytest.fixture
def cloud(tmp_path):
    process = RulesProcess(tmp_path / "cloud")
    process.start()
    yield process
    process.stop()


def raw_manifest(layout: Path) -> bytes:
    (found,) = json.loads((layout / "index.json").read_text())["manifests"]
    return (layout / "blobs" / "sha256" / found["digest"].partition(":")[2]).read_bytes()


@real_tools
def test_images_are_pulled_through_from_another_registry_and_serve_when_it_is_gone(tmp_path, cloud):
    layer = tarred(folder("bin"), member("bin/tool", os.urandom(3_000_000)))
    layout = Layout(tmp_path / "layout")
    both = [layout.image([layer], architecture=one, list_it=False) for one in ("amd64", "arm64")]
    layout.index(both, "v1")
    with registry_process(tmp_path / "upstream") as host:
        skopeo(
            "copy",
            "--all",
            "--dest-tls-verify=false",
            f"oci:{tmp_path / 'layout'}:v1",
            f"docker://{host}/team/app:v1",
        )
        cloud.call("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=host)
        ours = f"docker://{cloud.address}/hub/team/app:v1"
        copy("--all", "--src-tls-verify=false", ours, f"oci:{tmp_path / 'first'}:v1")
        missing = f"docker://{cloud.address}/hub/team/other:v1"
        copy("--src-tls-verify=false", missing, f"oci:{tmp_path / 'none'}:v1", ok=False)
    copy("--all", "--src-tls-verify=false", ours, f"oci:{tmp_path / 'second'}:v1")
    assert raw_manifest(tmp_path / "first") == raw_manifest(tmp_path / "second")
    names = sorted(path.name for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir())
    assert {path.name for path in (tmp_path / "second" / "blobs" / "sha256").iterdir()} <= set(names)
    gone = f"docker://{cloud.address}/hub/team/other:v1"
    said = copy("--src-tls-verify=false", gone, f"oci:{tmp_path / 'none'}:v1", ok=False)
    assert "502" in said, "neither a copy nor an upstream"


@real_tools
def test_a_push_makes_its_repository_by_a_template_and_goes_to_another_region(tmp_path, cloud):
    layout = Layout(tmp_path / "layout")
    layout.image([tarred(member("file", b"data"))], name="v1")
    target = f"docker://{cloud.address}/prod/app:v1"
    said = copy("--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}:v1", target, ok=False)
    assert "does not exist in the registry" in said
    cloud.call("CreateRepositoryCreationTemplate", prefix="prod", appliedFor=["CREATE_ON_PUSH"])
    destination = {"region": FAR, "registryId": "000000000000"}
    cloud.call(
        "PutReplicationConfiguration", replicationConfiguration={"rules": [{"destinations": [destination]}]}
    )
    copy("--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}:v1", target)
    with cloud.client(host=FAR_HOST) as far, cloud.client() as near:
        path = "/v2/prod/app/manifests/v1"
        until(lambda: far.ask("GET", path).status == 200, "the copy is there")
        assert far.ask("GET", path).body == near.ask("GET", path).body


def test_a_push_that_was_answered_is_replicated_whenever_the_server_is_killed(cloud):
    cloud.call("CreateRepositoryCreationTemplate", prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
    destinations = [{"region": FAR, "registryId": "000000000000"}]
    cloud.call(
        "PutReplicationConfiguration", replicationConfiguration={"rules": [{"destinations": destinations}]}
    )
    pushed = []
    for number in range(6):
        with cloud.client() as client:
            pushed.append(client.push_image("app", f"v{number}", b"layer %d" % number)[0])
        cloud.kill()
        cloud.start()
    with cloud.client(host=FAR_HOST) as far:
        for number, digest in enumerate(pushed):
            path = f"/v2/app/manifests/v{number}"
            until(lambda path=path: far.ask("HEAD", path).status == 200, f"{path} is there")
            assert far.ask("HEAD", path).headers["docker-content-digest"] == digest


@real_tools
def test_a_tag_that_moved_upstream_moves_here_a_day_later(tmp_path, cloud):
    path = "/v2/hub/app/manifests/latest"
    with registry_process(tmp_path / "upstream") as host, cloud.client() as ours:
        cloud.call("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=host)
        with Client(int(host.rpartition(":")[2])) as upstream:
            push(upstream, "app", "latest", b"old")
            old = ours.ask("GET", path)
            assert old.status == 200
            push(upstream, "app", "latest", b"new")
            assert ours.ask("GET", path).body == old.body
            assert cloud.do("age") == 1
            new = ours.ask("GET", path)
            assert new.body == upstream.ask("GET", "/v2/app/manifests/latest", headers={"Accept": OCI}).body
            assert new.body != old.body


def push(client, name, tag, layer):
    """Push to a registry that gives whole URLs."""
    config = b'{"architecture":"amd64","os":"linux"}'
    for data in (config, layer):
        place = urlsplit(client.ask("POST", f"/v2/{name}/blobs/uploads/", b"").headers["location"])
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        answer = client.ask("PUT", f"{place.path}?{place.query}&digest={digest}", data)
        assert answer.status == 201, answer.body
    client.push_manifest(name, tag, manifest_of(config, layer))


def test_layers_are_mounted_unless_the_account_does_not_want_it(cloud):
    cloud.call("CreateRepositoryCreationTemplate", prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
    with cloud.client() as client:
        digest = client.push_blob("one", b"layer")
        wish = f"/v2/two/blobs/uploads/?mount={digest}&from=one"
        cloud.call("PutAccountSetting", name="BLOB_MOUNTING", value="DISABLED")
        assert client.ask("POST", wish, b"").status == 202
        cloud.call("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")
        assert client.ask("POST", wish, b"").status == 201


class Slow(http.server.BaseHTTPRequestHandler):
    """A registry with one image, whose layer stops half-way while `gate` is shut."""

    layer = os.urandom(4_000_000)
    config = b"{}"
    gate = threading.Event()
    halfway = threading.Event()
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        manifest = json.dumps(manifest_of(self.config, self.layer)).encode()
        blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (self.config, self.layer)}
        what = self.path.rpartition("/")[2]
        if "/manifests/" in self.path:
            self.answer(manifest, "application/vnd.oci.image.manifest.v1+json")
        else:
            self.answer(blobs[what], "application/octet-stream")

    def answer(self, data, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        half = len(data) // 2
        self.wfile.write(data[:half])
        if half > 1000:
            self.halfway.set()
            self.gate.wait(30)
        self.wfile.write(data[half:])

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()


def test_a_kill_in_the_middle_of_a_fetch_leaves_nothing_behind(cloud):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        url = f"127.0.0.1:{server.server_port}"
        cloud.call("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=url)
        path = "/v2/hub/app/manifests/v1"

        def pull():
            with cloud.client() as client:
                try:
                    return client.ask("GET", path).status
                except (OSError, http.client.HTTPException):
                    return 0

        pulling = threading.Thread(target=pull)
        pulling.start()
        assert Slow.halfway.wait(20)
        arriving = cloud.data / "arriving"
        until(lambda: any(file.stat().st_size for file in arriving.iterdir()), "something has arrived")
        cloud.kill()
        pulling.join(20)
        Slow.gate.set()
        cloud.start()
        assert list(arriving.iterdir()) == []
        assert pull() == 200
        with cloud.client() as client:
            digest = f"sha256:{hashlib.sha256(Slow.layer).hexdigest()}"
            assert client.ask("GET", f"/v2/hub/app/blobs/{digest}").body == Slow.layer
        assert list(arriving.iterdir()) == []
    finally:
        Slow.gate.set()
        server.shutdown()
        server.server_close()
        serving.join(20)
