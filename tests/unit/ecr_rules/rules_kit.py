"""ECR's rules on real layers and a real catalog, behind a real door; only the rest of the world is small."""

import asyncio
import contextlib
import hashlib
import json

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.engines.images import Descriptor, PullError
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.metering import StorageMeter
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, Repository
from cumulo.services.ecr.rules.service import Rules
from cumulo.services.ecr.service import Ecr
from cumulo.state.content import Content
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import BytesBody, Headers, Request
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models
from cumulo.wire.service import Service

HOME, OTHER = "111111111111", "222222222222"
REGION, FAR = "us-east-1", "eu-west-1"
MODELS = Models()
TARGET = "AmazonEC2ContainerRegistry_V20150921."


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest_of(config, layers):
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": "application/json", "size": len(config), "digest": sha(config)},
            "layers": [
                {"mediaType": "application/octet-stream", "size": len(data), "digest": sha(data)}
                for data in layers
            ],
        }
    ).encode()


def index_of(*manifests):
    children = [{"mediaType": DOCKER_MANIFEST, "size": len(m), "digest": sha(m)} for m in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children}).encode()


class Bus:
    """EventBridge: keeps what it gets, or says what it was told to say."""

    def __init__(self):
        self.events, self.errors = [], []
        self.came = asyncio.Event()

    async def listens(self, account, region):
        return True

    async def put(self, account, region, source, detail_type, detail, resources=(), *, at=None):
        if self.errors:
            raise self.errors.pop(0)
        self.events.append((account, region, detail_type, dict(detail), list(resources)))
        self.came.set()

    async def wait(self, detail_type, count):
        """Wait until so many events of a kind have come."""
        while len(self.of(detail_type)) < count:
            self.came.clear()
            await self.came.wait()

    def of(self, detail_type):
        return [event for event in self.events if event[2] == detail_type]


class SecretBox:
    """Secrets Manager: texts by ARN, or errors."""

    def __init__(self):
        self.kept = {}

    async def secret(self, account, region, secret):
        found = self.kept.get(secret, AwsError("ResourceNotFoundException", "there is none"))
        if isinstance(found, Exception):
            raise found
        return found


class Upstream:
    """A registry somewhere: manifests by tag and digest, blobs; counts what is asked of it."""

    def __init__(self):
        self.manifests, self.blobs, self.asked, self.logins, self.hosts = {}, {}, [], [], []
        self.fault = None
        self.gate = None

    def add(self, repository, tag, config=b"{}", layers=(b"layer",)):
        data = manifest_of(config, layers)
        self.blobs |= {sha(blob): blob for blob in (config, *layers)}
        self.add_manifest(repository, tag, data, DOCKER_MANIFEST)
        return data

    def add_manifest(self, repository, tag, data, kind):
        for name in filter(None, (tag, sha(data))):
            self.manifests[repository, name] = (kind, data)

    @contextlib.asynccontextmanager
    async def open(self, login):
        self.logins.append(login)
        yield self

    async def manifest(self, reference):
        self.hosts.append(reference.host)
        self.asked.append(("manifest", reference.repository, reference.digest or reference.tag))
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        found = self.manifests.get((reference.repository, reference.digest or reference.tag))
        if found is None:
            raise PullError("not-found", "no such image")
        kind, data = found
        return Descriptor(media_type=kind, digest=sha(data), size=len(data)), data

    async def blob(self, reference, blob):
        self.asked.append(("blob", reference.repository, blob.digest))
        data = self.blobs[blob.digest]
        for at in range(0, len(data), 3):
            yield data[at : at + 3]

    def path(self, reference, blob):
        return None


class Sink:
    """The meter: keeps usage records."""

    def __init__(self):
        self.records = []
        self.came = asyncio.Event()

    def record(self, *records):
        self.records += records
        self.came.set()

    async def wait(self, count):
        """Wait until so many records have come."""
        while len(self.records) < count:
            self.came.clear()
            await self.came.wait()


