"""The tar reader says what Python's own says, piece by piece, and never anything but an entry or a refusal."""

import io
import os
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oci_kit import folder, hard_link, member, symlink, tarred

from cumulo.engines.oci import tar
from cumulo.engines.oci.refusals import Refusal


def read(data: bytes, piece: int = 1000) -> list[tuple[tar.Entry, bytes]]:
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    reader = tar.Reader(lambda: next(pieces, b""))
    found = []
    while (entry := reader.entry()) is not None:
        content = bytearray()
        reader.data(entry.stored, content.extend)
        found.append((entry, bytes(content)))
    reader.drain()
    return found


NAMES = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
        min_size=1,
        max_size=60,
    ),
    min_size=1,
    max_size=6,
).map("/".join)
MEMBERS = st.one_of(
    st.builds(
        member,
        NAMES,
        st.binary(max_size=3000),
        mode=st.integers(0, 0o7777),
        uid=st.integers(0, 1 << 31),
        gid=st.integers(0, 1 << 31),
        mtime=st.integers(-(1 << 33), 1 << 40),
    ),
    st.builds(folder, NAMES),
    st.builds(symlink, NAMES, NAMES),
    st.builds(hard_link, NAMES, NAMES),
)


@settings(deadline=None)
@given(
    st.lists(MEMBERS, max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3000),
)
def test_it_reads_what_tarfile_wrote(members, kind, piece):
    data = tarred(*members, kind=kind)
    found = read(data, piece)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        theirs = archive.getmembers()
        assert len(found) == len(theirs)
        for (entry, content), info in zip(found, theirs, strict=True):
            assert entry.name.rstrip(b"/") == os.fsencode(info.name).rstrip(b"/")
            assert (entry.uid, entry.gid, entry.mode) == (info.uid, info.gid, info.mode)
            assert entry.mtime_ns == int(info.mtime) * 1_000_000_000
            if info.isreg():
                assert (entry.type, content) == (tar.REGULAR, archive.extractfile(info).read())
            elif info.islnk() or info.issym():
                assert entry.link == os.fsencode(info.linkname)


def test_a_ustar_name_has_a_prefix():
    name = "/".join(["p" * 50] * 4)
    ((entry, content),) = read(tarred(member(name, b"x"), kind=tarfile.USTAR_FORMAT))
    assert (entry.name, content) == (name.encode(), b"x")


def test_sizes_beyond_eight_gibibytes_are_read():
    info = tarfile.TarInfo("huge")
    info.size = 20 << 30
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        header = io.BytesIO(info.tobuf(kind))
        entry = tar.Reader(lambda header=header: header.read(512)).entry()
        assert entry is not None
        assert entry.size == 20 << 30


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_is_read_or_refused_and_never_anything_else(data):
    kind = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    raw = bytearray(
        tarred(
            folder("d"),
            member("n" * 150, b"x" * 700, uid=1 << 40, mtime=1.5),
            symlink("s", "t" * 200),
            kind=kind,
        )
    )
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # with a sum that holds, so that the damage is looked at
        for at in range(0, len(raw) - 511, 512):
            block = raw[at : at + 512]
            if block[257:262] == b"ustar":
                total = sum(block[:148]) + 256 + sum(block[156:])
                raw[at + 148 : at + 156] = b"%06o\0 " % total
    kind = ""
    try:
        read(bytes(raw), 700)
    except Refusal as refusal:
        kind = refusal.kind
    assert kind in ("", "corrupt", "refused")


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"4 a=\n",
        b"99 path=x\n",
        b"-1 a=b\n",
        b"10 noequals",
        b"9999999999999999999999 a=b\n",
        b"6 a=b\n7 a\n",
    ],
)
def test_damaged_extensions_are_refused(body):
    with pytest.raises(Refusal):
        tar.records(body)


def test_an_extension_without_a_value_takes_nothing_from_the_header():
    assert tar.records(b"8 path=\n") == {}
    assert tar.records(b"10 path=x\n8 path=\n") == {}


def test_an_extension_without_end_is_refused():
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    with pytest.raises(Refusal) as refusal:
        read(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert refusal.value.kind == "refused"


def test_random_bytes_are_corrupt():
    with pytest.raises(Refusal) as refusal:
        read(random.Random(1).randbytes(5000))
    assert refusal.value.kind == "corrupt"
