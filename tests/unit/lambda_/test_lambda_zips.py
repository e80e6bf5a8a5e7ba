"""Zips of people who mean no good."""

import io
import os
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.unit.lambda_.lambda_control_kit import zipped

from cumulo.services.lambda_ import errors, zips
from cumulo.services.lambda_.zips import ZipRefused, safe_parts, stays_inside, unpack

LINK = (stat.S_IFLNK | 0o777) << 16


def archive(*entries) -> bytes:
    """A zip of (name, content, external attributes) as they are given, however odd."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as target:
        warnings.simplefilter("ignore")
        for name, content, attributes in entries:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.external_attr = attributes
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    return out.getvalue()


def patched(data: bytes, *changes) -> bytes:
    """The zip with fields of its first entry overwritten: (offset in local header, in directory, bytes)."""
    raw = bytearray(data)
    directory = raw.index(b"PK\x01\x02")
    for local, central, value in changes:
        if local is not None:
            raw[local : local + len(value)] = value
        raw[directory + central : directory + central + len(value)] = value
    return bytes(raw)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refuse(tmp_path: Path, data: bytes) -> str:
    """The sentence that a zip is refused with; nothing may have been written outside."""
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    (tmp_path / "precious").write_text("kept")
    with pytest.raises(ZipRefused) as caught:
        unpack(data, target)
    outside = {path for path in files_below(tmp_path) if not path.startswith("deep/target")}
    assert outside == {"deep", "precious"}
    assert (tmp_path / "precious").read_text() == "kept"
    return str(caught.value)


ESCAPES = [
    "../precious", "a/../../precious", "/etc/x", "//etc/x", "a/..", "..", "C:x", "c:/x", "a\\b", "..\\x", "a\0b",
    "x" * 256, "/".join("d" * 65), "a/" * 600 + "b", "", ".", "./.",
]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_a_path_that_climbs_or_is_absolute_or_too_long_is_refused(tmp_path, name):
    assert refuse(tmp_path, archive(("good", b"x", 0), (name, b"evil", 0))) == errors.BAD_ZIP


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "..",
        "../precious",
        "a/../../precious",
        "inside/../../precious",
        "\0",
        "",
        "x" * 2000,
        "l",
        "up/../../x",
    ],
)
def test_a_link_that_leads_out_is_refused(tmp_path, target):
    data = archive(("inside/file", b"x", 0), ("up", b".", LINK), ("l", target.encode(), LINK))
    assert refuse(tmp_path, data) == errors.BAD_ZIP


def test_a_chain_of_links_that_each_look_harmless_is_followed_before_it_is_believed(tmp_path):
    # By its words a/b/l/../../.. is the root; but l is the root itself.
    data = archive(("a/b/l", b"../..", LINK), ("out", b"a/b/l/../../..", LINK), ("f", b"", 0))
    assert refuse(tmp_path, data) == errors.BAD_ZIP


def test_nothing_is_written_through_a_link(tmp_path):
    data = archive(("l", b"folder", LINK), ("folder/file", b"x", 0), ("l/evil", b"x", 0))
    assert refuse(tmp_path, data) == errors.BAD_ZIP


def test_links_that_stay_inside_are_kept(tmp_path):
    unpack(
        archive(
            ("lib/real.so.1", b"x", 0),
            ("lib/real.so", b"real.so.1", LINK),
            ("top", b"lib/../lib", LINK),
            ("gone", b"nowhere", LINK),
        ),
        tmp_path,
    )
    assert os.readlink(tmp_path / "lib" / "real.so") == "real.so.1"
    assert (tmp_path / "top" / "real.so").read_bytes() == b"x"
    assert os.readlink(tmp_path / "gone") == "nowhere"


@pytest.mark.parametrize(
    "entries",
    [
        [("a", b"1", 0), ("a", b"2", 0)],
        [("a", b"1", 0), ("./a", b"2", 0)],
        [("a", b"1", 0), ("a/b", b"2", 0)],
        [("a/b", b"2", 0), ("a", b"1", 0)],
        [("a", b"1", 0), ("a/", b"", 0)],
        [("a", b"1", 0), ("a", b"a2", LINK)],
        [("a/", b"content of a folder", 0)],
        [("a", b"", (stat.S_IFCHR | 0o666) << 16)],
        [("a", b"", (stat.S_IFBLK | 0o666) << 16)],
        [("a", b"", (stat.S_IFIFO | 0o666) << 16)],
        [("a", b"", (stat.S_IFSOCK | 0o666) << 16)],
    ],
)
def test_entries_that_collide_or_are_no_files_are_refused(tmp_path, entries):
    assert refuse(tmp_path, archive(*entries)) == errors.BAD_ZIP


def test_damaged_zips_are_refused(tmp_path):
    good = zipped({"a": "hello " * 100})
    flags = struct.unpack_from("<H", good, 6)[0]
    for number, data in enumerate(
        (
            b"not a zip at all",
            good[:-10],
            good[10:],
            b"PK\x05\x06" + b"\xff" * 18,
            patched(good, (6, 8, struct.pack("<H", flags | 1))),  # encrypted
            patched(good, (8, 10, struct.pack("<H", 14))),  # LZMA
            patched(good, (8, 10, struct.pack("<H", 99))),
            patched(good, (14, 16, b"\0\0\0\0")),  # wrong checksum
            patched(good, (None, 24, struct.pack("<I", 5))),  # says it is smaller than it is
            patched(good, (None, 24, struct.pack("<I", 50_000))),  # says it is larger
            patched(good, (None, 42, struct.pack("<I", 7))),  # begins elsewhere
            patched(good, (None, 20, struct.pack("<I", 0xFFFFFFF))),  # goes on beyond the end
            patched(good, (30, 46, b"b")) + b"",
            patched(good, (None, 46, b"b")),  # two names for one entry
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        if number == 12:
            unpack(data, folder)  # both names changed alike: a good zip, so that this test tests something
            continue
        assert refuse(folder, data) == errors.BAD_ZIP, number


def test_an_empty_zip_is_refused(tmp_path):
    for number, data in enumerate((b"", archive(), archive(("folder/", b"", 0)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert refuse(folder, data) == errors.EMPTY_ZIP


def test_a_bomb_that_says_what_it_is_is_refused_by_its_headers(tmp_path):
    data = patched(zipped({"a": "x" * 100_000}), (None, 24, struct.pack("<I", 262_144_000)))
    assert refuse(tmp_path, data) == "Unzipped size must be smaller than 262144000 bytes"


def test_a_bomb_that_lies_is_stopped_by_what_comes_out(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    body = b"".join(packer.compress(block) for _ in range(300)) + packer.flush()
    crc = 0
    for _ in range(300):
        crc = zlib.crc32(block, crc)

    def zip_of(size: int) -> bytes:
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(body), size, 1, 0)
        local = b"PK\x03\x04" + fields + b"a" + body
        central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"a"
        return (
            local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
        )

    for number, (size, words) in enumerate(
        ((300 << 20, "Unzipped size must be smaller"), (1000, errors.BAD_ZIP), (262_143_999, errors.BAD_ZIP))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert words in refuse(folder, zip_of(size))
        written = sum(
            path.stat().st_size for path in (folder / "deep" / "target").rglob("*") if path.is_file()
        )
        assert written <= 262_144_000


def test_many_entries_that_share_their_bytes_are_refused(tmp_path):
    one = zipped({"a": "x" * 1_000_000})
    at = one.index(b"PK\x01\x02")
    entry = one[at : one.index(b"PK\x05\x06")]
    directory = entry + entry[:46] + b"b"
    data = one[:at] + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 2, 2, len(directory), at, 0)
    assert refuse(tmp_path, data) == errors.BAD_ZIP


def test_more_entries_than_fit_are_refused_before_they_cost_memory(tmp_path):
    data = b"PK\x01\x02" * (zips.ENTRIES_MAX + 1) + zipped()
    assert "100000" in refuse(tmp_path, data)


def test_a_zip_in_a_zip_is_a_file_and_stays_packed(tmp_path):
    inner = zipped()
    unpack(zipped({"inner.zip": inner}), tmp_path)
    assert (tmp_path / "inner.zip").read_bytes() == inner


def test_modes_and_times_come_from_the_zip_and_nothing_can_be_written(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    data = archive(
        ("bin/bootstrap", b"#!/bin/sh", (stat.S_IFREG | 0o6755) << 16),
        ("data.json", b"{}", (stat.S_IFREG | 0o600) << 16),
        ("from_windows.py", b"", 0x20),
        ("empty/", b"", (stat.S_IFDIR | 0o700) << 16),
        ("marked", b"", (stat.S_IFDIR | 0o700) << 16),
    )
    assert unpack(data, folder) == 11
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in files_below(folder)}
    assert modes == {
        "bin": 0o555, "bin/bootstrap": 0o555, "data.json": 0o444, "from_windows.py": 0o444, "empty": 0o555, "marked": 0o555,
    }  # fmt: skip
    assert (folder / "data.json").stat().st_mtime == 315532800  # 1980-01-01, read as UTC


def test_times_that_do_not_exist_do_no_harm(tmp_path):
    unpack(patched(zipped({"a": "x"}), (10, 12, b"\xff\xff\xff\xff")), tmp_path)
    assert (tmp_path / "a").read_bytes() == b"x"


def test_zips_with_64_bit_fields_and_with_something_before_them_are_zips(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target, target.open("a", "w", force_zip64=True) as file:
        file.write(b"hello")
    (tmp_path / "1").mkdir()
    unpack(out.getvalue(), tmp_path / "1")
    (tmp_path / "2").mkdir()
    unpack(b"#!/usr/bin/env python3\n" + zipped({"a": "hello"}), tmp_path / "2")
    assert (tmp_path / "1" / "a").read_bytes() == (tmp_path / "2" / "a").read_bytes() == b"hello"


def test_safe_parts_and_stays_inside_agree_on_the_plain_cases():
    assert safe_parts("./a//b/") == ("a", "b")
    assert safe_parts("\udc80") is None
    assert stays_inside({("a", "l"): "../b"}, ("a", "l"))
    assert not stays_inside({("a", "l"): "../../b"}, ("a", "l"))
    assert not stays_inside({("l",): "m", ("m",): "l"}, ("l",))
