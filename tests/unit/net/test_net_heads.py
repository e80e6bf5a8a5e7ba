"""Heads that two readers could read differently are refused; others go on as they came."""

import pytest

from cumulo.net.heads import HeadReader, lines, without
from cumulo.net.messages import CHUNKED, UNTIL_CLOSE, Link, Refused, RequestHead, forwarded

LINK = Link("192.0.2.7", 4321, "http", 80)


def read(head: bytes, *, headers_count_max: int = 20) -> RequestHead:
    return HeadReader(headers_count_max=headers_count_max).request(head, LINK)


SMUGGLING = [
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA\xc3: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET ftp://a/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\r\nHost: HTTP/1.1\r\n\r\n",
    b"GET /a\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("head", SMUGGLING)
def test_ambiguous_heads_are_refused(head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(head)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20 + b"\r\n", 431),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ],
)
def test_what_is_not_spoken_or_too_much_has_its_own_status(head: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read(head)
    assert refused.value.status == status


def test_a_head_without_hop_by_hop_headers_goes_on_as_the_very_bytes() -> None:
    block = b"Host: X.example:80\r\nuser-AGENT:  curl \r\nCookie: a=1\r\nCookie: b=2\r\n"
    head = read(b"GET /a?b=c&d HTTP/1.1\r\n" + block + b"\r\n")
    assert (head.line, head.kept) == (b"GET /a?b=c&d HTTP/1.1\r\n", block)
    assert (head.method, head.path, head.query, head.host) == ("GET", "/a", "b=c&d", "X.example:80")
    assert head.values("cookie") == ["a=1", "b=2"]
    assert head.header("user-agent") == "curl"
    assert head.header("none") is None


def test_connection_cannot_name_what_frames_the_message() -> None:
    head = read(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: content-length, host, a\r\nContent-Length: 1\r\nA: b\r\n\r\n"
    )
    assert head.kept == b"Host: x\r\nContent-Length: 1\r\n"


def test_the_absolute_form_names_the_host() -> None:
    head = read(b"GET http://real.example/a HTTP/1.1\r\nHost: other\r\nA: b\r\n\r\n")
    assert (head.host, head.target, head.kept) == ("real.example", "/a", b"Host: real.example\r\nA: b\r\n")
    with pytest.raises(Refused):
        read(b"GET http://user@real.example/a HTTP/1.1\r\nHost: other\r\n\r\n")


def test_only_websocket_is_an_upgrade() -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: a\r\nUpgrade: %b\r\n\r\n"
    assert read(upgrade % b"WebSocket").upgrade == b"WebSocket"
    other = read(upgrade % b"h2c")
    assert other.upgrade == b""
    assert other.kept == b"Host: x\r\n"


@pytest.mark.parametrize(
    ("head", "length", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", CHUNKED, True),
        (b"HTTP/1.1 200\r\n\r\n", UNTIL_CLOSE, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n", 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", 5, True),
    ],
)
def test_how_an_answer_is_framed(head: bytes, length: int, keep_alive: bool) -> None:
    answer = HeadReader(headers_count_max=20).answer(head)
    assert (answer.length, answer.keep_alive) == (length, keep_alive)
    assert answer.kept.startswith(b"HTTP/1.1 200")


def test_forwarded_headers_follow_the_clients_own() -> None:
    head = read(
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: a\r\nx-forwarded-for: b\r\nX-Forwarded-Proto: gopher\r\n\r\n"
    )
    add, remove = forwarded(head, with_port=True)
    assert lines(add) == (
        b"X-Forwarded-For: a, b, 192.0.2.7:4321\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n"
    )
    assert without(head.kept, remove) == b"Host: x\r\n"
