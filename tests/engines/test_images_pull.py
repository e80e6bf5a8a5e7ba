"""Pulls and loads with real peers: Debian's docker-registry, skopeo, umoci."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from cumulo.engines.engine import Busy
from cumulo.engines.images import Login, Platform, PullError
from cumulo.engines.oci.store import ImageStore
from tests.oci_kit import (
    Layout,
    digest_of,
    folder,
    member,
    registry_process,
    skopeo,
    symlink,
    tarred,
    with_store,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="unpacking layers needs root"),
    pytest.mark.skipif(
        not (shutil.which("docker-registry") and shutil.which("skopeo")),
        reason="needs docker-registry and skopeo",
    ),
]

BASE = tarred(
    folder("bin"), member("bin/tool", os.urandom(300_000), mode=0o4755, uid=7, gid=8), symlink("sbin", "bin")
)
APP = tarred(member("app.py", b"print('hello')\n"), member("bin/.wh.tool"))


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """A registry with images in it."""
    root = tmp_path_factory.mktemp("peer")
    with registry_process(root / "registry") as host:
        for name, packing in (("gz", "+gzip"), ("zst", "+zstd"), ("plain", "")):
            layout = Layout(root / name)
            layout.image([BASE, APP], packing=packing, name="v1", Cmd=["python3", "/app.py"], Env=["A=1=2"])
            skopeo("copy", "--dest-tls-verify=false", f"oci:{root / name}:v1", f"docker://{host}/{name}:v1")
        skopeo(
            "copy",
            "--format=v2s2",
            "--dest-tls-verify=false",
            f"oci:{root / 'gz'}:v1",
            f"docker://{host}/docker:v1",
        )
        layout = Layout(root / "multi")
        both = [
            layout.image([BASE], architecture=one, list_it=False, Cmd=[one])
            for one in ("amd64", "arm64", "s390x")
        ]
        layout.index(both, "v1")
        skopeo(
            "copy",
            "--all",
            "--dest-tls-verify=false",
            f"oci:{root / 'multi'}:v1",
            f"docker://{host}/multi:v1",
        )
        yield host


@pytest.mark.parametrize("name", ["gz", "zst", "plain", "docker"])
def test_an_image_is_pulled_from_a_registry(peer, tmp_path, name):
    async def work(store: ImageStore):
        image = await store.pull(f"{peer}/{name}:v1")
        assert image.config.command == ("python3", "/app.py")
        assert image.config.env == {"A": "1=2"}
        assert image.layers == (digest_of(BASE), digest_of(APP))
        assert image.references == (f"{peer}/{name}:v1",)
        assert image.size_bytes == 300_000 + 15
        assert image.created_at == 1767323045.123456
        base, app = (store.folder(layer) for layer in image.layers)
        found = (base / "bin/tool").stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o4755, 7, 8)
        assert (base / "sbin").readlink() == Path("bin")
        assert (app / "bin/tool").is_char_device()
        assert await store.get(image.id) == image == await store.get(f"{peer}/{name}:v1")

    with_store(tmp_path, work)


def test_layers_are_shared_across_compressions_and_go_with_the_last_image(peer, tmp_path):
    async def work(store: ImageStore):
        images = [await store.pull(f"{peer}/{name}:v1") for name in ("gz", "zst", "plain", "multi")]
        assert len(list((tmp_path / "layers").iterdir())) == 2
        assert len(await store.list()) == 2  # gz, zst and plain have one configuration
        for image in images:
            for name in image.references:
                await store.remove(name)
        await store.remove(images[0].id)
        assert await store.list() == []

    with_store(tmp_path, work)
    assert list((tmp_path / "layers").iterdir()) == []
    assert list((tmp_path / "incoming").iterdir()) == []
    assert list((tmp_path / "references").iterdir()) == []


def test_an_index_leads_to_the_platform(peer, tmp_path):
    async def work(store: ImageStore):
        arm = await store.pull(f"{peer}/multi:v1", platform=Platform("arm64"))
        assert arm.config.command == ("arm64",)
        with pytest.raises(PullError, match=r"linux/riscv64.*linux/amd64.*linux/arm64") as error:
            await store.pull(f"{peer}/multi:v1", platform=Platform("riscv64"))
        assert error.value.kind == "platform"
        pinned = await store.pull(f"{peer}/multi@{arm.digest}", platform=Platform("arm64"))
        assert pinned.id == arm.id
        assert f"{peer}/multi@{arm.digest}" in pinned.references
        with pytest.raises(PullError) as error:
            await store.pull(f"{peer}/gz:v1", platform=Platform("arm64"))
        assert error.value.kind == "platform"

    with_store(tmp_path, work)


def test_twenty_pulls_at_once_unpack_each_layer_once(peer, tmp_path):
    async def work(store: ImageStore):
        names = [f"{peer}/{name}:v1" for name in ("gz", "zst") for _ in range(10)]
        images = await asyncio.gather(*map(store.pull, names))
        assert len({image.id for image in images}) == 1

    with_store(tmp_path, work)
    assert len(list((tmp_path / "layers").iterdir())) == 2


def test_what_is_not_there_says_so(peer, tmp_path):
    async def work(store: ImageStore):
        for name, kind in (
            (f"{peer}/nothing:v1", "not-found"),
            (f"{peer}/gz:v2", "not-found"),
            ("127.0.0.1:1/gz:v1", "unreachable"),
            ("upper/CASE", "not-found"),
        ):
            with pytest.raises(PullError) as error:
                await store.pull(name)
            assert error.value.kind == kind, name
        assert await store.list() == []

    with_store(tmp_path, work)


def test_a_registry_with_a_password(tmp_path):
    with registry_process(tmp_path / "registry", password=True) as host:
        Layout(tmp_path / "image").image([BASE], name="v1")
        skopeo("copy", "--dest-tls-verify=false", "--dest-creds=user:secret", f"oci:{tmp_path / 'image'}:v1", f"docker://{host}/private:v1")  # fmt: skip

        async def work(store: ImageStore):
            for login in (None, Login("user", "wrong")):
                with pytest.raises(PullError) as error:
                    await store.pull(f"{host}/private:v1", login=login)
                assert error.value.kind == "unauthorized"
            image = await store.pull(f"{host}/private:v1", login=Login("user", "secret"))
            assert image.layers == (digest_of(BASE),)

        with_store(tmp_path / "store", work)


def test_what_is_known_is_not_asked_for_again(peer, tmp_path):
    with registry_process(tmp_path / "registry") as host:
        skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{peer}/gz:v1", f"docker://{host}/gz:v1")  # fmt: skip
        with_store(tmp_path / "store", lambda store: store.pull(f"{host}/gz:v1"))

    async def work(store: ImageStore):
        image = await store.pull(f"{host}/gz:v1", only_missing=True)
        assert (store.folder(image.layers[0]) / "bin/tool").exists()
        with pytest.raises(PullError):
            await store.pull(f"{host}/gz:v1")

    with_store(tmp_path / "store", work)


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes_is_loaded(peer, tmp_path, kind):
    archive = tmp_path / "archive"
    name = "example.com/team/app:v1"
    skopeo("copy", "--src-tls-verify=false", f"docker://{peer}/gz:v1", f"{kind}:{archive}:{name}")

    async def work(store: ImageStore):
        (image,) = await store.load(archive)
        assert image.references == (name,)
        assert image.layers == (digest_of(BASE), digest_of(APP))
        assert (store.folder(image.layers[1]) / "app.py").read_bytes() == b"print('hello')\n"
        assert await store.get(name) == image

    with_store(tmp_path / "store", work)


def test_an_image_in_use_stays(peer, tmp_path):
    used: set[str] = set()

    async def work(store: ImageStore):
        image = await store.pull(f"{peer}/gz:v1")
        await store.tag(image.id, "mine")
        used.add(image.id)
        await store.remove(f"{peer}/gz:v1")  # only a name of two
        for name in ("mine", image.id):
            with pytest.raises(Busy):
                await store.remove(name)
        found = await store.get("mine")
        assert found is not None
        assert found.references == ("docker.io/library/mine:latest",)
        used.clear()
        await store.remove("mine")
        await store.remove("mine")
        assert await store.list() == []

    with_store(tmp_path, work, in_use=used.__contains__)


def test_a_restart_finds_everything_and_sweeps_the_rest(peer, tmp_path):
    image = with_store(tmp_path, lambda store: store.pull(f"{peer}/gz:v1"))
    (tmp_path / "incoming/layer-left/diff").mkdir(parents=True)
    (tmp_path / "layers" / ("0" * 64) / "diff").mkdir(parents=True)

    async def work(store: ImageStore):
        assert await store.list() == [image]
        assert (store.folder(image.layers[0]) / "bin/tool").exists()

    with_store(tmp_path, work)
    assert list((tmp_path / "incoming").iterdir()) == []
    assert len(list((tmp_path / "layers").iterdir())) == 2
