"""Images from a source that is handed in, as our own registry is; and archives as today's Docker writes them."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from cumulo.engines.images import Descriptor, Images, PullError, Reference
from cumulo.engines.oci.store import ImageStore
from tests.oci_kit import Layout, digest_of, folder, member, tarred, with_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking layers needs root")

BASE = tarred(folder("etc"), member("etc/name", b"base"))
APP = tarred(member("app", b"app"))


class Local:
    """A source whose blobs are files, or that streams them; counts what it is asked for."""

    def __init__(self, layout: Layout, digest: str, *, files: bool = True, broken: bool = False) -> None:
        self._layout = layout
        self.digest = digest
        self._files = files
        self._broken = broken
        self.asked: list[str] = []

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        digest = reference.digest or self.digest
        self.asked.append(digest)
        raw = (self._layout.blobs / digest[7:]).read_bytes()
        return Descriptor(media_type="", digest=digest, size=len(raw)), raw

    async def blob(self, reference: Reference, blob: Descriptor):
        self.asked.append(blob.digest)
        if self._broken and blob.size != len(json.dumps({})):
            await asyncio.sleep(0.05)
            raise PullError("unreachable", "it broke")
        yield (self._layout.blobs / blob.digest[7:]).read_bytes()

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        if not self._files:
            return None
        self.asked.append(blob.digest)
        return self._layout.blobs / blob.digest[7:]


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize("packing", ["", "+gzip", "+zstd"])
def test_blobs_come_as_files_or_in_pieces(tmp_path, files, packing):
    layout = Layout(tmp_path / "layout")
    source = Local(layout, layout.image([BASE, APP], packing=packing)["digest"], files=files)

    async def work(store: ImageStore):
        images: Images = store
        image = await images.pull("ours.example/app:1", source=source)
        assert (store.folder(image.layers[0]) / "etc/name").read_bytes() == b"base"
        asked = len(source.asked)
        again = await images.pull("ours.example/app:2", source=source)
        assert len(source.asked) == asked + 1, "only the manifest: the rest is known"
        assert again.references == ("ours.example/app:1", "ours.example/app:2")

    with_store(tmp_path / "store", work)


def test_a_file_that_was_said_to_be_checked_is_checked_all_the_same(tmp_path):
    layout = Layout(tmp_path / "layout")
    source = Local(layout, layout.image([BASE], packing="")["digest"])
    path = layout.blobs / digest_of(BASE)[7:]
    path.write_bytes(path.read_bytes().replace(b"base", b"evil"))

    async def work(store: ImageStore):
        with pytest.raises(PullError) as error:
            await store.pull("ours.example/app:1", source=source)
        assert error.value.kind == "corrupt"
        assert await store.list() == []

    with_store(tmp_path / "store", work)


def test_a_tag_that_moves_leaves_the_old_image_to_prune(tmp_path):
    layout = Layout(tmp_path / "layout")
    source = Local(layout, layout.image([BASE])["digest"])
    used: set[str] = set()

    async def work(store: ImageStore):
        old = await store.pull("ours.example/app", source=source)
        source.digest = layout.image([BASE, APP])["digest"]
        new = await store.pull("ours.example/app", source=source)
        assert await store.get("ours.example/app") == new
        before = await store.get(old.id)
        assert before is not None
        assert before.references == ()
        used.add(old.id)
        assert await store.prune() == ()
        used.clear()
        assert [image.id for image in await store.prune()] == [old.id]
        assert await store.list() == [new]
        assert (store.folder(new.layers[0]) / "etc/name").exists(), "the shared layer stays"

    with_store(tmp_path / "store", work, in_use=used.__contains__)
    assert with_store(tmp_path / "store", lambda store: store.get("ours.example/app")).layers[1] == digest_of(
        APP
    )


def test_a_source_that_breaks_does_not_spoil_the_layer_for_another(tmp_path):
    layout = Layout(tmp_path / "layout")
    digest = layout.image([BASE])["digest"]

    class Half(Local):
        """Gives the configuration, and breaks at the layer."""

        async def blob(self, reference: Reference, blob: Descriptor):
            if "config" in blob.media_type:
                yield (layout.blobs / blob.digest[7:]).read_bytes()
            else:
                await asyncio.sleep(0.1)
                raise PullError("unreachable", "it broke")

    async def work(store: ImageStore):
        outcomes = await asyncio.gather(
            store.pull("one.example/app", source=Half(layout, digest, files=False)),
            store.pull("two.example/app", source=Local(layout, digest, files=False)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], PullError)
        assert not isinstance(outcomes[1], BaseException), outcomes[1]

    with_store(tmp_path / "store", work)


def test_a_removal_in_the_middle_of_a_pull_takes_nothing_from_it(tmp_path):
    layout = Layout(tmp_path / "layout")
    one = Local(layout, layout.image([BASE])["digest"])
    two = Local(layout, layout.image([BASE, tarred(*(member(f"f{n}") for n in range(3000)))])["digest"])

    async def work(store: ImageStore):
        await store.pull("one.example/app", source=one)
        pulling = asyncio.ensure_future(store.pull("two.example/app", source=two))
        await asyncio.sleep(0.02)
        await store.remove("one.example/app")
        image = await pulling
        assert (store.folder(image.layers[0]) / "etc/name").exists()
        await asyncio.gather(
            store.pull("two.example/app", source=two), store.remove("two.example/app"), return_exceptions=True
        )
        for image in await store.list():
            assert all(store.folder(layer).is_dir() for layer in image.layers)

    with_store(tmp_path / "store", work)


def test_what_docker_saves_today_is_known_by_its_full_name(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([BASE], packing="")
    layout.entries[0]["annotations"] = {
        "io.containerd.image.name": "docker.io/library/app:latest",
        "org.opencontainers.image.ref.name": "latest",
    }
    layout.image([b""], packing="")
    layout.entries[1]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    (layout.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": layout.entries}))
    (layout.root / "manifest.json").write_text(
        json.dumps([{"Config": "x", "RepoTags": ["app:latest"], "Layers": []}])
    )
    (image,) = with_store(tmp_path / "store", lambda store: store.load(layout.root))
    assert image.references == ("docker.io/library/app:latest",)


def test_an_archive_for_another_machine_says_which(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([BASE], architecture="s390x", name="example.com/x:1")

    async def work(store: ImageStore):
        with pytest.raises(PullError, match="linux/s390x") as error:
            await store.load(layout.root)
        assert error.value.kind == "platform"

    with_store(tmp_path / "store", work)
