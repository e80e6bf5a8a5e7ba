"""What the registry asks of others: what is missing on a pull or a push, and who may do what."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.registry_kit import ACCOUNT, REGION, manifest_of, sha256

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layer_upkeep import needed_by
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.model import OCI_MANIFEST, Repository
from cumulo.services.ecr.registry.access import Access, anybody, own_account_only
from cumulo.services.ecr.registry.registry import Registry
from cumulo.services.ecr.tokens import Tokens
from cumulo.state.content import Content
from cumulo.state.store import Store, StoreError
from cumulo.wire.http import BytesBody, Headers, Request, Response


class World:
    """A registry on a temporary folder, with hooks that a test sets."""

    def __init__(self, root: Path, store: Store, content: Content) -> None:
        clock, ids = SystemClock(), Ids()
        self.layers = StoredLayers(content=content, store=store, clock=clock, ids=ids)
        self.catalog = StoredCatalog(store, self.layers, clock)
        self.tokens = Tokens(store, clock)
        self.access = Access(tokens=self.tokens, ids=ids, verify=False, account=ACCOUNT, region=REGION)
        self.asked: list[tuple[str, ...]] = []
        self.authorize = anybody

    def registry(self, **hooks) -> Registry:
        return Registry(
            catalog=self.catalog,
            layers=self.layers,
            access=self.access,
            authorize=self.authorize,
            needs=needed_by(self.catalog),
            sources=self.layers.sources,
            **hooks,
        )

    async def create(self, name: str) -> Repository:
        return await self.catalog.create(
            Repository(account=ACCOUNT, region=REGION, name=name, created_at=1.0)
        )

    async def push(self, repository: Repository, tag: str) -> bytes:
        await self.layers.put(repository, b"{}")
        data = json.dumps(manifest_of(b"{}")).encode()
        await self.catalog.put_image(repository, data, media_type=OCI_MANIFEST, tag=tag)
        return data


def run(root: Path, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        store, content = Store(root / "db"), Content(root / "content")
        try:
            await scenario(World(root, store, content))
        finally:
            content.close()
            await store.close()

    asyncio.run(whole())


async def ask(registry: Registry, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    path, _, query = path.partition("?")
    raw = [(b"host", b"localhost"), *((k.encode().lower(), v.encode()) for k, v in headers.items())]
    raw.append((b"content-length", b"%d" % len(body)))
    return await registry(Request(method, path, query, Headers(raw), BytesBody(body)))


def code(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)["errors"][0]["code"]


def test_what_a_pull_does_not_find_is_asked_for_once_and_a_tag_each_time(tmp_path: Path):
    async def scenario(world: World) -> None:
        async def missing(*asked: str) -> Repository | None:
            world.asked.append(asked)
            if asked[3] == "nowhere":
                return None
            found = world.catalog.find(*asked[:3])
            repository = found or await world.create(asked[2])
            if not asked[3].startswith("sha256:") and asked[3] not in world.catalog.tags(repository):
                await world.push(repository, asked[3])
            return repository

        registry = world.registry(missing=missing)
        assert code(await ask(registry, "GET", "/v2/cache/x/manifests/nowhere")) == "NAME_UNKNOWN"
        assert (await ask(registry, "GET", "/v2/cache/x/manifests/v1")).status == 200
        assert (await ask(registry, "GET", "/v2/cache/x/manifests/v1")).status == 200
        assert (await ask(registry, "HEAD", "/v2/cache/x/manifests/v2")).status == 200
        assert code(await ask(registry, "GET", "/v2/cache/x/manifests/nowhere")) == "MANIFEST_UNKNOWN"
        assert (await ask(registry, "GET", f"/v2/cache/x/blobs/{sha256(b'{}')}")).status == 200
        assert code(await ask(registry, "GET", f"/v2/cache/x/blobs/{sha256(b'no')}")) == "BLOB_UNKNOWN"
        here = (ACCOUNT, REGION, "cache/x")
        assert world.asked == [
            (*here, one) for one in ("nowhere", "v1", "v1", "v2", "nowhere", sha256(b"no"))
        ]

    run(tmp_path, scenario)


def test_a_push_may_make_its_repository(tmp_path: Path):
    async def scenario(world: World) -> None:
        async def on_push(account: str, region: str, name: str) -> Repository | None:
            return await world.create(name) if name.startswith("made/") else None

        registry = world.registry(on_push=on_push)
        begun = await ask(registry, "POST", "/v2/made/x/blobs/uploads/")
        assert begun.status == 202
        assert code(await ask(registry, "POST", "/v2/other/blobs/uploads/")) == "NAME_UNKNOWN"
        assert code(await ask(registry, "PUT", "/v2/made/y/manifests/v1", b"{}")) == "UNSUPPORTED"
        assert world.catalog.find(ACCOUNT, REGION, "made/y") is not None

    run(tmp_path, scenario)


def test_who_may_not_makes_nothing_come_into_being(tmp_path: Path):
    async def scenario(world: World) -> None:
        async def hook(*asked: str) -> Repository | None:
            world.asked.append(asked)
            return None

        world.authorize = own_account_only
        registry = world.registry(missing=hook, on_push=hook)
        token = f"Basic {(await world.tokens.issue('999999999999', REGION))[0]}"
        for method, path in (("GET", "/v2/x/manifests/v1"), ("POST", "/v2/x/blobs/uploads/")):
            raw = [
                (b"host", f"{ACCOUNT}.dkr.ecr.{REGION}.localhost".encode()),
                (b"authorization", token.encode()),
            ]
            answer = await registry(Request(method, path, "", Headers(raw), BytesBody(b"")))
            assert (answer.status, code(answer)) == (403, "DENIED")
        assert world.asked == []

    run(tmp_path, scenario)


def test_every_action_is_asked_for_by_name(tmp_path: Path):
    async def scenario(world: World) -> None:
        allowed: set[str] = set()
        refused: list[str] = []

        def authorize(caller: Caller, action: str, repository: Repository) -> None:
            if action not in allowed:
                refused.append(action)
                raise AwsError(
                    "AccessDeniedException",
                    f"no {action} on {repository.arn} for {caller.account}",
                    status=403,
                )

        world.authorize = authorize
        registry = world.registry()
        repository = await world.create("x")
        await world.push(repository, "v1")
        digest = sha256(b"{}")
        for method, path, action in (
            ("GET", "/v2/x/manifests/v1", "ecr:BatchGetImage"),
            ("GET", f"/v2/x/blobs/{digest}", "ecr:BatchGetImage"),
            ("GET", f"/v2/x/referrers/{digest}", "ecr:BatchGetImage"),
            ("GET", "/v2/x/tags/list", "ecr:ListImages"),
            ("GET", "/v2/_catalog", "ecr:DescribeRepositories"),
            ("POST", "/v2/x/blobs/uploads/", "ecr:InitiateLayerUpload"),
            ("PATCH", "/v2/x/blobs/uploads/a", "ecr:UploadLayerPart"),
            ("GET", "/v2/x/blobs/uploads/a", "ecr:UploadLayerPart"),
            ("DELETE", "/v2/x/blobs/uploads/a", "ecr:UploadLayerPart"),
            ("PUT", f"/v2/x/blobs/uploads/a?digest={digest}", "ecr:CompleteLayerUpload"),
            ("PUT", "/v2/x/manifests/v1", "ecr:PutImage"),
            ("DELETE", "/v2/x/manifests/v1", "ecr:BatchDeleteImage"),
            ("DELETE", f"/v2/x/blobs/{digest}", "ecr:BatchDeleteImage"),
        ):
            answer = await ask(registry, method, path)
            assert (answer.status, code(answer), refused.pop()) == (403, "DENIED", action)
            assert not refused

    run(tmp_path, scenario)


def test_a_disk_that_refuses_does_not_stop_pulls(tmp_path: Path):
    async def scenario(world: World) -> None:
        await world.push(await world.create("x"), "v1")

        async def pulled(*_: object) -> None:
            raise StoreError("the disk is full")

        world.catalog.pulled = pulled  # type: ignore[method-assign]
        assert (await ask(world.registry(), "GET", "/v2/x/manifests/v1")).status == 200

    run(tmp_path, scenario)


def test_signed_requests_are_for_other_services(tmp_path: Path):
    async def scenario(world: World) -> None:
        registry = world.registry()

        def wants(path: str, query: str = "", authorization: bytes = b"") -> bool:
            headers = Headers([(b"host", b"x"), (b"authorization", authorization)])
            return registry.wants(Request("GET", path, query, headers, BytesBody(b"")))

        assert wants("/v2")
        assert wants("/v2/")
        assert wants("/v2/a/tags/list", authorization=b"Basic abc")
        assert not wants("/v2/apis", authorization=b"AWS4-HMAC-SHA256 Credential=x")
        assert not wants("/v2/apis", query="X-Amz-Algorithm=x&X-Amz-Signature=y")
        assert not wants("/v20")
        assert not wants("/")

    run(tmp_path, scenario)
