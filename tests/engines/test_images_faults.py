"""What must still hold when images are broken or hostile, processes are killed, and layers are huge."""

import asyncio
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from cumulo.engines.images import PullError
from cumulo.engines.oci.store import ImageStore, Limits
from tests.oci_kit import Layout, digest_of, folder, member, symlink, tarred, tree, with_store
from tests.support import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking layers needs root")

BASE = tarred(folder("bin"), *(member(f"bin/{one}", os.urandom(2000)) for one in range(50)))


def load(root: Path, archive: Path, **options):
    return with_store(root, lambda store: store.load(archive), **options)


def refusal(root: Path, archive: Path, **options) -> PullError:
    with pytest.raises(PullError) as error:
        load(root, archive, **options)
    for name in ("images", "references", "layers", "incoming"):
        assert list((root / name).iterdir()) == [], f"{name} keeps something of what was refused"
    return error.value


def packed(source: Path, target: Path, *, compress: bool = False) -> Path:
    with tarfile.open(target, "w:gz" if compress else "w") as archive:
        archive.add(source, ".")
    return target


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz"])
def test_a_layout_is_loaded_in_every_form(tmp_path, form):
    layout = Layout(tmp_path / "layout")
    layout.image([BASE], name="example.com/one:1")
    layout.image([BASE, tarred(member("two"))], name="v2", packing="+zstd")  # a tag alone names nothing
    layout.image([BASE], name="example.com/arm:1", architecture="arm64", Cmd=["x"])
    archive = layout.root
    if form != "folder":
        archive = packed(layout.root, tmp_path / "archive", compress=form == "tar.gz")
    one, two = load(tmp_path / "store", archive)
    assert one.references == ("example.com/one:1",)
    assert two.references == ()
    assert two.layers[0] == one.layers[0] == digest_of(BASE)
    assert list((tmp_path / "store/incoming").iterdir()) == []


def classic(
    target: Path, layers: dict[str, bytes], diff_ids: list[bytes], *, links: dict[str, str] | None = None
) -> None:
    """What `docker save` wrote before it knew of OCI."""
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(one) for one in diff_ids]}}
    ).encode()
    names = [*layers, *(links or {})]
    manifest = [{"Config": "config.json", "RepoTags": ["team/app:1", "app"], "Layers": names}]
    entries = [member("config.json", config), *(member(name, data) for name, data in layers.items())]
    entries += [symlink(name, to) for name, to in (links or {}).items()]
    target.write_bytes(tarred(*entries, member("manifest.json", json.dumps(manifest).encode())))


def test_a_classic_archive_with_a_shared_and_a_compressed_layer_is_loaded(tmp_path):
    top = tarred(member("top"))
    classic(
        tmp_path / "archive",
        {"a/layer.tar": BASE, "b/layer.tar": gzip.compress(top)},
        [BASE, top, BASE],
        links={"c/layer.tar": "../a/layer.tar"},
    )
    (image,) = load(tmp_path / "store", tmp_path / "archive")
    assert image.references == ("docker.io/library/app:latest", "docker.io/team/app:1")
    assert image.layers == (digest_of(BASE), digest_of(top), digest_of(BASE))
    assert len(list((tmp_path / "store/layers").iterdir())) == 2


def test_an_archive_that_leads_out_of_itself_is_corrupt(tmp_path):
    outside = tmp_path / "secret"
    outside.write_bytes(BASE)
    classic(tmp_path / "archive", {}, [BASE], links={"a/layer.tar": "../../../../../secret"})
    assert refusal(tmp_path / "store", tmp_path / "archive").kind == "corrupt"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/manifest.json").write_text(json.dumps([{"Config": "../secret", "Layers": []}]))
    assert refusal(tmp_path / "store", tmp_path / "folder").kind == "corrupt"
    (tmp_path / "folder/config.json").symlink_to(outside)
    (tmp_path / "folder/manifest.json").write_text(json.dumps([{"Config": "config.json", "Layers": []}]))
    assert refusal(tmp_path / "store", tmp_path / "folder").kind == "corrupt"


