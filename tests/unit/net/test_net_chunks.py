"""Chunked bodies: the same in any pieces, and nothing goes on that was not understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.net.wires import cuts

from cumulo.net.chunks import Chunks
from cumulo.net.messages import Refused

POINTS = st.lists(st.integers(0, 10_000), max_size=20)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A payload, and how it looks chunked."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b' ; a="b c"']))
    trailers = draw(st.sampled_from([b"", b"X-A: b\r\n", b"A: b\r\nC:\r\n"]))
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return b"".join(pieces), chunks + b"0\r\n" + trailers + b"\r\n"


@given(bodies(), POINTS, st.binary(max_size=10))
def test_any_pieces_give_the_same_payload_the_same_bytes_and_the_same_rest(
    body: tuple[bytes, bytes], points: list[int], following: bytes
) -> None:
    payload, chunked = body
    for raw, expected in ((True, chunked), (False, payload)):
        chunks, got, rest = Chunks(raw=raw), b"", b""
        for piece in cuts(chunked + following, points):
            if chunks.done:
                rest += piece
            else:
                got += chunks.feed(piece)
                rest += chunks.rest if chunks.done else b""
        assert (chunks.done, got, rest) == (True, expected, following)


@given(st.binary(max_size=60) | st.text("0123456789abcdefx;\r\n -+", max_size=60).map(str.encode), POINTS)
def test_garbage_is_refused_or_waited_for_alike_in_any_pieces(data: bytes, points: list[int]) -> None:
    def run(pieces: list[bytes]) -> tuple[bool, bool]:
        chunks = Chunks()
        try:
            for piece in pieces:
                if chunks.done:
                    break
                chunks.feed(piece)
        except Refused:
            return True, False
        return False, chunks.done

    refused, done = run([data] if data else [])
    split_refused, split_done = run(cuts(data, points))
    assert done == split_done
    assert refused == split_refused


@pytest.mark.parametrize("body", [
    b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello6\r\n", b"5\r\nhelloX\r\n", b"-5\r\nhello\r\n", b"+5\r\n",
    b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 5\r\n", b"\r\n", b"5;\0\r\n", b"5_0\r\n", b"fffffffffffffffff\r\n", b"5\rhello\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nHost: x\r\n\r\n", b"0\r\n folded\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\nA: b\nC: d\r\n\r\n",
    b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"1" + b"0" * 2000,
])  # fmt: skip
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        Chunks().feed(body)