class World:
    """One cloud's ECR on a folder; `reopen` is a kill and a new start."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = VirtualClock()
        self.bus, self.secrets, self.upstream, self.sink = Bus(), SecretBox(), Upstream(), Sink()
        self.principals = {}
        self.local_upstreams = True

    async def open(self):
        self.store = Store(self.folder / "db", synchronous="OFF")
        self.content = Content(self.folder / "content")
        self.layers = StoredLayers(content=self.content, store=self.store, clock=self.clock, ids=Ids())
        self.catalog = StoredCatalog(self.store, self.layers, self.clock)
        self.rules = Rules(
            self.store,
            self.clock,
            catalog=self.catalog,
            layers=self.layers,
            incoming=self.folder / "arriving",
            secrets=self.secrets,
            bus=self.bus,
            open_source=self.upstream.open,
            local_upstreams=self.local_upstreams,
            principal_of=lambda key: self.principals.get(key, ""),
        )
        self.meter = StorageMeter(self.store, self.clock, self.sink, self.catalog, self.layers)
        self.catalog.listeners += [self.rules.heard, self.meter.heard]
        self.catalog.uncounted = self.rules.excluded
        self.door = Door(
            {"ecr": Service("ecr", self.operations())},
            self.companion,
            models=MODELS,
            keys=Keys(store=self.store, clock=self.clock, ids=Ids()),
            ids=Ids(),
            clock=self.clock,
            verify=False,
            account=HOME,
            region=REGION,
        )
        await self.rules.start()

    def operations(self):
        """Those of ECR as a whole, as the integration puts them together."""
        ecr = Ecr(
            self.catalog,
            self.layers,
            self.clock,
            Ids(),
            missing=self.rules.missing,
            extra=self.rules.operations(),
        )
        return ecr.operations()

    async def companion(self, request):
        raise AssertionError("nothing here is for a companion")

    async def reopen(self):
        await self.close()
        await self.open()

    async def close(self):
        await self.rules.close()
        self.content.close()
        await self.store.close()

    async def call(self, operation, *, account=HOME, region=REGION, **values):
        scope = f"{account}/20240101/{region}/ecr/aws4_request"
        headers = {
            "host": "localhost",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": TARGET + operation,
        }
        body = json.dumps(values).encode()
        headers["content-length"] = str(len(body))
        raw = Headers((name.encode(), value.encode()) for name, value in headers.items())
        answer = await self.door(Request("POST", "/", "", raw, BytesBody(body)))
        found = json.loads(answer.body)
        if answer.status != 200:
            raise Refused(found["__type"].rpartition("#")[2], found.get("message", ""))
        return found

    async def create(self, name="app", *, account=HOME, region=REGION, **fields):
        made = Repository(account=account, region=region, name=name, created_at=self.clock.now(), **fields)
        return await self.catalog.create(made)

    async def push(self, repository, tag="", *, seed=b"1", layers=None):
        config, blobs = b'{"seed": "%b"}' % seed, layers or [seed * 10]
        for blob in (config, *blobs):
            await self.layers.put(repository, blob)
        return await self.catalog.put_image(repository, manifest_of(config, blobs), tag=tag)

    def has(self, name, tag="", *, digest="", account=HOME, region=REGION):
        repository = self.catalog.find(account, region, name)
        if repository is None:
            return None
        with contextlib.suppress(AwsError):
            return self.catalog.image(repository, tag=tag, digest=digest)
        return None


def play(folder, story):
    """Run a story in a fresh cloud."""

    async def run():
        world = World(folder)
        await world.open()
        try:
            async with asyncio.timeout(30):
                await story(world)
        finally:
            await world.close()

    asyncio.run(run())


async def refused(code, awaitable, sentence=""):
    with pytest.raises((Refused, AwsError)) as caught:
        await awaitable
    assert caught.value.code == code, caught.value
    assert sentence in caught.value.message
    return caught.value
