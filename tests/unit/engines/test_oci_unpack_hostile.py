"""Layers that mean harm, or are broken, are refused; nothing is ever written outside."""

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oci_kit import (
    PACKERS,
    digest_of,
    folder,
    hard_link,
    member,
    symlink,
    tarred,
    tree,
    unpacked,
    unpacked_bytes,
)

from cumulo.engines.images import PullError
from cumulo.engines.oci.refusals import Bounds

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking layers needs root")


def refused(target: Path, layer: bytes, **options) -> PullError:
    with pytest.raises(PullError) as error:
        unpacked(target, layer, **options)
    return error.value


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([member("../out", b"x")], "leads out"),
        ([member("a/../../out", b"x")], "leads out"),
        ([member("/../out", b"x")], "leads out"),
        ([folder("..")], "leads out"),
        ([symlink("door", "/tmp"), member("door/out", b"x")], "not a folder"),
        ([symlink("door", ".."), member("door/out", b"x")], "not a folder"),
        ([symlink("door", "inside"), folder("inside"), folder("door/sub")], "not a folder"),
        ([symlink("a", "/"), hard_link("b", "a/etc/passwd")], "not a folder"),
        ([hard_link("b", "../../etc/passwd")], "leads out"),
        ([hard_link("b", "/etc/passwd")], "does not have"),
        ([folder("d"), hard_link("b", "d")], "not a file"),
        ([member(".wh.gone"), hard_link("b", "gone")], "not a file"),
        ([member("sda", type=tarfile.BLKTYPE, devmajor=8)], "device"),
        ([member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)], "device"),
        ([member("zero", type=tarfile.CHRTYPE)], "device"),
        ([symlink("door", "/tmp"), member("door/.wh.out")], "not a folder"),
        ([member(".wh...")], "without a name"),
        ([member("d/.wh.")], "without a name"),
        ([member("x" * 256)], "name of 256 bytes"),
        ([member("/".join(["y"] * 300))], "folders deep"),
        ([member("d/" * 2100 + "x")], "name of 4"),
        ([member("odd", type=b"M")], "unknown type"),
        ([member("zero", pax_headers={"path": "zero\0byte"})], "zero byte"),
        ([member("link", type=tarfile.SYMTYPE, pax_headers={"linkpath": "zero\0byte"})], "cannot be"),
        ([member("xattr", pax_headers={"SCHILY.xattr.user.a\0b": "x"})], "cannot be"),
        ([member("uid", pax_headers={"uid": "99999999999"})], "cannot be"),
    ],
)  # fmt: skip
def test_what_means_harm_is_refused(tmp_path, entries, says):
    error = refused(tmp_path / "ours", tarred(*entries))
    assert error.kind == ("corrupt" if says in ("does not have", "cannot be") else "refused")
    assert says in str(error)
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/out").exists()


def test_bombs_are_refused(tmp_path):
    zeroes = tarred(member("zeroes", bytes(8 << 20)))
    bounds = Bounds(ratio_max=100, ratio_from=1 << 20)
    for count, packing in enumerate(("+gzip", "+zstd")):
        assert "-fold" in str(refused(tmp_path / f"ratio{count}", zeroes, packing=packing, bounds=bounds))
    assert "bytes" in str(refused(tmp_path / "size", zeroes, bounds=Bounds(bytes_max=1 << 20)))
    many = tarred(*(member(f"f{one}") for one in range(101)))
    assert "100 entries" in str(refused(tmp_path / "many", many, bounds=Bounds(entries_max=100)))
    full = refused(tmp_path / "full", tarred(member("x", bytes(65 << 20))), bounds=Bounds(free_min=1 << 60))
    assert full.kind == "no-space"


def test_a_hole_counts_as_what_it_is(tmp_path):
    (tmp_path / "source").mkdir()
    with (tmp_path / "source/hole").open("wb") as file:
        file.truncate(1 << 40)
    subprocess.run(["tar", "-cS", "-f", tmp_path / "layer.tar", "-C", tmp_path / "source", "."], check=True)
    assert refused(tmp_path / "ours", (tmp_path / "layer.tar").read_bytes()).kind == "refused"


@pytest.mark.parametrize("packing", list(PACKERS))
def test_what_is_cut_off_or_altered_is_corrupt(tmp_path, packing):
    layer = tarred(*(member(f"f{one}", os.urandom(2000)) for one in range(20)))
    packed = PACKERS[packing](layer)
    altered = bytearray(packed)
    altered[len(packed) // 2] ^= 1
    for count, (data, diff_id, digest) in enumerate(
        [
            (packed[: len(packed) // 2], digest_of(layer), ""),
            (packed[:-1], digest_of(layer), ""),
            (bytes(altered), digest_of(layer), ""),
            (b"", digest_of(layer), ""),
            (packed, digest_of(b"other"), ""),
            (packed, digest_of(layer), digest_of(b"other")),
        ]
    ):
        (tmp_path / str(count)).mkdir()
        with pytest.raises(PullError) as error:
            unpacked_bytes(tmp_path / str(count), data, diff_id=diff_id, digest=digest)
        assert error.value.kind == "corrupt", count


def test_an_honest_digest_of_a_broken_archive_does_not_help(tmp_path):
    layer = tarred(member("x", os.urandom(5000)))
    for count, data in enumerate((layer[:3000], b"not a tar" * 200, layer[:512] + b"?" * 512 + layer[512:])):
        assert refused(tmp_path / str(count), data).kind == "corrupt"


def test_members_and_frames_that_follow_one_another_are_one_stream(tmp_path):
    layer = tarred(*(member(f"f{one}", os.urandom(50_000)) for one in range(10)))
    for packing in ("+gzip", "+zstd"):
        packed = b"".join(PACKERS[packing](layer[at : at + 100_000]) for at in range(0, len(layer), 100_000))
        target = tmp_path / packing
        target.mkdir()
        assert unpacked_bytes(target, packed, diff_id=digest_of(layer)).entries == 10


PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", "door", ".wh.a", ".wh..wh..opq", "etc"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TARGETS = st.one_of(NAMES, st.sampled_from(["/", "/tmp", "../../..", "/proc/self/root", "door", "."]))
HOSTILE = st.lists(
    st.one_of(
        st.builds(lambda name: member(name, b"x"), NAMES),
        st.builds(folder, NAMES),
        st.builds(symlink, NAMES, TARGETS),
        st.builds(hard_link, NAMES, TARGETS),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(HOSTILE)
def test_no_archive_writes_outside(entries):
    with tempfile.TemporaryDirectory() as place:
        outside = Path(place)
        (outside / "a").write_bytes(b"mine")
        before = tree(outside)
        kind = ""
        try:
            unpacked(outside / "ours", tarred(*entries))
        except PullError as error:
            kind = error.kind
        assert kind in ("", "refused", "corrupt")
        after = {name: facts for name, facts in tree(outside).items() if name.split("/")[0] != "ours"}
        assert {name: facts[:3] for name, facts in after.items()} == {
            name: facts[:3] for name, facts in before.items()
        }
        assert after["a"] == before["a"]
