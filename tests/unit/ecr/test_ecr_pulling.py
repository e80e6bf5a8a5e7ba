"""What references of images mean to those who run them, and our repositories as a source of layers."""

import asyncio
import hashlib
import json

import pytest
from tests.image_kit import ARCHITECTURE, BUSYBOX, function_image

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.engines.images import Descriptor, Platform, PullError
from cumulo.engines.oci.references import parse
from cumulo.engines.oci.store import ImageStore
from cumulo.services.ecr.model import OCI_INDEX, OCI_MANIFEST, Image, Layer, Repository, no_repository
from cumulo.services.ecr.pulling import ImageResolver

CALLER = Caller(account="123456789012", region="eu-west-1")
OTHER = "210987654321"
CONFIG = json.dumps({"architecture": "arm64", "os": "linux"}).encode()
MANIFEST = json.dumps(
    {
        "config": {
            "mediaType": "x",
            "digest": "sha256:" + hashlib.sha256(CONFIG).hexdigest(),
            "size": len(CONFIG),
        }
    }
).encode()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class FakeCatalog:
    def __init__(self):
        self.repositories: dict[tuple[str, str, str], Repository] = {}
        self.images: dict[str, Image] = {}
        self.tags: dict[str, str] = {}
        self.pulls: list[str] = []
        self.content = (MANIFEST, CONFIG)

    def add(self, name, tag, account=CALLER.account, media_type=OCI_MANIFEST, **values):
        region = CALLER.region
        self.repositories[account, region, name] = Repository(
            account=account, region=region, name=name, created_at=0.0
        )
        manifest, config = self.content
        digest = digest_of(manifest)
        self.images[digest] = Image(
            account=account,
            region=region,
            repository=name,
            digest=digest,
            media_type=media_type,
            manifest_bytes=len(manifest),
            size_bytes=1,
            config=digest_of(config),
            pushed_at=0.0,
            **values,
        )
        self.tags[tag] = digest

    def repository(self, account, region, name):
        try:
            return self.repositories[account, region, name]
        except KeyError:
            raise no_repository(name, account) from None

    def image(self, repository, *, tag="", digest=""):
        found = self.images.get(digest or self.tags.get(tag, ""))
        if found is None:
            raise AwsError("ImageNotFoundException", "it is not there")
        return found

    def manifest(self, image):
        return self.content[0]

    async def pulled(self, image, caller):
        self.pulls.append(image.digest)


class FakeLayers:
    def __init__(self, folder):
        self.folder = folder
        self.known: dict[str, Layer] = {}

    def add(self, data):
        digest = digest_of(data)
        (self.folder / digest).write_bytes(data)
        self.known[digest] = Layer(
            account="", region="", repository="", digest=digest, size_bytes=len(data), added_at=0.0
        )
        return Descriptor(media_type="x", digest=digest, size=len(data))

    def get(self, repository, digest):
        return self.known.get(digest)

    def path(self, digest):
        return self.folder / digest


class Elsewhere:
    """Another registry, with one image."""

    def __init__(self):
        self.error: PullError | None = None
        self.media_type = OCI_MANIFEST
        self.body = MANIFEST
        self.hosts: list[str] = []
        self.open_now = 0

    async def __aenter__(self):
        self.open_now += 1
        return self

    async def __aexit__(self, *_):
        self.open_now -= 1

    async def manifest(self, reference):
        assert self.open_now == 1
        self.hosts.append(reference.host)
        if self.error:
            raise self.error
        return Descriptor(media_type=self.media_type, digest=digest_of(self.body), size=1), self.body

    async def blob(self, reference, blob):
        yield CONFIG[:5]
        yield CONFIG[5:]

    def path(self, reference, blob):
        return None


class Lab:
    def __init__(self, folder, may_pull=None):
        self.catalog, self.layers, self.elsewhere = FakeCatalog(), FakeLayers(folder), Elsewhere()
        self.layers.add(CONFIG)
        self.catalog.add("app", "1")
        self.resolver = ImageResolver(
            self.catalog,
            self.layers,
            parse=parse,
            open_source=lambda: self.elsewhere,
            port=4566,
            may_pull=may_pull,
        )

    def resolve(self, uri, caller=CALLER):
        return asyncio.run(self.resolver.resolve(caller, uri))

    def refused(self, uri) -> str:
        with pytest.raises(AwsError) as caught:
            self.resolve(uri)
        return caught.value.code


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.localhost",
        "123456789012.dkr.ecr.eu-west-1.localhost:4566",
        "123456789012.dkr.ecr.eu-west-1.localhost.localstack.cloud:4566",
        "localhost:4566",
        "127.0.0.1:4566",
    ],
)
def test_every_form_of_our_registry_leads_to_the_same_image(tmp_path, host):
    lab = Lab(tmp_path)
    for ending in (":1", f"@{digest_of(MANIFEST)}", f":1@{digest_of(MANIFEST)}"):
        found = lab.resolve(f"{host}/app{ending}")
        assert found.ours
        assert found.digest == digest_of(MANIFEST)
        assert found.uri == f"{host}/app@{found.digest}"
        assert found.reference == f"123456789012.dkr.ecr.eu-west-1.localhost/app@{found.digest}"
        assert found.architecture == "arm64"
        assert found.media_type == OCI_MANIFEST
    assert lab.elsewhere.hosts == []