def test_each_broken_archive_has_its_kind_and_leaves_nothing(tmp_path):
    def broken(name: str, spoil) -> Path:
        layout = Layout(tmp_path / name)
        descriptor = layout.image([BASE], name="example.com/x:1")
        spoil(layout, descriptor)
        return layout.root

    def blob_of(layout: Layout, descriptor) -> dict:
        return json.loads((layout.blobs / descriptor["digest"][7:]).read_bytes())

    def alter_manifest(layout, descriptor):
        path = layout.blobs / descriptor["digest"][7:]
        path.write_bytes(path.read_bytes() + b" ")

    def alter_config(layout, descriptor):
        path = layout.blobs / blob_of(layout, descriptor)["config"]["digest"][7:]
        path.write_bytes(path.read_bytes().replace(b"amd64", b"amd65"))

    def alter_layer(layout, descriptor):
        path = layout.blobs / blob_of(layout, descriptor)["layers"][0]["digest"][7:]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def lose_layer(layout, descriptor):
        (layout.blobs / blob_of(layout, descriptor)["layers"][0]["digest"][7:]).unlink()

    def lie_about_layer(layout, _descriptor):
        layout.entries.clear()
        honest, other = tarred(member("a")), tarred(member("b"))
        manifest = blob_of(layout, layout.image([honest], list_it=False))
        blob = gzip.compress(other)
        manifest["layers"] = [{"mediaType": "", "digest": layout.blob(blob), "size": len(blob)}]
        layout.list(layout.json(manifest, manifest["mediaType"]), "example.com/x:1")

    for spoil in (alter_manifest, alter_config, alter_layer, lose_layer, lie_about_layer):
        assert refusal(tmp_path / "store", broken(spoil.__name__, spoil)).kind == "corrupt", spoil
    for name, data in (
        ("empty", b""),
        ("text", b"hello" * 500),
        ("other", tarred(member("x"))),
        ("gz", b"\x1f\x8bxx"),
    ):
        (tmp_path / name).write_bytes(data)
        assert refusal(tmp_path / "store", tmp_path / name).kind == "corrupt", name
    assert refusal(tmp_path / "store", tmp_path / "nowhere").kind == "not-found"
    (tmp_path / "void").mkdir()
    assert refusal(tmp_path / "store", tmp_path / "void").kind == "corrupt"


