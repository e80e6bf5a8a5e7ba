"""Compressed layers come out in pieces of bounded size, whichever library does it."""

import gzip
import os
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.oci_kit import digest_of

from cumulo.engines.oci import inflate
from cumulo.engines.oci.refusals import Bounds, Refusal

MAKERS = {"the quick one": inflate._gzip_maker(), "the standard library's": inflate._Zlib}


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return iter([data[at : at + size] for at in range(0, len(data), size)])


@pytest.mark.parametrize("maker", list(MAKERS))
@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=4), st.integers(1, 3000), st.integers(0, 50))
def test_members_one_after_the_other_and_padding_are_one_stream(maker, contents, size, padding):
    packed = b"".join(gzip.compress(content, mtime=0) for content in contents) + bytes(padding)
    assert b"".join(inflate._gunzip(MAKERS[maker], cut(packed, size))) == b"".join(contents)


@pytest.mark.parametrize("maker", list(MAKERS))
def test_a_stream_that_ends_early_or_goes_on_with_something_else_is_an_error(maker):
    packed = gzip.compress(os.urandom(5000))
    for data in (packed[:-1], packed[:100], packed + b"garbage", packed + packed[:20]):
        with pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own; `Inflated` makes them one
            list(inflate._gunzip(MAKERS[maker], cut(data, 700)))


@pytest.mark.parametrize("maker", list(MAKERS))
def test_what_grows_a_thousandfold_comes_in_pieces(maker):
    packed = gzip.compress(bytes(50 << 20), 9)
    sizes = [len(piece) for piece in inflate._gunzip(MAKERS[maker], cut(packed, 256 << 10))]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= 1 << 20


def inflated(data: bytes, bounds: Bounds | None = None) -> tuple[inflate.Inflated, list[bytes]]:
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        stream = inflate.Inflated(reading, bounds or Bounds())
        pieces = []
        while piece := stream.next():
            pieces.append(piece)
        assert stream.next() == b"", "the end stays the end"
        return stream, pieces
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, zstandard.compress],
    ids=["plain", "gzip", "zstd"],
)
def test_both_digests_and_sizes_are_known_at_the_end(pack):
    content = bytes(40 << 10)
    packed = pack(content)
    stream, pieces = inflated(packed)
    assert b"".join(pieces) == content
    assert (stream.digest, stream.packed_size) == (digest_of(packed), len(packed))
    assert (stream.diff_id, stream.size) == (digest_of(content), len(content))


def test_a_few_bytes_of_zstd_that_stand_for_gigabytes_are_bounded():
    packed = zstandard.compress(bytes(64 << 20), 19)
    _, pieces = inflated(packed)
    assert max(map(len, pieces)) <= 1 << 20
    with pytest.raises(Refusal) as refusal:
        inflated(packed, Bounds(bytes_max=10 << 20))
    assert refusal.value.kind == "refused"


def test_a_zstd_frame_that_asks_for_too_much_memory_is_not_read():
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = writer.compress(b"x" * 1000) + writer.flush()
    with pytest.raises(Refusal) as refusal:
        inflated(packed)
    assert refusal.value.kind == "corrupt"


def test_an_empty_layer_is_an_empty_stream():
    stream, pieces = inflated(b"")
    assert pieces == []
    assert stream.diff_id == digest_of(b"")