def test_what_is_not_there_is_told_apart(tmp_path):
    lab = Lab(tmp_path)
    assert lab.refused("localhost:4566/none:1") == "RepositoryNotFoundException"
    assert lab.refused("localhost:4566/app:2") == "ImageNotFoundException"
    assert lab.refused(f"localhost:4566/app@sha256:{'0' * 64}") == "ImageNotFoundException"
    assert lab.refused("not a reference") == "InvalidParameterException"
    assert lab.refused("localhost:4566/app") == "InvalidParameterException"  # latest is not meant by silence
    lab.catalog.add("app", "1", status="ARCHIVED")
    assert lab.refused("localhost:4566/app:1") == "ImageNotFoundException"


def test_another_accounts_repository_is_asked_about(tmp_path):
    asked = []

    def may_pull(caller, repository):
        asked.append((caller.account, repository.account))
        return False

    lab = Lab(tmp_path, may_pull)
    lab.catalog.add("theirs", "1", account=OTHER)
    assert lab.refused(f"{OTHER}.dkr.ecr.eu-west-1.localhost/theirs:1") == "AccessDeniedException"
    lab.resolve("localhost:4566/app:1")
    assert asked == [(CALLER.account, OTHER)]


def test_an_index_has_no_architecture_of_its_own(tmp_path):
    lab = Lab(tmp_path)
    lab.catalog.add("app", "1", media_type=OCI_INDEX)
    assert lab.resolve("localhost:4566/app:1").architecture == ""
    lab.elsewhere.media_type = OCI_INDEX
    assert lab.resolve("quay.io/a/b:1").architecture == ""


def test_other_registries_are_asked_by_their_own_name(tmp_path):
    lab = Lab(tmp_path)
    found = lab.resolve("quay.io/team/app:7")
    assert not found.ours
    assert found.uri == found.reference == f"quay.io/team/app@{digest_of(MANIFEST)}"
    assert found.architecture == "arm64"
    assert found.source is None  # an engine opens its own client
    assert lab.elsewhere.hosts == ["quay.io"]
    assert lab.elsewhere.open_now == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("not-found", "ImageNotFoundException"),
        ("unauthorized", "AccessDeniedException"),
        ("unreachable", "ServerException"),
        ("corrupt", "InvalidParameterException"),
    ],
)
def test_what_other_registries_refuse_has_a_code(tmp_path, kind, code):
    lab = Lab(tmp_path)
    lab.elsewhere.error = PullError(kind, "no")
    assert lab.refused("quay.io/team/app:7") == code


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"config": 3}', b'{"config": {"digest": "x", "size": "y"}}']
)
def test_a_broken_manifest_of_another_registry_is_refused(tmp_path, body):
    lab = Lab(tmp_path)
    lab.elsewhere.body = body
    assert lab.refused("quay.io/team/app:7") == "InvalidParameterException"


def test_our_repositories_are_a_source_of_manifests_and_layers(tmp_path):
    lab = Lab(tmp_path)
    big = lab.layers.add(bytes(range(256)) * 10_000)
    found = lab.resolve("localhost:4566/app:1")
    reference = parse(found.reference)

    async def main():
        assert found.source is not None
        described, raw = await found.source.manifest(reference)
        assert (described.digest, raw) == (digest_of(MANIFEST), MANIFEST)
        pieces = [piece async for piece in found.source.blob(reference, big)]
        assert digest_of(b"".join(pieces)) == big.digest
        assert len(pieces) > 1
        path = found.source.path(reference, big)
        assert path is not None
        assert path.stat().st_size == big.size
        missing = Descriptor(media_type="x", digest="sha256:" + "0" * 64, size=1)
        assert found.source.path(reference, missing) is None
        with pytest.raises(PullError, match="has no layer"):
            [piece async for piece in found.source.blob(reference, missing)]
        with pytest.raises(PullError):
            await found.source.manifest(parse(f"localhost/app@sha256:{'0' * 64}"))

    asyncio.run(main())
    assert lab.catalog.pulls == [digest_of(MANIFEST)]


@pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")
def test_an_engine_pulls_what_was_resolved_from_the_files_that_are_here(tmp_path):
    image = function_image("facts", VERSION="1")
    (tmp_path / "blobs").mkdir()
    lab = Lab(tmp_path / "blobs")
    for blob in (image.config, image.layer):
        lab.layers.add(blob)
    lab.catalog.content = (image.manifest, image.config)
    lab.catalog.add("app", "live")

    async def main():
        found = await lab.resolver.resolve(CALLER, "localhost:4566/app:live")
        assert found.architecture == ARCHITECTURE
        store = ImageStore(tmp_path / "store", clock=SystemClock(), in_use=lambda _: False)
        await store.start()
        try:
            pulled = await store.pull(
                found.reference, platform=Platform(found.architecture), source=found.source
            )
            assert pulled.config.entrypoint == ("/bootstrap",)
            assert pulled.config.command == ("facts",)
            assert (store.folder(pulled.layers[0]) / "bootstrap").exists()
            again = await store.get(found.reference)
            assert again is not None
            assert again.id == pulled.id
        finally:
            await store.close()

    asyncio.run(main())
    assert lab.catalog.pulls == [image.digest]
