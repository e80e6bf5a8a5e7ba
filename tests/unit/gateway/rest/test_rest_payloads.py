"""Bodies as text and as bytes, by AWS's tables of content type conversions."""

import base64
import gzip
import zlib

import pytest

from cumulo.gateway.rest.caches import ENTRY_BYTES_EXTRA, Kept, ResponseCache
from cumulo.gateway.rest.payloads import (
    as_text,
    binary_types,
    coding_for,
    decompress,
    media_type,
    request_body,
    response_body,
)
from cumulo.gateway.visit import Refused

RAW = b"\x1f\x8b\x00"
CODED = base64.b64encode(RAW)


@pytest.mark.parametrize(
    ("binary", "handling", "given", "expected"),
    [
        (False, "", b"text", b"text"),
        (False, "CONVERT_TO_TEXT", b"text", b"text"),
        (False, "CONVERT_TO_BINARY", CODED, RAW),
        (False, "", RAW, b"\x1f\xef\xbf\xbd\x00"),
        (True, "", RAW, RAW),
        (True, "CONVERT_TO_BINARY", RAW, RAW),
        (True, "CONVERT_TO_TEXT", RAW, CODED),
    ],
)
def test_requests(binary: bool, handling: str, given: bytes, expected: bytes) -> None:
    assert request_body(given, binary=binary, handling=handling) == expected


@pytest.mark.parametrize(
    ("binary", "wanted", "handling", "given", "expected"),
    [
        (False, False, "", b"text", b"text"),
        (False, False, "CONVERT_TO_BINARY", CODED, RAW),
        (False, True, "", CODED, RAW),
        (False, True, "CONVERT_TO_TEXT", CODED, CODED),
        (True, False, "", RAW, CODED),
        (True, False, "CONVERT_TO_BINARY", RAW, RAW),
        (True, True, "", RAW, RAW),
        (True, True, "CONVERT_TO_TEXT", RAW, CODED),
    ],
)
def test_responses(binary: bool, wanted: bool, handling: str, given: bytes, expected: bytes) -> None:
    assert response_body(given, binary=binary, wanted=wanted, handling=handling) == expected


def test_what_is_no_base64_is_a_mistake_of_the_api() -> None:
    with pytest.raises(Refused) as refused:
        request_body(b"no base64!", binary=False, handling="CONVERT_TO_BINARY")
    assert refused.value.kind == "API_CONFIGURATION_ERROR"


def test_media_types() -> None:
    assert media_type("Image/PNG; q=1, text/html") == "image/png"
    is_binary = binary_types(("image/*", "application/Octet-Stream"))
    assert is_binary("IMAGE/gif") and is_binary("application/octet-stream;x=y")
    assert not is_binary("application/json") and not is_binary("") and not is_binary("*/*")
    assert binary_types(("*/*",))("")
    assert not binary_types(())("image/png")


def test_text_that_is_fine_is_not_copied() -> None:
    for body in (b"ascii", "hällo".encode()):
        assert as_text(body) is body


@pytest.mark.parametrize(
    ("accept", "coding"),
    [("", ""), ("gzip", "gzip"), ("br, deflate", "deflate"), ("gzip;q=0", ""), ("*", "gzip"), ("gzip;q=0.1,deflate;q=0.2", "deflate"),
     ("gzip;q=x", ""), ("identity", "")],
)  # fmt: skip
def test_codings_by_preference(accept: str, coding: str) -> None:
    assert coding_for(accept) == coding


def test_decompression_is_bounded_and_knows_both_deflates() -> None:
    plain = b"x" * 1000
    raw = zlib.compressobj(wbits=-15)
    assert decompress(gzip.compress(plain), "gzip") == plain
    assert decompress(zlib.compress(plain), "deflate") == plain
    assert decompress(raw.compress(plain) + raw.flush(), "deflate") == plain
    assert decompress(plain, "identity") is plain
    with pytest.raises(Refused) as refused:
        decompress(gzip.compress(plain), "gzip", bytes_max=999)
    assert refused.value.kind == "REQUEST_TOO_LARGE"


def test_the_least_recently_used_leaves_a_full_cache() -> None:
    cache = ResponseCache(bytes_max=2 * (100 + ENTRY_BYTES_EXTRA))
    entry = Kept(200, (), b"x" * 100, until=10.0)
    cache.put(("a",), entry)
    cache.put(("b",), entry)
    assert cache.get(("a",), 0.0) is not None
    cache.put(("c",), entry)
    assert cache.get(("b",), 0.0) is None
    assert cache.get(("a",), 0.0) is not None and cache.get(("c",), 0.0) is not None
    cache.put(("a",), entry)
    assert len(cache) == 2
    assert cache.get(("a",), 10.0) is None and len(cache) == 1
