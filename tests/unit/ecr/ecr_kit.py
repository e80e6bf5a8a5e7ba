"""ECR on a temporary store: layers in a folder, a clock that stands still, manifests to push."""

import contextlib
import hashlib
import json

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.core import Upload
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST, Layer, Repository
from cumulo.state.store import Store, join_key

ACCOUNT, REGION = "123456789012", "eu-west-1"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class FolderLayers:
    """Layers as small files; uploads in memory."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.layers, self.uploads, self.parts = {}, {}, {}
        folder.mkdir(exist_ok=True)

    def get(self, repository, digest):
        return self.layers.get(join_key(repository.key, digest))

    def path(self, digest):
        return self.folder / digest[7:]

    async def begin(self, repository):
        number = f"{len(self.uploads) + 1:08x}-0000-4000-8000-000000000000"
        self.uploads[number] = Upload(
            id=number,
            account=repository.account,
            region=repository.region,
            repository=repository.name,
            received=0,
            started_at=self.clock.now(),
        )
        self.parts[number] = b""
        return self.uploads[number]

    def upload(self, repository, upload_id):
        found = self.uploads.get(upload_id)
        if found is None or found.repository != repository.name:
            raise AwsError("UploadNotFoundException", "no such upload")
        return found

    async def append(self, upload, first, pieces):
        if first is not None and first != upload.received:
            raise AwsError(
                "InvalidLayerPartException",
                "not the next part",
                fields={
                    "registryId": upload.account,
                    "repositoryName": upload.repository,
                    "uploadId": upload.id,
                    "lastValidByteReceived": upload.received - 1,
                },
            )
        async for piece in pieces:
            self.parts[upload.id] += piece
        self.uploads[upload.id] = found = _received(upload, len(self.parts[upload.id]))
        return found

    async def finish(self, upload, digests, media_type=""):
        data = self.parts[upload.id]
        if not data:
            raise AwsError("EmptyUploadException", "nothing was uploaded")
        if sha(data) not in digests:
            raise AwsError("InvalidLayerException", "another digest")
        repository = Repository(
            account=upload.account, region=upload.region, name=upload.repository, created_at=0
        )
        if self.get(repository, sha(data)) is not None:
            raise AwsError("LayerAlreadyExistsException", "it is here")
        del self.uploads[upload.id]
        return self.keep(repository, data, media_type)

    async def cancel(self, upload):
        del self.uploads[upload.id]

    async def put(self, repository, data, media_type=""):
        return self.keep(repository, data, media_type)

    def keep(self, repository, data, media_type=""):
        digest = sha(data)
        self.path(digest).write_bytes(data)
        layer = Layer(
            account=repository.account,
            region=repository.region,
            repository=repository.name,
            digest=digest,
            size_bytes=len(data),
            media_type=media_type,
            added_at=self.clock.now(),
        )
        self.layers[join_key(repository.key, digest)] = layer
        return layer


def _received(upload, count):
    from msgspec.structs import replace

    return replace(upload, received=count)


class Registry:
    """A catalog and its layers, without the API around it."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.layers = FolderLayers(path / "layers", self.clock)
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.catalog = StoredCatalog(self.store, self.layers, self.clock)
        self.changes = []
        self.catalog.listeners.append(self.changes.append)

    async def reopen(self):
        await self.store.close()
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


@contextlib.asynccontextmanager
async def registry(path):
    """A registry that is closed at the end."""
    made = Registry(path)
    try:
        yield made
    finally:
        await made.store.close()


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
