"""Images in Docker: given to it from a Source or an OCI archive, and pulled by it."""

import asyncio
import base64
import gzip
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cumulo.engines.docker.building import open_docker
from cumulo.engines.docker.images import kind_of
from cumulo.engines.images import Descriptor, Image, Login, Platform, PullError, Reference
from tests.engines.images import Built, digest, file, folder, write_archive

NAME = "registry.test:4566/team/app:1"


class Shelf:
    """A Source in memory."""

    def __init__(self, built: Built, *, index: bool = False) -> None:
        self.blobs = dict(built.blobs)
        self.top = built.manifest
        self.asked = 0
        if index:
            other = {
                "mediaType": "x",
                "digest": digest(b"-"),
                "size": 1,
                "platform": {"architecture": "vax", "os": "linux"},
            }
            kind = "application/vnd.oci.image.index.v1+json"
            self.top = json.dumps({"mediaType": kind, "manifests": [other, built.pointer]}).encode()

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        self.asked += 1
        raw = self.blobs[reference.digest] if reference.digest else self.top
        kind = json.loads(raw)["mediaType"]
        return Descriptor(media_type=kind, digest=digest(raw), size=len(raw)), raw

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        raw = self.blobs[blob.digest]
        for start in range(0, len(raw), 1000):
            yield raw[start : start + 1000]

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        return None


def tiny(text: str = "tiny") -> Built:
    return Built([[folder("/etc")], [file("/etc/tiny", text * 1000)]], {"Cmd": ["/none"]})


@pytest.fixture
def images(docker_address: str) -> Iterator["Images"]:
    made = Images(docker_address)
    yield made
    made.forget()


