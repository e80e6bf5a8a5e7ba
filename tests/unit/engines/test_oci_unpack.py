"""Layers become folders: what is kept, and what overlayfs reads."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oci_kit import (
    PACKERS,
    folder,
    hard_link,
    member,
    symlink,
    tarred,
    tree,
    unpacked,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking layers needs root")


@pytest.mark.parametrize("packing", list(PACKERS))
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_layer_is_as_tar_would_unpack_it(tmp_path, packing, kind):
    long = "/".join(["long" * 20] * 4)
    layer = tarred(
        folder("./", 0o755),
        folder("etc", 0o750, uid=5, gid=6),
        member("etc/shadow", b"secret", mode=0o640, uid=0, gid=42),
        member("bin/su", b"\x7fELF", mode=0o6755, uid=3, gid=4),  # its folder is left out
        member("/absolute", b"a"),
        folder("tmp", 0o1777),
        folder("shared", 0o2775, gid=9),
        member("shared/file", b"gid 0, not 9"),
        symlink("link", "../../../../etc/passwd"),
        hard_link("bin/also", "bin/su"),
        hard_link("linked-link", "link"),
        member(f"{long}/{'n' * 200}", b"deep"),
        member("pipe", type=tarfile.FIFOTYPE, mode=0o600, uid=1),
        member("empty"),
        member("sp ace\n\u00e9", b"x"),
        kind=kind,
    )
    unpacked(tmp_path / "ours", layer, packing=packing)
    (tmp_path / "layer.tar").write_bytes(layer)
    (tmp_path / "tar").mkdir(mode=0o755)
    subprocess.run(
        ["tar", "-x", "-p", "--numeric-owner", "--warning=none", "-f", "layer.tar", "-C", "tar"],
        check=True,
        cwd=tmp_path,
    )
    ours, tars = tree(tmp_path / "ours"), tree(tmp_path / "tar")
    for made in (
        "bin",
        *(str(parent) for parent in Path(f"{long}/x").parents),
    ):  # folders that were left out: now
        for found in (ours, tars):
            if made in found and made != ".":
                found[made] = found[made][:3]
    assert ours == tars


def test_names_that_are_not_text_and_large_numbers_are_kept(tmp_path):
    info = tarfile.TarInfo("x")
    info.name = os.fsdecode(b"caf\xe9")
    info.uid, info.gid, info.mtime, info.size = 3_000_000, 4_000_000_000, 1_234_567_890, 1
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape"
    ) as archive:
        archive.addfile(info, io.BytesIO(b"x"))
    unpacked(tmp_path / "ours", buffer.getvalue())
    found = os.stat(os.fsencode(tmp_path / "ours") + b"/caf\xe9")
    assert (found.st_uid, found.st_gid, found.st_mtime) == (3_000_000, 4_000_000_000, 1_234_567_890)


def test_times_have_fractions(tmp_path):
    layer = tarred(member("x", mtime=1_700_000_000.25), member("old", mtime=-1.5))
    unpacked(tmp_path / "ours", layer)
    assert (tmp_path / "ours/x").stat().st_mtime_ns == 1_700_000_000_250_000_000
    assert (tmp_path / "ours/old").stat().st_mtime_ns == -1_500_000_000


def test_whiteouts_become_what_overlayfs_reads(tmp_path):
    layer = tarred(
        folder("a"),
        member("a/.wh.gone"),
        folder("b"),
        member("b/.wh..wh..opq"),
        member("b/new", b"n"),
        member(".wh.top"),
        member(".wh.both"),
        folder("both"),
        member("both/inside", b"i"),
        folder("late"),
        member(".wh.late"),
        member("file", b"f"),
        member(".wh.file"),
        member(".wh.nested"),
        member("nested/deep/x", b"x"),
        member(".wh..wh.plnk"),
    )
    ours = tmp_path / "ours"
    unpacked(ours, layer)
    for name in ("a/gone", "top"):
        found = (ours / name).lstat()
        assert stat.S_ISCHR(found.st_mode)
        assert found.st_rdev == 0
    for name, opaque in (("a", False), ("b", True), ("both", True), ("late", True), ("nested", True)):
        assert ("trusted.overlay.opaque" in os.listxattr(ours / name)) is opaque, name
    assert (ours / "file").read_bytes() == b"f"
    assert (ours / "nested/deep/x").read_bytes() == b"x"
    assert not [name for name in os.listdir(ours) if name.startswith(".wh.")]


def test_overlayfs_shows_two_layers_as_one(tmp_path):
    unpacked(tmp_path / "low", tarred(member("keep", b"k"), member("gone", b"g"), member("dir/old", b"o")))
    unpacked(
        tmp_path / "high",
        tarred(member(".wh.gone"), folder("dir"), member("dir/.wh..wh..opq"), member("dir/new")),
    )
    merged = tmp_path / "merged"
    merged.mkdir()
    options = f"lowerdir={tmp_path / 'high'}:{tmp_path / 'low'}"
    done = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, merged], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"overlayfs cannot be mounted here: {done.stderr.decode()}")
    try:
        assert sorted(os.listdir(merged)) == ["dir", "keep"]
        assert os.listdir(merged / "dir") == ["new"]
    finally:
        subprocess.run(["umount", merged], check=True)


def test_attributes_are_kept_when_they_are_the_images_own(tmp_path):
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    kept = {"SCHILY.xattr.user.note": "hello"}
    dropped = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.security.selinux": "system_u",
    }
    record = b"SCHILY.xattr.security.capability=" + capability + b"\n"
    layer = tarred(
        member("file", b"x", pax_headers=kept | dropped, mode=0o755, uid=1),
        folder("dir", pax_headers=kept | dropped),
    )
    raw = pax_entry(b"%d " % (len(record) + 3) + record, member("ping", b"p", mode=0o755)) + layer
    ours = tmp_path / "ours"
    unpacked(ours, raw)
    for name in ("file", "dir"):
        assert {one: os.getxattr(ours / name, one) for one in os.listxattr(ours / name)} == {
            "user.note": b"hello"
        }
    assert os.getxattr(ours / "ping", "security.capability") == capability


def pax_entry(body: bytes, entry) -> bytes:
    """An entry with PAX records as they are, without the end of an archive."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(body)
    info, content = entry
    raw = header.tobuf(tarfile.USTAR_FORMAT) + body.ljust(-(-len(body) // 512) * 512, b"\0")
    return raw + info.tobuf(tarfile.USTAR_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def test_the_later_of_two_entries_wins(tmp_path):
    layer = tarred(
        member("file", b"first", mode=0o600),
        hard_link("other", "file"),
        member("file", b"second"),
        folder("dir"),
        folder("dir/sub"),
        member("dir/sub/x", b"x"),
        member("dir", b"now a file"),
        member("turned", b"file"),
        folder("turned", 0o700),
        folder("turned", 0o711, uid=4),
        member("turned/y", b"y"),
        symlink("link", "turned"),
        member("link", b"no longer a link"),
        folder("linked"),
        symlink("linked", "turned"),
    )
    ours = tmp_path / "ours"
    unpacked(ours, layer)
    assert (ours / "file").read_bytes() == b"second"
    assert (ours / "other").read_bytes() == b"first"
    assert (ours / "dir").read_bytes() == b"now a file"
    assert ((ours / "turned").stat().st_mode & 0o777, (ours / "turned").stat().st_uid) == (0o711, 4)
    assert (ours / "turned/y").read_bytes() == b"y"
    assert not (ours / "link").is_symlink()
    assert (ours / "linked").readlink() == Path("turned")


@pytest.mark.parametrize(
    "arguments",
    [["--format=gnu"], *(["--format=pax", f"--sparse-version={one}"] for one in ("0.0", "0.1", "1.0"))],
)
def test_sparse_files_stay_sparse(tmp_path, arguments):
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        for at in range(0, 30 << 20, 300 << 10):
            file.seek(at)
            file.write(b"data %d" % at)
        file.truncate(40 << 20)
    os.utime(source / "holes", (1_700_000_000, 1_700_000_000))
    subprocess.run(["tar", "-cS", *arguments, "-f", tmp_path / "layer.tar", "-C", source, "."], check=True)
    layer = (tmp_path / "layer.tar").read_bytes()
    assert len(layer) < 4 << 20
    unpacked(tmp_path / "ours", layer)
    assert tree(tmp_path / "ours")["holes"][:5] == tree(source)["holes"][:5]
    assert (tmp_path / "ours/holes").stat().st_blocks * 512 < 8 << 20


COMPONENT = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda text: text not in (".", "..") and not text.startswith(".wh.") and len(text.encode()) < 100)


@st.composite
def trees(draw):
    """Entries of a plausible layer: folders before what is in them, no name twice."""
    folders, entries, names = [""], [folder("./")], set()
    for _ in range(draw(st.integers(0, 10))):
        name = f"{draw(st.sampled_from(folders))}{draw(COMPONENT)}"
        if name in names:
            continue
        names.add(name)
        fields = {
            "uid": draw(st.integers(0, 70_000)),
            "gid": draw(st.integers(0, 70_000)),
            "mtime": draw(st.integers(0, 1 << 32)),
            "mode": draw(st.integers(0, 0o7777)),
        }
        what = draw(st.sampled_from(["file", "folder", "symlink"]))
        if what == "folder":
            entries.append(folder(name, **fields))
            folders.append(f"{name}/")
        elif what == "symlink":
            entries.append(symlink(name, draw(COMPONENT)))
        else:
            entries.append(member(name, draw(st.binary(max_size=2000)), **fields))
    return entries


@settings(max_examples=25, deadline=None)
@given(trees(), st.sampled_from(list(PACKERS)), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_every_tree_comes_back(entries, packing, kind):
    with tempfile.TemporaryDirectory() as place:
        ours = Path(place) / "ours"
        unpacked(ours, tarred(*entries, kind=kind), packing=packing)
        found = tree(ours)
        assert len(found) == len(entries)
        for info, content in entries:
            mode, uid, gid, mtime_ns, *_ = found[os.path.normpath(info.name)]
            assert (uid, gid, mtime_ns) == (info.uid, info.gid, info.mtime * 1_000_000_000)
            if not info.issym():
                assert mode & 0o7777 == info.mode
            if info.isreg():
                assert (ours / info.name).read_bytes() == content


@pytest.mark.skipif(not shutil.which("umoci"), reason="needs umoci")
def test_a_real_tree_is_as_umoci_unpacks_it(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["cp", "-a", "/etc", source], check=True)
    (source / "etc/also").hardlink_to(source / "etc/passwd")
    os.setxattr(source / "etc", "user.note", b"kept")
    for base, folders, files in os.walk(source):
        for name in (".", *folders, *files):  # tar of old keeps no fractions
            os.utime(os.path.join(base, name), (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    subprocess.run(
        [
            "tar",
            "-C",
            source,
            "--numeric-owner",
            "--xattrs",
            "--format=pax",
            "-cf",
            tmp_path / "layer.tar",
            ".",
        ],
        check=True,
    )
    layout = tmp_path / "layout"
    for command in (
        ["init", "--layout", layout],
        ["new", "--image", f"{layout}:x"],
        ["raw", "add-layer", "--image", f"{layout}:x", tmp_path / "layer.tar"],
        ["raw", "unpack", "--image", f"{layout}:x", tmp_path / "umoci"],
    ):
        subprocess.run(["umoci", *map(str, command)], check=True, capture_output=True)
    unpacked(tmp_path / "ours", (tmp_path / "layer.tar").read_bytes(), packing="+gzip")
    ours, theirs = tree(tmp_path / "ours"), tree(tmp_path / "umoci")
    assert len(ours) > 100
    assert ours == theirs == tree(source)
