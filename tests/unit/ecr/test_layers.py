"""Layers and uploads of repositories."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecr.layer_upkeep import LayerUpkeep
from cumulo.services.ecr.layers import UPLOADS_PER_REPOSITORY_MAX, StoredLayers
from cumulo.services.ecr.model import Repository
from cumulo.state.content import Content
from cumulo.state.store import Store

HERE = Repository(account="000000000000", region="us-east-1", name="here", created_at=1.0)
THERE = Repository(account="000000000000", region="us-east-1", name="there", created_at=1.0)
DAY = 24 * 3600.0


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def some(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def run(
    root: Path, scenario: Callable[[StoredLayers], Awaitable[None]], clock: VirtualClock | None = None
) -> None:
    async def whole() -> None:
        store = Store(root / "db")
        content = Content(root / "content")
        try:
            await scenario(
                StoredLayers(content=content, store=store, clock=clock or SystemClock(), ids=Ids())
            )
        finally:
            content.close()
            await store.close()

    asyncio.run(whole())


async def push(layers: StoredLayers, repository: Repository, data: bytes) -> None:
    upload = await layers.begin(repository)
    upload = await layers.append(upload, 0, some(data))
    await layers.finish(upload, [sha256(data)])


async def refused(work: Awaitable[object]) -> AwsError:
    with pytest.raises(AwsError) as caught:
        await work
    return caught.value


def test_a_finished_upload_is_a_layer_of_its_repository_alone(tmp_path: Path):
    async def scenario(layers: StoredLayers) -> None:
        await push(layers, HERE, b"data")
        layer = layers.get(HERE, sha256(b"data"))
        assert layer is not None
        assert layer.size_bytes == 4
        assert layers.path(layer.digest).read_bytes() == b"data"
        assert layers.get(THERE, layer.digest) is None
        assert layers.uploads.scan() == []

    async def later(layers: StoredLayers) -> None:
        assert layers.get(HERE, sha256(b"data")) is not None

    run(tmp_path, scenario)
    run(tmp_path, later)


def test_an_upload_goes_on_after_a_restart(tmp_path: Path):
    ids = []

    async def first(layers: StoredLayers) -> None:
        upload = await layers.begin(HERE)
        ids.append((await layers.append(upload, 0, some(b"ab"))).id)

    async def second(layers: StoredLayers) -> None:
        upload = layers.upload(HERE, ids[0])
        assert upload.received == 2
        upload = await layers.append(upload, 2, some(b"cd"))
        assert (await layers.finish(upload, [sha256(b"abcd")])).size_bytes == 4

    run(tmp_path, first)
    run(tmp_path, second)


def test_what_is_wrong_with_an_upload_is_said(tmp_path: Path):
    async def scenario(layers: StoredLayers) -> None:
        upload = await layers.begin(HERE)
        assert (await refused(layers.finish(upload, [sha256(b"")]))).code == "EmptyUploadException"
        await layers.append(upload, 0, some(b"ab"))
        error = await refused(layers.append(upload, 1, some(b"cd")))
        assert error.code == "InvalidLayerPartException"
        assert error.message == "First byte of the layer part is 1 instead of 2"
        assert error.fields == {
            "registryId": HERE.account,
            "repositoryName": "here",
            "uploadId": upload.id,
            "lastValidByteReceived": 1,
        }
        assert (await refused(layers.finish(upload, [sha256(b"x")]))).code == "InvalidLayerException"
        await layers.finish(upload, [sha256(b"ab")])
        for work in (layers.append(upload, 0, some(b"x")), layers.finish(upload, [sha256(b"x")])):
            assert (await refused(work)).code == "UploadNotFoundException"
        again = await layers.begin(HERE)
        await layers.append(again, 0, some(b"ab"))
        assert (await refused(layers.finish(again, [sha256(b"ab")]))).code == "LayerAlreadyExistsException"
        with pytest.raises(AwsError, match="UploadNotFoundException"):
            layers.upload(THERE, upload.id)

    run(tmp_path, scenario)


def test_a_cancelled_upload_leaves_nothing(tmp_path: Path):
    async def scenario(layers: StoredLayers) -> None:
        upload = await layers.begin(HERE)
        await layers.append(upload, 0, some(b"ab"))
        await layers.cancel(upload)
        assert not list((layers.content.root / "incoming").iterdir())
        assert (await refused(layers.append(upload, 2, some(b"cd")))).code == "UploadNotFoundException"

    run(tmp_path, scenario)


def test_a_layer_is_mounted_from_a_repository_that_has_it(tmp_path: Path):
    async def scenario(layers: StoredLayers) -> None:
        assert await layers.mount(HERE, THERE, sha256(b"data")) is None
        await push(layers, HERE, b"data")
        assert await layers.mount(HERE, THERE, sha256(b"data")) is not None
        assert await layers.remove(HERE, sha256(b"data"))
        assert not await layers.remove(HERE, sha256(b"data"))
        assert layers.get(THERE, sha256(b"data")) is not None
        assert layers.shown(sha256(b"data"))
        found = layers.sources(HERE.account, HERE.region, sha256(b"data"))
        assert [one.repository for one in found] == ["there"]

    run(tmp_path, scenario)


def test_a_repository_that_goes_takes_its_layers_and_uploads_along(tmp_path: Path):
    async def scenario(layers: StoredLayers) -> None:
        await push(layers, HERE, b"data")
        await push(layers, THERE, b"data")
        upload = await layers.begin(HERE)
        layers.forget(HERE)
        await layers.store.commit()
        assert layers.get(HERE, sha256(b"data")) is None
        assert layers.get(THERE, sha256(b"data")) is not None
        assert (await refused(layers.append(upload, 0, some(b"x")))).code == "UploadNotFoundException"

    run(tmp_path, scenario)


def test_uploads_are_bounded_and_the_idle_ones_make_room(tmp_path: Path):
    clock = VirtualClock()

    async def scenario(layers: StoredLayers) -> None:
        first = await layers.begin(HERE)
        clock.advance(1)
        for _ in range(UPLOADS_PER_REPOSITORY_MAX - 1):
            await layers.begin(HERE)
        assert (await refused(layers.begin(HERE))).code == "LimitExceededException"
        clock.advance(3601)
        await layers.begin(HERE)
        with pytest.raises(AwsError, match="UploadNotFoundException"):
            layers.upload(HERE, first.id)

    run(tmp_path, scenario, clock)


def test_upkeep_ends_old_uploads_and_drops_layers_that_no_image_needs(tmp_path: Path):
    clock = VirtualClock()

    async def scenario(layers: StoredLayers) -> None:
        upkeep = LayerUpkeep(layers, lambda layer: layer.digest == sha256(b"needed"))
        for data in (b"needed", b"needless", b"asked for"):
            await push(layers, HERE, data)
            os.utime(layers.path(sha256(data)), (1, 1))
        old = await layers.begin(HERE)
        await layers.append(old, 0, some(b"ab"))
        clock.advance(DAY - 60)
        assert await upkeep.tidy() == 0
        assert layers.get(HERE, sha256(b"asked for")) is not None
        young = await layers.begin(HERE)
        clock.advance(120)
        assert await upkeep.tidy() == 1
        assert layers.get(HERE, sha256(b"needed")) is not None
        assert layers.get(HERE, sha256(b"asked for")) is not None
        assert layers.get(HERE, sha256(b"needless")) is None
        assert not layers.path(sha256(b"needless")).exists()
        assert layers.upload(HERE, young.id).received == 0
        with pytest.raises(AwsError, match="UploadNotFoundException"):
            layers.upload(HERE, old.id)
        assert not list((layers.content.root / "incoming").iterdir())

    run(tmp_path, scenario, clock)


def test_small_things_and_files_are_kept_as_layers(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")

    async def scenario(layers: StoredLayers) -> None:
        assert (await layers.put(HERE, b"{}", "application/json")).digest == sha256(b"{}")
        assert (await refused(layers.take_file(HERE, sha256(b"x"), file))).code == "InvalidLayerException"
        assert (await layers.take_file(HERE, sha256(b"abc"), file)).size_bytes == 3
        assert layers.path(sha256(b"abc")).read_bytes() == b"abc"

    run(tmp_path, scenario)
