"""ECR on a temporary store: layers in a folder, a clock that stands still, manifests to push."""

import asyncio
import contextlib
import hashlib
import json

import pytest
from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of, whole

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST, Repository
from cumulo.services.ecr.service import Ecr
from cumulo.state.content import Content
from cumulo.state.store import Store
from cumulo.wire.http import BytesBody, Headers, Request
from cumulo.wire.service import Service

ACCOUNT, REGION = "123456789012", "eu-west-1"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class SmallLayers(StoredLayers):
    """The real layers, with a short way to have a blob."""

    def keep(self, repository, data, media_type=""):
        path = self.content.path(sha(data))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return self._add(repository, sha(data), len(data), media_type)


class Registry:
    """A catalog and its layers, without the API around it."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.content = Content(self.path / "content")
        self.layers = SmallLayers(content=self.content, store=self.store, clock=self.clock, ids=Ids())
        self.catalog = StoredCatalog(self.store, self.layers, self.clock)
        self.changes = []
        self.catalog.listeners.append(self.changes.append)

    async def close(self):
        self.content.close()
        await self.store.close()

    async def reopen(self):
        await self.close()
        self.open()

    async def create(self, name="app", **fields):
        made = Repository(account=ACCOUNT, region=REGION, name=name, created_at=self.clock.now(), **fields)
        return await self.catalog.create(made)

    async def push(self, repository, tag="", *, seed="1", **fields):
        """A new image, different for each seed."""
        manifest = self.image(repository, seed, **fields)
        return await self.catalog.put_image(repository, manifest, tag=tag)

    def image(self, repository, seed="1", **fields):
        return image_manifest(self.layers, repository, seed, **fields)


class Cloud:
    """ECR behind a real door, and boto's client of it."""

    def __init__(self, path):
        self.registry = Registry(path)
        self.clock, self.layers, self.store = self.registry.clock, self.registry.layers, self.registry.store
        self.ecr = Ecr(self.registry.catalog, self.layers, self.clock, Ids(), settle_seconds=0.0)
        self.door = a_door(
            {"ecr": Service("ecr", self.ecr.operations())},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        self.client = self.client_of(ACCOUNT)

    def client_of(self, account, region=REGION):
        return client_of("ecr", self.door, account, region)

    def download(self, url, method="GET", **headers):
        """What a plain HTTP client gets under a link."""
        path, _, query = url.removeprefix("http://127.0.0.1:4566").partition("?")
        lines = Headers([(name.encode(), value.encode()) for name, value in headers.items()])
        return asyncio.run(whole(self.ecr.downloads, Request(method, path, query, lines, BytesBody(b""))))

    def run(self, awaitable):
        return asyncio.run(awaitable)

    def push(self, name="app", tag="", *, seed="1", **fields):
        """Push a small image through the API; its digest."""
        repository = self.registry.catalog.repository(ACCOUNT, REGION, name)
        manifest = image_manifest(self.layers, repository, seed, **fields).decode()
        tagged = {"imageTag": tag} if tag else {}
        answer = self.client.put_image(repositoryName=name, imageManifest=manifest, **tagged)
        return answer["image"]["imageId"]["imageDigest"]


@contextlib.contextmanager
def cloud(path):
    """A cloud that is closed at the end."""
    made = Cloud(path)
    try:
        yield made
    finally:
        asyncio.run(made.registry.close())


@contextlib.asynccontextmanager
async def registry(path):
    """A registry that is closed at the end."""
    made = Registry(path)
    try:
        yield made
    finally:
        await made.close()


def image_manifest(layers, repository, seed="1", *, media_type=DOCKER_MANIFEST, size=100, **more):
    """The bytes of a manifest whose blobs are in the repository."""
    config = layers.keep(repository, f'{{"architecture":"amd64","seed":"{seed}"}}'.encode())
    layer = layers.keep(repository, seed.encode().ljust(size, b"."))
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": DOCKER_CONFIG, "size": config.size_bytes, "digest": config.digest},
            "layers": [{"mediaType": DOCKER_LAYER, "size": layer.size_bytes, "digest": layer.digest}],
        }
        | more
    ).encode()


def list_manifest(*images, media_type=DOCKER_LIST, **more):
    """The bytes of an index of images."""
    children = [
        {
            "mediaType": image.media_type,
            "size": image.manifest_bytes,
            "digest": image.digest,
            "platform": {"architecture": "amd64", "os": "linux"},
        }
        for image in images
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": children} | more).encode()


def artifact_manifest(layers, repository, subject, *, kind="application/vnd.example.sbom", seed="a"):
    """The bytes of an artifact about an image."""
    empty = layers.keep(repository, b"{}")
    layer = layers.keep(repository, f"artifact {seed}".encode())
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": empty.digest},
            "layers": [{"mediaType": "text/plain", "size": layer.size_bytes, "digest": layer.digest}],
            "subject": {
                "mediaType": subject.media_type,
                "size": subject.manifest_bytes,
                "digest": subject.digest,
            },
            "annotations": {"org.example.seed": seed},
        }
    ).encode()


def refused(call, code, sentence="", **values):
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert sentence in error["Message"], error["Message"]
    return caught.value.response


def put_list(it, *digests, tag=""):
    catalog = it.registry.catalog
    repository = catalog.repository(ACCOUNT, REGION, "app")
    manifest = list_manifest(*(catalog.image(repository, digest=digest) for digest in digests)).decode()
    tagged = {"imageTag": tag} if tag else {}
    answer = it.client.put_image(repositoryName="app", imageManifest=manifest, **tagged)
    return answer["image"]["imageId"]["imageDigest"]
