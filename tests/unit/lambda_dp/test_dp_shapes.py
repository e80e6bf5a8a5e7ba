"""Answers that are recognised by their bytes: only those that the parser would take in the same way."""

import pytest

from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX
from cumulo.services.lambda_.runtime_shapes import Shape

FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
REST = b"\r\nHost: 127.0.0.1:9001\r\nUser-Agent: x\r\nContent-Type: application/json\r\n\r\n"
POLL = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"


def answer(request_id: str, body: bytes, *, length: bytes | None = None, poll: bytes = POLL) -> bytes:
    head = f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\nCumulo-Hold-Answer: 1\r\n"
    said = str(len(body)).encode() if length is None else length
    return head.encode() + b"Content-Length: " + said + REST + body + poll


def learned() -> Shape:
    shape = Shape()
    shape.expect(FIRST)
    shape.learn(answer(FIRST, b"{}"))
    assert shape.known
    shape.expect(SECOND)
    return shape


@pytest.mark.parametrize("body", [b"", b"1", b'{"a": "\r\n\r\n"}', POLL, b"x" * 100_000])
def test_an_answer_of_the_known_shape_gives_its_body(body: bytes):
    assert learned().body(answer(SECOND, body)) == body


def test_a_difference_in_any_byte_around_the_body_sends_it_to_the_parser():
    shape = learned()
    body = b'{"ok": true}'
    whole = answer(SECOND, body)
    start = whole.index(body)
    for at in range(len(whole)):
        if start <= at < start + len(body):
            continue
        for change in (0x01, 0x20, 0x80):
            damaged = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
            assert shape.body(damaged) is None, (at, change)


def test_pieces_and_surplus_go_to_the_parser():
    shape = learned()
    whole = answer(SECOND, b"{}")
    assert all(shape.body(whole[:size]) is None for size in range(len(whole)))
    assert shape.body(whole + b"\r\n") is None
    assert shape.body(whole + whole) is None


def test_the_answer_to_another_call_goes_to_the_parser():
    assert learned().body(answer(FIRST, b"{}")) is None


@pytest.mark.parametrize(
    "length", [b"", b"-1", b"+2", b"0x2", b" 2", b"2 ", b"2,2", b"1", b"3", b"00000002", "²".encode()]
)
def test_a_length_that_is_not_plainly_that_of_the_body_goes_to_the_parser(length: bytes):
    assert learned().body(answer(SECOND, b"{}", length=length)) is None


def test_an_answer_beyond_the_limit_goes_to_the_parser():
    shape = learned()
    assert shape.body(answer(SECOND, bytes(ANSWER_BYTES_MAX))) is not None
    assert shape.body(answer(SECOND, bytes(ANSWER_BYTES_MAX + 1))) is None


@pytest.mark.parametrize(
    "data",
    [
        answer(SECOND, b"{}"),  # to another call
        answer(FIRST, b"{}", length=b"99999999"),
        answer(FIRST, b"{}", poll=b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n" + POLL),
        answer(FIRST, b"{}", poll=POLL + POLL),
        answer(FIRST, b"{}", poll=POLL + b"x"),
        answer(FIRST, b"{}", poll=b""),
        answer(FIRST, b"{}", poll=POLL[:-4] + b"\r\nX: " + b"x" * 4096 + b"\r\n\r\n"),
    ],
)
def test_only_one_plain_answer_with_one_poll_is_learned(data: bytes):
    shape = Shape()
    shape.expect(FIRST)
    shape.learn(data)
    assert not shape.known