def test_a_hostile_layer_spoils_the_image_and_leaves_nothing(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([BASE, tarred(symlink("door", "/"), member("door/out", b"x"))], name="example.com/x:1")
    assert refusal(tmp_path / "store", layout.root).kind == "refused"


def test_an_image_may_not_be_larger_than_the_limit_over_all_its_layers(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([tarred(member(f"f{one}", os.urandom(600_000))) for one in range(4)])
    limits = Limits(image_bytes_max=2_000_000)
    assert refusal(tmp_path / "store", layout.root, limits=limits).kind == "refused"
    assert len(load(tmp_path / "store", layout.root, limits=Limits(image_bytes_max=2_500_000))) == 1


def test_a_full_disk_is_said_and_leaves_room_again(tmp_path):
    root = tmp_path / "disk"
    root.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", root], check=False, capture_output=True
    ).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        layout = Layout(tmp_path / "layout")
        layout.image([BASE, tarred(member("large", os.urandom(30 << 20)))], name="example.com/large:1")
        assert refusal(root / "store", layout.root, limits=Limits(free_min=0)).kind == "no-space"
        assert refusal(root / "store", layout.root, limits=Limits(free_min=1 << 40)).kind == "no-space"
        small = Layout(tmp_path / "small")
        small.image([BASE], name="example.com/small:1")
        assert len(load(root / "store", small.root, limits=Limits(free_min=0))) == 1
    finally:
        subprocess.run(["umount", root], check=True)


def test_whoever_no_longer_wants_an_image_leaves_nothing_behind(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([tarred(*(member(f"f{one}", b"x" * 900) for one in range(5000)))])
    root = tmp_path / "store"

    async def work(store: ImageStore):
        task = asyncio.ensure_future(store.load(layout.root))
        await asyncio.to_thread(
            until, lambda: list((root / "incoming").glob("layer-*/diff/f*")), "it unpacks"
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await store.list() == []

    with_store(root, work)
    assert list((root / "incoming").iterdir()) == list((root / "layers").iterdir()) == []


CHILD = """
import asyncio, re, resource, sys
from pathlib import Path
from tests.oci_kit import open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        print("ready", flush=True)
        for archive in sys.argv[2:]:
            print((await store.load(Path(archive)))[0].id, flush=True)
    print(peak_kib("/proc/self/status"), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)

def peak_kib(status):
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path(status).read_text())[1])

asyncio.run(main())
"""


def start(root: Path, *archives: Path) -> subprocess.Popen[str]:
    code = [sys.executable, "-c", CHILD, str(root), *map(str, archives)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=env)


def test_a_kill_in_the_middle_leaves_whole_images_only(tmp_path):
    archives = []
    for count in range(4):
        layout = Layout(tmp_path / f"layout{count}")
        layer = tarred(*(member(f"f{one}", b"%d" % count * 500) for one in range(1000)))
        layout.image([BASE, layer], name=f"example.com/x:{count}")
        archives.append(layout.root)
    root = tmp_path / "store"
    for lines in (1, 3):
        process = start(root, *archives)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        until(lambda: list((root / "incoming").glob("layer-*/diff/f*")), "it unpacks")
        process.kill()
        process.wait()
        process.stdout.close()
        until(lambda: not unpackers(root), "the unpacking process ends with the one that started it")

        async def work(store: ImageStore):
            for image in await store.list():
                for layer in image.layers:
                    assert len(tree(store.folder(layer))) in (52, 1001)

        with_store(root, work)
        assert list((root / "incoming").iterdir()) == []
    images = with_store(root, lambda store: loaded(store, archives))
    assert len(images) == 4


async def loaded(store: ImageStore, archives: list[Path]):
    for archive in archives:
        await store.load(archive)
    return await store.list()


def unpackers(root: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if b"engines.oci.unpack" in text and str(root).encode() in text:
            found.append(int(path.parent.name))
    return found


def test_an_unpacking_process_that_is_killed_fails_the_pull(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([tarred(*(member(f"f{one}", b"x" * 900) for one in range(5000)))])
    root = tmp_path / "store"

    async def work(store: ImageStore):
        task = asyncio.ensure_future(store.load(layout.root))
        pids = await asyncio.to_thread(until, lambda: unpackers(root), "it unpacks")
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(PullError):
            await task
        assert len(await store.load(layout.root)) == 1

    with_store(root, work)


def test_layers_that_were_not_on_the_disk_when_the_machine_went_down_are_forgotten(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image([BASE], name="example.com/x:1")
    root = tmp_path / "store"
    (image,) = load(root, layout.root)
    record = root / "layers" / image.layers[0][7:] / "layer.json"
    settled = json.loads(record.read_bytes())
    assert settled["boot"] == "", "closing waits for the disk"
    record.write_text(json.dumps({**settled, "boot": "an earlier one"}))

    async def work(store: ImageStore):
        assert await store.list() == []
        with pytest.raises(KeyError):
            store.folder(image.layers[0])
        assert len(await store.load(layout.root)) == 1

    with_store(root, work)


class Endless(io.RawIOBase):
    """A gigabyte that need not be in memory."""

    def read(self, size: int = -1) -> bytes:
        return os.urandom(size // 64) + bytes(size - size // 64)


class Hashing:
    """Passes on what is written, and hashes it."""

    def __init__(self, target) -> None:
        self._target = target
        self.hashed = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.hashed.update(data)
        self._target.write(data)


def test_a_layer_of_a_gigabyte_needs_no_memory(tmp_path):
    info = tarfile.TarInfo("huge")
    info.size = 1 << 30
    with (tmp_path / "layer").open("wb") as file, zstandard.ZstdCompressor(1).stream_writer(file) as packer:
        sink = Hashing(packer)
        with tarfile.open(fileobj=sink, mode="w|", bufsize=1 << 20) as archive:
            archive.addfile(info, Endless())
    diff_id = f"sha256:{sink.hashed.hexdigest()}"
    layout = Layout(tmp_path / "layout")
    manifest = json.loads((layout.blobs / layout.image([BASE], list_it=False)["digest"][7:]).read_bytes())
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [diff_id]}}
    manifest["config"] = layout.json(config, manifest["config"]["mediaType"])
    with (tmp_path / "layer").open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size = (tmp_path / "layer").stat().st_size
    (tmp_path / "layer").rename(layout.blobs / digest[7:])
    manifest["layers"] = [{"mediaType": "", "digest": digest, "size": size}]
    layout.list(layout.json(manifest, manifest["mediaType"]), "")
    process = start(tmp_path / "store", layout.root)
    out, _ = process.communicate(timeout=120)
    assert out.split()[0] == "ready"
    assert out.count("sha256:") == 1
    (huge,) = (tmp_path / "store/layers").glob("*/diff/huge")
    assert huge.stat().st_size == 1 << 30
    peaks = [int(word) for word in out.split()[-2:]]
    assert max(peaks) < 100 * 1024, f"KiB of the store and of the unpacking process: {peaks}"
