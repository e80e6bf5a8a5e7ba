"""Uploads against a model: whatever chunks a client sends, in whatever order, the bytes are its own or refused."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.model import Repository
from cumulo.state.content import Content
from cumulo.state.store import Store

PLACE = Repository(account="000000000000", region="us-east-1", name="a", created_at=1.0)

CHUNKS = st.tuples(
    st.just("chunk"),
    st.one_of(st.none(), st.integers(-2, 2)),  # where it says it begins: None, or so far off
    st.lists(st.binary(max_size=50), max_size=4),
    st.booleans(),  # whether the client dies at the end of it
)
STEPS = st.lists(
    st.one_of(
        CHUNKS,
        st.tuples(st.just("restart")),
        st.tuples(st.just("finish"), st.booleans()),
        st.tuples(st.just("cancel")),
    ),
    max_size=12,
)


class Gone(Exception):
    pass


async def pieces(data: list[bytes], dies: bool) -> AsyncIterator[bytes]:
    for one in data:
        yield one
    if dies:
        raise Gone


class Uploading:
    """The real thing, opened again at will, beside what it should hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = VirtualClock()
        self.model: dict[str, bytes] = {}
        self.kept: set[bytes] = set()

    def open(self) -> None:
        self.store = Store(self.root / "db", synchronous="OFF")
        self.content = Content(self.root / "content")
        self.layers = StoredLayers(content=self.content, store=self.store, clock=self.clock, ids=Ids())

    async def close(self) -> None:
        self.content.close()
        await self.store.close()

    async def step(self, upload_id: str, step: tuple) -> None:
        have = self.model[upload_id]
        upload = self.layers.upload(PLACE, upload_id)
        assert upload.received == len(have)
        if step[0] == "restart":
            await self.close()
            self.open()
        elif step[0] == "cancel":
            await self.layers.cancel(upload)
            del self.model[upload_id]
        elif step[0] == "chunk":
            _, off, data, dies = step
            first = None if off is None else len(have) + off
            if off:
                with pytest.raises(AwsError, match="InvalidLayerPart"):
                    await self.layers.append(upload, first, pieces(data, dies))
                return
            self.model[upload_id] = have + b"".join(data)
            if dies:
                with pytest.raises(Gone):
                    await self.layers.append(upload, first, pieces(data, dies))
            else:
                upload = await self.layers.append(upload, first, pieces(data, dies))
                assert upload.received == len(self.model[upload_id])
        else:
            await self.finish(upload_id, right=step[1])

    async def finish(self, upload_id: str, *, right: bool) -> None:
        have = self.model[upload_id]
        digest = f"sha256:{hashlib.sha256(have if right else have + b'x').hexdigest()}"
        upload = self.layers.upload(PLACE, upload_id)
        wanted = "EmptyUpload" if not have else "InvalidLayerException" if not right else "LayerAlreadyExists"
        if have and right:
            del self.model[upload_id]
        if have and right and have not in self.kept:
            assert (await self.layers.finish(upload, [digest])).size_bytes == len(have)
            self.kept.add(have)
        else:
            with pytest.raises(AwsError, match=wanted):
                await self.layers.finish(upload, [digest])

    def check(self) -> None:
        files = [path for path in (self.root / "content/sha256").rglob("*") if path.is_file()]
        assert {path.read_bytes() for path in files} == self.kept
        assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in files)
        assert len(self.layers.layers) == len(self.kept)
        for upload_id, have in self.model.items():
            assert self.layers.upload(PLACE, upload_id).received == len(have)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=3))
def test_uploads_hold_what_was_sent_and_nothing_else(plans: list[list[tuple]]):
    async def scenario(root: Path) -> None:
        uploading = Uploading(root)
        uploading.open()
        try:
            for plan in plans:
                upload_id = (await uploading.layers.begin(PLACE)).id
                uploading.model[upload_id] = b""
                for step in plan:
                    if upload_id in uploading.model:
                        await uploading.step(upload_id, step)
                uploading.check()
        finally:
            await uploading.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