class Images:
    """Calls one verb of an engine's images in a loop of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ids: set[str] = set()

    def call(self, verb: str, *arguments: object, times: int = 1, **more: object) -> list[object]:
        async def main() -> list[object]:
            engine = await open_docker("images", self.address)
            try:
                one = getattr(engine.images, verb)
                return list(await asyncio.gather(*(one(*arguments, **more) for _ in range(times))))
            finally:
                await engine.close()

        return asyncio.run(main())

    def pull(self, name: str, **more: object) -> Image:
        (image,) = self.call("pull", name, **more)
        assert isinstance(image, Image)
        self.ids.add(image.id)
        return image

    def load(self, path: Path) -> list[Image]:
        (found,) = self.call("load", path)
        assert isinstance(found, list)
        self.ids |= {image.id for image in found}
        return found

    def forget(self) -> None:
        for id_ in self.ids:
            self.call("remove", id_)


@pytest.mark.parametrize("index", [False, True])
def test_an_image_comes_from_a_source_without_a_registry(images: Images, index: bool) -> None:
    built = tiny()
    image = images.pull(NAME, source=Shelf(built, index=index))
    assert (image.id, image.digest, image.references) == (built.id, built.digest, (NAME,))
    assert images.call("get", NAME)[0].id == built.id  # type: ignore[attr-defined]


def test_many_who_pull_the_same_do_the_work_once(images: Images) -> None:
    shelf = Shelf(tiny())
    found = images.call("pull", NAME, times=5, source=shelf)
    images.ids.add(found[0].id)  # type: ignore[attr-defined]
    assert len(set(map(str, found))) == 1
    assert shelf.asked == 1


def test_a_layer_that_is_something_else_is_refused(images: Images) -> None:
    built = tiny()
    shelf = Shelf(built)
    layer = built.layers[1]["digest"]
    shelf.blobs[layer] = bytes(len(shelf.blobs[layer]))
    with pytest.raises(PullError) as caught:
        images.pull(NAME, source=shelf)
    assert caught.value.kind == "corrupt"
    shelf.blobs[layer] = built.blobs[layer] + b"more"
    with pytest.raises(PullError, match="longer"):
        images.pull(NAME, source=shelf)
    assert images.call("get", NAME) == [None]


def test_an_image_for_another_machine_is_refused(images: Images) -> None:
    with pytest.raises(PullError) as caught:
        images.pull(NAME, source=Shelf(tiny(), index=True), platform=Platform(architecture="s390x"))
    assert caught.value.kind == "platform"
    with pytest.raises(PullError) as caught:
        images.pull(NAME, source=Shelf(Built([[folder("/etc")]], {}, architecture="s390x")))
    assert caught.value.kind == "platform"


def test_layers_of_zstandard(images: Images) -> None:
    import zstandard

    built = tiny()
    manifest = json.loads(built.manifest)
    for layer in manifest["layers"]:
        raw = zstandard.ZstdCompressor().compress(gzip.decompress(built.blobs[layer["digest"]]))
        layer |= {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
            "digest": digest(raw),
            "size": len(raw),
        }
        built.blobs[layer["digest"]] = raw
    built.manifest = json.dumps(manifest).encode()
    assert images.pull(NAME, source=Shelf(built)).id == built.id


def test_an_oci_archive_and_a_layout(images: Images, tmp_path: Path) -> None:
    built = tiny("from an archive")
    path = write_archive(tmp_path / "oci.tar", {NAME: built}, docker=False)
    assert [(i.id, i.digest, i.references) for i in images.load(path)] == [(built.id, built.digest, (NAME,))]
    packed = tmp_path / "oci.tar.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    images.forget()
    assert [(i.id, i.digest, i.references) for i in images.load(packed)] == [
        (built.id, built.digest, (NAME,))
    ]
    images.forget()
    layout = tmp_path / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    for name, raw in built.blobs.items():
        (layout / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(raw)
    (layout / "index.json").write_text(json.dumps({"manifests": [built.pointer]}))
    assert [i.id for i in images.load(layout)] == [built.id]


def test_an_archive_whose_layer_is_none(images: Images, tmp_path: Path) -> None:
    built = Built([b"no tar at all" * 100], {})
    for kind in ("docker", "oci"):
        path = write_archive(tmp_path / kind, {NAME: built}, docker=kind == "docker", oci=kind == "oci")
        with pytest.raises(PullError) as caught:
            images.load(path)
        assert caught.value.kind == "corrupt"


def test_a_registry_that_is_not_there(images: Images) -> None:
    with pytest.raises(PullError) as caught:
        images.pull("127.0.0.1:9/nothing/here:1")
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("manifest for a/b:c not found: manifest unknown: manifest unknown", "not-found"),
        ("pull access denied for x, repository does not exist or may require 'docker login': denied", "not-found"),
        ("unauthorized: authentication required", "unauthorized"),
        ('Get "http://h/v2/": no basic auth credentials', "unauthorized"),
        ("no matching manifest for linux/arm64 in the manifest list entries", "platform"),
        ("write /var/lib/docker/tmp/x: no space left on device", "no-space"),
        ('Get "https://h/v2/": dial tcp: lookup h: no such host', "unreachable"),
        ('Get "https://h/v2/": http: server gave HTTP response to HTTPS client', "unreachable"),
        ("filesystem layer verification failed for digest sha256:1", "corrupt"),
    ],
)  # fmt: skip
def test_docker_s_words_tell_the_kind(said: str, kind: str) -> None:
    assert kind_of(said, "other") == kind


@pytest.fixture
def registry() -> Iterator[tuple[str, Built]]:
    """host:port of a registry that wants `user` and `password`, and what it has at team/app:1."""
    built = tiny("from the registry")
    said = "Basic " + base64.b64encode(b"user:password").decode()

    class Registry(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if self.headers.get("Authorization") != said:
                error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
                self._say(401, json.dumps(error).encode(), "application/json")
            elif "/manifests/" in self.path and name in {"1", built.digest}:
                self._say(200, built.manifest, json.loads(built.manifest)["mediaType"])
            elif "/blobs/" in self.path and name in built.blobs:
                self._say(200, built.blobs[name], "application/octet-stream")
            elif self.path == "/v2/":
                self._say(200, b"{}", "application/json")
            else:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self._say(404, json.dumps(error).encode(), "application/json")

        do_HEAD = do_GET  # noqa: N815

        def _say(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Docker-Content-Digest", digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", built
        server.shutdown()
        thread.join()


def test_the_daemon_pulls_from_a_registry_with_a_password(
    images: Images, registry: tuple[str, Built]
) -> None:
    host, built = registry
    name = f"{host}/team/app"
    for login in (None, Login("user", "wrong")):
        with pytest.raises(PullError) as caught:
            images.pull(f"{name}:1", login=login)
        assert caught.value.kind == "unauthorized"
    login = Login("user", "password")
    with pytest.raises(PullError) as caught:
        images.pull(f"{name}:2", login=login)
    assert caught.value.kind == "not-found"
    image = images.pull(f"{name}:1", login=login)
    assert (image.id, image.digest, image.references) == (built.id, built.digest, (f"{name}:1",))
    assert images.pull(f"{name}:1", only_missing=True) == image
    assert images.pull(f"{name}@{built.digest}", login=login).id == built.id
